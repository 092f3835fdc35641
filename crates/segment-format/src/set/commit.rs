//! The next generation of a backup set: first planned, then, once its manifest is stored, made the state.

use std::sync::Arc;

use bytes::Bytes;

use crate::error::Result;
use crate::layout;
use crate::manifest::{self, Changes, Facts, Group, LayerRef, SegmentId, Topic, inconsistent};
use crate::writer::SegmentSummary;

use super::layers::LayerSize;
use super::{BackupSet, Layer};

/// What a commit says.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// The time in milliseconds since 1970 UTC. Times of generations never go back: an earlier one than that of the
    /// generation before is taken to be that.
    pub created_at: i64,
    /// Program and version.
    pub created_by: String,
    /// See [`Facts::cluster_id`].
    pub cluster_id: Option<String>,
    /// See [`Facts::source_cluster_id`].
    pub source_cluster_id: Option<String>,
    /// See [`Facts::offset_headers`].
    pub offset_headers: bool,
    /// See [`Facts::complete`].
    pub complete: bool,
    /// Topics as they are now, in any order. Topics that are not given, and partitions of those that are, stay as they
    /// were. The same name with another topic id is another topic.
    pub topics: Vec<Topic>,
    /// The consumer groups as they are now, all of them; none to keep those of before. They are new only in a commit that
    /// is complete: otherwise a position could lie beyond what is covered without anybody having lost records.
    pub groups: Option<CapturedGroups>,
    /// Segments that are durable and not yet part of the set; the generation in their ids is the one that this commit makes.
    pub segments: Vec<NewSegment>,
}

/// Consumer groups, and when their positions were read.
#[derive(Debug, Clone, Default)]
pub struct CapturedGroups {
    /// Milliseconds since 1970 UTC. Like times of generations it never goes back.
    pub captured_at: i64,
    /// All groups, sorted by id (as bytes).
    pub groups: Vec<Group>,
}

/// A segment that a commit makes part of the set.
#[derive(Debug, Clone)]
pub struct NewSegment {
    /// What names it.
    pub id: SegmentId,
    /// What the writer says of it.
    pub summary: SegmentSummary,
}

/// A manifest that makes a commit real once it is stored: create-only, and after the segments that it names.
#[derive(Debug, Clone)]
pub struct PlannedCommit {
    object: String,
    bytes: Bytes,
    reference: LayerRef,
    facts: Facts,
    /// What differs from the generation before.
    own: Arc<Changes>,
    /// What the manifest says: `own`, and the changes of the layers that it takes in.
    written: Arc<Changes>,
    /// Layers that stay, and layers that are taken in.
    kept: usize,
    merged: usize,
    /// The newest manifest of the set for which this was planned.
    follows: Option<LayerRef>,
}

impl PlannedCommit {
    /// Name of the manifest's object.
    pub fn object(&self) -> &str {
        &self.object
    }

    /// The object.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Its generation.
    pub fn generation(&self) -> u64 {
        self.facts.generation
    }

    /// What differs from the generation before.
    pub fn changes(&self) -> &Changes {
        &self.own
    }

    /// How many earlier manifests are taken in.
    pub fn merged_layers(&self) -> usize {
        self.merged
    }
}

impl BackupSet {
    /// Plans the next generation; none when the commit would say nothing new. Costs as much as the topics and groups that
    /// are given, and the new segments, whatever the set holds besides.
    ///
    /// # Errors
    ///
    /// [`Error::Inconsistent`](crate::Error::Inconsistent) when the commit contradicts itself or what the set holds.
    pub fn plan_commit(&self, commit: Commit) -> Result<Option<PlannedCommit>> {
        if commit.groups.is_some() && !commit.complete {
            return inconsistent("groups", "they are new in a commit that is not complete");
        }
        let facts = self.next_facts(&commit)?;
        let groups = commit.groups.as_ref().map(|captured| captured.groups.as_slice());
        let own = self.diff(commit.topics, groups, &commit.segments)?;
        if own.is_empty() && self.generation() > 0 && same_besides_time(&self.facts, &facts) {
            return Ok(None);
        }
        self.check(&own, facts.generation..=facts.generation)?;
        self.plan(facts, own).map(Some)
    }

