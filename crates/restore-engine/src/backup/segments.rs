//! Blocks into segments: compressed side by side, written in order, each segment published once it is full.

use segment_format::manifest::SegmentId;
use segment_format::{EncodedBlock, NewSegment, PartitionRef, SegmentWriter, encode_block};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use super::blocks::OpenBlock;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::storage::ObjectWriter;

/// Blocks that may wait between the reader and the writer; what they hold counts against the byte budget.
const QUEUE: usize = 16;

/// Level for `compression: zstd`: the knee of the curve, as the source is read faster than higher levels compress.
const ZSTD_LEVEL: i32 = 1;

/// Takes blocks; gives the segments that hold them. Dropping it ends the writing, and what is open is not published.
#[derive(Debug)]
pub(super) struct SegmentSink {
    context: Context,
    queue: mpsc::Sender<(PartitionRef, JoinHandle<Result<EncodedBlock>>)>,
    task: JoinSet<Result<Vec<NewSegment>>>,
}

/// Where segments of a run go.
#[derive(Debug)]
pub(super) struct SegmentTarget {
    pub(super) backup_id: String,
    pub(super) generation: u64,
    pub(super) segment_max_bytes: u64,
    /// Part of every name, so that two runs never meet in one object.
    pub(super) writer_nonce: u64,
}

impl SegmentSink {
    pub(super) fn start(context: &Context, target: SegmentTarget) -> Self {
        let (queue, blocks) = mpsc::channel(QUEUE);
        let writing = Writing {
            context: context.clone(),
            target,
            open: None,
            segments: Vec::new(),
            publishing: JoinSet::new(),
        };
        Self {
            context: context.clone(),
            queue,
            task: JoinSet::from_iter([writing.run(blocks)]),
        }
    }

    /// Hands a block over; waits while the queue is full.
    pub(super) async fn push(&self, partition: &PartitionRef, block: OpenBlock) {
        let workers = self.context.workers.clone();
        let encoded = tokio::spawn(async move {
            let OpenBlock {
                meta,
                batches,
                compression,
                ..
            } = block;
            let encoded = workers
                .run(move || encode_block(meta, batches, compression, ZSTD_LEVEL))
                .await?;
            encoded.map_err(|e| Error::Internal(format!("a block could not be encoded: {e}")))
        });
        // The task ends before its queue only when it failed; `finish` tells why.
        let _ = self.queue.send((partition.clone(), encoded)).await;
    }

    /// True once the writer has failed: [`Self::finish`] then says why.
    pub(super) fn has_failed(&self) -> bool {
        self.queue.is_closed()
    }

    /// Publishes what is still open and returns all segments in the order of their numbers.
    pub(super) async fn finish(mut self) -> Result<Vec<NewSegment>> {
        drop(self.queue);
        let ended = self
            .task
            .join_next()
            .await
            .ok_or_else(|| Error::Internal("there is no segment writer".to_owned()))?;
        ended.map_err(|join| Error::Internal(format!("the segment writer stopped: {join}")))?
    }
}

struct Writing {
    context: Context,
    target: SegmentTarget,
    open: Option<OpenSegment>,
    segments: Vec<NewSegment>,
    publishing: JoinSet<Result<NewSegment>>,
}

struct OpenSegment {
    id: SegmentId,
    writer: SegmentWriter,
    object: Box<dyn ObjectWriter>,
}

impl Writing {
    async fn run(
        mut self,
        mut blocks: mpsc::Receiver<(PartitionRef, JoinHandle<Result<EncodedBlock>>)>,
    ) -> Result<Vec<NewSegment>> {
        let mut number = 0;
        while let Some((partition, encoded)) = blocks.recv().await {
            let block = encoded
                .await
                .map_err(|join| Error::Internal(format!("an encoder stopped: {join}")))??;
            let open = match self.open.take() {
                Some(open) => open,
                None => {
                    number += 1;
                    self.begin(number).await?
                }
            };
            let open = self.add(open, partition, block).await?;
            if open.writer.bytes_written() >= self.target.segment_max_bytes {
                self.publish(open).await?;
            } else {
                self.open = Some(open);
            }
        }
        if let Some(open) = self.open.take() {
            self.publish(open).await?;
        }
        while let Some(published) = self.publishing.join_next().await {
            self.segments.push(flatten(published)?);
        }
        self.segments.sort_by_key(|segment| segment.id);
        Ok(self.segments)
    }

    async fn begin(&self, number: u64) -> Result<OpenSegment> {
        let id = SegmentId {
            generation: self.target.generation,
            sequence: number,
            writer_nonce: self.target.writer_nonce,
        };
        let mut object = self
            .context
            .storage
            .create(&id.object(&self.target.backup_id))
            .await?;
        let writer = SegmentWriter::new(id.writer_nonce, self.context.now_ms);
        object.write(vec![writer.header_bytes()]).await?;
        Ok(OpenSegment { id, writer, object })
    }

    async fn add(
        &self,
        open: OpenSegment,
        partition: PartitionRef,
        block: EncodedBlock,
    ) -> Result<OpenSegment> {
        let OpenSegment {
            id,
            mut writer,
            mut object,
        } = open;
        // The writer digests every byte that it passes on: work for a worker.
        let worked = self.context.workers.run(move || {
            let pieces = writer.add_block(&partition, block);
            (writer, pieces)
        });
        let (writer, pieces) = worked.await?;
        let pieces = pieces.map_err(|e| Error::Internal(format!("segment {id}: {e}")))?;
        object.write(pieces).await?;
        Ok(OpenSegment { id, writer, object })
    }

    /// Ends the segment. Making it durable takes time in which the next one is written already.
    async fn publish(&mut self, open: OpenSegment) -> Result<()> {
        let OpenSegment {
            id,
            writer,
            mut object,
        } = open;
        let (tail, summary) = writer.finish();
        object.write(tail).await?;
        if self.publishing.len() >= 2
            && let Some(published) = self.publishing.join_next().await
        {
            self.segments.push(flatten(published)?);
        }
        self.publishing.spawn(async move {
            object.finish().await?;
            Ok(NewSegment { id, summary })
        });
        Ok(())
    }
}

fn flatten(joined: std::result::Result<Result<NewSegment>, tokio::task::JoinError>) -> Result<NewSegment> {
    joined.map_err(|join| Error::Internal(format!("a publisher stopped: {join}")))?
}
