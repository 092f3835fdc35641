//! Reads every partition to its end and hands its batches on as blocks.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_wire::batch::{LogEntry, RawBatch};
use kafka_wire::{
    ByteBudget, Cluster, FetchEvent, FetchEventKind, FetchOptions, FetchPartition, FetchStream,
    FetchedBatches,
};
use segment_format::manifest::{Gap, GapCause, Partition, Topic};
use segment_format::{Compression, NewSegment, PartitionRef};

use super::blocks::BlockBuilder;
use super::segments::SegmentSink;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::observe::Event;

/// Open blocks hold fetched bytes, and so parts of the byte budget. When nothing has come for this long, or somebody waits
/// for the budget, they are closed early: otherwise thousands of half-filled blocks could wait for bytes that nobody may
/// fetch.
const QUIET: Duration = Duration::from_millis(20);

/// How long a partition may have no leader, or its leader no answer. Long enough for a rolling restart of a broker.
const GIVE_UP_AFTER: Duration = Duration::from_secs(300);

/// Reads all of `topics` into `sink`; completes their partitions' counts and ranges. Returns the segments.
pub(super) async fn read_all(
    cluster: &Cluster,
    context: &Context,
    compression: Compression,
    topics: &mut [Topic],
    sink: SegmentSink,
) -> Result<Vec<NewSegment>> {
    let mut reading = Reading::new(cluster, context, compression, topics, sink);
    reading.run().await?;
    let Reading { readers, sink, .. } = reading;
    let segments = sink.finish().await?;
    for reader in readers {
        reader.check_complete()?;
        let topic = &mut topics[reader.topic];
        topic.largest_batch = topic.largest_batch.max(reader.largest_batch);
        let number = reader.partition.partition as usize;
        topic.partitions[number] = reader.partition;
    }
    Ok(segments)
}

struct Reading<'a> {
    cluster: &'a Cluster,
    context: &'a Context,
    budget: ByteBudget,
    sink: SegmentSink,
    readers: Vec<Reader>,
    by_name: HashMap<(Arc<str>, i32), usize>,
    done: u64,
    bytes: u64,
}

/// One partition while it is read.
struct Reader {
    reference: PartitionRef,
    topic: usize,
    partition: Partition,
    largest_batch: u64,
    next_offset: i64,
    blocks: BlockBuilder,
}

impl<'a> Reading<'a> {
    fn new(
        cluster: &'a Cluster,
        context: &'a Context,
        compression: Compression,
        topics: &[Topic],
        sink: SegmentSink,
    ) -> Self {
        let mut readers = Vec::new();
        let mut by_name = HashMap::new();
        for (index, topic) in topics.iter().enumerate() {
            let name: Arc<str> = topic.name.as_str().into();
            for partition in &topic.partitions {
                by_name.insert((name.clone(), partition.partition), readers.len());
                readers.push(Reader {
                    reference: PartitionRef::new(name.clone(), topic.topic_id, partition.partition),
                    topic: index,
                    partition: partition.clone(),
                    largest_batch: 0,
                    next_offset: partition.log_start_offset,
                    blocks: BlockBuilder::new(compression),
                });
            }
        }
        Self {
            cluster,
            context,
            budget: ByteBudget::new(context.memory_bytes),
            sink,
            readers,
            by_name,
            done: 0,
            bytes: 0,
        }
    }

    /// Reads every partition until it has come to its end.
    async fn run(&mut self) -> Result<()> {
        // Committed data only, by default.
        let mut options = FetchOptions::new(self.budget.clone());
        options.give_up_after = Some(GIVE_UP_AFTER);
        let wanted: Vec<FetchPartition> = self.readers.iter().filter_map(Reader::wanted).collect();
        let mut stream = FetchStream::start(self.cluster, wanted, options);
        // A writer that has failed says why when it is finished.
        while !self.sink.has_failed() {
            match tokio::time::timeout(QUIET, stream.next()).await {
                Ok(Some(event)) => {
                    if let Some(again) = self.handle(event).await? {
                        stream.add(again);
                    }
                }
                Ok(None) => break,
                Err(_quiet) => self.flush_all().await,
            }
            if self.budget.is_contended() {
                self.flush_all().await;
            }
        }
        self.flush_all().await;
        Ok(())
    }

