//! Any sequence of commits gives what a naive model says, in few layers and with few bytes.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use segment_format::manifest::{Group, GroupKind, GroupOffset, Partition, SegmentId, TimestampType, Topic};
use segment_format::{
    BackupSet, CapturedGroups, Commit, MergePolicy, NewSegment, Opening, PartitionRef, PartitionSummary,
    SegmentSummary, TopicId, layout,
};

/// What is done in one commit: partitions (topic name, incarnation, number) and by how many records they grow, or
/// [`AWAY`]; and the positions of groups, when they are captured.
#[derive(Debug, Clone)]
struct Step {
    growth: BTreeMap<(u8, u8, i32), u8>,
    groups: Option<BTreeMap<u8, BTreeMap<i32, i64>>>,
}

/// The partition is there, and cannot be asked.
const AWAY: u8 = 4;

fn any_step() -> impl Strategy<Value = Step> {
    let growth = prop::collection::btree_map((0..3u8, 0..2u8, 0..3i32), 0..=AWAY, 0..5);
    let positions = prop::collection::btree_map(0..5i32, 0..3i64, 0..4);
    let groups = prop::option::weighted(0.6, prop::collection::btree_map(0..4u8, positions, 0..4));
    (growth, groups).prop_map(|(growth, groups)| Step { growth, groups })
}

/// The whole state, kept as plainly as possible; and a storage.
#[derive(Debug, Default)]
struct Model {
    topics: BTreeMap<(u8, u8), Topic>,
    groups: Vec<Group>,
    captured_at: Option<i64>,
    segments: usize,
    objects: BTreeMap<String, Bytes>,
}

impl Model {
    fn commit(&mut self, generation: u64, step: &Step) -> Commit {
        let mut pieces = Vec::new();
        self.forget_positions_on_replaced(step);
        for (&(name, incarnation, number), &records) in &step.growth {
            let partition = self.partition(name, incarnation, number);
            if records == AWAY {
                partition.trouble = Some("it has no leader".to_owned());
                continue;
            }
            if partition.start_unknown {
                *partition = Partition::empty(number, 3 * generation as i64);
            }
            pieces.extend(self.grow(name, incarnation, number, i64::from(records)));
            // A topic's own facts change as well.
            let topic = self.topics.get_mut(&(name, incarnation)).unwrap();
            topic.replication_factor = (generation / 2 % 3) as i16;
            topic.timestamp_type = (generation % 4 > 1).then_some(TimestampType::LogAppendTime);
            topic.configs = BTreeMap::from([("retention.ms".to_owned(), (generation / 3).to_string())]);
        }
        let id = SegmentId {
            generation,
            sequence: 0,
            writer_nonce: generation % 3,
        };
        let summary = SegmentSummary {
            bytes: 1000 * pieces.len() as u64 + 1,
            blake3: [7; 32],
            partitions: pieces,
        };
        let segment = (!summary.partitions.is_empty()).then_some(NewSegment { id, summary });
        self.segments += usize::from(segment.is_some());
        let groups = step.groups.as_ref().map(|groups| {
            self.groups = groups
                .iter()
                .map(|(id, positions)| group(*id, positions, generation))
                .collect();
            CapturedGroups {
                captured_at: generation as i64,
                groups: self.groups.clone(),
            }
        });
        Commit {
            created_at: generation as i64,
            created_by: "model".to_owned(),
            complete: groups.is_some(),
            topics: self.topics.values().cloned().collect(),
            groups,
            segments: segment.into_iter().collect(),
            ..Commit::default()
        }
    }

    /// Positions in a log that is followed by another one are none of that.
    fn forget_positions_on_replaced(&mut self, step: &Step) {
        let known = |name, incarnation| self.topics.contains_key(&(name, incarnation));
        let replaced: Vec<String> = (step.growth.keys())
            .filter(|&&(name, incarnation, _)| !known(name, incarnation) && known(name, 1 - incarnation))
            .map(|(name, ..)| format!("topic {name}"))
            .collect();
        for group in &mut self.groups {
            let before = group.offsets.len();
            group.offsets.retain(|offset| !replaced.contains(&offset.topic));
            if group.offsets.is_empty() && before > 0 {
                group.group_id.clear();
            }
        }
        self.groups.retain(|group| !group.group_id.is_empty());
    }

