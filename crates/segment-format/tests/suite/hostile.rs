//! Bytes that no writer wrote never panic, and never get memory that they do not pay for.

use std::ops::Range;

use bytes::{BufMut, Bytes};
use crc_fast::crc32_iscsi;
use proptest::prelude::*;
use proptest::sample::Index as Pick;
use segment_format::manifest::Manifest;
use segment_format::{
    BlockEntry, Compression, Error, FOOTER_LEN, Footer, Index, Opening, Part, PartitionRef, SegmentHeader,
    TopicId, check_segment, decode_block, scan_blocks,
};

use crate::support::{BlockSpec, Forged, get_range, small_blocks, write_segment};

#[track_caller]
fn invalid(forged: &Forged, expected: Part) {
    match check_segment(&forged.object()) {
        Err(Error::Invalid { part, .. }) => assert_eq!(part, expected),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_forged_segment_is_a_segment_as_long_as_it_is_plausible() {
    check_segment(&Forged::default().object()).unwrap();
}

/// The block header alone, without an index that could be wrong too.
#[track_caller]
fn invalid_header(forged: &Forged) {
    let [_, block, ..] = forged.parts();
    match BlockEntry::decode_header(&block, 32) {
        Err(Error::Invalid {
            part: Part::BlockHeader,
            ..
        }) => {}
        other => panic!("{other:?}"),
    }
}

/// They are refused before anything of the declared length could be allocated.
#[test]
fn impossible_lengths_are_refused() {
    let good = Forged::default();
    let (huge, limit) = (u32::MAX, 1 << 30);
    for (compression, raw_len, stored_len) in [
        (0, 12, 11),
        (0, 0, 0),
        (0, huge, huge),
        (0, limit + 1, limit + 1),
        (1, 11, 11),
        (1, 5, 11),
        (1, 11 * 255 + 1, 11),
        (1, huge, 11),
        (2, 11, 11),
        (2, 11 * 1024 + 1, 11),
        (2, huge, 11),
        (2, limit + 1, limit),
        (2, 1, 0),
    ] {
        let forged = Forged {
            compression,
            raw_len,
            stored_len,
            ..good.clone()
        };
        invalid(&forged, Part::Index);
        invalid_header(&forged);
    }
    // At the limits, but cut short.
    for (compression, raw_len, stored_len) in [(0, limit, limit), (1, 12 * 255, 12), (2, 12 * 1024, 12)] {
        let [_, block, ..] = Forged {
            compression,
            raw_len,
            stored_len,
            ..good.clone()
        }
        .parts();
        let entry = BlockEntry::decode_header(&block, 32).unwrap();
        let error = decode_block(&entry, block.into()).unwrap_err();
        assert!(
            matches!(
                error,
                Error::Truncated {
                    part: Part::BlockPayload,
                    ..
                }
            ),
            "{error}"
        );
    }
    for counts in [
        (huge, 1),
        (1, huge),
        (huge, huge),
        (0, 1),
        (1, 0),
        (2, 1),
        (1, 2),
        (0, 0),
    ] {
        invalid(
            &Forged {
                partition_count: counts.0,
                block_count: counts.1,
                ..good.clone()
            },
            Part::Index,
        );
    }
    for blocks_of_partition in [0, 2, huge] {
        invalid(
            &Forged {
                blocks_of_partition,
                ..good.clone()
            },
            Part::Index,
        );
    }
}

/// Decodes the index of a segment with blocks of `t-0` (two), `t-1`, `t-2` after a change to its bytes, with a checksum that
/// matches; returns why it is refused.
fn refused_index(change: impl FnOnce(&mut Vec<u8>)) -> String {
    let partition = |number| PartitionRef::new("t", TopicId::ZERO, number);
    let block = |number, offset| BlockSpec::new(&partition(number), offset, 1, Compression::None);
    let (object, _) = write_segment(1, &[block(0, 0), block(1, 0), block(0, 3), block(2, 0)]);
    let footer = Footer::decode(&object, object.len() as u64).unwrap();
    let mut bytes = get_range(&object, footer.index_range()).to_vec();
    Index::decode(&bytes, &footer).unwrap();
    change(&mut bytes);
    sign(&mut bytes);
    let index_len = bytes.len() as u64;
    match Index::decode(&bytes, &Footer { index_len, ..footer }) {
        Err(Error::Invalid {
            part: Part::Index,
            reason,
            ..
        }) => reason,
        other => panic!("{other:?}"),
    }
}

/// Where the entry of partition `number`, and of block `number`, is in that index.
fn partition_at(number: usize) -> Range<usize> {
    12 + 27 * number..12 + 27 * (number + 1)
}

fn block_at(number: usize) -> Range<usize> {
    12 + 27 * 3 + 68 * number..12 + 27 * 3 + 68 * (number + 1)
}

fn swap(bytes: &mut [u8], left: Range<usize>, right: Range<usize>) {
    let kept = bytes[left.clone()].to_vec();
    bytes.copy_within(right.clone(), left.start);
    bytes[right].copy_from_slice(&kept);
}

#[test]
fn an_index_in_disorder_is_refused() {
    let reason = refused_index(|bytes| swap(bytes, partition_at(1), partition_at(2)));
    assert!(reason.contains("not in order"), "{reason}");
    let reason = refused_index(|bytes| bytes.copy_within(partition_at(1), partition_at(2).start));
    assert!(reason.contains("there twice"), "{reason}");
    let reason = refused_index(|bytes| swap(bytes, block_at(0), block_at(1)));
    assert!(reason.contains("offset order"), "{reason}");
    // The second block of t-0 starts with the last offset of the first.
    let reason = refused_index(|bytes| bytes[block_at(1).start + 15] = 2);
    assert!(reason.contains("offset order"), "{reason}");
    // t-1 has no block, t-2 has two.
    let reason = refused_index(|bytes| {
        bytes[partition_at(1).end - 1] = 0;
        bytes[partition_at(2).end - 1] = 2;
    });
    assert!(reason.contains("has 0 of"), "{reason}");
    let reason = refused_index(|bytes| bytes[partition_at(0).end - 1] = 1);
    assert!(reason.contains("of no partition"), "{reason}");
    let reason = refused_index(|bytes| bytes[partition_at(2).end - 1] = 2);
    assert!(reason.contains("has 2 of 1"), "{reason}");
    // Two blocks in the same place, and one that leaves a hole.
    for position in [32, 33] {
        let reason = refused_index(|bytes| {
            let at = block_at(1).start;
            bytes[at..at + 8].copy_from_slice(&u64::to_be_bytes(position));
        });
        assert!(reason.contains("is expected"), "{reason}");
    }
    let reason = refused_index(|bytes| bytes.extend(b"crc and more"));
    assert!(reason.contains("behind the last block"), "{reason}");
    // An entry less than the lengths say.
    let reason = refused_index(|bytes| bytes[11] = 3);
    assert!(reason.contains("has"), "{reason}");
}

#[test]
fn impossible_values_are_refused() {
    let good = Forged::default();
    invalid(
        &Forged {
            compression: 3,
            ..good.clone()
        },
        Part::Index,
    );
    invalid(
        &Forged {
            offsets: (-1, 9),
            ..good.clone()
        },
        Part::Index,
    );
    invalid(
        &Forged {
            offsets: (5, 4),
            ..good.clone()
        },
        Part::Index,
    );
    invalid(
        &Forged {
            batches: 0,
            ..good.clone()
        },
        Part::Index,
    );
    invalid(
        &Forged {
            partition: -1,
            ..good.clone()
        },
        Part::Index,
    );
    invalid(
        &Forged {
            topic: b"\xff".to_vec(),
            ..good.clone()
        },
        Part::Index,
    );
    invalid(
        &Forged {
            topic: vec![],
            topic_len: 0,
            ..good.clone()
        },
        Part::Index,
    );
    invalid(
        &Forged {
            topic: vec![b'a'; 250],
            topic_len: 250,
            ..good.clone()
        },
        Part::Index,
    );
    for block_position in [0, 31, 33, u64::MAX] {
        invalid(
            &Forged {
                block_position,
                ..good.clone()
            },
            Part::Index,
        );
    }
    invalid(
        &Forged {
            reserved: 1,
            ..good.clone()
        },
        Part::SegmentHeader,
    );
    let [_, block, index, footer] = Forged {
        reserved: 1,
        ..good.clone()
    }
    .parts();
    let [header, ..] = good.parts();
    invalid_bytes(&[&header, &block, &index, &footer], Part::Footer);
    let [.., footer] = good.parts();
    invalid_bytes(&[&header, &block, &index, &footer], Part::Index);
    let [.., index, _] = good.parts();
    // The last one differs between the block and its entry only in bytes that a reader must not accept.
    invalid_bytes(&[&header, &block, &index, &footer], Part::BlockHeader);
}

#[track_caller]
fn invalid_bytes(parts: &[&[u8]], expected: Part) {
    match check_segment(&parts.concat().into()) {
        Err(Error::Invalid { part, .. }) => assert_eq!(part, expected),
        other => panic!("{other:?}"),
    }
}

/// Checksums match, the codec does not.
#[test]
fn payloads_that_do_not_decompress_are_refused() {
    let bomb = zstd_of(1 << 20);
    let cases: [(u8, u32, Vec<u8>); 6] = [
        (1, 40, b"not lz4 at all".to_vec()),
        (2, 40, b"not zstd at all".to_vec()),
        // One byte less and one more than what the frame holds.
        (2, (1 << 20) - 1, bomb.clone()),
        (2, (1 << 20) + 1, bomb.clone()),
        // Two frames that hold more together.
        (2, 1 << 20, [bomb.clone(), bomb.clone()].concat()),
        (2, 1 << 20, [bomb, b"trailing".to_vec()].concat()),
    ];
    for (compression, raw_len, payload) in cases {
        let stored_len = payload.len() as u32;
        let forged = Forged {
            compression,
            raw_len,
            stored_len,
            payload,
            ..Forged::default()
        };
        match check_segment(&forged.object()) {
            Err(Error::Decompress {
                topic,
                partition: 0,
                base_offset: 5,
                position: 32,
                ..
            }) => assert_eq!(topic, "t"),
            other => panic!("{compression} {raw_len}: {other:?}"),
        }
    }
}

/// A Zstandard frame of `length` bytes that is not too small to be plausible.
fn zstd_of(length: usize) -> Vec<u8> {
    let raw: Vec<u8> = (0..length).map(|place| (place / 997 * 31) as u8).collect();
    let mut stored = Vec::with_capacity(length);
    zstd_safe::compress(&mut stored, &raw, 1).unwrap();
    assert!(length < stored.len() * 1024 && stored.len() * 2 < length);
    stored
}

/// Replaces the checksum at the end of `part`.
fn sign(part: &mut Vec<u8>) {
    part.truncate(part.len() - 4);
    part.put_u32(crc32_iscsi(part));
}

fn read_everything(object: &Bytes) {
    let _ = SegmentHeader::decode(object);
    let _ = Manifest::decode(object);
    let _ = Opening::new("b", 1, object);
    for position in [0, 32, u64::MAX] {
        let _ = BlockEntry::decode_header(object, position);
    }
    for object_len in [object.len() as u64, 0, u64::MAX] {
        if let Ok(footer) = Footer::decode(object, object_len) {
            let _ = Index::decode(object, &footer);
        }
    }
    let _ = check_segment(object);
    if let Ok(blocks) = scan_blocks(object) {
        blocks.for_each(|(entry, stored)| drop(decode_block(&entry, stored)));
    }
}

proptest! {
    #[test]
    fn noise_never_panics(magic in 0..6usize, noise in prop::collection::vec(any::<u8>(), 0..400)) {
        let magic: &[u8] = [&b""[..], b"KBSEGMNT\0\x01", b"KBLK", b"KBIX", b"kafka-backup-manifest ", b"kafka-backup-manifest 1 sha256:"][magic];
        read_everything(&[magic, &noise].concat().into());
        read_everything(&[&noise, &b"KBSEGEND"[..]].concat().into());
    }

    /// Changes that checksums do not catch: what is left of the index is only its own logic.
    #[test]
    fn a_signed_index_of_noise_never_panics(changes in prop::collection::vec((any::<Pick>(), any::<u8>()), 1..6)) {
        let (object, _) = write_segment(1, &small_blocks());
        let footer = Footer::decode(&object, object.len() as u64).unwrap();
        let mut bytes = get_range(&object, footer.index_range()).to_vec();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        sign(&mut bytes);
        let Ok(index) = Index::decode(&bytes, &footer) else { return Ok(()) };
        for entry in index.blocks() {
            // Positions and lengths still fit the object, so the ranges can be read.
            let _ = decode_block(entry, get_range(&object, entry.range()));
        }
    }

    #[test]
    fn a_signed_block_header_of_noise_never_panics(changes in prop::collection::vec((any::<Pick>(), any::<u8>()), 1..6)) {
        let [_, block, ..] = Forged::default().parts();
        let (header, payload) = block.split_at(block.len() - 11);
        let mut header = header.to_vec();
        for (place, byte) in changes {
            let place = place.index(header.len());
            header[place] = byte;
        }
        sign(&mut header);
        let stored = Bytes::from([&header, payload].concat());
        if let Ok(entry) = BlockEntry::decode_header(&stored, 32) {
            let _ = decode_block(&entry, stored);
        }
    }

    #[test]
    fn signed_footers_of_noise_never_panic(fields: (u64, u64, u64), object_len: u64) {
        let mut footer = Vec::new();
        footer.put_u64(fields.0);
        footer.put_u64(fields.1);
        footer.put_u64(fields.2);
        footer.put_slice(&[0, 1, 0, 0]);
        footer.put_u32(crc32_iscsi(&footer));
        footer.put_slice(b"KBSEGEND");
        prop_assert_eq!(footer.len(), FOOTER_LEN);
        for length in [object_len, fields.2] {
            if let Ok(footer) = Footer::decode(&footer, length) {
                prop_assert!(footer.index_range().end <= length);
            }
        }
    }
}
