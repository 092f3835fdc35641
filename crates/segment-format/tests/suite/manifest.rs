//! Manifests come back; one that contradicts itself is refused.

use std::collections::BTreeMap;

use proptest::prelude::*;
use segment_format::manifest::{
    Gap, GapCause, Group, GroupKind, GroupOffset, Partition, Segment, SegmentPartition, Topic,
};
use segment_format::{Error, Manifest, TopicId, layout};
use sha2::{Digest, Sha256};

use crate::support::{small_blocks, write_segment};

const BACKUP_ID: &str = "prod-backup-2024";

fn partition(partition: i32, first: i64, last: i64, records: u64) -> Partition {
    Partition {
        partition,
        log_start_offset: 0,
        end_offset: last + 3,
        first_offset: Some(first),
        last_offset: Some(last),
        last_leader_epoch: Some(5),
        records,
        aborted_records: 0,
        control_batches: 0,
        gaps: vec![],
    }
}

fn topic(name: &str, id: u8, partitions: Vec<Partition>) -> Topic {
    Topic {
        name: name.to_owned(),
        topic_id: TopicId([id; 16]),
        replication_factor: 3,
        configs: BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]),
        largest_batch: 120,
        partitions,
    }
}

/// A manifest of the segment of [`small_blocks`].
pub(crate) fn small_manifest() -> Manifest {
    let (_, summary) = write_segment(1, &small_blocks());
    let gap = Gap {
        from: 3,
        to: 7,
        cause: GapCause::Retention,
    };
    let empty = Partition {
        first_offset: None,
        last_offset: None,
        last_leader_epoch: None,
        ..partition(1, 0, 0, 0)
    };
    let offset = |topic: &str, partition, offset| GroupOffset {
        topic: topic.to_owned(),
        partition,
        offset,
        leader_epoch: Some(4),
        metadata: "é\"\n".to_owned(),
    };
    Manifest {
        backup_id: BACKUP_ID.to_owned(),
        generation: 1,
        created_at: 1_700_000_001_000,
        created_by: "kafka-backup 0.1.0".to_owned(),
        cluster_id: Some("MkU3OEVBNTcwNTJENDM2Qg".to_owned()),
        source_cluster_id: Some("prod-us-east-1".to_owned()),
        offset_headers: true,
        topics: vec![
            topic(
                "orders",
                0xab,
                vec![empty, partition(2, 100, 105, 6), partition(10, 0, 11, 9)],
            ),
            topic(
                "payments.v2",
                0xcd,
                vec![Partition {
                    gaps: vec![gap],
                    ..partition(0, 7, 9, 3)
                }],
            ),
        ],
        groups: vec![Group {
            group_id: "app 1".to_owned(),
            kind: GroupKind::Consumer,
            state: "Stable".to_owned(),
            protocol_type: "consumer".to_owned(),
            offsets: vec![
                offset("orders", 2, 103),
                offset("orders", 10, 0),
                offset("payments.v2", 0, 9),
            ],
        }],
        segments: vec![summary.to_manifest(layout::segment_name(BACKUP_ID, 1, 0, 1))],
    }
}

#[test]
fn manifest_comes_back() {
    let manifest = small_manifest();
    let object = manifest.encode().unwrap();
    let decoded = Manifest::decode(&object).unwrap();
    assert_eq!(decoded, manifest);
    assert_eq!(decoded.encode().unwrap(), object);
    assert_eq!(
        decoded
            .topic("orders")
            .and_then(|topic| topic.partition(10))
            .unwrap()
            .records,
        9
    );
    assert_eq!(decoded.topic("orders").and_then(|topic| topic.partition(3)), None);
    assert_eq!(decoded.topic("order"), None);
    assert_eq!(decoded.group("app 1").unwrap().offsets.len(), 3);
}

#[test]
fn the_header_line_is_the_documented_one() {
    let object = String::from_utf8(small_manifest().encode().unwrap()).unwrap();
    let (line, body) = object.split_once('\n').unwrap();
    let hash: String = Sha256::digest(body)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(line, format!("kafka-backup-manifest 1 sha256:{hash}"));
}

/// A manifest object with this body, and a hash that matches it.
fn object_of(body: &str) -> Vec<u8> {
    let hash: String = Sha256::digest(body)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("kafka-backup-manifest 1 sha256:{hash}\n{body}").into_bytes()
}

fn body_of(manifest: &Manifest) -> String {
    let object = String::from_utf8(manifest.encode().unwrap()).unwrap();
    object.split_once('\n').unwrap().1.to_owned()
}

