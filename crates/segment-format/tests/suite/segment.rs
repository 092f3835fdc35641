//! What a segment holds comes back; a writer refuses what the format cannot hold.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::Index as Pick;
use segment_format::{
    BlockEntry, BlockMeta, Compression, EncodedBlock, Error, FOOTER_LEN, Footer, Index, PartitionRef,
    SegmentDigest, SegmentHeader, SegmentWriter, TopicId, check_segment, decode_block, encode_block,
    scan_blocks,
};

use crate::support::{BlockSpec, Forged, get_range, orders, small_blocks, write_encoded, write_segment};

fn read_index(object: &Bytes) -> Index {
    let footer = Footer::decode(&object[object.len() - FOOTER_LEN..], object.len() as u64).unwrap();
    Index::decode(&get_range(object, footer.index_range()), &footer).unwrap()
}

#[test]
fn the_writer_writes_what_the_document_says() {
    let forged = Forged::default();
    let partition = PartitionRef::new("t", TopicId([0x11; 16]), 0);
    let meta = BlockMeta {
        base_offset: 5,
        last_offset: 9,
        min_timestamp: 1000,
        max_timestamp: 2000,
        batches: 1,
        records: 5,
    };
    let block = encode_block(meta, vec![forged.payload.clone().into()], Compression::None, 0).unwrap();
    let (object, _) = write_encoded(42, [(partition, block)]);
    assert_eq!(object, forged.object());
}

#[test]
fn header_names_the_writer() {
    let (object, _) = write_segment(77, &[]);
    let header = SegmentHeader::decode(&object).unwrap();
    assert_eq!(
        header,
        SegmentHeader {
            writer_nonce: 77,
            created_at: 1_700_000_000_123
        }
    );
}

#[test]
fn a_segment_without_blocks_is_a_segment() {
    let (object, summary) = write_segment(1, &[]);
    assert!(summary.partitions.is_empty());
    assert!(check_segment(&object).unwrap().blocks().is_empty());
}

#[test]
fn an_uncompressed_block_is_never_copied() {
    let batch = Bytes::from(vec![9; 1000]);
    let meta = BlockSpec::new(&orders(0), 0, 1, Compression::None).meta;
    for compression in [Compression::None, Compression::Zstd] {
        // Compression is tried on a single byte, too, and does not help.
        let batch = if compression == Compression::None {
            batch.clone()
        } else {
            batch.slice(..1)
        };
        let block = encode_block(meta, vec![batch.clone()], compression, 3).unwrap();
        assert_eq!(block.compression(), Compression::None);
        let mut writer = SegmentWriter::new(1, 2);
        let appended = writer.add_block(&orders(0), block).unwrap();
        assert_eq!(appended[1].as_ptr(), batch.as_ptr());
    }

    let (object, _) = write_segment(1, &[BlockSpec::new(&orders(0), 0, 1, Compression::None)]);
    let index = read_index(&object);
    let entry = &index.blocks()[0];
    let stored = get_range(&object, entry.range());
    let decoded = decode_block(entry, stored.clone()).unwrap();
    assert_eq!(decoded.as_ptr(), stored[entry.header_len() as usize..].as_ptr());
}

#[test]
fn compressible_blocks_are_compressed() {
    let (object, _) = write_segment(1, &small_blocks());
    let used: Vec<Compression> = read_index(&object)
        .blocks()
        .iter()
        .map(|block| block.compression)
        .collect();
    assert_eq!(
        used,
        [
            Compression::Lz4,
            Compression::Zstd,
            Compression::None,
            Compression::None
        ]
    );
}

#[test]
fn a_partition_without_blocks_has_none() {
    let (object, _) = write_segment(1, &small_blocks());
    let index = read_index(&object);
    for (topic, partition) in [("orders", 0), ("orders", 11), ("order", 10), ("", 0), ("zzz", 2)] {
        assert!(
            index.blocks_of(topic, partition).is_empty(),
            "{topic}-{partition}"
        );
    }
    let names: Vec<String> = index.partitions().map(ToString::to_string).collect();
    assert_eq!(names, ["orders-2", "orders-10", "payments.v2-0"]);
}