    /// A partition, of which nobody knows where it starts when it was not there before.
    fn partition(&mut self, name: u8, incarnation: u8, number: i32) -> &mut Partition {
        let topic = self.topics.entry((name, incarnation)).or_insert_with(|| Topic {
            name: format!("topic {name}"),
            topic_id: TopicId([incarnation; 16]),
            replication_factor: 1,
            configs: BTreeMap::new(),
            timestamp_type: None,
            largest_batch: 0,
            partitions: vec![],
        });
        let place = topic
            .partitions
            .binary_search_by_key(&number, |partition| partition.partition);
        let place = place.unwrap_or_else(|place| {
            topic.partitions.insert(place, Partition::unknown(number));
            place
        });
        &mut topic.partitions[place]
    }

    fn grow(&mut self, name: u8, incarnation: u8, number: i32, records: i64) -> Option<PartitionSummary> {
        let partition = self.partition(name, incarnation, number);
        let first_offset = partition.end_offset;
        // One more: a transaction marker, which is covered and not stored.
        partition.end_offset += records + 1;
        partition.control_batches += 1;
        if records == 0 {
            return None;
        }
        let last_offset = first_offset + records - 1;
        partition.first_offset.get_or_insert(first_offset);
        partition.last_offset = Some(last_offset);
        partition.records += records as u64;
        let topic = self.topics.get_mut(&(name, incarnation))?;
        topic.largest_batch = topic.largest_batch.max(records as u64);
        Some(PartitionSummary {
            partition: PartitionRef::new(topic.name.as_str(), topic.topic_id, number),
            first_offset,
            last_offset,
            records: records as u64,
            batches: 1,
            min_timestamp: 5,
            max_timestamp: 6,
            stored_bytes: 1000,
            blocks: 1,
        })
    }

    /// Compares what `set` says with what was put into it.
    fn check(&self, set: &BackupSet) {
        let mut topics: Vec<_> = set.incarnations().map(|(_, topic)| topic.clone()).collect();
        topics.sort_by_key(|topic| (topic.name.clone(), topic.topic_id.0));
        assert_eq!(topics, self.topics.values().cloned().collect::<Vec<_>>());
        assert_eq!(set.groups().cloned().collect::<Vec<_>>(), self.groups);
        assert_eq!(set.facts().groups_captured_at, self.captured_at);
        assert_eq!(set.segments().len(), self.segments);
        assert!(set.segments().iter().all(|segment| set.has_segment(segment.id)));
        for topic in set.topics() {
            let number = set.topic_number(&topic.name).unwrap();
            let later = set.incarnations().filter(|(other, _)| *other > number);
            assert!(later.into_iter().all(|(_, other)| other.name != topic.name));
        }
    }

    fn open(&self, generation: u64) -> BackupSet {
        let name = layout::manifest_name("model", generation);
        let mut opening = Opening::new("model", generation, &self.objects[&name]).unwrap();
        for wanted in opening.wanted().collect::<Vec<_>>() {
            opening.add(&self.objects[&wanted.object]).unwrap();
        }
        opening.finish().unwrap()
    }

    /// Plans, stores and applies; returns how many bytes were written, or none when nothing was.
    fn run(&mut self, set: &mut BackupSet, step: &Step) -> Option<u64> {
        let generation = set.generation() + 1;
        let commit = self.commit(generation, step);
        for other in [generation - 1, generation + 1] {
            let mut wrong = commit.clone();
            if let Some(segment) = wrong.segments.first_mut() {
                segment.id.generation = other;
                assert!(
                    set.plan_commit(wrong).is_err(),
                    "a segment of {other} in {generation}"
                );
            }
        }
        let planned = set.plan_commit(commit).unwrap()?;
        if step.groups.is_some() {
            self.captured_at = Some(generation as i64);
        }
        let written = planned.bytes().len() as u64;
        let twice = self
            .objects
            .insert(planned.object().to_owned(), planned.bytes().clone());
        assert!(twice.is_none(), "manifests are created once");
        set.apply(planned).unwrap();
        Some(written)
    }
}

/// Its facts change from time to time, sometimes alone.
fn group(id: u8, positions: &BTreeMap<i32, i64>, generation: u64) -> Group {
    let facts = |one: &str, other: &str, every: u64| match (generation / every).is_multiple_of(2) {
        true => one.to_owned(),
        false => other.to_owned(),
    };
    let offsets = positions.iter().map(|(&partition, &offset)| GroupOffset {
        topic: format!("topic {}", partition % 2),
        partition,
        offset,
        leader_epoch: None,
        metadata: String::new(),
    });
    let mut offsets: Vec<_> = offsets.collect();
    offsets.sort_by_key(|offset| offset.topic.clone());
    Group {
        group_id: format!("group {id:03}"),
        kind: GroupKind::from(facts("classic", "consumer", 3)),
        state: facts("Empty", "Stable", 1),
        protocol_type: facts("", "connect", 5),
        offsets,
    }
}

