//! One partition of a restore: its blocks, in order, become produced batches, and the acknowledged offsets a mapping.
//!
//! Two stages run side by side: blocks are read and prepared (decompressed, re-encoded where they must be) ahead of the
//! stage that appends them, as far as the byte budget allows.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_wire::batch::SourceRun;
use kafka_wire::{ByteBudget, Producer};
use offset_mapping::{Coverage, PartitionMap, Run};
use segment_format::decode_block;
use segment_format::manifest::Partition;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::prepare::{Preparation, PrepareOptions, PreparedBlock};
use super::source::{BlockRef, read_block};
use crate::context::Context;
use crate::error::{Error, Result};

/// Prepared blocks of one partition that may wait for the appending stage.
const AHEAD: usize = 1;

/// What one partition needs to be restored.
#[derive(Debug)]
pub(super) struct PartitionJob {
    pub(super) topic: String,
    pub(super) partition: Partition,
    pub(super) blocks: Vec<BlockRef>,
    /// Where the first record goes.
    pub(super) target_next: i64,
    /// Committed source offsets, sorted: of each, the timestamp of the next record is wanted.
    pub(super) positions: Vec<i64>,
    pub(super) options: PrepareOptions,
}

/// A partition that has been restored whole.
#[derive(Debug)]
pub(super) struct RestoredPartition {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) map: PartitionMap,
    /// By committed source offset: timestamp of the next record.
    pub(super) position_timestamps: BTreeMap<i64, i64>,
}

/// What every partition of a restore shares.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) context: Context,
    pub(super) producer: Producer,
    pub(super) budget: ByteBudget,
    pub(super) progress: Arc<super::progress::Progress>,
}

/// Restores one partition; returns once every record of it is acknowledged at the offset that the map says.
pub(super) async fn restore_partition(shared: Shared, job: PartitionJob) -> Result<RestoredPartition> {
    let PartitionJob {
        topic,
        partition,
        blocks,
        target_next,
        positions,
        options,
    } = job;
    let map = new_map(&topic, &partition, target_next)?;
    let visible = partition.log_start_offset..partition.end_offset;
    let mut writing = Writing {
        topic,
        partition,
        map,
        position_timestamps: BTreeMap::new(),
        stored_records: 0,
        records: 0,
    };
    if !blocks.is_empty() {
        let preparation = Preparation::new(&options, visible, positions).map_err(|e| writing.error(e))?;
        writing
            .write(&shared, Blocks::start(&shared, blocks, preparation))
            .await?;
    }
    writing.finish()
}

/// The second stage: what has been handed to the target, and where it goes.
struct Writing {
    topic: String,
    partition: Partition,
    map: PartitionMap,
    position_timestamps: BTreeMap<i64, i64>,
    /// Records of the blocks that were read.
    stored_records: u64,
    /// Records of them that consumers could see.
    records: u64,
}

impl Writing {
    async fn write(&mut self, shared: &Shared, mut blocks: Blocks) -> Result<()> {
        let name = format!("{}/{}", self.topic, self.partition.partition);
        let failed = || Error::kafka(format!("writing to {name} on the target"));
        let opened = shared.producer.partition(
            self.topic.as_str(),
            self.partition.partition,
            self.map.target_next(),
        );
        let mut writer = opened.await.map_err(failed())?;
        while let Some(block) = blocks.next().await? {
            let (records, bytes) = (block.records, block.bytes);
            for batch in block.batches {
                let target_first = writer.append(batch.batch).await.map_err(failed())?;
                self.push_runs(target_first, &batch.runs)?;
            }
            self.map.set_last_timestamp(block.last_timestamp);
            self.stored_records += block.stored_records;
            self.records += records;
            self.position_timestamps.extend(block.position_timestamps);
            shared.progress.add(&shared.context, records, bytes);
        }
        let next = writer.flush().await.map_err(failed())?;
        let expected = self
            .map
            .target_last()
            .map_or(self.map.target_next(), |last| last + 1);
        if next != expected {
            return Err(self.error(format!(
                "the target's log ends at {next} instead of {expected} after the last record"
            )));
        }
        Ok(())
    }