#[test]
fn a_block_must_follow_the_block_before_it() {
    let mut writer = SegmentWriter::new(1, 2);
    let add = |writer: &mut SegmentWriter, partition: &PartitionRef, base_offset| {
        let spec = BlockSpec::new(partition, base_offset, 1, Compression::None);
        writer.add_block(partition, spec.encode()).map(|_| ())
    };
    add(&mut writer, &orders(0), 10).unwrap();
    let before = (writer.bytes_written(), writer.finished_len());
    for base_offset in [0, 10, 12] {
        match add(&mut writer, &orders(0), base_offset) {
            Err(Error::OutOfOrder {
                last_offset: 12,
                base_offset: found,
                partition: 0,
                ..
            }) => {
                assert_eq!(found, base_offset);
            }
            other => panic!("{other:?}"),
        }
    }
    let recreated = PartitionRef {
        topic_id: TopicId([1; 16]),
        ..orders(0)
    };
    assert!(matches!(
        add(&mut writer, &recreated, 13),
        Err(Error::TopicIdChanged { .. })
    ));
    for bad in [
        PartitionRef::new("", TopicId::ZERO, 0),
        PartitionRef::new("t".repeat(250), TopicId::ZERO, 0),
        PartitionRef::new("t", TopicId::ZERO, -1),
    ] {
        assert!(
            matches!(add(&mut writer, &bad, 0), Err(Error::InvalidBlock { .. })),
            "{bad}"
        );
    }
    // What was refused left no trace.
    assert_eq!((writer.bytes_written(), writer.finished_len()), before);
    add(&mut writer, &orders(0), 13).unwrap();
    add(&mut writer, &orders(1), 0).unwrap();
    add(
        &mut writer,
        &PartitionRef::new("t".repeat(249), TopicId::ZERO, i32::MAX),
        0,
    )
    .unwrap();
}

#[test]
fn an_impossible_block_is_refused() {
    let good = BlockSpec::new(&orders(0), 10, 1, Compression::None);
    let refused = |meta, batches| match encode_block(meta, batches, Compression::None, 0) {
        Err(Error::InvalidBlock { .. }) => {}
        other => panic!("{other:?}"),
    };
    refused(
        BlockMeta {
            base_offset: -1,
            ..good.meta
        },
        good.batches.clone(),
    );
    refused(
        BlockMeta {
            last_offset: 9,
            ..good.meta
        },
        good.batches.clone(),
    );
    refused(
        BlockMeta {
            batches: 0,
            ..good.meta
        },
        good.batches.clone(),
    );
    refused(good.meta, vec![]);
    refused(good.meta, vec![Bytes::new()]);
    // 1025 times the same MiB: the limit is on what the slices hold together, and costs no memory here.
    refused(good.meta, vec![Bytes::from(vec![0; 1 << 20]); 1025]);
    let level = encode_block(good.meta, good.batches, Compression::Zstd, 99);
    assert!(matches!(level, Err(Error::Compress { level: 99, .. })));
}

#[test]
fn a_block_is_checked_against_its_entry() {
    let (object, _) = write_segment(1, &small_blocks());
    let index = read_index(&object);
    let entry = &index.blocks()[0];
    let stored = get_range(&object, entry.range());
    let refuse = |entry: &BlockEntry, expected: &str| match decode_block(entry, stored.clone()) {
        Err(Error::BlockMismatch { field, .. }) => assert_eq!(field, expected),
        other => panic!("{expected}: {other:?}"),
    };
    let with = |change: fn(&mut BlockEntry)| {
        let mut entry = entry.clone();
        change(&mut entry);
        entry
    };
    refuse(&with(|entry| entry.partition.topic = "other".into()), "topic");
    refuse(
        &with(|entry| entry.partition.topic_id = TopicId::ZERO),
        "topic id",
    );
    refuse(&with(|entry| entry.partition.partition = 3), "partition");
    refuse(
        &with(|entry| entry.meta.records += 1),
        "offsets, timestamps or counts",
    );
    refuse(
        &with(|entry| entry.compression = Compression::None),
        "compression",
    );
    refuse(&with(|entry| entry.raw_len = u32::MAX), "raw length");
    refuse(&with(|entry| entry.stored_len = u32::MAX), "stored length");
    refuse(&with(|entry| entry.payload_crc ^= 1), "payload checksum");

    let longer: Bytes = [&stored[..], b"x"].concat().into();
    assert!(matches!(decode_block(entry, longer), Err(Error::Invalid { .. })));
}

