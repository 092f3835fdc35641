//! Collecting records for a new batch, and closing it: compression, splitting, checksum.

use bytes::Bytes;

use super::buffer::RecordBuffer;
use super::header::HEADER_LEN;
use super::records::RecordIter;
use super::usual::UsualRecord;
use super::write::{Body, Suffix, seal, seal_summed};
use super::{BatchError, BatchHeader, ProducePatch, RawBatch};
use crate::codec::{Codec, Compressor};

/// Consecutive records of a written batch that were consecutive in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceRun {
    /// Source offset of the first of them.
    pub source_first: i64,
    /// Its index in the written batch, which is its distance to the offset that the target gives the batch.
    pub index: u32,
    /// How many.
    pub length: u32,
    /// Timestamp of the first of them.
    pub first_timestamp: i64,
}

/// A batch that a producer can send, and where its records come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transcoded {
    /// The batch: base offset 0, dense offsets, producer id -1. [`ProducePatch`] puts a producer in.
    pub batch: RawBatch,
    /// The records' source offsets, in order.
    pub runs: Vec<SourceRun>,
    /// Timestamp of the first record.
    pub first_timestamp: i64,
    /// Timestamp of the last record.
    pub last_timestamp: i64,
}

impl Transcoded {
    /// How many records the batch holds.
    pub fn records(&self) -> u32 {
        self.batch.header.record_count.max(0) as u32
    }
}

/// Records of a batch that is not closed yet.
#[derive(Debug)]
pub(crate) struct Pending {
    buffer: RecordBuffer,
    count: i32,
    base_timestamp: i64,
    max_timestamp: i64,
    last_timestamp: i64,
    /// The runs; their lengths are known when all are.
    runs: Vec<SourceRun>,
    /// The source offset that continues the last run.
    next_offset: Option<i64>,
}

impl Pending {
    pub(crate) fn new() -> Self {
        let (base_timestamp, max_timestamp, last_timestamp) = (-1, -1, -1);
        Self {
            buffer: RecordBuffer::new(),
            count: 0,
            base_timestamp,
            max_timestamp,
            last_timestamp,
            runs: Vec::new(),
            next_offset: None,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Size of the batch, were it closed without compression.
    pub(crate) fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Makes room for records of so many bytes that will be closed with `codec`.
    pub(crate) fn reserve(&mut self, bytes: usize, codec: Codec) {
        self.buffer.reserve(bytes, codec == Codec::None);
    }

    /// Adds a record. Timestamps count from that of the first one, as the Java producer has it.
    pub(crate) fn push(&mut self, offset: i64, timestamp: i64, body: &Body<'_>) -> Result<(), BatchError> {
        let delta = self.delta(timestamp);
        let pushed = self.buffer.push(body, delta, self.count);
        self.count(offset, timestamp, pushed)
    }

    /// Adds the record that was read from the front of `input`. `false`, and nothing added, when it has to go by
    /// [`Pending::push`].
    #[inline(always)]
    pub(crate) fn push_usual(
        &mut self,
        offset: i64,
        timestamp: i64,
        input: &[u8],
        record: &UsualRecord,
        suffix: Suffix<'_>,
    ) -> bool {
        if self.count == i32::MAX {
            return false;
        }
        let delta = self.delta(timestamp);
        let pushed = self.buffer.push_usual(input, record, suffix, delta, self.count);
        pushed.is_some() && self.count(offset, timestamp, pushed).is_ok()
    }

    #[inline(always)]
    fn delta(&mut self, timestamp: i64) -> i64 {
        if self.count == 0 {
            self.base_timestamp = timestamp;
            self.max_timestamp = timestamp;
        }
        timestamp.wrapping_sub(self.base_timestamp)
    }

    /// Notes where the record that was just written comes from.
    #[inline(always)]
    fn count(&mut self, offset: i64, timestamp: i64, pushed: Option<()>) -> Result<(), BatchError> {
        let (Some(()), Some(next_count)) = (pushed, self.count.checked_add(1)) else {
            return Err(BatchError::TooLarge { base_offset: offset });
        };
        if self.next_offset != Some(offset) {
            self.runs.push(SourceRun {
                source_first: offset,
                index: self.count as u32,
                length: 0,
                first_timestamp: timestamp,
            });
        }
        self.next_offset = Some(offset.wrapping_add(1));
        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.last_timestamp = timestamp;
        self.count = next_count;
        Ok(())
    }

    /// The header of the batch, but for its length and CRC.
    fn header(&self, codec: Codec) -> BatchHeader {
        BatchHeader {
            base_offset: 0,
            length: 0,
            partition_leader_epoch: -1,
            magic: 2,
            crc: 0,
            attributes: i16::from(codec.id()),
            last_offset_delta: self.count - 1,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id: ProducePatch::NONE.producer_id,
            producer_epoch: ProducePatch::NONE.producer_epoch,
            base_sequence: ProducePatch::NONE.base_sequence,
            record_count: self.count,
        }
    }

    fn records(&self) -> &[u8] {
        self.buffer.records()
    }

    /// The runs, their lengths filled in.
    fn take_runs(&mut self) -> Vec<SourceRun> {
        let mut runs = std::mem::take(&mut self.runs);
        let mut end = self.count as u32;
        for run in runs.iter_mut().rev() {
            run.length = end.saturating_sub(run.index);
            end = run.index;
        }
        self.next_offset = None;
        runs
    }

    /// Closes the batch whose sealed bytes are `bytes`, and starts over.
    fn close(&mut self, header: BatchHeader, bytes: Vec<u8>) -> Transcoded {
        let (first_timestamp, last_timestamp) = (self.base_timestamp, self.last_timestamp);
        let runs = self.take_runs();
        self.count = 0;
        self.buffer.clear();
        Transcoded {
            batch: RawBatch {
                header,
                bytes: Bytes::from(bytes),
            },
            runs,
            first_timestamp,
            last_timestamp,
        }
    }
}

/// Closes batches.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) level: Option<i32>,
    pub(crate) max_batch_bytes: usize,
    compressor: Compressor,
    compressed: Vec<u8>,
}

impl Output {
    pub(crate) fn new(level: Option<i32>, max_batch_bytes: usize) -> Self {
        Self {
            level,
            max_batch_bytes,
            compressor: Compressor::new(),
            compressed: Vec::new(),
        }
    }

