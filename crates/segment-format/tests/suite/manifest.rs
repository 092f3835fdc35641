//! A manifest by itself: what is written comes back, and what cannot be one is refused.

use std::collections::BTreeMap;

use segment_format::manifest::{
    Gap, GapCause, Group, GroupKind, GroupOffset, LayerRef, Manifest, Partition, Position, Segment,
    SegmentId, SegmentPartition, Topic,
};
use segment_format::{BackupSet, CapturedGroups, Commit, Error, NewSegment, TopicId};
use sha2::{Digest, Sha256};

use crate::support::{small_blocks, write_segment};

pub(crate) const BACKUP_ID: &str = "prod-backup-2024";

fn partition(partition: i32, first: i64, last: i64, records: u64) -> Partition {
    Partition {
        end_offset: last + 3,
        first_offset: Some(first),
        last_offset: Some(last),
        last_leader_epoch: Some(5),
        records,
        ..Partition::empty(partition, 0)
    }
}

fn topic(name: &str, id: u8, partitions: Vec<Partition>) -> Topic {
    Topic {
        name: name.to_owned(),
        topic_id: TopicId([id; 16]),
        replication_factor: 3,
        configs: BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]),
        timestamp_type: None,
        largest_batch: 120,
        partitions,
    }
}

/// A commit of the segment of [`small_blocks`].
pub(crate) fn small_commit() -> Commit {
    let (_, summary) = write_segment(1, &small_blocks());
    let gap = Gap {
        from: 3,
        to: 7,
        cause: GapCause::Retention,
    };
    let with_gap = Partition {
        gaps: vec![gap],
        ..partition(0, 7, 9, 3)
    };
    let offset = |topic: &str, partition, offset| GroupOffset {
        topic: topic.to_owned(),
        partition,
        offset,
        leader_epoch: Some(4),
        metadata: "é\"\n".to_owned(),
    };
    let group = Group {
        group_id: "app 1".to_owned(),
        kind: GroupKind::Consumer,
        state: "Stable".to_owned(),
        protocol_type: "consumer".to_owned(),
        offsets: vec![
            offset("orders", 2, 103),
            offset("orders", 10, 0),
            offset("payments.v2", 0, 9),
        ],
    };
    let id = SegmentId {
        generation: 1,
        sequence: 0,
        writer_nonce: 1,
    };
    let of_orders = vec![
        Partition::empty(1, 0),
        partition(2, 100, 105, 6),
        partition(10, 0, 11, 9),
    ];
    Commit {
        created_at: 1_700_000_001_000,
        created_by: "kafka-backup 0.1.0".to_owned(),
        cluster_id: Some("MkU3OEVBNTcwNTJENDM2Qg".to_owned()),
        source_cluster_id: Some("prod-us-east-1".to_owned()),
        offset_headers: true,
        complete: true,
        topics: vec![
            topic("orders", 0xab, of_orders),
            topic("payments.v2", 0xcd, vec![with_gap]),
        ],
        groups: Some(CapturedGroups {
            captured_at: 1_700_000_000_900,
            groups: vec![group],
        }),
        segments: vec![NewSegment { id, summary }],
    }
}

/// The manifest of [`small_commit`].
pub(crate) fn small_manifest() -> Manifest {
    let planned = BackupSet::empty(BACKUP_ID).plan_commit(small_commit());
    Manifest::decode(planned.unwrap().unwrap().bytes()).unwrap().0
}

#[test]
fn manifest_comes_back() {
    let manifest = small_manifest();
    let (object, reference) = manifest.encode().unwrap();
    assert_eq!(Manifest::decode(&object).unwrap(), (manifest, reference));
    assert_eq!(reference.bytes, object.len() as u64);
    let digest = std::str::from_utf8(&object)
        .unwrap()
        .split(['\n', ':'])
        .nth(1)
        .unwrap()
        .to_owned();
    let named: String = reference
        .sha256
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(named, digest, "a reference names the digest of the first line");
}

