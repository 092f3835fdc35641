//! Generations follow each other: what may, what may not, and that every layer is needed as it was written.

use bytes::Bytes;
use segment_format::manifest::{Gap, GapCause, Manifest, Partition, Segment, SegmentId, TopicChange};
use segment_format::{BackupSet, CapturedGroups, Commit, Error, MergePolicy, Opening, Result, TopicId};

use crate::manifest::{BACKUP_ID, small_commit, small_manifest};

/// Two generations; the second says something of `orders-2` and refers to the first.
fn chain() -> [Manifest; 2] {
    let mut set = BackupSet::empty(BACKUP_ID);
    set.set_merge_policy(MergePolicy {
        floor_bytes: 0,
        seal_bytes: 0,
    });
    [first_commit(), second_commit()].map(|commit| {
        let planned = set.plan_commit(commit).unwrap().unwrap();
        let (manifest, _) = Manifest::decode(planned.bytes()).unwrap();
        set.apply(planned).unwrap();
        manifest
    })
}

fn first_commit() -> Commit {
    let mut commit = small_commit();
    let state = &mut commit.topics[0].partitions[1];
    (state.aborted_records, state.control_batches) = (3, 2);
    commit
}

fn second_commit() -> Commit {
    let mut commit = first_commit();
    commit.segments.clear();
    commit.groups = None;
    commit.topics[0].partitions[1].end_offset += 5;
    commit
}

fn open(layer: &[u8], newest: &[u8]) -> Result<BackupSet> {
    let mut opening = Opening::new(BACKUP_ID, 2, newest)?;
    opening.add(layer)?;
    opening.finish()
}