    /// Takes an event; returns what is to be read anew when retention has overtaken a partition.
    async fn handle(&mut self, event: FetchEvent) -> Result<Option<FetchPartition>> {
        let Some(&index) = self.by_name.get(&(event.topic.clone(), event.partition)) else {
            return Err(Error::Internal(format!(
                "{}/{} was fetched unasked",
                event.topic, event.partition
            )));
        };
        let reader = &mut self.readers[index];
        match event.kind {
            FetchEventKind::Batches(fetched) => {
                let before = reader.next_offset;
                let bytes = reader.take(fetched, &self.sink).await?;
                self.done += (reader.next_offset - before).max(0) as u64;
                self.bytes += bytes;
                self.context.observer.event(&Event::Progress {
                    done: self.done,
                    bytes: self.bytes,
                });
            }
            FetchEventKind::Finished { next_offset } => {
                reader.next_offset = reader.next_offset.max(next_offset);
                reader.flush(&self.sink).await;
            }
            FetchEventKind::OutOfRange { log_start_offset, .. } => {
                let note = reader.step_over_lost(log_start_offset)?;
                self.context.observer.event(&Event::Warning(note));
                return Ok(reader.wanted());
            }
            FetchEventKind::Failed(source) => {
                return Err(Error::kafka(format!(
                    "reading {}/{}",
                    event.topic, event.partition
                ))(source));
            }
            other => return Err(Error::Internal(format!("an unknown kind of event: {other:?}"))),
        }
        Ok(None)
    }

    async fn flush_all(&mut self) {
        for reader in &mut self.readers {
            reader.flush(&self.sink).await;
        }
    }
}

impl Reader {
    /// What is still to be read.
    fn wanted(&self) -> Option<FetchPartition> {
        let PartitionRef {
            topic,
            topic_id,
            partition,
        } = &self.reference;
        (self.next_offset < self.partition.end_offset).then(|| {
            FetchPartition::new(topic.clone(), *partition, self.next_offset)
                .with_topic_id(topic_id.0)
                .until(self.partition.end_offset)
        })
    }

    /// Takes what one fetch brought; returns its bytes.
    async fn take(&mut self, fetched: FetchedBatches, sink: &SegmentSink) -> Result<u64> {
        let mut bytes = 0;
        for entry in fetched.batches {
            let batch = self.current_format(entry)?;
            let size = batch.bytes.len() as u64;
            bytes += size;
            self.largest_batch = self.largest_batch.max(size);
            self.partition
                .first_offset
                .get_or_insert(batch.header.base_offset);
            self.partition.last_offset = Some(batch.header.last_offset());
            self.partition.last_leader_epoch =
                Some(batch.header.partition_leader_epoch).filter(|epoch| *epoch >= 0);
            self.partition.records += u64::try_from(batch.header.record_count).unwrap_or(0);
            for block in self.blocks.push(batch) {
                sink.push(&self.reference, block).await;
            }
        }
        self.partition.aborted_records += fetched.aborted_records;
        self.partition.control_batches += fetched.control_batches;
        self.next_offset = fetched.next_offset;
        Ok(bytes)
    }

    /// Message formats 0 and 1 went out of use with Kafka 0.11; logs that old are not silently left out.
    fn current_format(&self, entry: LogEntry) -> Result<RawBatch> {
        match entry {
            LogEntry::Batch(batch) => Ok(batch),
            LogEntry::Legacy(entry) => {
                let PartitionRef { topic, partition, .. } = &self.reference;
                let problem = format!(
                    "offset {} is stored in message format {}, which this version cannot back up. Exclude the topic, or let \
                     the brokers write it anew in format 2",
                    entry.offset, entry.magic
                );
                Err(Error::partition(topic, *partition, problem))
            }
        }
    }

    async fn flush(&mut self, sink: &SegmentSink) {
        if let Some(block) = self.blocks.flush() {
            sink.push(&self.reference, block).await;
        }
    }

    /// The offset to read next is no longer there. Retention explains it when the log starts behind it: that is a gap,
    /// recorded and told. Nothing else does: the log was truncated, and going on would mix two histories.
    fn step_over_lost(&mut self, log_start_offset: i64) -> Result<String> {
        let PartitionRef { topic, partition, .. } = &self.reference;
        if log_start_offset <= self.next_offset {
            let problem = format!(
                "offset {} is no longer in the log (which starts at {log_start_offset}): it was truncated while it was \
                 read (an unclean leader election?). Run the backup again",
                self.next_offset
            );
            return Err(Error::partition(topic, *partition, problem));
        }
        let (from, to) = (self.next_offset, log_start_offset.min(self.partition.end_offset));
        self.partition.gaps.push(Gap {
            from,
            to,
            cause: GapCause::Retention,
        });
        self.next_offset = to;
        Ok(format!(
            "{topic}/{partition}: retention removed offsets {from} to {} before they could be read",
            to - 1
        ))
    }

    fn check_complete(&self) -> Result<()> {
        let PartitionRef { topic, partition, .. } = &self.reference;
        if self.next_offset < self.partition.end_offset {
            let problem = format!(
                "read to offset {} of {}",
                self.next_offset, self.partition.end_offset
            );
            return Err(Error::partition(topic, *partition, problem));
        }
        Ok(())
    }
}