#[test]
fn blocks_move_to_another_segment_as_they_are() {
    let (object, _) = write_segment(1, &small_blocks());
    let index = read_index(&object);
    let moved = index.blocks_by_position().into_iter().map(|entry| {
        let block = EncodedBlock::from_stored(entry, get_range(&object, entry.range())).unwrap();
        assert_eq!(
            (block.raw_len(), block.stored_len()),
            (entry.raw_len, entry.stored_len)
        );
        (entry.partition.clone(), block)
    });
    assert_eq!(write_encoded(1, moved.collect::<Vec<_>>()).0, object);
}

#[test]
fn a_segment_without_its_end_is_read_block_by_block() {
    let (object, _) = write_segment(1, &small_blocks());
    let index = read_index(&object);
    let blocks = index.blocks_by_position();
    let third = blocks[2].range();
    for (cut, whole) in [
        (object.len() as u64, 4),
        (third.end, 3),
        (third.end - 1, 2),
        (third.start + 5, 2),
        (32, 0),
    ] {
        let rest = object.slice(..cut as usize);
        let found: Vec<_> = scan_blocks(&rest).unwrap().collect();
        assert_eq!(found.len(), whole);
        for (expected, (entry, stored)) in blocks.iter().zip(found) {
            assert_eq!(**expected, entry);
            decode_block(&entry, stored).unwrap();
        }
    }
    assert!(scan_blocks(&object.slice(..31)).is_err());
}

fn any_compression() -> impl Strategy<Value = Compression> {
    prop_oneof![
        Just(Compression::None),
        Just(Compression::Lz4),
        Just(Compression::Zstd)
    ]
}

/// Batches of any bytes: noise, or text that compresses.
fn any_batches() -> impl Strategy<Value = Vec<Bytes>> {
    let noise = prop::collection::vec(any::<u8>(), 1..200);
    let text = (any::<u8>(), 1..3000usize).prop_map(|(byte, length)| vec![byte; length]);
    prop::collection::vec(prop_oneof![noise, text].prop_map(Bytes::from), 1..5)
}