fn any_policy() -> impl Strategy<Value = MergePolicy> {
    let floor = prop::sample::select(vec![0, 500, 16 * 1024]);
    let seal = prop::sample::select(vec![0, 1500, 5000, 4 * 1024 * 1024]);
    (floor, seal).prop_map(|(floor_bytes, seal_bytes)| MergePolicy {
        floor_bytes,
        seal_bytes,
    })
}

proptest! {
    #[test]
    fn commits_give_what_the_model_says(steps in prop::collection::vec((any_step(), any_policy()), 1..25)) {
        let (mut model, mut set) = (Model::default(), BackupSet::empty("model"));
        let mut history = Vec::new();
        for (step, policy) in &steps {
            set.set_merge_policy(*policy);
            if model.run(&mut set, step).is_some() {
                history.push(set.clone());
            }
            model.check(&set);
            prop_assert_eq!(&model.open(set.generation()), &set);
            // One that was opened goes on as the one that was there all the time.
            if set.generation() % 3 == 0 {
                set = model.open(set.generation());
            }
            let folded = set.manifests().len();
            prop_assert!(folded <= set.generation() as usize);
        }
        for (generation, then) in (1..).zip(&history) {
            prop_assert_eq!(&model.open(generation), then, "generation {} as it was", generation);
        }
    }
}

/// Commits of all sizes: the number of layers and the bytes written in all stay within what the method promises.
#[test]
fn layers_are_few_and_little_is_written_twice() {
    let policy = MergePolicy {
        floor_bytes: 1000,
        seal_bytes: 40_000,
    };
    let (mut model, mut set) = (Model::default(), BackupSet::empty("model"));
    set.set_merge_policy(policy);
    let (mut own_bytes, mut written, mut total) = (0, 0, 0);
    for number in 0..600u64 {
        let width = number * number % 17 + 1;
        let growth = (0..width).map(|at| ((at % 3) as u8, (at % 2) as u8, (at * 7 + number) as i32 % 40));
        let step = Step {
            growth: growth.map(|key| (key, 2)).collect(),
            groups: None,
        };
        let mut alone = set.clone();
        alone.set_merge_policy(MergePolicy {
            floor_bytes: 0,
            seal_bytes: 0,
        });
        let before = model.commit(set.generation() + 1, &step);
        own_bytes += alone.plan_commit(before.clone()).unwrap().unwrap().bytes().len() as u64;
        let planned = set.plan_commit(before).unwrap().unwrap();
        written += planned.bytes().len() as u64;
        set.apply(planned).unwrap();
        total = set.manifests().map(|layer| layer.bytes).sum::<u64>();
        let sealed = total / policy.seal_bytes;
        let unsealed = (policy.seal_bytes / policy.floor_bytes).ilog2() as u64 + 3;
        assert!(
            set.manifests().len() as u64 <= sealed + unsealed,
            "{} layers",
            set.manifests().len()
        );
    }
    assert!(
        set.manifests().len() > 3,
        "the test is large enough to mean something"
    );
    let levels = u64::from((policy.seal_bytes / policy.floor_bytes).ilog2()) + 2;
    assert!(
        written <= own_bytes * levels,
        "{written} bytes written for {own_bytes}"
    );
    assert!(total <= 2 * own_bytes, "{total} bytes in layers for {own_bytes}");
}

/// Groups that come, move and go: what is said of those that are gone does not pile up, also in manifests that are too
/// large to be merged one by one.
#[test]
fn what_was_overwritten_is_left_behind() {
    let policy = MergePolicy {
        floor_bytes: 0,
        seal_bytes: 500,
    };
    let (mut model, mut set) = (Model::default(), BackupSet::empty("model"));
    set.set_merge_policy(policy);
    let (mut most, mut groups) = (0, BTreeMap::new());
    for number in 0..120u8 {
        let positions = (0..10).map(|at| (at, i64::from(number)));
        groups.insert(number, positions.collect());
        if groups.len() > 3 {
            groups.pop_first();
        }
        let step = Step {
            growth: BTreeMap::new(),
            groups: Some(groups.clone()),
        };
        model.run(&mut set, &step).unwrap();
        most = most.max(set.manifests().len());
    }
    model.check(&set);
    assert!(most > 1, "the test is large enough to mean something");
    assert!(most <= 6, "{most} layers for three groups");
}
