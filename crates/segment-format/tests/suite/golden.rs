//! Files of earlier versions are still read, and written to the same bytes.
//!
//! `testdata/segments/backup` is a storage with one backup set, laid out as the layout module names it. After a change
//! that is meant, `KAFKA_BACKUP_REWRITE_GOLDEN=1 cargo test -p segment-format --test suite -- --test-threads=1` writes
//! the files anew (in this order: one test reads what another wrote). A change to files of a kind that a release has
//! written needs a new version of the format instead.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use segment_format::manifest::{Gap, GapCause, Group, GroupKind, GroupOffset, Partition, Segment, Topic};
use segment_format::{Compression, EncodedBlock, Manifest, check_segment, decode_block, layout, scan_blocks};

use crate::support::{
    BlockSpec, get_range, orders, payments, project, rewrite_golden, write_encoded, write_segment,
};

pub(crate) const BACKUP_ID: &str = "Prod backup";
pub(crate) const NONCE: u64 = 0x5eed;

/// Folder of the golden storage.
pub(crate) fn storage() -> PathBuf {
    project().join("testdata/segments/backup")
}

/// Compares a file in testdata/segments with what this crate writes now, or writes it.
#[track_caller]
pub(crate) fn compare(name: &str, expected: &[u8]) {
    let path = project().join("testdata/segments").join(name);
    if rewrite_golden() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, expected).unwrap();
    }
    let stored = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(
        stored == expected,
        "{} is not what is written now",
        path.display()
    );
}

fn uncompressed_blocks() -> Vec<BlockSpec> {
    vec![
        BlockSpec::new(&orders(0), 0, 2, Compression::None),
        BlockSpec::new(&orders(1), 40, 1, Compression::None),
        BlockSpec::new(&orders(0), 9, 1, Compression::None),
    ]
}

fn compressed_blocks() -> Vec<BlockSpec> {
    vec![
        BlockSpec::new(&payments(0), 500, 3, Compression::Zstd),
        BlockSpec::new(&orders(0), 12, 3, Compression::Lz4),
        BlockSpec::new(&payments(0), 509, 1, Compression::None),
    ]
}

fn segment_object(generation: u64) -> String {
    layout::segment_name(BACKUP_ID, generation, 0, NONCE)
}

fn partition(number: i32, log_start: i64, stored: Option<(i64, i64)>, end: i64, records: u64) -> Partition {
    Partition {
        partition: number,
        log_start_offset: log_start,
        end_offset: end,
        first_offset: stored.map(|(first, _)| first),
        last_offset: stored.map(|(_, last)| last),
        last_leader_epoch: stored.map(|_| 5),
        records,
        aborted_records: 0,
        control_batches: 0,
        gaps: vec![],
    }
}

fn topic(partition: &segment_format::PartitionRef, partitions: Vec<Partition>) -> Topic {
    Topic {
        name: partition.topic.to_string(),
        topic_id: partition.topic_id,
        replication_factor: 3,
        configs: BTreeMap::from([("retention.ms".to_owned(), "86400000".to_owned())]),
        largest_batch: largest_batch(&partition.topic),
        partitions,
    }
}

fn largest_batch(topic: &str) -> u64 {
    let blocks = uncompressed_blocks().into_iter().chain(compressed_blocks());
    let batches = blocks
        .filter(|block| &*block.partition.topic == topic)
        .flat_map(|block| block.batches);
    batches.map(|batch| batch.len() as u64).max().unwrap()
}

fn group_offset(topic: &str, partition: i32, offset: i64) -> GroupOffset {
    GroupOffset {
        topic: topic.to_owned(),
        partition,
        offset,
        leader_epoch: None,
        metadata: String::new(),
    }
}

fn groups() -> Vec<Group> {
    let unicode = GroupOffset {
        leader_epoch: Some(5),
        metadata: "été \"quoted\"\t\u{1f980}".to_owned(),
        ..group_offset("orders", 0, 9)
    };
    let group = |group_id: &str, kind, offsets| Group {
        group_id: group_id.to_owned(),
        kind,
        state: "Empty".to_owned(),
        protocol_type: "consumer".to_owned(),
        offsets,
    };
    vec![
        group(
            "app1",
            GroupKind::Classic,
            vec![unicode, group_offset("orders", 1, 43)],
        ),
        group("app2", GroupKind::Consumer, vec![]),
    ]
}

