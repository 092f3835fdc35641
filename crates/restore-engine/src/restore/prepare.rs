//! From stored batches to batches that the target takes: passed through where that is exact, written again where not.
//!
//! A batch is passed through as it is when its records are dense, carry their own timestamps and get no new headers;
//! only its header changes when it is sent. A compacted batch, one of a LogAppendTime topic, or one that gets headers is
//! written again, record by record, with the same codec. Either way the source offset of each record is known, as it is
//! part of the batch.

use std::ops::Range;

use bytes::Bytes;
use kafka_wire::Permit;
use kafka_wire::batch::{
    AppendedHeader, BatchError, BatchIter, HEADER_LEN, LogEntry, Passthrough, RawBatch, SourceRun,
    TranscodeOptions, Transcoder,
};
use kafka_wire::codec::Decompressor;
use segment_format::BlockEntry;

/// Most bytes that the records of one batch may decompress to.
const MAX_DECOMPRESSED_BYTES: usize = 256 * 1024 * 1024;

/// How the records of a topic are written.
#[derive(Debug, Clone)]
pub(super) struct PrepareOptions {
    /// Append the headers of the original position, with the source cluster where it is known.
    pub(super) origin_headers: Option<Option<String>>,
    /// The largest batch that the target takes.
    pub(super) max_batch_bytes: u64,
}

/// A block, ready to be sent.
#[derive(Debug)]
pub(super) struct PreparedBlock {
    pub(super) batches: Vec<PreparedBatch>,
    /// Records stored in the block, those included that no consumer could see.
    pub(super) stored_records: u64,
    /// Records to be written.
    pub(super) records: u64,
    pub(super) bytes: u64,
    /// Of the last block of a partition: the timestamp of its last record.
    pub(super) last_timestamp: Option<i64>,
    /// Committed source offset, timestamp of the next record.
    pub(super) position_timestamps: Vec<(i64, i64)>,
}

/// A batch, and where its records come from.
#[derive(Debug)]
pub(super) struct PreparedBatch {
    pub(super) batch: RawBatch,
    pub(super) runs: Vec<SourceRun>,
    /// Whether its bytes are new, and no slice of the block.
    rewritten: bool,
}

impl PreparedBlock {
    /// Ties shares of `permit` to the batches that were written anew, so that their memory is accounted for until the
    /// target has acknowledged them.
    pub(super) fn hold(&mut self, mut permit: Permit) {
        let rewritten = || self.batches.iter().filter(|batch| batch.rewritten);
        permit.resize_to(rewritten().map(|batch| batch.batch.bytes.len()).sum());
        for batch in self.batches.iter_mut().filter(|batch| batch.rewritten) {
            let bytes = std::mem::take(&mut batch.batch.bytes);
            batch.batch.bytes = permit.split(bytes.len()).attach(bytes);
        }
    }
}

/// Prepares the blocks of one partition, in order.
#[derive(Debug)]
pub(super) struct Preparation {
    transcoder: Transcoder,
    adds_headers: bool,
    /// Offsets that consumers of the source could see: batches are stored whole, and the log may have started or ended
    /// in the middle of one.
    visible: Range<i64>,
    decompressor: Decompressor,
    scratch: Vec<u8>,
    /// Committed offsets whose next record has not come yet, the smallest last.
    positions: Vec<i64>,
}

impl Preparation {
    /// `visible`: the offsets that the backup covers. `positions`: committed source offsets of the partition, sorted.
    pub(super) fn new(
        options: &PrepareOptions,
        visible: Range<i64>,
        mut positions: Vec<i64>,
    ) -> Result<Self, BatchError> {
        let append = options.origin_headers.as_ref();
        let append = append
            .map(|cluster| AppendedHeader::original_position(cluster.as_deref()))
            .unwrap_or_default();
        positions.reverse();
        let adds_headers = !append.is_empty();
        let transcoder = Transcoder::new(TranscodeOptions {
            append,
            offsets: Some(visible.clone()),
            max_batch_bytes: usize::try_from(options.max_batch_bytes).unwrap_or(usize::MAX),
            max_decompressed_bytes: MAX_DECOMPRESSED_BYTES,
            ..TranscodeOptions::default()
        })?;
        Ok(Self {
            transcoder,
            adds_headers,
            visible,
            decompressor: Decompressor::new(),
            scratch: Vec::new(),
            positions,
        })
    }

