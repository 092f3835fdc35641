//! Commits: the moment from which something is part of the backup.
//!
//! A commit whose creation ends in an error is in doubt: its manifest may have been stored. A run that goes on keeps it in hand,
//! then, and creates it again before anything else, with the same bytes: it is stored now, or it was, or somebody else's manifest
//! has its name. So never are there two contents of ours for one generation, of which the first could come through late.

use std::time::Duration;

use segment_format::manifest::Topic;
use segment_format::{BackupSet, CapturedGroups, Commit, NewSegment, PlannedCommit};

use super::leftovers::{self, Leftovers, Writer};
use super::report::Added;
use super::segments::{SegmentSink, SegmentTarget};
use crate::catalog::MAX_DOCUMENT_BYTES;
use crate::config::BackupConfig;
use crate::context::Context;
use crate::error::{Error, Result, chain};
use crate::observe::Event;
use crate::storage::StorageError;

/// How long the end of a run may take to remove what it has left.
const REMOVE_WITHIN: Duration = Duration::from_secs(4);

/// The backup set, and the run that adds to it.
#[derive(Debug)]
pub(super) struct Committer {
    context: Context,
    set: BackupSet,
    cluster_id: Option<String>,
    source_cluster_id: Option<String>,
    offset_headers: bool,
    segment_max_bytes: u64,
    /// Who writes for the next commit.
    writer: Option<Writer>,
    leftovers: Leftovers,
    /// The commit that is being made, or is in doubt.
    in_hand: Option<InHand>,
    added: Added,
}

/// A commit from the moment on from which its manifest may be stored.
#[derive(Debug)]
struct InHand {
    planned: PlannedCommit,
    complete: bool,
    /// Who has written its segments.
    writer: Option<Writer>,
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
            writer: None,
            leftovers: Leftovers::default(),
            in_hand: None,
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
        self.abandon();
        let writer = Writer {
            generation: self.set.generation() + 1,
            nonce: rand::random(),
        };
        self.writer = Some(writer);
        let target = SegmentTarget {
            backup_id: self.set.backup_id().to_owned(),
            generation: writer.generation,
            segment_max_bytes: self.segment_max_bytes,
            writer_nonce: writer.nonce,
        };
        SegmentSink::start(&self.context, target)
    }

    /// Nothing that was written for the next commit will be part of it.
    fn abandon(&mut self) {
        if let Some(writer) = self.writer.take() {
            self.leftovers.add(writer);
        }
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
        let writer = self.writer.take();
        let Some(planned) = planned else { return Ok(()) };
        self.in_hand = Some(InHand {
            planned,
            complete,
            writer,
        });
        self.store().await
    }

    /// Stores the commit in hand, if there is one, and makes it the state of the set. After an error of the storage it stays
    /// in hand.
    async fn store(&mut self) -> Result<()> {
        let Some(InHand { planned, .. }) = &self.in_hand else {
            return Ok(());
        };
        let storage = &self.context.storage;
        let is_ours = match storage.put(planned.object(), planned.bytes().clone()).await {
            Ok(()) => true,
            // By an attempt of which nothing was heard, or by somebody else who has committed since this run opened the set.
            Err(StorageError::Exists { .. }) => {
                storage.get(planned.object(), MAX_DOCUMENT_BYTES).await? == planned.bytes()
            }
            Err(error) => return Err(error.into()),
        };
        match self.in_hand.take() {
            Some(commit) if is_ours => self.apply(commit),
            Some(commit) => {
                self.writer = commit.writer;
                self.abandon();
                Err(Error::AnotherWriter {
                    backup_id: self.set.backup_id().to_owned(),
                    place: self.context.storage.describe(),
                    generation: commit.planned.generation(),
                })
            }
            None => Ok(()),
        }
    }

    fn apply(&mut self, commit: InHand) -> Result<()> {
        let records = |set: &BackupSet| -> u64 {
            let partitions = set.incarnations().flat_map(|(_, topic)| &topic.partitions);
            partitions.map(|partition| partition.records).sum()
        };
        let before = records(&self.set);
        let segments = &commit.planned.changes().segments;
        let (count, bytes) = (segments.len(), segments.iter().map(|segment| segment.bytes).sum());
        let applied = self.set.apply(commit.planned);
        applied.map_err(|e| Error::Internal(format!("a commit could not be applied: {}", chain(&e))))?;

        let records = records(&self.set) - before;
        self.added.generations += 1;
        self.added.records += records;
        self.added.segments += count as u64;
        self.added.bytes += bytes;
        self.context.observer.event(&Event::Committed {
            generation: self.set.generation(),
            complete: commit.complete,
            records,
            segments: count,
            bytes,
        });
        Ok(())
    }

    /// Brings to its end what a failed cycle has left, before the next one begins: a commit in doubt, and segments that no
    /// manifest names.
    ///
    /// # Errors
    ///
    /// When the storage cannot say how things stand. That segments cannot be removed is only told.
    pub(super) async fn settle(&mut self) -> Result<()> {
        self.store().await?;
        self.abandon();
        let committed = self.set.generation();
        let due = self.leftovers.due(committed);
        if due.is_empty() {
            return Ok(());
        }
        let left = self
            .leftovers
            .list(&self.context, self.set.backup_id(), due)
            .await?;
        if let Err(error) = leftovers::remove(&self.context, left).await {
            self.tell_left(&chain(&error));
        }
        self.leftovers.looked_for(committed);
        Ok(())
    }

    /// Removes what a run that ends has published and no manifest names: no reader looks at it, and a full disk would stay
    /// full. What cannot be removed, or not in time, is told. The segments of a commit in doubt stay.
    pub(super) async fn remove_orphans(&mut self) {
        self.abandon();
        let generations = self.leftovers.generations();
        let removed = async {
            let (context, backup_id) = (&self.context, self.set.backup_id());
            let left = self.leftovers.list(context, backup_id, generations).await?;
            leftovers::remove(context, left).await
        };
        match tokio::time::timeout(REMOVE_WITHIN, removed).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.tell_left(&chain(&error)),
            Err(_elapsed) => self.tell_left("the storage takes too long"),
        }
    }

    fn tell_left(&self, why: &str) {
        self.context.warn(format!(
            "segments that no commit names may be left in {}: {why}",
            self.context.storage.describe()
        ));
    }
}
