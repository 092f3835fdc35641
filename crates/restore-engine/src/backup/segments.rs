//! Blocks into segments: compressed side by side, written in order, each segment published once it is full.

use segment_format::manifest::SegmentId;
use segment_format::{Compression, EncodedBlock, NewSegment, PartitionRef, SegmentWriter, encode_block};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::blocks::OpenBlock;
use super::write_behind::WriteBehind;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::workers::Job;

/// Blocks that may wait between the reader and the writer; what they hold counts against the byte budget.
const QUEUE: usize = 16;

/// A smaller block is compressed sooner than it is handed to another thread. Where there is nothing to compress, any is.
const SMALL_BLOCK: usize = 32 * 1024;

/// Level for `compression: zstd`: the knee of the curve, as the source is read faster than higher levels compress.
const ZSTD_LEVEL: i32 = 1;

/// A reader takes the whole index of a segment into memory.
const MOST_INDEX_BYTES: u64 = 16 * 1024 * 1024;

/// Segments that may become durable while the next one is written.
const PUBLISHING: usize = 2;

/// Takes blocks; gives the segments that hold them. Dropping it ends the writing, and what is open is not published.
#[derive(Debug)]
pub(super) struct SegmentSink {
    context: Context,
    /// None once it is closed.
    queue: Option<mpsc::Sender<Queued>>,
    task: JoinSet<Result<Vec<NewSegment>>>,
}

/// A block on its way to the writer.
type Queued = (PartitionRef, Encoding);

/// A block that is, or will be, ready to be written.
enum Encoding {
    Done(Result<EncodedBlock>),
    Running(Job<Result<EncodedBlock>>),
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
            begun: 0,
            open: None,
            segments: Vec::new(),
            publishing: JoinSet::new(),
        };
        Self {
            context: context.clone(),
            queue: Some(queue),
            task: JoinSet::from_iter([writing.run(blocks)]),
        }
    }

    /// Hands a block over; waits while the queue is full.
    pub(super) async fn push(&self, partition: &PartitionRef, block: OpenBlock) {
        let Some(queue) = &self.queue else { return };
        let encoding = self.encode(block);
        // The task ends before its queue only when it failed; `close` tells why.
        let _ = queue.send((partition.clone(), encoding)).await;
    }

    fn encode(&self, block: OpenBlock) -> Encoding {
        let OpenBlock {
            meta,
            batches,
            compression,
            bytes,
        } = block;
        let encode = move || {
            encode_block(meta, batches, compression, ZSTD_LEVEL)
                .map_err(|e| Error::Internal(format!("a block could not be encoded: {e}")))
        };
        if bytes <= SMALL_BLOCK || compression == Compression::None {
            return Encoding::Done(encode());
        }
        Encoding::Running(self.context.workers.start(encode))
    }

    /// True once the writer has failed: [`Self::close`] then says why.
    pub(super) fn has_failed(&self) -> bool {
        self.queue.as_ref().is_some_and(mpsc::Sender::is_closed)
    }

    /// Publishes what is still open and returns all segments in the order of their numbers.
    pub(super) async fn close(&mut self) -> Result<Vec<NewSegment>> {
        self.queue = None;
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
    /// Segments begun so far.
    begun: u64,
    open: Option<OpenSegment>,
    segments: Vec<NewSegment>,
    publishing: JoinSet<Result<NewSegment>>,
}

struct OpenSegment {
    id: SegmentId,
    name: String,
    writer: SegmentWriter,
    object: WriteBehind,
}

impl OpenSegment {
    async fn add(&mut self, partition: &PartitionRef, block: EncodedBlock) -> Result<()> {
        let name = &self.name;
        let pieces = self.writer.add_block(partition, block);
        self.object
            .append(pieces.map_err(|e| Error::Internal(format!("{name}: {e}")))?)
            .await
    }
}

impl Writing {
    async fn run(mut self, mut blocks: mpsc::Receiver<Queued>) -> Result<Vec<NewSegment>> {
        while let Some((partition, encoding)) = self.next(&mut blocks).await? {
            let block = match encoding {
                Encoding::Done(block) => block?,
                Encoding::Running(job) => job.done().await??,
            };
            let mut open = match self.open.take() {
                Some(open) => open,
                None => self.begin().await?,
            };
            open.add(&partition, block).await?;
            if self.is_full(&open.writer) {
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

    /// The next block; what was written so far is not kept waiting for it.
    async fn next(&mut self, blocks: &mut mpsc::Receiver<Queued>) -> Result<Option<Queued>> {
        if let Ok(block) = blocks.try_recv() {
            return Ok(Some(block));
        }
        if let Some(open) = &mut self.open {
            open.object.hand_over().await?;
        }
        Ok(blocks.recv().await)
    }

    /// By its bytes; also by those of its index, which has many entries when the blocks are tiny.
    fn is_full(&self, writer: &SegmentWriter) -> bool {
        let index = writer.finished_len() - writer.bytes_written();
        writer.bytes_written() >= self.target.segment_max_bytes || index >= MOST_INDEX_BYTES
    }

    async fn begin(&mut self) -> Result<OpenSegment> {
        self.begun += 1;
        let id = SegmentId {
            generation: self.target.generation,
            sequence: self.begun,
            writer_nonce: self.target.writer_nonce,
        };
        let name = id.object(&self.target.backup_id);
        let mut object = WriteBehind::new(self.context.storage.create(&name).await?);
        let writer = SegmentWriter::new(id.writer_nonce, self.context.now());
        object.append(vec![writer.header_bytes()]).await?;
        Ok(OpenSegment {
            id,
            name,
            writer,
            object,
        })
    }

    /// Ends the segment. Making it durable takes time in which the next one is written already.
    async fn publish(&mut self, open: OpenSegment) -> Result<()> {
        let OpenSegment {
            id,
            writer,
            mut object,
            ..
        } = open;
        let (tail, summary) = writer.finish();
        object.append(tail).await?;
        if self.publishing.len() >= PUBLISHING
            && let Some(published) = self.publishing.join_next().await
        {
            self.segments.push(flatten(published)?);
        }
        self.publishing.spawn(async move {
            object.all_written().await?.finish().await?;
            Ok(NewSegment { id, summary })
        });
        Ok(())
    }
}

fn flatten(joined: std::result::Result<Result<NewSegment>, tokio::task::JoinError>) -> Result<NewSegment> {
    joined.map_err(|join| Error::Internal(format!("a publisher stopped: {join}")))?
}
