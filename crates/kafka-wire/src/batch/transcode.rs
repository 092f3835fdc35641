//! Writing the records of a batch again: other headers, other offsets, other times, another codec.

use std::ops::Range;

use super::append::SuffixWriter;
use super::output::{Output, Pending, Transcoded};
use super::records::{DeltaCheck, Headers, RecordIter};
use super::usual::UsualRecord;
use super::write::{Body, push_bytes};
use super::{
    AppendedHeader, BatchError, BatchHeader, LegacyEntry, LogEntry, Obstacle, Passthrough, RawBatch,
};
use crate::codec::{Codec, Decompressor};

/// What a [`Transcoder`] does with the records.
#[derive(Debug, Clone)]
pub struct TranscodeOptions {
    /// Headers to append to every record, behind its own.
    pub append: Vec<AppendedHeader>,
    /// The codec to write; `None` keeps that of each batch.
    pub codec: Option<Codec>,
    /// The level for it, see [`crate::codec::Compressor::compress`].
    pub level: Option<i32>,
    /// Source offsets to keep, the end not included; `None` keeps all.
    pub offsets: Option<Range<i64>>,
    /// Timestamps to keep, each record's own, the end not included; `None` keeps all.
    pub timestamps: Option<Range<i64>>,
    /// Largest batch to write, header included (the target's `max.message.bytes`). A batch that would be larger is
    /// split; a single record that is larger is written alone.
    pub max_batch_bytes: usize,
    /// Most bytes that the records of one batch may decompress to.
    pub max_decompressed_bytes: usize,
}

impl Default for TranscodeOptions {
    /// Keeps everything, in batches of at most 1,048,588 bytes (the default of a broker), which may decompress to
    /// 256 MiB.
    fn default() -> Self {
        Self {
            append: Vec::new(),
            codec: None,
            level: None,
            offsets: None,
            timestamps: None,
            max_batch_bytes: 1_048_588,
            max_decompressed_bytes: 256 << 20,
        }
    }
}

/// Turns fetched batches into batches that can be produced. Keeps its buffers and contexts: one per worker.
///
/// What is written: records in their order, key, value and headers byte for byte, offsets 0, 1, 2, ..., the timestamp
/// that a consumer of the source sees (for LogAppendTime the append time), no transaction, no delete horizon.
///
/// CRCs of what it reads are not checked here: whoever received the bytes did.
#[derive(Debug)]
pub struct Transcoder {
    codec: Option<Codec>,
    filter: Filter,
    suffix: SuffixWriter,
    max_decompressed_bytes: usize,
    decompressor: Decompressor,
    scratch: Vec<u8>,
    pending: Pending,
    output: Output,
}

/// Which records to keep.
#[derive(Debug)]
struct Filter {
    offsets: Option<Range<i64>>,
    timestamps: Option<Range<i64>>,
}

impl Filter {
    #[inline]
    fn keeps(&self, offset: i64, timestamp: i64) -> bool {
        self.offsets.as_ref().is_none_or(|range| range.contains(&offset))
            && self
                .timestamps
                .as_ref()
                .is_none_or(|range| range.contains(&timestamp))
    }
}

impl Transcoder {
    /// A transcoder with these options. Fails when an appended header is larger than the format allows.
    pub fn new(options: TranscodeOptions) -> Result<Self, BatchError> {
        Ok(Self {
            codec: options.codec,
            suffix: SuffixWriter::new(&options.append)?,
            filter: Filter {
                offsets: options.offsets,
                timestamps: options.timestamps,
            },
            max_decompressed_bytes: options.max_decompressed_bytes,
            decompressor: Decompressor::new(),
            scratch: Vec::new(),
            pending: Pending::new(),
            output: Output::new(options.level, options.max_batch_bytes),
        })
    }

    /// Whether `batch` can be produced with a new header alone and still be what these options ask for.
    ///
    /// The records of an uncompressed batch are walked, as brokers do not check their offset deltas; those of a
    /// compressed one a broker does check.
    pub fn passthrough(&self, batch: &RawBatch) -> Passthrough {
        let header = &batch.header;
        let codec = match (Passthrough::check(header), header.compression()) {
            (Passthrough::Yes, Ok(codec)) => codec,
            (Passthrough::Yes, Err(_)) => return Passthrough::No(Obstacle::UnknownCodec),
            (no, _) => return no,
        };
        let outside =
            |range: &Range<i64>| range.start > header.base_offset || range.end <= header.last_offset();
        if !self.suffix.is_empty() {
            Passthrough::No(Obstacle::AppendedHeaders)
        } else if self.filter.offsets.as_ref().is_some_and(outside) {
            Passthrough::No(Obstacle::OffsetRange)
        } else if self.filter.timestamps.is_some() {
            Passthrough::No(Obstacle::TimestampRange)
        } else if self.codec.is_some_and(|wanted| wanted != codec) {
            Passthrough::No(Obstacle::Codec)
        } else if batch.bytes.len() > self.output.max_batch_bytes {
            Passthrough::No(Obstacle::TooLarge)
        } else if codec == Codec::None && check_records(batch, batch.stored_records()).is_err() {
            Passthrough::No(Obstacle::Records)
        } else {
            Passthrough::Yes
        }
    }

    /// Writes the wanted records of `batch` again: into no batch, one, or several when they do not fit into one.
    ///
    /// The result depends on the batch and the options alone, so that a retry in another process gives the same bytes.
    /// A control batch is an error.
    pub fn transcode(&mut self, batch: &RawBatch) -> Result<Vec<Transcoded>, BatchError> {
        let mut out = Vec::new();
        let codec = self.output_codec(batch.header.compression()?);
        self.start();
        self.add_batch(batch, codec)?;
        self.output.finish(codec, &mut self.pending, &mut out)?;
        Ok(out)
    }