#[test]
fn the_header_line_is_the_documented_one() {
    let object = String::from_utf8(small_manifest().encode().unwrap().0).unwrap();
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
    let object = String::from_utf8(manifest.encode().unwrap().0).unwrap();
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
    let object = String::from_utf8(small_manifest().encode().unwrap().0).unwrap();
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
    let (decoded, _) = Manifest::decode(&object_of(&later)).unwrap();
    let changes = &decoded.changes;
    assert_eq!(changes.groups[0].kind, GroupKind::Other("share".to_owned()));
    let gap = &changes.partitions[3].state.gaps[0];
    assert_eq!(gap.cause, GapCause::Other("tiering".to_owned()));
    let (again, _) = decoded.encode().unwrap();
    assert_eq!(Manifest::decode(&again).unwrap().0, decoded);
}

/// Changes a good manifest; both directions must refuse it, and say where.
#[track_caller]
fn refused(place: &str, change: impl FnOnce(&mut Manifest)) {
    let mut bad = small_manifest();
    change(&mut bad);
    let Err(error) = bad.encode() else {
        panic!("a manifest that cannot be one was written")
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
    refused("topics", |manifest| manifest.changes.topics.reverse());
    refused("partitions", |manifest| manifest.changes.partitions.swap(0, 1));
    refused("partitions", |manifest| {
        manifest.changes.partitions[1] = manifest.changes.partitions[0].clone();
    });
    refused("groups", |manifest| {
        manifest.changes.groups.push(manifest.changes.groups[0].clone());
    });
    refused("removed_groups", |manifest| {
        manifest.changes.removed_groups = vec!["b".to_owned(), "a".to_owned()];
    });
    refused("app 1", |manifest| manifest.changes.groups[0].offsets.swap(1, 2));
    refused("segments", |manifest| {
        manifest
            .changes
            .segments
            .push(manifest.changes.segments[0].clone());
    });
    refused("segment", |manifest| {
        change_pieces(manifest, |pieces| pieces.reverse());
    });
}

fn change_pieces(manifest: &mut Manifest, change: impl FnOnce(&mut Vec<SegmentPartition>)) {
    let segment = &mut manifest.changes.segments[0];
    let mut pieces: Vec<_> = segment.partitions().collect();
    change(&mut pieces);
    *segment = Segment::new(segment.id, segment.bytes, segment.blake3, pieces);
}

#[test]
fn layers_are_earlier_generations_in_order() {
    let layer = |generation| LayerRef {
        generation,
        bytes: 1,
        sha256: [0; 32],
    };
    let mut good = small_manifest();
    good.facts.generation = 9;
    good.layers = vec![layer(2), layer(8)];
    let (object, _) = good.encode().unwrap();
    assert_eq!(Manifest::decode(&object).unwrap().0, good);
    for generations in [&[8, 2][..], &[2, 2], &[9], &[10], &[0], &[u64::MAX]] {
        refused("layers", |manifest| {
            manifest.facts.generation = 9;
            manifest.layers = generations.iter().copied().map(layer).collect();
        });
    }
}

#[test]
fn values_are_in_their_ranges() {
    refused("backup_id", |manifest| manifest.facts.backup_id.clear());
    refused("generation", |manifest| manifest.facts.generation = 0);
    refused("topic", |manifest| manifest.changes.topics[0].name.clear());
    refused("topic", |manifest| {
        manifest.changes.topics[0].name = "x".repeat(250);
    });
    refused("topic", |manifest| manifest.changes.topics[0].number = 0);
    let partition = |number: usize, change: fn(&mut Partition)| {
        refused("of topic 1", |manifest| {
            change(&mut manifest.changes.partitions[number].state);
        });
    };
    partition(0, |state| state.partition = -1);
    partition(0, |state| state.log_start_offset = -1);
    partition(0, |state| state.log_start_offset = 4);
    let unknown = |covers: fn(&mut Partition)| {
        refused("of topic 1", |manifest| {
            let state = &mut manifest.changes.partitions[0].state;
            *state = Partition::unknown(0);
            covers(state);
        });
    };
    unknown(|state| state.end_offset += 1);
    unknown(|state| state.aborted_records = 1);
    unknown(|state| state.control_batches = 1);
    unknown(|state| state.last_leader_epoch = Some(0));
    unknown(|state| {
        (state.first_offset, state.last_offset, state.end_offset) = (Some(0), Some(0), 1);
    });
    partition(0, |state| state.records = 1);
    partition(0, |state| state.first_offset = Some(0));
    partition(1, |state| state.first_offset = Some(106));
    partition(1, |state| state.end_offset = 105);
    refused("app 1", |manifest| {
        manifest.changes.groups[0].offsets[0].offset = -1;
    });
    refused("app 1", |manifest| {
        manifest.changes.groups[0].offsets[0].partition = -1;
    });
    refused("app 1", |manifest| {
        let gone = Position {
            topic: "orders".to_owned(),
            partition: 2,
        };
        manifest.changes.groups[0].gone.push(gone);
    });
}

#[test]
fn gaps_are_apart_and_inside_of_the_backup() {
    let gap = |(from, to)| Gap {
        from,
        to,
        cause: GapCause::Retention,
    };
    for gaps in [
        [(3, 3), (4, 5)],
        [(4, 3), (4, 5)],
        [(3, 7), (6, 8)],
        [(5, 6), (3, 4)],
        [(3, 7), (8, 13)],
        [(-1, 2), (3, 4)],
    ] {
        refused("partition 0 of topic 2", |manifest| {
            manifest.changes.partitions[3].state.gaps = gaps.map(gap).to_vec();
        });
    }
    let mut touching = small_manifest();
    touching.changes.partitions[3].state.gaps = vec![gap((3, 5)), gap((5, 7)), gap((10, 12))];
    touching.encode().unwrap();
}

#[test]
fn segments_hold_something_that_fits_into_them() {
    refused("segment", |manifest| change_pieces(manifest, Vec::clear));
    refused("segment", |manifest| {
        let pieces = manifest.changes.segments[0].partitions();
        manifest.changes.segments[0].bytes = pieces.map(|piece| piece.stored_bytes).sum();
    });
    refused("segment", |manifest| {
        change_pieces(manifest, |pieces| pieces[1].blocks = 0);
    });
    refused("segment", |manifest| {
        change_pieces(manifest, |pieces| pieces[1].first_offset = 12);
    });
    refused("segment", |manifest| {
        change_pieces(manifest, |pieces| pieces[1].first_offset = -1);
    });
    refused("segment", |manifest| {
        change_pieces(manifest, |pieces| pieces[0].stored_bytes = u64::MAX);
    });
}

#[test]
fn ids_and_digests_of_segments_have_one_spelling() {
    let body = body_of(&small_manifest());
    let id = small_manifest().changes.segments[0].id.to_string();
    let digest = body.split("\"blake3\":\"").nth(1).unwrap()[..64].to_owned();
    for (from, to) in [
        (&id, id.replace('-', "_")),
        (&id, format!("{id}-{}", "0".repeat(16))),
        (&id, id[1..].to_owned()),
        (&id, "../../other/segments/0-0-0".to_owned()),
        (&id, String::new()),
        (&digest, "A".repeat(64)),
        (&digest, digest[1..].to_owned()),
    ] {
        let other = body.replacen(from.as_str(), &to, 1);
        assert_ne!(other, body);
        let error = Manifest::decode(&object_of(&other)).unwrap_err();
        assert!(matches!(error, Error::ManifestJson(_)), "{to}: {error}");
    }
    assert!(Manifest::decode(&object_of(&body)).is_ok());
}