/// Blocks in the order in which they are written: offsets ascend within each partition, with gaps.
fn any_blocks() -> impl Strategy<Value = Vec<BlockSpec>> {
    let topic = prop_oneof![Just("a"), Just("a.b"), Just("a-1"), Just("ä"), Just("Zebra")];
    let block = (
        topic,
        0..3i32,
        0..100i64,
        0..50i64,
        -10..1000i64,
        any_batches(),
        any_compression(),
    );
    prop::collection::vec(block, 0..40).prop_map(|blocks| {
        let mut next = BTreeMap::new();
        blocks
            .into_iter()
            .map(|(topic, partition, gap, span, timestamp, batches, compression)| {
                let next = next.entry((topic, partition)).or_insert(0);
                let base_offset = *next + gap;
                *next = base_offset + span + 1;
                let meta = BlockMeta {
                    base_offset,
                    last_offset: base_offset + span,
                    min_timestamp: timestamp,
                    max_timestamp: timestamp + span,
                    batches: batches.len() as u32,
                    records: span.cast_unsigned(),
                };
                let topic_id = TopicId([topic.len() as u8; 16]);
                BlockSpec {
                    partition: PartitionRef::new(topic, topic_id, partition),
                    meta,
                    batches,
                    compression,
                }
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn segment_round_trip(blocks in any_blocks()) {
        let (object, summary) = write_segment(3, &blocks);
        prop_assert_eq!(summary.blake3, SegmentDigest::of(&object));
        let index = check_segment(&object).unwrap();
        prop_assert_eq!(&index, &read_index(&object));
        prop_assert_eq!(index.blocks().len(), blocks.len());

        let scanned: Vec<BlockEntry> = scan_blocks(&object).unwrap().map(|(entry, _)| entry).collect();
        for ((entry, spec), scanned) in index.blocks_by_position().into_iter().zip(&blocks).zip(&scanned) {
            prop_assert_eq!(entry, scanned);
            prop_assert_eq!(&entry.partition, &spec.partition);
            prop_assert_eq!(&entry.meta, &spec.meta);
            let decoded = decode_block(entry, get_range(&object, entry.range())).unwrap();
            prop_assert_eq!(decoded, spec.batches.concat());
        }
        prop_assert_eq!(scanned.len(), blocks.len());
    }

    #[test]
    fn lookups_agree_with_a_look_at_every_block(
        blocks in any_blocks(), picks: (Pick, Pick), near in (-2..3i64, -2..3i64), anywhere in (-5..3000i64, -20..1100i64),
        any_place: bool,
    ) {
        let (object, _) = write_segment(3, &blocks);
        let index = read_index(&object);
        // Mostly at the edge of a block, where a mistake by one shows.
        let spec = BlockSpec::new(&orders(0), 0, 1, Compression::None);
        let (first, second) = if blocks.is_empty() { (&spec, &spec) } else { (picks.0.get(&blocks), picks.1.get(&blocks)) };
        let partition = &first.partition;
        let (topic, number) = (&*partition.topic, partition.partition);
        let edges = (first.meta.last_offset + near.0, second.meta.base_offset + near.1, first.meta.max_timestamp + near.0);
        let (from, to, time) = if any_place { (anywhere.0, anywhere.0 + 200, anywhere.1) } else { edges };

        let naive = |keep: &dyn Fn(&BlockMeta) -> bool| -> Vec<BlockMeta> {
            let own = blocks.iter().filter(|block| block.partition == *partition);
            own.map(|block| block.meta).filter(|meta| keep(meta)).collect()
        };
        let metas = |blocks: &[BlockEntry]| -> Vec<BlockMeta> { blocks.iter().map(|block| block.meta).collect() };
        prop_assert_eq!(metas(index.blocks_of(topic, number)), naive(&|_| true));
        let holds_one = |meta: &BlockMeta| (meta.base_offset..=meta.last_offset).any(|offset| (from..to).contains(&offset));
        prop_assert_eq!(metas(index.blocks_in_offsets(topic, number, from..to)), naive(&holds_one));
        let since: Vec<BlockMeta> = index.blocks_since(topic, number, time).map(|block| block.meta).collect();
        prop_assert_eq!(since, naive(&|meta| meta.max_timestamp >= time));
    }

    #[test]
    fn summary_adds_up(blocks in any_blocks()) {
        let (object, summary) = write_segment(3, &blocks);
        let mut expected: Vec<PartitionRef> = blocks.iter().map(|block| block.partition.clone()).collect();
        expected.sort_by(|left, right| (&left.topic, left.partition).cmp(&(&right.topic, right.partition)));
        expected.dedup();
        let found: Vec<PartitionRef> = summary.partitions.iter().map(|entry| entry.partition.clone()).collect();
        prop_assert_eq!(found, expected);
        for entry in &summary.partitions {
            let own: Vec<&BlockSpec> = blocks.iter().filter(|block| block.partition == entry.partition).collect();
            prop_assert_eq!(entry.blocks, own.len() as u64);
            prop_assert_eq!(entry.records, own.iter().map(|block| block.meta.records).sum::<u64>());
            prop_assert_eq!(entry.batches, own.iter().map(|block| u64::from(block.meta.batches)).sum::<u64>());
            prop_assert_eq!(Some(entry.first_offset), own.first().map(|block| block.meta.base_offset));
            prop_assert_eq!(Some(entry.last_offset), own.last().map(|block| block.meta.last_offset));
            prop_assert_eq!(Some(entry.min_timestamp), own.iter().map(|block| block.meta.min_timestamp).min());
            prop_assert_eq!(Some(entry.max_timestamp), own.iter().map(|block| block.meta.max_timestamp).max());
        }
        // Blocks are all that lies between the header and the index.
        let stored: u64 = summary.partitions.iter().map(|entry| entry.stored_bytes).sum();
        let footer = Footer::decode(&object, object.len() as u64).unwrap();
        prop_assert_eq!(stored + 32, footer.index_position);
    }
}