/// Opens the chain with a changed second manifest, whose own digest is right.
#[track_caller]
fn refused(place: &str, change: impl FnOnce(&mut Manifest)) {
    let [first, mut second] = chain();
    let (layer, _) = first.encode().unwrap();
    assert!(open(&layer, &second.encode().unwrap().0).is_ok());
    change(&mut second);
    let error = open(&layer, &second.encode().unwrap().0).unwrap_err();
    match &error {
        Error::Inconsistent { place: named, .. } => assert!(named.contains(place), "{error}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_partition_takes_nothing_back() {
    let partition = |change: fn(&mut Partition)| {
        refused("partition 2 of topic 1", |second| {
            change(&mut second.changes.partitions[0].state);
        });
    };
    partition(|state| state.end_offset = 107);
    partition(|state| {
        state.log_start_offset = 1;
    });
    partition(|state| state.aborted_records = 2);
    partition(|state| state.control_batches = 1);
    partition(|state| state.records += 1);
    partition(|state| state.records -= 1);
    partition(|state| state.first_offset = Some(101));
    partition(|state| state.last_offset = Some(106));
    partition(|state| {
        (state.first_offset, state.last_offset, state.records) = (None, None, 0);
    });
    partition(|state| {
        let (from, to) = (107, 109);
        state.gaps = vec![Gap {
            from,
            to,
            cause: GapCause::Retention,
        }];
    });
    refused("partition 0 of topic 2", |second| {
        let state = small_manifest().changes.partitions[3].state.clone();
        let state = Partition {
            gaps: vec![],
            ..state
        };
        second
            .changes
            .partitions
            .push(segment_format::manifest::PartitionChange { topic: 2, state });
    });
}

/// The state of a topic's only partition, commit after commit: until one that cannot follow, with what is said of it.
fn states(policy: MergePolicy, states: &[Partition]) -> (BackupSet, Option<String>) {
    let mut set = BackupSet::empty(BACKUP_ID);
    set.set_merge_policy(policy);
    for state in states {
        let mut commit = small_commit();
        (commit.segments, commit.groups, commit.complete) = (vec![], None, false);
        commit.topics.truncate(1);
        commit.topics[0].partitions = vec![state.clone()];
        match set.plan_commit(commit) {
            Ok(planned) => set.apply(planned.unwrap()).unwrap(),
            Err(error) => return (set, Some(error.to_string())),
        }
    }
    (set, None)
}

#[test]
fn where_a_partition_starts_is_said_once() {
    let trouble = |state: Partition, text: &str| Partition {
        trouble: Some(text.to_owned()),
        ..state
    };
    let away = trouble(Partition::unknown(0), "no leader");
    let away_still = trouble(Partition::unknown(0), "no answer");
    let found = Partition::empty(0, 5);
    let grown = Partition {
        end_offset: 9,
        ..found.clone()
    };
    // The source may have lost records before they were read, also the first ones.
    let lost = Partition {
        gaps: vec![Gap {
            from: 5,
            to: 9,
            cause: GapCause::Retention,
        }],
        ..grown.clone()
    };
    let apart = MergePolicy {
        floor_bytes: 0,
        seal_bytes: 0,
    };
    for policy in [apart, MergePolicy::default()] {
        for last in [&found, &grown, &lost] {
            let (set, refused) = states(policy, &[away.clone(), away_still.clone(), last.clone()]);
            assert_eq!(refused, None);
            assert_eq!(set.topic("orders").unwrap().partition(0), Some(last));
        }
        // One that was found empty has a start, whatever trouble it has later.
        let troubled = trouble(found.clone(), "no leader");
        for later in [
            Partition::empty(0, 6),
            Partition::empty(0, 4),
            away.clone(),
            trouble(Partition::empty(0, 0), ""),
        ] {
            let (set, refused) = states(policy, &[away.clone(), troubled.clone(), later.clone()]);
            assert!(refused.unwrap().contains("partition 0 of topic 1"), "{later:?}");
            assert_eq!(set.generation(), 2);
        }
        let unknown_there = Partition {
            start_unknown: true,
            ..found.clone()
        };
        let (_, refused) = states(policy, &[found.clone(), unknown_there]);
        assert!(refused.unwrap().contains("known before"));
    }
}

fn rename_segment(manifest: &mut Manifest, change: impl FnOnce(&mut SegmentId)) {
    let segment = &manifest.changes.segments[0];
    let mut id = segment.id;
    change(&mut id);
    let pieces = segment.partitions().collect();
    manifest.changes.segments[0] = Segment::new(id, segment.bytes, segment.blake3, pieces);
}

#[test]
fn new_segments_hold_what_comes_next() {
    let add = |first_offset: i64, last_offset: i64, generation: u64| {
        move |second: &mut Manifest| {
            let old = &small_manifest().changes.segments[0];
            let mut piece = old
                .partitions()
                .find(|piece| (piece.topic, piece.partition) == (1, 2))
                .unwrap();
            (piece.first_offset, piece.last_offset) = (first_offset, last_offset);
            let id = SegmentId { generation, ..old.id };
            second.changes.segments = vec![Segment::new(id, old.bytes, old.blake3, vec![piece])];
            let state = &mut second.changes.partitions[0].state;
            (state.last_offset, state.records) = (Some(last_offset), state.records + piece.records);
        }
    };
    let [first, mut second] = chain();
    add(106, 112, 2)(&mut second);
    let set = open(&first.encode().unwrap().0, &second.encode().unwrap().0).unwrap();
    assert_eq!(set.segments().len(), 2);
    refused("partition 2 of topic 1", add(105, 112, 2));
    refused("partition 2 of topic 1", add(90, 112, 2));
    refused("segment", add(106, 112, 1));
    // Of a commit before, of one that is yet to come, and of none.
    for generation in [0, 3, u64::MAX] {
        refused(&format!("segment {generation:016x}"), add(106, 112, generation));
    }
    refused("segment 0000000000000001", |second| {
        add(106, 112, 1)(second);
        rename_segment(second, |id| id.sequence += 1);
    });
    refused("partition 2 of topic 1", |second| {
        add(106, 112, 2)(second);
        second.changes.partitions.clear();
    });
    // Two new segments that hold the same offset; the partition's state agrees with both.
    let two = |from: i64| {
        move |second: &mut Manifest| {
            add(106, 109, 2)(second);
            let first = second.changes.segments[0].clone();
            add(from, 112, 2)(second);
            rename_segment(second, |id| id.sequence += 1);
            second.changes.segments.insert(0, first);
            let state = &mut second.changes.partitions[0].state;
            (state.last_offset, state.end_offset) = (Some(112), 115);
        }
    };
    let [first, mut second] = chain();
    two(110)(&mut second);
    let set = open(&first.encode().unwrap().0, &second.encode().unwrap().0).unwrap();
    assert_eq!(set.segments().len(), 3);
    refused("partition 2 of topic 1", two(109));
}

#[test]
fn numbers_of_topics_are_given_once() {
    let topic = |number, name: &str, id| {
        let known = small_manifest().changes.topics[0].clone();
        let (name, topic_id) = (name.to_owned(), TopicId([id; 16]));
        TopicChange {
            number,
            name,
            topic_id,
            ..known
        }
    };
    for (place, bad) in [
        ("topic 1", topic(1, "order", 0xab)),
        ("topic 1", topic(1, "orders", 0xac)),
        ("topic 4", topic(4, "new", 1)),
        ("topic 3", topic(3, "orders", 0xab)),
    ] {
        refused(place, |second| second.changes.topics = vec![bad]);
    }
    refused("topic 4", |second| {
        second.changes.topics = vec![topic(3, "new", 1), topic(4, "new", 1)];
    });
    for number in [0, 3, u32::MAX] {
        refused("partition 2 of topic", |second| {
            second.changes.partitions[0].topic = number;
        });
    }
    let [first, mut second] = chain();
    second.changes.topics = vec![topic(3, "orders", 1)];
    let set = open(&first.encode().unwrap().0, &second.encode().unwrap().0).unwrap();
    assert_eq!((set.topic_number("orders"), set.topics().len()), (Some(3), 2));
    assert_eq!(set.incarnations().len(), 3);
    assert_eq!(set.incarnation_number("orders", TopicId([0xab; 16])), Some(1));
}

#[test]
fn layers_are_those_that_were_meant() {
    let [first, second] = chain();
    let (layer, newest) = (first.encode().unwrap().0, second.encode().unwrap().0);
    let mut other = first;
    other.facts.created_at += 1;
    assert!(open(&other.encode().unwrap().0, &newest).is_err());
    assert!(open(&newest, &newest).is_err());
    assert!(Opening::new("another", 2, &newest).is_err());
    assert!(Opening::new(BACKUP_ID, 3, &newest).is_err());
    let opening = Opening::new(BACKUP_ID, 2, &newest).unwrap();
    assert!(opening.finish().is_err(), "a layer is missing");
    let mut opening = Opening::new(BACKUP_ID, 2, &newest).unwrap();
    opening.add(&layer).unwrap();
    assert!(opening.add(&layer).is_err(), "one layer too many");
}

#[test]
fn every_flipped_byte_and_every_truncation_of_a_chain_is_detected() {
    let [first, second] = chain().map(|manifest| manifest.encode().unwrap().0);
    for (flipped_layer, object) in [(true, &first), (false, &second)] {
        let opened = |bytes: &[u8]| {
            if flipped_layer {
                open(bytes, &second)
            } else {
                open(&first, bytes)
            }
        };
        for byte in 0..object.len() {
            let mut damaged = object.clone();
            damaged[byte] ^= 1 << (byte % 8);
            assert!(opened(&damaged).is_err(), "byte {byte}");
            assert!(opened(&object[..byte]).is_err(), "cut at {byte}");
        }
    }
}

#[test]
fn a_commit_that_says_nothing_new_is_none() {
    let mut set = BackupSet::empty(BACKUP_ID);
    let planned = set.plan_commit(small_commit()).unwrap().unwrap();
    let twice = planned.clone();
    set.apply(planned).unwrap();
    assert!(set.apply(twice).is_err(), "it was planned for another state");
    let mut again = small_commit();
    again.segments.clear();
    again.created_at += 1000;
    assert!(set.plan_commit(again.clone()).unwrap().is_none());
    again.complete = false;
    assert!(
        set.plan_commit(again.clone()).is_err(),
        "new groups, and not complete"
    );
    again.groups = None;
    let planned = set.plan_commit(again).unwrap().unwrap();
    assert!(planned.changes().is_empty());
    let other = BackupSet::empty("b")
        .plan_commit(Commit::default())
        .unwrap()
        .unwrap();
    assert!(
        BackupSet::empty("c").apply(other).is_err(),
        "it was planned for another set"
    );
    // The first commit is one whatever it says.
    assert!(
        BackupSet::empty("b")
            .plan_commit(Commit::default())
            .unwrap()
            .is_some()
    );
}

#[test]
fn an_inconsistent_commit_is_not_planned() {
    let bad = |change: fn(&mut Commit)| {
        let mut commit = small_commit();
        change(&mut commit);
        assert!(matches!(
            BackupSet::empty(BACKUP_ID).plan_commit(commit),
            Err(Error::Inconsistent { .. })
        ));
    };
    bad(|commit| _ = commit.topics.pop());
    bad(|commit| commit.topics.push(commit.topics[0].clone()));
    bad(|commit| commit.segments.push(commit.segments[0].clone()));
    bad(|commit| commit.segments.clear());
    bad(|commit| commit.segments[0].id.generation = 0);
    bad(|commit| commit.segments[0].id.generation = 2);
    bad(|commit| _ = commit.topics[0].partitions.pop());
    bad(|commit| commit.topics[0].partitions[1].records += 1);
    bad(|commit| commit.topics[0].topic_id = TopicId::ZERO);
    bad(|commit| {
        commit
            .groups
            .iter_mut()
            .for_each(|captured| captured.groups[0].offsets.reverse());
    });
}

#[test]
fn time_does_not_go_back() {
    let mut set = BackupSet::empty(BACKUP_ID);
    // With a clock that is put back; the third commit is in the midst of a run.
    for (at, captured_at, then) in [
        (50, Some(45), (50, Some(45))),
        (40, Some(35), (50, Some(45))),
        (60, None, (60, Some(45))),
        (70, Some(65), (70, Some(65))),
    ] {
        let mut commit = Commit {
            created_at: at,
            source_cluster_id: Some(at.to_string()),
            complete: captured_at.is_some(),
            ..Commit::default()
        };
        commit.groups = captured_at.map(|captured_at| CapturedGroups {
            captured_at,
            groups: vec![],
        });
        let planned = set.plan_commit(commit).unwrap().unwrap();
        let (manifest, _) = Manifest::decode(&Bytes::clone(planned.bytes())).unwrap();
        let facts = manifest.facts;
        assert_eq!((facts.created_at, facts.groups_captured_at), then);
        set.apply(planned).unwrap();
    }
}