#[test]
fn a_newer_version_asks_for_a_newer_program() {
    let hash = "0".repeat(64);
    for (version, found) in [("2", 2), ("10", 10), ("18446744073709551615", u64::MAX)] {
        let object = format!("kafka-backup-manifest {version} sha256:{hash}\nanything");
        let error = Manifest::decode(object.as_bytes()).unwrap_err();
        assert!(
            matches!(error, Error::UnsupportedVersion { found: version, .. } if version == found),
            "{error}"
        );
        assert!(error.to_string().contains("newer release"), "{error}");
    }
    // A newer header line may hold something else behind the version.
    let error = Manifest::decode(b"kafka-backup-manifest 2 blake3:00\n").unwrap_err();
    assert!(
        matches!(error, Error::UnsupportedVersion { found: 2, .. }),
        "{error}"
    );
}

#[test]
fn other_spellings_of_the_header_line_are_refused() {
    let object = String::from_utf8(small_manifest().encode().unwrap()).unwrap();
    let digits = object.split(['\n', ':']).nth(1).unwrap().to_owned();
    for (from, to) in [
        ("manifest 1 ", "manifest 01 "),
        ("manifest 1 ", "manifest +1 "),
        ("manifest 1 ", "manifest  "),
        ("manifest 1 ", "manifest 1  "),
        ("sha256", "SHA256"),
        (&digits, &digits.to_uppercase()),
        (&digits, &digits[1..]),
        ("\n", "\r\n"),
        ("\n", ""),
    ] {
        let other = object.replacen(from, to, 1);
        assert_ne!(other, object);
        assert!(
            matches!(Manifest::decode(other.as_bytes()), Err(Error::Invalid { .. })),
            "{from:?} -> {to:?}"
        );
    }
}

#[test]
fn what_is_not_a_manifest_is_said_to_be_none() {
    for object in ["", "{}", "kafka-backup-manifestation", "<html>not found</html>"] {
        let error = Manifest::decode(object.as_bytes()).unwrap_err();
        assert!(matches!(error, Error::BadMagic { .. }), "{error}");
    }
    for body in ["", "{", "null", "[]", "{}", "{\"backup_id\":1}"] {
        let error = Manifest::decode(&object_of(body)).unwrap_err();
        assert!(matches!(error, Error::ManifestJson(_)), "{body}: {error}");
    }
}

#[test]
fn members_of_later_releases_are_ignored_and_words_kept() {
    let body = body_of(&small_manifest());
    let later = body
        .replacen("{\"backup_id\"", "{\"new_member\":{\"a\":[1]},\"backup_id\"", 1)
        .replacen("\"consumer\"", "\"share\"", 1)
        .replacen("\"retention\"", "\"tiering\"", 1);
    let decoded = Manifest::decode(&object_of(&later)).unwrap();
    assert_eq!(decoded.groups[0].kind, GroupKind::Other("share".to_owned()));
    assert_eq!(
        decoded.topics[1].partitions[0].gaps[0].cause,
        GapCause::Other("tiering".to_owned())
    );
    let again = decoded.encode().unwrap();
    assert_eq!(Manifest::decode(&again).unwrap(), decoded);
}

/// Changes a good manifest; both directions must refuse it, and say where.
#[track_caller]
fn refused(place: &str, change: impl FnOnce(&mut Manifest)) {
    let mut bad = small_manifest();
    change(&mut bad);
    let Err(error) = bad.encode() else {
        panic!("a manifest that contradicts itself was written")
    };
    match &error {
        Error::Inconsistent { place: named, .. } => assert!(named.contains(place), "{error}"),
        other => panic!("{other:?}"),
    }
    let body = serde_json::to_string(&bad).unwrap();
    assert!(matches!(
        Manifest::decode(&object_of(&body)),
        Err(Error::Inconsistent { .. })
    ));
}

#[test]
fn lists_are_sorted_and_name_nothing_twice() {
    refused("topics", |manifest| manifest.topics.reverse());
    refused("topics", |manifest| {
        manifest.topics.push(topic("payments.v2", 1, vec![]));
    });
    refused("orders", |manifest| manifest.topics[0].partitions.swap(0, 1));
    refused("groups", |manifest| {
        manifest.groups.push(manifest.groups[0].clone());
    });
    refused("app 1", |manifest| manifest.groups[0].offsets.swap(1, 2));
    refused("segments", |manifest| {
        manifest.segments.push(manifest.segments[0].clone());
    });
    refused("segment", |manifest| manifest.segments[0].partitions.reverse());
}