fn first_manifest(segment: Segment) -> Manifest {
    let gap = Gap {
        from: 30,
        to: 40,
        cause: GapCause::Retention,
    };
    let with_gap = Partition {
        gaps: vec![gap],
        ..partition(1, 30, Some((40, 42)), 43, 3)
    };
    Manifest {
        backup_id: BACKUP_ID.to_owned(),
        generation: 1,
        created_at: 1_700_000_001_000,
        created_by: "kafka-backup 0.1.0".to_owned(),
        cluster_id: Some("MkU3OEVBNTcwNTJENDM2Qg".to_owned()),
        source_cluster_id: Some("prod-us-east-1".to_owned()),
        offset_headers: true,
        topics: vec![topic(
            &orders(0),
            vec![partition(0, 0, Some((0, 11)), 12, 9), with_gap],
        )],
        groups: groups(),
        segments: vec![segment],
    }
}

fn second_manifest(first: &Manifest, segment: Segment) -> Manifest {
    let mut manifest = first.clone();
    manifest.generation = 2;
    manifest.created_at += 60_000;
    manifest.topics[0].partitions[0] = partition(0, 0, Some((0, 20)), 21, 18);
    let markers = Partition {
        control_batches: 2,
        aborted_records: 4,
        ..partition(0, 500, Some((500, 511)), 518, 12)
    };
    manifest
        .topics
        .push(topic(&payments(0), vec![markers, partition(1, 0, None, 0, 0)]));
    manifest.segments.push(segment);
    manifest
}

/// The compressed segment with the compressed bytes of the golden file: another version of a codec may compress
/// to other bytes, which are as good.
fn rewrite_blocks(golden: &Bytes) -> Bytes {
    let index = check_segment(golden).unwrap();
    let blocks: Vec<_> = index
        .blocks_by_position()
        .into_iter()
        .map(|entry| {
            let block = EncodedBlock::from_stored(entry, get_range(golden, entry.range())).unwrap();
            (entry.partition.clone(), block)
        })
        .collect();
    write_encoded(NONCE, blocks).0
}

fn read(storage: &Path, object: &str) -> Bytes {
    fs::read(storage.join(object))
        .unwrap_or_else(|error| panic!("{object}: {error}"))
        .into()
}

#[test]
fn golden_backup_is_read_and_written_to_the_same_bytes() {
    let storage = storage();
    let in_testdata = |object: &str| format!("backup/{object}");

    let (uncompressed, summary) = write_segment(NONCE, &uncompressed_blocks());
    let first_object = segment_object(1);
    compare(&in_testdata(&first_object), &uncompressed);
    let first = first_manifest(summary.to_manifest(first_object));
    compare(
        &in_testdata(&layout::manifest_name(BACKUP_ID, 1)),
        &first.encode().unwrap(),
    );

    let second_object = segment_object(2);
    if rewrite_golden() {
        compare(
            &in_testdata(&second_object),
            &write_segment(NONCE, &compressed_blocks()).0,
        );
    }
    let compressed = read(&storage, &second_object);
    assert!(
        rewrite_blocks(&compressed) == compressed,
        "{second_object} is not what is written now"
    );
    let (_, summary) = write_encoded(
        NONCE,
        scan_blocks(&compressed).unwrap().map(|(entry, stored)| {
            (
                entry.partition.clone(),
                EncodedBlock::from_stored(&entry, stored).unwrap(),
            )
        }),
    );
    let second = second_manifest(&first, summary.to_manifest(second_object));
    compare(
        &in_testdata(&layout::manifest_name(BACKUP_ID, 2)),
        &second.encode().unwrap(),
    );

    for manifest in [first, second] {
        let object = read(&storage, &layout::manifest_name(BACKUP_ID, manifest.generation));
        assert_eq!(Manifest::decode(&object).unwrap(), manifest);
    }
}

#[test]
fn golden_segments_hold_the_batches() {
    for (generation, blocks) in [(1, uncompressed_blocks()), (2, compressed_blocks())] {
        let object = read(&storage(), &segment_object(generation));
        let index = check_segment(&object).unwrap();
        assert_eq!(index.blocks().len(), blocks.len());
        for (entry, spec) in index.blocks_by_position().into_iter().zip(&blocks) {
            assert_eq!(
                (&entry.partition, entry.meta, entry.compression),
                (&spec.partition, spec.meta, spec.compression)
            );
            let batches = decode_block(entry, get_range(&object, entry.range())).unwrap();
            assert_eq!(batches, spec.batches.concat());
        }
    }
}
