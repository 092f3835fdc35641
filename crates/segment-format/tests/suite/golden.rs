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
use segment_format::manifest::{
    Gap, GapCause, Group, GroupKind, GroupOffset, Partition, SegmentId, TimestampType, Topic,
};
use segment_format::{
    BackupSet, CapturedGroups, Commit, Compression, EncodedBlock, MergePolicy, NewSegment, Opening,
    PartitionRef, SegmentSummary, check_segment, decode_block, layout, scan_blocks,
};

use crate::support::{
    BlockSpec, get_range, orders, orders_again, payments, project, rewrite_golden, write_encoded,
    write_segment,
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
        BlockSpec::new(&orders_again(0), 0, 3, Compression::Lz4),
        BlockSpec::new(&payments(0), 509, 1, Compression::None),
    ]
}

fn segment_id(generation: u64) -> SegmentId {
    SegmentId {
        generation,
        sequence: 0,
        writer_nonce: NONCE,
    }
}

pub(crate) fn segment_object(generation: u64) -> String {
    segment_id(generation).object(BACKUP_ID)
}

fn partition(number: i32, log_start: i64, stored: Option<(i64, i64)>, end: i64, records: u64) -> Partition {
    Partition {
        end_offset: end,
        first_offset: stored.map(|(first, _)| first),
        last_offset: stored.map(|(_, last)| last),
        last_leader_epoch: stored.map(|_| 5),
        records,
        ..Partition::empty(number, log_start)
    }
}

fn topic(partition: &PartitionRef, partitions: Vec<Partition>) -> Topic {
    Topic {
        name: partition.topic.to_string(),
        topic_id: partition.topic_id,
        replication_factor: 3,
        configs: BTreeMap::from([("retention.ms".to_owned(), "86400000".to_owned())]),
        timestamp_type: Some(TimestampType::CreateTime),
        largest_batch: 120,
        partitions,
    }
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

fn group(group_id: &str, kind: GroupKind, offsets: Vec<GroupOffset>) -> Group {
    Group {
        group_id: group_id.to_owned(),
        kind,
        state: "Empty".to_owned(),
        protocol_type: "consumer".to_owned(),
        offsets,
    }
}

fn commit(generation: u64, summary: SegmentSummary) -> Commit {
    Commit {
        created_at: 1_700_000_001_000 + 60_000 * (generation as i64 - 1),
        created_by: "kafka-backup 0.1.0".to_owned(),
        cluster_id: Some("MkU3OEVBNTcwNTJENDM2Qg".to_owned()),
        source_cluster_id: Some("prod-us-east-1".to_owned()),
        offset_headers: true,
        complete: true,
        topics: vec![],
        groups: None,
        segments: vec![NewSegment {
            id: segment_id(generation),
            summary,
        }],
    }
}

fn first_commit(summary: SegmentSummary) -> Commit {
    let gap = Gap {
        from: 30,
        to: 40,
        cause: GapCause::Retention,
    };
    let with_gap = Partition {
        gaps: vec![gap],
        ..partition(1, 30, Some((40, 42)), 43, 3)
    };
    let unicode = GroupOffset {
        leader_epoch: Some(5),
        metadata: "été \"quoted\"\t\u{1f980}".to_owned(),
        ..group_offset("orders", 0, 9)
    };
    let app1 = vec![unicode, group_offset("orders", 1, 43)];
    Commit {
        topics: vec![topic(
            &orders(0),
            vec![partition(0, 0, Some((0, 11)), 12, 9), with_gap],
        )],
        groups: Some(CapturedGroups {
            captured_at: 1_700_000_000_500,
            groups: vec![
                group("app1", GroupKind::Classic, app1),
                group("app2", GroupKind::Consumer, vec![]),
            ],
        }),
        ..commit(1, summary)
    }
}

/// `orders` was deleted and created again; another topic and another group are new, a group and a position are gone.
fn second_commit(summary: SegmentSummary) -> Commit {
    let markers = Partition {
        control_batches: 2,
        aborted_records: 4,
        ..partition(0, 500, Some((500, 511)), 518, 12)
    };
    let troubled = Partition {
        trouble: Some("the leader did not answer for 300 s".to_owned()),
        ..partition(1, 0, None, 0, 0)
    };
    Commit {
        topics: vec![
            topic(&orders_again(0), vec![partition(0, 0, Some((0, 8)), 9, 9)]),
            topic(&payments(0), vec![markers, troubled]),
        ],
        groups: Some(CapturedGroups {
            captured_at: 1_700_000_060_500,
            groups: vec![
                group("app1", GroupKind::Classic, vec![group_offset("orders", 0, 3)]),
                group(
                    "app3",
                    GroupKind::Consumer,
                    vec![group_offset("payments.v2", 0, 510)],
                ),
            ],
        }),
        ..commit(2, summary)
    }
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

/// Plans and applies a commit, and compares its manifest with the golden one.
fn commit_and_compare(set: &mut BackupSet, commit: Commit) {
    let planned = set.plan_commit(commit).unwrap().unwrap();
    compare(&format!("backup/{}", planned.object()), planned.bytes());
    set.apply(planned).unwrap();
}

/// Opens a generation as it lies in a storage.
fn open(storage: &Path, generation: u64) -> BackupSet {
    let newest = read(storage, &layout::manifest_name(BACKUP_ID, generation));
    let mut opening = Opening::new(BACKUP_ID, generation, &newest).unwrap();
    for wanted in opening.wanted().collect::<Vec<_>>() {
        let layer = read(storage, &wanted.object);
        assert_eq!(layer.len() as u64, wanted.bytes);
        opening.add(&layer).unwrap();
    }
    opening.finish().unwrap()
}

#[test]
fn golden_backup_is_read_and_written_to_the_same_bytes() {
    let storage = storage();
    let mut set = BackupSet::empty(BACKUP_ID);
    // So small manifests would be merged otherwise.
    set.set_merge_policy(MergePolicy {
        floor_bytes: 0,
        seal_bytes: 0,
    });

    let (uncompressed, summary) = write_segment(NONCE, &uncompressed_blocks());
    compare(&format!("backup/{}", segment_object(1)), &uncompressed);
    commit_and_compare(&mut set, first_commit(summary));
    let first = set.clone();

    let second_object = segment_object(2);
    if rewrite_golden() {
        let rewritten = write_segment(NONCE, &compressed_blocks()).0;
        compare(&format!("backup/{second_object}"), &rewritten);
    }
    let compressed = read(&storage, &second_object);
    assert!(
        rewrite_blocks(&compressed) == compressed,
        "{second_object} is not what is written now"
    );
    let stored = scan_blocks(&compressed).unwrap();
    let stored = stored.map(|(entry, bytes)| {
        let block = EncodedBlock::from_stored(&entry, bytes).unwrap();
        (entry.partition, block)
    });
    let (_, summary) = write_encoded(NONCE, stored.collect::<Vec<_>>());
    commit_and_compare(&mut set, second_commit(summary));

    assert_eq!(open(&storage, 1), first);
    assert_eq!(open(&storage, 2), set);
    assert_eq!(set.manifests().len(), 2, "the second refers to the first");
    assert_eq!(set.topic_number("orders"), Some(2));
    assert_eq!(set.incarnation(1).unwrap().topic_id, orders(0).topic_id);
    assert_eq!(set.group("app1").unwrap().offsets, [group_offset("orders", 0, 3)]);
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