#[test]
fn values_are_in_their_ranges() {
    refused("backup_id", |manifest| manifest.backup_id.clear());
    refused("generation", |manifest| manifest.generation = 0);
    refused("topic", |manifest| manifest.topics[0].name.clear());
    refused("orders--1", |manifest| {
        manifest.topics[0].partitions[0].partition = -1;
    });
    refused("orders-1", |manifest| {
        manifest.topics[0].partitions[0].log_start_offset = -1;
    });
    refused("orders-1", |manifest| {
        manifest.topics[0].partitions[0].log_start_offset = 4;
    });
    refused("orders-1", |manifest| {
        manifest.topics[0].partitions[0].records = 1;
    });
    refused("orders-1", |manifest| {
        manifest.topics[0].partitions[0].first_offset = Some(0);
    });
    refused("orders-2", |manifest| {
        manifest.topics[0].partitions[1].first_offset = Some(106);
    });
    refused("orders-2", |manifest| {
        manifest.topics[0].partitions[1].end_offset = 105;
    });
    refused("app 1", |manifest| manifest.groups[0].offsets[0].offset = -1);
}

#[test]
fn gaps_are_apart_and_inside_of_the_backup() {
    for gaps in [
        [(3, 3), (4, 5)],
        [(4, 3), (4, 5)],
        [(3, 7), (6, 8)],
        [(5, 6), (3, 4)],
        [(3, 7), (8, 13)],
        [(-1, 2), (3, 4)],
    ] {
        refused("payments.v2-0", |manifest| {
            let gap = |(from, to)| Gap {
                from,
                to,
                cause: GapCause::Retention,
            };
            manifest.topics[1].partitions[0].gaps = gaps.map(gap).to_vec();
        });
    }
    let mut touching = small_manifest();
    let gap = |(from, to)| Gap {
        from,
        to,
        cause: GapCause::Retention,
    };
    touching.topics[1].partitions[0].gaps = vec![gap((3, 5)), gap((5, 7)), gap((10, 12))];
    touching.encode().unwrap();
}

#[test]
fn segments_hold_what_the_topics_say() {
    refused("orders-2", |manifest| {
        manifest.topics[0].partitions[1].records += 1;
    });
    refused("orders-2", |manifest| {
        manifest.topics[0].partitions[1].first_offset = Some(101);
    });
    refused("orders-2", |manifest| {
        manifest.topics[0].partitions[1].last_offset = Some(106);
    });
    refused("orders-10", |manifest| _ = manifest.topics[0].partitions.pop());
    refused("orders", |manifest| manifest.segments.clear());
    let stored: u64 = small_manifest().segments[0]
        .partitions
        .iter()
        .map(|entry| entry.stored_bytes)
        .sum();
    refused("segment", |manifest| manifest.segments[0].bytes = stored);
    refused("orders-10", |manifest| {
        manifest.segments[0].partitions[1].blocks = 0;
    });
    refused("orders-10", |manifest| {
        manifest.segments[0].partitions[1].first_offset = 12;
    });
}

#[test]
fn segments_hold_no_offset_twice() {
    refused("orders-2", |manifest| {
        let mut second = manifest.segments[0].clone();
        second.object = layout::segment_name(BACKUP_ID, 1, 1, 1);
        second
            .partitions
            .retain(|entry| (entry.topic.as_str(), entry.partition) == ("orders", 2));
        second.partitions[0].first_offset = 105;
        second.partitions[0].last_offset = 105;
        manifest.segments.push(second);
        manifest.topics[0].partitions[1].records *= 2;
    });
}

#[test]
fn objects_of_others_are_not_segments_of_this_backup() {
    for object in [
        "",
        "segment",
        "/etc/passwd",
        "prod-backup-2024/segments/../../other",
        &layout::segment_name("prod-backup-2025", 1, 0, 1),
        &layout::manifest_name(BACKUP_ID, 1),
    ] {
        refused("segment", |manifest| {
            manifest.segments[0].object = object.to_owned();
        });
    }
    for sha256 in ["", "00", &"A".repeat(64), &"g".repeat(64)] {
        refused("segment", |manifest| {
            manifest.segments[0].sha256 = sha256.to_owned();
        });
    }
}

/// What a partition holds in one of the segments: offsets skipped before it, its last offset after its first, records,
/// lowest timestamp. Nothing, when the segment does not hold the partition.
type Piece = Option<(i64, i64, u64, i64)>;

/// Pieces in consecutive segments, offsets in front and behind, a count, whether skipped offsets are gaps.
type AnyPartition = (Vec<Piece>, i64, u64, bool);

const SEGMENTS: usize = 4;

/// Partitions, topic id, replication factor.
type AnyTopic = (BTreeMap<i32, AnyPartition>, [u8; 16], i16);