    /// Maps the records of a batch that will be, or the restore fails, at `target_first`.
    fn push_runs(&mut self, target_first: i64, runs: &[SourceRun]) -> Result<()> {
        for run in runs {
            let run = Run {
                source_first: run.source_first,
                target_first: target_first + i64::from(run.index),
                length: u64::from(run.length),
                first_timestamp: Some(run.first_timestamp),
            };
            self.map.push(run).map_err(|e| self.error(e))?;
        }
        Ok(())
    }

    /// Manifest, blocks and mapping must agree on the number of records, or something was lost on the way.
    fn finish(self) -> Result<RestoredPartition> {
        let (stored, mapped) = (self.partition.records, self.map.records());
        if self.stored_records != stored || self.records != mapped {
            let (read, wanted) = (self.stored_records, self.records);
            return Err(self.error(format!(
                "the backup has {stored} records, of which {read} were read; {mapped} of {wanted} were written"
            )));
        }
        let Self {
            topic,
            partition,
            map,
            position_timestamps,
            ..
        } = self;
        Ok(RestoredPartition {
            topic,
            partition: partition.partition,
            map,
            position_timestamps,
        })
    }

    fn error(&self, problem: impl std::fmt::Display) -> Error {
        Error::partition(&self.topic, self.partition.partition, problem)
    }
}

fn new_map(topic: &str, partition: &Partition, target_next: i64) -> Result<PartitionMap> {
    let gaps = partition.gaps.iter().map(|gap| gap.from..gap.to).collect();
    let coverage = Coverage {
        start: partition.log_start_offset,
        end: partition.end_offset,
        gaps,
    };
    PartitionMap::new(coverage, target_next).map_err(|e| Error::partition(topic, partition.partition, e))
}

/// The first stage: prepared blocks, in order.
struct Blocks {
    queue: mpsc::Receiver<Result<PreparedBlock>>,
    task: JoinHandle<()>,
}

impl Blocks {
    fn start(shared: &Shared, blocks: Vec<BlockRef>, preparation: Preparation) -> Self {
        let (sender, queue) = mpsc::channel(AHEAD);
        let shared = shared.clone();
        let task = tokio::spawn(async move {
            let mut preparation = preparation;
            let last = blocks.len().saturating_sub(1);
            for (number, block) in blocks.into_iter().enumerate() {
                let result = prepare(&shared, block, preparation, number == last).await;
                let (message, back) = match result {
                    Ok((prepared, back)) => (Ok(prepared), Some(back)),
                    Err(error) => (Err(error), None),
                };
                let (true, Some(back)) = (sender.send(message).await.is_ok(), back) else {
                    return;
                };
                preparation = back;
            }
        });
        Self { queue, task }
    }

    async fn next(&mut self) -> Result<Option<PreparedBlock>> {
        self.queue.recv().await.transpose()
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads a block, checks it, and prepares its batches on a worker. The bytes stay in the budget until the target has
/// acknowledged the last batch that uses them.
async fn prepare(
    shared: &Shared,
    block: BlockRef,
    preparation: Preparation,
    last: bool,
) -> Result<(PreparedBlock, Preparation)> {
    let size = preparation.memory_for(&block.entry);
    let permit = shared.budget.acquire(size).await;
    let stored = read_block(&shared.context, &block).await?;
    let work = move || {
        let mut preparation = preparation;
        let damaged = |e: &dyn std::fmt::Display| Error::damaged(&block.object, e);
        let batches = decode_block(&block.entry, stored).map_err(|e| damaged(&e))?;
        let (mut held, raw) = (permit, batches.len());
        let prepared = preparation.block(held.split(raw).attach(batches), last);
        let mut prepared =
            prepared.map_err(|e| damaged(&format!("block at byte {}: {e}", block.entry.position)))?;
        prepared.hold(held);
        Ok((prepared, preparation))
    };
    shared.context.workers.run(work).await?
}
