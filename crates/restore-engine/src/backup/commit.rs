//! Commits: the moment from which something is part of the backup.

use segment_format::manifest::Topic;
use segment_format::{BackupSet, CapturedGroups, Commit, NewSegment, layout};

use super::report::Added;
use super::segments::{SegmentSink, SegmentTarget};
use crate::config::BackupConfig;
use crate::context::Context;
use crate::error::{Error, Result, chain};
use crate::observe::Event;
use crate::storage::StorageError;

/// The backup set, and the run that adds to it.
#[derive(Debug)]
pub(super) struct Committer {
    context: Context,
    set: BackupSet,
    cluster_id: Option<String>,
    source_cluster_id: Option<String>,
    offset_headers: bool,
    segment_max_bytes: u64,
    /// Part of the names of all segments of this run.
    writer_nonce: u64,
    /// Whether there may be segments of this run that no manifest names.
    may_have_orphans: bool,
    added: Added,
}

impl Committer {
    pub(super) fn new(
        context: &Context,
        set: BackupSet,
        cluster_id: Option<String>,
        config: &BackupConfig,
    ) -> Self {
        Self {
            context: context.clone(),
            set,
            cluster_id,
            source_cluster_id: config.source_cluster_id.clone(),
            offset_headers: config.include_offset_headers,
            segment_max_bytes: config.segment_max_bytes,
            writer_nonce: rand::random(),
            may_have_orphans: false,
            added: Added::default(),
        }
    }

    pub(super) fn set(&self) -> &BackupSet {
        &self.set
    }

    pub(super) fn added(&self) -> Added {
        self.added
    }

    /// Takes the blocks that the next commit will make part of the set.
    pub(super) fn sink(&mut self) -> SegmentSink {
        self.may_have_orphans = true;
        let target = SegmentTarget {
            backup_id: self.set.backup_id().to_owned(),
            generation: self.set.generation() + 1,
            segment_max_bytes: self.segment_max_bytes,
            writer_nonce: self.writer_nonce,
        };
        SegmentSink::start(&self.context, target)
    }

    /// Makes segments, which are durable, and what the topics are now part of the set. With `groups` the commit is complete:
    /// everything is covered up to the ends that were captured after them. Writes nothing when nothing is new.
    pub(super) async fn commit(
        &mut self,
        topics: Vec<Topic>,
        segments: Vec<NewSegment>,
        groups: Option<CapturedGroups>,
    ) -> Result<()> {
        let complete = groups.is_some();
        let (count, bytes) = (segments.len(), segments.iter().map(|s| s.summary.bytes).sum());
        let records = |set: &BackupSet| -> u64 {
            let partitions = set.incarnations().flat_map(|(_, topic)| &topic.partitions);
            partitions.map(|partition| partition.records).sum()
        };
        let before = records(&self.set);
        let planned = self.set.plan_commit(Commit {
            created_at: self.context.now(),
            created_by: concat!("kafka-backup ", env!("CARGO_PKG_VERSION")).to_owned(),
            cluster_id: self.cluster_id.clone(),
            source_cluster_id: self.source_cluster_id.clone(),
            offset_headers: self.offset_headers,
            complete,
            topics,
            groups,
            segments,
        });
        let planned =
            planned.map_err(|e| Error::Internal(format!("what was read makes no commit: {}", chain(&e))))?;
        // From here on a manifest may name the segments, whatever is heard of its creation.
        self.may_have_orphans = false;
        let Some(planned) = planned else { return Ok(()) };
        let stored = self
            .context
            .storage
            .put(planned.object(), planned.bytes().clone());
        stored.await.map_err(|error| self.explain(error))?;
        let applied = self.set.apply(planned);
        applied.map_err(|e| Error::Internal(format!("a commit could not be applied: {}", chain(&e))))?;

        let records = records(&self.set) - before;
        self.added.generations += 1;
        self.added.records += records;
        self.added.segments += count as u64;
        self.added.bytes += bytes;
        self.context.observer.event(&Event::Committed {
            generation: self.set.generation(),
            complete,
            records,
            segments: count,
            bytes,
        });
        Ok(())
    }

    /// The name of a manifest is taken when somebody else has committed since this run opened the set.
    fn explain(&mut self, error: StorageError) -> Error {
        match error {
            StorageError::Exists { .. } => {
                self.may_have_orphans = true;
                Error::AnotherWriter {
                    backup_id: self.set.backup_id().to_owned(),
                    place: self.context.storage.describe(),
                    generation: self.set.generation() + 1,
                }
            }
            error => error.into(),
        }
    }

    /// Removes what a failed run has published and no manifest names: no reader looks at it, and a full disk would stay
    /// full. What cannot be removed is told.
    pub(super) async fn remove_orphans(&self) {
        if !self.may_have_orphans {
            return;
        }
        let storage = &self.context.storage;
        let removed = async {
            for object in storage
                .list(&layout::segments_prefix(self.set.backup_id()))
                .await?
            {
                let ours = layout::parse_segment_name(&object.name).is_some_and(|name| {
                    name.writer_nonce == self.writer_nonce && name.generation > self.set.generation()
                });
                if ours {
                    storage.delete(&object.name).await?;
                }
            }
            Ok::<_, StorageError>(())
        };
        if let Err(error) = removed.await {
            let text = format!(
                "segments of the failed run may be left in {}: {}",
                storage.describe(),
                chain(&error)
            );
            self.context.observer.event(&Event::Warning(text));
        }
    }
}