    /// Bytes that preparing a block takes until its batches are acknowledged.
    pub(super) fn memory_for(&self, entry: &BlockEntry) -> usize {
        let raw = entry.raw_len as usize;
        // Stored bytes are gone before new batches are written, and those take the place of the raw ones.
        let stored_or_rewritten = if self.adds_headers {
            raw
        } else {
            entry.stored_len as usize
        };
        raw + stored_or_rewritten
    }

    /// The batches of a block, `last` of the partition or not.
    pub(super) fn block(&mut self, batches: Bytes, last: bool) -> Result<PreparedBlock, BatchError> {
        let bytes = batches.len() as u64;
        let mut block = PreparedBlock {
            batches: Vec::new(),
            stored_records: 0,
            records: 0,
            bytes,
            last_timestamp: None,
            position_timestamps: Vec::new(),
        };
        let mut entries = BatchIter::new(batches);
        let mut final_batch = None;
        for entry in &mut entries {
            let batch = match entry? {
                LogEntry::Batch(batch) => batch,
                LogEntry::Legacy(entry) => {
                    return Err(BatchError::Magic {
                        position: 0,
                        base_offset: entry.offset,
                        magic: entry.magic,
                    });
                }
            };
            if batch.header.record_count == 0 {
                continue;
            }
            self.note_positions(&batch, &mut block)?;
            block.stored_records += u64::from(batch.header.record_count.unsigned_abs());
            self.push(&batch, &mut block)?;
            final_batch = Some(batch);
        }
        if entries.trailing() > 0 {
            return Err(BatchError::Truncated {
                needed: HEADER_LEN,
                available: entries.trailing(),
            });
        }
        if let Some(batch) = final_batch.filter(|_| last) {
            block.last_timestamp = self.last_timestamp(&batch)?;
        }
        Ok(block)
    }

    fn push(&mut self, batch: &RawBatch, block: &mut PreparedBlock) -> Result<(), BatchError> {
        if let Passthrough::Yes = self.transcoder.passthrough(batch) {
            let run = SourceRun {
                source_first: batch.header.base_offset,
                index: 0,
                length: batch.header.record_count.unsigned_abs(),
                first_timestamp: self.first_timestamp(batch)?,
            };
            block.records += u64::from(run.length);
            block.batches.push(PreparedBatch {
                batch: batch.clone(),
                runs: vec![run],
                rewritten: false,
            });
            return Ok(());
        }
        for written in self.transcoder.transcode(batch)? {
            block.records += u64::from(written.records());
            block.batches.push(PreparedBatch {
                batch: written.batch,
                runs: written.runs,
                rewritten: true,
            });
        }
        Ok(())
    }

    /// The base timestamp is that of the first record, unless the log cleaner has put a delete horizon in its place.
    fn first_timestamp(&mut self, batch: &RawBatch) -> Result<i64, BatchError> {
        let header = batch.header;
        if !header.has_delete_horizon() {
            return Ok(header.base_timestamp);
        }
        let first = self
            .decompressor
            .records(batch, MAX_DECOMPRESSED_BYTES, &mut self.scratch)?
            .next()
            .transpose()?;
        Ok(first.map_or(header.base_timestamp, |record| {
            header.timestamp(record.timestamp_delta)
        }))
    }

    /// Finds the timestamps of the records that the groups read next. Only batches that hold one are decompressed.
    fn note_positions(&mut self, batch: &RawBatch, block: &mut PreparedBlock) -> Result<(), BatchError> {
        if self
            .positions
            .last()
            .is_none_or(|position| *position > batch.header.last_offset())
        {
            return Ok(());
        }
        let header = batch.header;
        for record in self
            .decompressor
            .records(batch, MAX_DECOMPRESSED_BYTES, &mut self.scratch)?
        {
            let record = record?;
            let offset = header.base_offset + i64::from(record.offset_delta);
            if !self.visible.contains(&offset) {
                continue;
            }
            while let Some(position) = self.positions.pop_if(|position| *position <= offset) {
                block
                    .position_timestamps
                    .push((position, header.timestamp(record.timestamp_delta)));
            }
        }
        Ok(())
    }

    fn last_timestamp(&mut self, batch: &RawBatch) -> Result<Option<i64>, BatchError> {
        let header = batch.header;
        let mut last = None;
        for record in self
            .decompressor
            .records(batch, MAX_DECOMPRESSED_BYTES, &mut self.scratch)?
        {
            let record = record?;
            if self
                .visible
                .contains(&(header.base_offset + i64::from(record.offset_delta)))
            {
                last = Some(header.timestamp(record.timestamp_delta));
            }
        }
        Ok(last)
    }
}