    fn next_facts(&self, commit: &Commit) -> Result<Facts> {
        let Some(generation) = self.generation().checked_add(1) else {
            return inconsistent("generation", "there is no further one");
        };
        let captured_at = commit.groups.as_ref().map(|captured| captured.captured_at);
        Ok(Facts {
            backup_id: self.facts.backup_id.clone(),
            generation,
            created_at: commit.created_at.max(self.facts.created_at),
            created_by: commit.created_by.clone(),
            cluster_id: commit.cluster_id.clone(),
            source_cluster_id: commit.source_cluster_id.clone(),
            offset_headers: commit.offset_headers,
            complete: commit.complete,
            groups_captured_at: captured_at.max(self.facts.groups_captured_at),
        })
    }

    fn plan(&self, facts: Facts, own: Changes) -> Result<PlannedCommit> {
        let own = Arc::new(own);
        let layers: Vec<LayerRef> = self.manifests().collect();
        let encoded = own.encode()?;
        let kept = self.kept_layers(&own, encoded.len() as u64);
        let (written, encoded) = match kept < layers.len() {
            true => {
                let merged = Arc::new(self.merged(kept, &own));
                let encoded = merged.encode()?;
                (merged, encoded)
            }
            false => (Arc::clone(&own), encoded),
        };
        let (object, reference) = manifest::encode(&facts, layers.get(..kept).unwrap_or_default(), &encoded)?;
        Ok(PlannedCommit {
            object: layout::manifest_name(&facts.backup_id, facts.generation),
            bytes: object.into(),
            reference,
            facts,
            own,
            written,
            kept,
            merged: layers.len() - kept,
            follows: layers.last().copied(),
        })
    }

    /// Makes a planned commit, whose manifest is durable now, the state of the set.
    ///
    /// # Errors
    ///
    /// [`Error::Inconsistent`](crate::Error::Inconsistent) when the commit was planned for another state than this.
    pub fn apply(&mut self, planned: PlannedCommit) -> Result<()> {
        let same_set = planned.facts.backup_id == self.facts.backup_id;
        if !same_set || planned.follows != self.manifests().last() {
            return inconsistent("commit", "it was planned for another state of the backup set");
        }
        self.take_in(&planned.own);
        self.layers.truncate(planned.kept);
        self.push_layer(planned.reference, planned.written);
        self.facts = planned.facts;
        Ok(())
    }

    /// How many layers stay when `own` changes, which are `bytes` long, are committed.
    fn kept_layers(&self, own: &Changes, bytes: u64) -> usize {
        let sizes: Vec<LayerSize> = self.layers.iter().map(Layer::size).collect();
        let new_segments: usize = own.segments.iter().map(|s| 1 + s.partitions().len()).sum();
        let live = self.live_entries + new_segments as u64;
        let own = LayerSize {
            bytes,
            entries: own.entries(),
        };
        let kept = self.policy.kept(&sizes, own, live);
        // The changes of large layers are not in memory; those of all layers are.
        let mergeable = self.layers.iter().rposition(|layer| layer.changes.is_none());
        match mergeable {
            Some(last) if kept > 0 => kept.max(last + 1),
            _ => kept,
        }
    }

    /// The changes of all layers but the first `kept`, and then `own`.
    fn merged(&self, kept: usize, own: &Changes) -> Changes {
        let base = if kept == 0 {
            self.as_changes()
        } else {
            let layers = self
                .layers
                .iter()
                .skip(kept)
                .filter_map(|layer| layer.changes.as_deref());
            layers.fold(Changes::default(), |merged, layer| merged.then(layer.clone()))
        };
        base.then(own.clone())
    }
}

impl Layer {
    fn size(&self) -> LayerSize {
        LayerSize {
            bytes: self.reference.bytes,
            entries: self.entries,
        }
    }
}

fn same_besides_time(before: &Facts, after: &Facts) -> bool {
    let besides = |facts: &Facts| Facts {
        generation: 0,
        created_at: 0,
        created_by: String::new(),
        groups_captured_at: None,
        ..facts.clone()
    };
    besides(before) == besides(after)
}