fn any_topics() -> impl Strategy<Value = BTreeMap<String, AnyTopic>> {
    let piece = prop::option::weighted(0.7, (0..9i64, 0..5i64, 0..100u64, any::<i64>()));
    let partition = (
        prop::collection::vec(piece, SEGMENTS),
        0..20i64,
        any::<u64>(),
        any::<bool>(),
    );
    let topic = (
        prop::collection::btree_map(0..50i32, partition, 0..4),
        any::<[u8; 16]>(),
        any::<i16>(),
    );
    prop::collection::btree_map("[a-zA-Z0-9._-]{1,12}", topic, 0..4)
}

fn any_groups() -> impl Strategy<Value = Vec<Group>> {
    let offset = (0..=i64::MAX, any::<Option<i32>>(), ".*");
    let offsets = prop::collection::btree_map(("[a-z]{1,3}", 0..9i32), offset, 0..5);
    let group = (offsets, ".*".prop_map(GroupKind::from), ".*", ".*");
    prop::collection::btree_map(".*", group, 0..3).prop_map(|groups| {
        let groups = groups
            .into_iter()
            .map(|(group_id, (offsets, kind, state, protocol_type))| {
                let offsets =
                    offsets
                        .into_iter()
                        .map(
                            |((topic, partition), (offset, leader_epoch, metadata))| GroupOffset {
                                topic,
                                partition,
                                offset,
                                leader_epoch,
                                metadata,
                            },
                        );
                Group {
                    group_id,
                    kind,
                    state,
                    protocol_type,
                    offsets: offsets.collect(),
                }
            });
        groups.collect()
    })
}

fn any_manifest() -> impl Strategy<Value = Manifest> {
    let head = (
        ".+",
        1..=u64::MAX,
        any::<i64>(),
        ".*",
        any::<Option<String>>(),
        any::<bool>(),
    );
    (head, any_topics(), any_groups()).prop_map(|(head, topics, groups)| {
        let (backup_id, generation, created_at, created_by, cluster_id, offset_headers) = head;
        let segment = |number| Segment {
            object: layout::segment_name(&backup_id, generation, number, 7),
            bytes: 1000,
            sha256: "0f".repeat(32),
            partitions: vec![],
        };
        let mut segments: Vec<Segment> = (0..SEGMENTS as u64).map(segment).collect();
        let topics = topics
            .into_iter()
            .map(|(name, (partitions, id, replication_factor))| {
                let partitions = partitions
                    .into_iter()
                    .map(|(number, pieces)| place_pieces(&name, number, pieces, &mut segments))
                    .collect();
                Topic {
                    topic_id: TopicId(id),
                    replication_factor,
                    ..topic(&name, 0, partitions)
                }
            });
        let (topics, source_cluster_id) = (topics.collect(), None);
        Manifest {
            backup_id,
            generation,
            created_at,
            created_by,
            cluster_id,
            source_cluster_id,
            offset_headers,
            topics,
            groups,
            segments,
        }
    })
}

/// Puts the pieces of a partition into the segments, and says what they are together.
fn place_pieces(topic: &str, number: i32, partition: AnyPartition, segments: &mut [Segment]) -> Partition {
    let (pieces, around, count, gap) = partition;
    let mut whole = Partition {
        aborted_records: count,
        ..empty_partition(number, around)
    };
    let mut next = around;
    for (segment, piece) in segments.iter_mut().zip(pieces) {
        let Some((skipped, span, records, min_timestamp)) = piece else {
            continue;
        };
        let (first_offset, last_offset) = (next + skipped, next + skipped + span);
        if gap && skipped > 0 {
            whole.gaps.push(Gap {
                from: next,
                to: first_offset,
                cause: GapCause::Retention,
            });
        }
        segment.partitions.push(SegmentPartition {
            topic: topic.to_owned(),
            partition: number,
            first_offset,
            last_offset,
            records,
            min_timestamp,
            max_timestamp: i64::MAX,
            stored_bytes: 50,
            blocks: 1,
        });
        whole.first_offset.get_or_insert(first_offset);
        whole.last_offset = Some(last_offset);
        whole.records += records;
        next = last_offset + 1;
    }
    Partition {
        end_offset: next + around,
        ..whole
    }
}

fn empty_partition(number: i32, start: i64) -> Partition {
    Partition {
        log_start_offset: start,
        end_offset: start,
        first_offset: None,
        last_offset: None,
        last_leader_epoch: None,
        ..partition(number, 0, 0, 0)
    }
}

proptest! {
    #[test]
    fn manifest_round_trip(manifest in any_manifest()) {
        let object = manifest.encode().unwrap();
        let decoded = Manifest::decode(&object).unwrap();
        prop_assert_eq!(&decoded, &manifest);
        prop_assert_eq!(decoded.encode().unwrap(), object);
    }
}