    /// Writes the wanted records of several entries of one partition, in their order, again.
    ///
    /// Unlike [`Transcoder::transcode`] it also merges: neighbours of the same codec share a batch until it holds
    /// `max_batch_bytes` before compression. Old message sets, where every uncompressed message is an entry of its own,
    /// need that. The result depends on the entries, how they are grouped into calls, and the options.
    pub fn transcode_merged<'e>(
        &mut self,
        entries: impl IntoIterator<Item = &'e LogEntry>,
    ) -> Result<Vec<Transcoded>, BatchError> {
        let mut out = Vec::new();
        self.start();
        let mut current = Codec::None;
        for entry in entries {
            let codec = self.output_codec(match entry {
                LogEntry::Batch(batch) => batch.header.compression()?,
                LogEntry::Legacy(entry) => entry.compression()?,
            });
            if codec != current || self.pending.len() >= self.output.max_batch_bytes {
                self.output.finish(current, &mut self.pending, &mut out)?;
            }
            current = codec;
            match entry {
                LogEntry::Batch(batch) => self.add_batch(batch, codec)?,
                LogEntry::Legacy(entry) => self.add_legacy(entry)?,
            }
        }
        self.output.finish(current, &mut self.pending, &mut out)?;
        Ok(out)
    }

    fn output_codec(&self, source: Codec) -> Codec {
        self.codec.unwrap_or(source)
    }

    /// Forgets what a call that failed may have left.
    fn start(&mut self) {
        if !self.pending.is_empty() {
            self.pending = Pending::new();
        }
    }

    fn add_batch(&mut self, batch: &RawBatch, codec: Codec) -> Result<(), BatchError> {
        let header = &batch.header;
        if header.is_control() {
            return Err(BatchError::Control {
                base_offset: header.base_offset,
            });
        }
        let mut records = self
            .decompressor
            .records(batch, self.max_decompressed_bytes, &mut self.scratch)?;
        let count = header.record_count.max(0) as usize;
        let bytes = records.remaining_bytes();
        // A record takes at least 7 bytes: a count that cannot be true reserves nothing.
        self.pending.reserve(
            bytes + count.min(bytes / 7) * (self.suffix.typical_len() + 2),
            codec,
        );
        let mut deltas = DeltaCheck::new(header);
        loop {
            self.pending
                .copy_usual(header, &mut records, &mut deltas, &self.filter, &mut self.suffix);
            let (index, before) = (count - records.rest().1 as usize, records.remaining_bytes());
            let Some(record) = records.next().transpose()? else {
                return Ok(());
            };
            deltas.next(record.offset_delta)?;
            let offset = header.base_offset + i64::from(record.offset_delta);
            let timestamp = header.timestamp(record.timestamp_delta);
            if !self.filter.keeps(offset, timestamp) {
                continue;
            }
            record.headers.check().map_err(|problem| BatchError::Record {
                base_offset: header.base_offset,
                index: index as u32,
                position: bytes - before,
                problem,
            })?;
            let suffix = self.suffix.write(offset, timestamp);
            self.pending.push(offset, timestamp, &Body::of(&record, suffix))?;
        }
    }

    fn add_legacy(&mut self, entry: &LegacyEntry) -> Result<(), BatchError> {
        let mut key_and_value = Vec::new();
        for record in entry.records(
            &mut self.decompressor,
            self.max_decompressed_bytes,
            &mut self.scratch,
        )? {
            let record = record?;
            let (offset, timestamp) = (record.offset, record.timestamp);
            if !self.filter.keeps(offset, timestamp) {
                continue;
            }
            key_and_value.clear();
            push_bytes(&mut key_and_value, offset, record.key)?;
            push_bytes(&mut key_and_value, offset, record.value)?;
            let suffix = self.suffix.write(offset, timestamp);
            let body = Body {
                attributes: 0,
                key_and_value: &key_and_value,
                headers: Headers::EMPTY,
                suffix,
            };
            self.pending.push(offset, timestamp, &body)?;
        }
        Ok(())
    }
}

impl Pending {
    /// Adds the wanted records one after the other, up to the first that is not usual, or wrong.
    // A loop of its own with nothing but this in it: what it needs stays in registers.
    #[inline(never)]
    fn copy_usual(
        &mut self,
        header: &BatchHeader,
        records: &mut RecordIter<'_>,
        deltas: &mut DeltaCheck,
        filter: &Filter,
        suffix: &mut SuffixWriter,
    ) {
        let (mut rest, count) = records.rest();
        let mut left = count;
        while left > 0 {
            let Some(record) = UsualRecord::read(rest) else {
                break;
            };
            if !deltas.allows(record.offset_delta) {
                break;
            }
            let offset = header.base_offset + i64::from(record.offset_delta);
            let timestamp = header.timestamp(record.timestamp_delta);
            let Some(next) = rest.get(record.end..) else { break };
            if filter.keeps(offset, timestamp) {
                let headers = rest.get(record.count_at + 1..record.end).unwrap_or_default();
                let malformed =
                    record.count > 0 && Headers::new(u32::from(record.count), headers).check().is_err();
                let suffix = suffix.write(offset, timestamp);
                if malformed || !self.push_usual(offset, timestamp, rest, &record, suffix) {
                    break;
                }
            }
            deltas.pass(record.offset_delta);
            rest = next;
            left -= 1;
        }
        records.skip_to(rest, count - left);
    }
}

/// Walks decompressed records and checks that each slot of the batch has its record.
fn check_records(batch: &RawBatch, records: &[u8]) -> Result<(), BatchError> {
    let mut deltas = DeltaCheck::new(&batch.header);
    for record in RecordIter::new(&batch.header, records) {
        deltas.next(record?.offset_delta)?;
    }
    Ok(())
}