    /// Turns what is pending into batches of at most `max_batch_bytes`; a record that is larger alone stays alone.
    pub(crate) fn finish(
        &mut self,
        codec: Codec,
        pending: &mut Pending,
        out: &mut Vec<Transcoded>,
    ) -> Result<(), BatchError> {
        if pending.is_empty() {
            return Ok(());
        }
        if codec == Codec::None {
            if pending.len() > self.max_batch_bytes && pending.count > 1 {
                return self.split(codec, pending, self.max_batch_bytes, out);
            }
            let (mut bytes, crc) = pending.buffer.take();
            let header = seal_summed(pending.header(codec), &mut bytes, crc)?;
            out.push(pending.close(header, bytes));
            return Ok(());
        }
        self.compressed.clear();
        self.compressed.resize(HEADER_LEN, 0);
        self.compressor
            .compress(codec, self.level, pending.records(), &mut self.compressed)
            .map_err(|source| BatchError::codec(0, source))?;
        if self.compressed.len() > self.max_batch_bytes && pending.count > 1 {
            // Parts are taken a little smaller than the density of the whole suggests.
            let share = self.max_batch_bytes as u128 * 15 / 16;
            let part = pending.len() as u128 * share / self.compressed.len() as u128;
            return self.split(codec, pending, part as usize, out);
        }
        let header = seal(pending.header(codec), &mut self.compressed)?;
        out.push(pending.close(header, self.compressed.clone()));
        Ok(())
    }

    /// Closes what is pending in parts of about `part` bytes before compression, always in more than one.
    fn split(
        &mut self,
        codec: Codec,
        whole: &mut Pending,
        part: usize,
        out: &mut Vec<Transcoded>,
    ) -> Result<(), BatchError> {
        let header = whole.header(codec);
        let mut pending = Pending::new();
        let runs = whole.take_runs();
        let offsets = runs
            .iter()
            .flat_map(|run| (0..i64::from(run.length)).map(|i| run.source_first.wrapping_add(i)));
        let mut records = RecordIter::new(&header, whole.records());
        for offset in offsets {
            let (input, _) = records.rest();
            let Some(record) = records.next().transpose()? else {
                break;
            };
            // Counted from another first record, a timestamp may take up to nine bytes more.
            let most = record.raw.len() + 9;
            if !pending.is_empty() && pending.len() + most > part {
                self.finish(codec, &mut pending, out)?;
            }
            let timestamp = header.timestamp(record.timestamp_delta);
            let copied = UsualRecord::read(input)
                .is_some_and(|usual| pending.push_usual(offset, timestamp, input, &usual, Suffix::EMPTY));
            if !copied {
                pending.push(offset, timestamp, &Body::of(&record, Suffix::EMPTY))?;
            }
        }
        self.finish(codec, &mut pending, out)?;
        *whole = Pending::new();
        Ok(())
    }
}
