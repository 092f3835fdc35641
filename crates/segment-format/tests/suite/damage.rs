//! A flipped bit, a missing or an additional byte is detected, and the error says where.

use std::ops::Range;

use bytes::Bytes;
use segment_format::manifest::Manifest;
use segment_format::{
    Error, FOOTER_LEN, Footer, HEADER_LEN, Index, Part, check_segment, decode_block, scan_blocks,
};

use crate::manifest::small_manifest;
use crate::support::{get_range, small_blocks, write_segment};

/// The part and the byte position that an error about damage names.
fn place(error: &Error) -> Option<(Part, u64)> {
    match error {
        Error::Truncated { part, position, .. }
        | Error::BadMagic { part, position }
        | Error::Checksum { part, position, .. }
        | Error::Invalid { part, position, .. } => Some((*part, *position)),
        Error::UnsupportedVersion { part, .. } => Some((*part, 0)),
        Error::PayloadChecksum { position, .. } => Some((Part::BlockPayload, *position)),
        Error::ManifestHash { .. } => Some((Part::ManifestBody, 0)),
        _ => None,
    }
}

/// The parts of a segment, which cover it without a hole.
fn parts_of(object: &Bytes) -> Vec<(Part, Range<u64>)> {
    let index = check_segment(object).unwrap();
    let footer = Footer::decode(object, object.len() as u64).unwrap();
    let mut parts = vec![(Part::SegmentHeader, 0..HEADER_LEN as u64)];
    for block in index.blocks_by_position() {
        let range = block.range();
        let payload = range.start + block.header_len();
        parts.push((Part::BlockHeader, range.start..payload));
        parts.push((Part::BlockPayload, payload..range.end));
    }
    parts.push((Part::Index, footer.index_range()));
    parts.push((Part::Footer, footer.index_range().end..object.len() as u64));
    assert!(parts.windows(2).all(|pair| pair[0].1.end == pair[1].1.start));
    parts
}

#[test]
fn every_flipped_bit_of_a_segment_is_detected_and_named() {
    let (object, _) = write_segment(1, &small_blocks());
    let mut flipped = 0;
    for (part, range) in parts_of(&object) {
        for byte in range.clone() {
            for mask in [1, 2, 4, 8, 16, 32, 64, 128, 0xff] {
                let mut damaged = object.to_vec();
                damaged[byte as usize] ^= mask;
                let error = check_segment(&damaged.into()).expect_err("damage went unnoticed");
                let (named, position) = place(&error).unwrap_or_else(|| panic!("no place in {error:?}"));
                assert_eq!(named, part, "byte {byte} xor {mask:#x}: {error}");
                let near = range.contains(&position) || matches!(error, Error::UnsupportedVersion { .. });
                assert!(near, "byte {byte} xor {mask:#x} in {range:?}: {error}");
                assert!(error.to_string().contains(&part.to_string()), "{error}");
                flipped += 1;
            }
        }
    }
    assert_eq!(flipped, object.len() * 9);
}

#[test]
fn every_truncation_of_a_segment_is_detected() {
    let (object, _) = write_segment(1, &small_blocks());
    for length in 0..object.len() {
        let error = check_segment(&object.slice(..length)).expect_err("damage went unnoticed");
        assert!(place(&error).is_some(), "{length}: {error:?}");
        let lost_start = check_segment(&object.slice(object.len() - length..));
        assert!(lost_start.is_err(), "{length} bytes of the end");
    }
}

#[test]
fn an_additional_byte_in_a_segment_is_detected() {
    let (object, _) = write_segment(1, &small_blocks());
    for place in 0..=object.len() {
        let longer = [&object[..place], b"\0", &object[place..]].concat();
        assert!(check_segment(&longer.into()).is_err(), "before byte {place}");
    }
}

#[test]
fn footer_names_an_object_of_another_length() {
    let (object, _) = write_segment(1, &small_blocks());
    let tail = &object[object.len() - FOOTER_LEN..];
    let error = Footer::decode(tail, object.len() as u64 + 1).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Invalid {
                part: Part::Footer,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn an_index_of_another_length_than_the_footer_says_is_detected() {
    let (object, _) = write_segment(1, &small_blocks());
    let footer = Footer::decode(&object, object.len() as u64).unwrap();
    let bytes = get_range(&object, footer.index_range());
    let error = Index::decode(
        &bytes,
        &Footer {
            index_len: footer.index_len + 1,
            ..footer
        },
    )
    .unwrap_err();
    assert!(
        matches!(
            error,
            Error::Invalid {
                part: Part::Index,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_block_in_the_place_of_another_is_detected() {
    let (object, _) = write_segment(1, &small_blocks());
    let index = check_segment(&object).unwrap();
    for expected in index.blocks() {
        for other in index.blocks().iter().filter(|other| *other != expected) {
            let error = decode_block(expected, get_range(&object, other.range())).unwrap_err();
            assert!(matches!(error, Error::BlockMismatch { .. }), "{error:?}");
        }
    }
}

#[test]
fn damage_behind_a_block_does_not_hide_the_block() {
    let (object, _) = write_segment(1, &small_blocks());
    let mut damaged = object.to_vec();
    damaged[object.len() - 60] ^= 1;
    let damaged = Bytes::from(damaged);
    assert!(matches!(
        check_segment(&damaged),
        Err(Error::Checksum {
            part: Part::Index,
            ..
        })
    ));
    let saved = scan_blocks(&damaged)
        .unwrap()
        .filter(|(entry, bytes)| decode_block(entry, bytes.clone()).is_ok());
    assert_eq!(saved.count(), small_blocks().len());
}

#[test]
fn every_flipped_bit_of_a_manifest_is_detected_and_named() {
    let object = small_manifest().encode().unwrap().0;
    let body = object.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    for byte in 0..object.len() {
        for mask in [1, 2, 4, 8, 16, 32, 64, 128, 0xff] {
            let mut damaged = object.clone();
            damaged[byte] ^= mask;
            let error = Manifest::decode(&damaged).expect_err("damage went unnoticed");
            let (part, _) = place(&error).unwrap_or_else(|| panic!("no place in {error:?}"));
            // A digit of the hash may become another digit: then it is the body that does not match.
            let of_hash = matches!(error, Error::ManifestHash { .. });
            let expected = if byte < body {
                Part::ManifestHeader
            } else {
                Part::ManifestBody
            };
            assert!(part == expected || of_hash, "byte {byte} xor {mask:#x}: {error}");
        }
    }
}

#[test]
fn every_truncation_of_a_manifest_is_detected() {
    let object = small_manifest().encode().unwrap().0;
    for length in 0..object.len() {
        let error = Manifest::decode(&object[..length]).expect_err("damage went unnoticed");
        assert!(place(&error).is_some(), "{length}: {error:?}");
        assert!(Manifest::decode(&object[object.len() - length..]).is_err());
    }
    for more in ["\n", " ", "{}"] {
        let longer = [&object, more.as_bytes()].concat();
        assert!(matches!(
            Manifest::decode(&longer),
            Err(Error::ManifestHash { .. })
        ));
    }
}
