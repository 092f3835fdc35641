//! A backup set in memory: what its layers and its newest manifest say, put together.

mod apply;
mod check;
mod commit;
mod diff;
mod fold;
mod layers;
mod open;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::manifest::{Changes, Facts, Group, LayerRef, Segment, SegmentId, Topic};
use crate::partition::TopicId;

pub use commit::{CapturedGroups, Commit, NewSegment, PlannedCommit};
pub use layers::{LayerSize, MergePolicy};
pub use open::{Opening, WantedLayer};

/// What a backup set holds after one commit: one generation of it.
///
/// It is opened by [`Opening`], or begun by [`BackupSet::empty`], and goes on to the next generation by
/// [`plan_commit`](BackupSet::plan_commit) and [`apply`](BackupSet::apply).
#[derive(Debug, Clone)]
pub struct BackupSet {
    facts: Facts,
    /// By number - 1.
    topics: Vec<Topic>,
    /// By name: the number of the latest incarnation.
    current: BTreeMap<Arc<str>, u32>,
    numbers: HashMap<(Arc<str>, TopicId), u32>,
    groups: BTreeMap<String, Group>,
    segments: Vec<Segment>,
    segment_ids: HashSet<SegmentId>,
    layers: Vec<Layer>,
    /// What [`Changes::entries`] of the whole state in one piece would be.
    live_entries: u64,
    policy: MergePolicy,
}

/// A manifest whose changes are part of the state.
#[derive(Debug, Clone)]
struct Layer {
    reference: LayerRef,
    entries: u64,
    /// Kept while the layer may still be merged into a later one.
    changes: Option<Arc<Changes>>,
}

/// Equal when they hold the same, of whichever layers they are made.
impl PartialEq for BackupSet {
    fn eq(&self, other: &Self) -> bool {
        let segments = |set: &Self| {
            let mut segments: Vec<_> = set.segments.clone();
            segments.sort_unstable_by_key(|segment| segment.id);
            segments
        };
        self.facts == other.facts
            && self.topics == other.topics
            && self.groups == other.groups
            && segments(self) == segments(other)
    }
}

impl BackupSet {
    /// A backup set without a commit: its generation is 0.
    pub fn empty(backup_id: &str) -> Self {
        Self {
            facts: Facts {
                backup_id: backup_id.to_owned(),
                generation: 0,
                created_at: i64::MIN,
                created_by: String::new(),
                cluster_id: None,
                source_cluster_id: None,
                offset_headers: false,
                complete: false,
                groups_captured_at: None,
            },
            topics: Vec::new(),
            current: BTreeMap::new(),
            numbers: HashMap::new(),
            groups: BTreeMap::new(),
            segments: Vec::new(),
            segment_ids: HashSet::new(),
            layers: Vec::new(),
            live_entries: 0,
            policy: MergePolicy::default(),
        }
    }

    /// What is true of the set as a whole.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Name of the set.
    pub fn backup_id(&self) -> &str {
        &self.facts.backup_id
    }

    /// Number of the latest commit; 0 before the first.
    pub fn generation(&self) -> u64 {
        self.facts.generation
    }

    /// The topics, sorted by name (as bytes): of each name the latest incarnation. One that was deleted at the source is
    /// still there.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = &Topic> {
        self.current.values().map(|number| self.known(*number))
    }

    /// The latest topic of this name.
    pub fn topic(&self, name: &str) -> Option<&Topic> {
        self.incarnation(self.topic_number(name)?)
    }

    /// Number of the latest topic of this name.
    pub fn topic_number(&self, name: &str) -> Option<u32> {
        self.current.get(name).copied()
    }

    /// Every topic with its number, those included whose name another topic has now; by number, which is from old to
    /// new.
    pub fn incarnations(&self) -> impl ExactSizeIterator<Item = (u32, &Topic)> {
        // There are never more topics than numbers.
        self.topics
            .iter()
            .enumerate()
            .map(|(index, topic)| (index as u32 + 1, topic))
    }

    /// The topic of this number.
    pub fn incarnation(&self, number: u32) -> Option<&Topic> {
        self.topics.get((number as usize).checked_sub(1)?)
    }

    /// Number of the topic of this name and id.
    pub fn incarnation_number(&self, name: &str, topic_id: TopicId) -> Option<u32> {
        self.numbers.get(&(Arc::from(name), topic_id)).copied()
    }

    /// The consumer groups, sorted by id (as bytes).
    pub fn groups(&self) -> impl ExactSizeIterator<Item = &Group> {
        self.groups.values()
    }

    /// The consumer group of this id.
    pub fn group(&self, group_id: &str) -> Option<&Group> {
        self.groups.get(group_id)
    }

    /// The segments, in no order that is promised.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether a segment belongs to the set.
    pub fn has_segment(&self, id: SegmentId) -> bool {
        self.segment_ids.contains(&id)
    }

    /// The manifests that this generation is made of, oldest first; the newest is the last.
    pub fn manifests(&self) -> impl ExactSizeIterator<Item = LayerRef> {
        self.layers.iter().map(|layer| layer.reference)
    }

    /// Decides how commits merge earlier manifests, otherwise than by default.
    pub fn set_merge_policy(&mut self, policy: MergePolicy) {
        self.policy = policy;
    }

    /// Numbers in `current` are of topics that are there.
    fn known(&self, number: u32) -> &Topic {
        &self.topics[number as usize - 1]
    }
}
