//! The blocks of a segment, byte by byte: what runs on the worker threads.

use bytes::Bytes;
use kafka_wire::batch::{BatchError, BatchIter, LogEntry, RawBatch};
use kafka_wire::codec::Decompressor;
use segment_format::{BlockEntry, BlockMeta, Compression, SegmentDigest, decode_block};

use super::finding::{AffectedRange, Finding};

/// Most bytes that the records of one batch may decompress to.
const MAX_DECOMPRESSED_BYTES: usize = 256 * 1024 * 1024;

/// A block to check, with the number of its topic where the manifest knows it.
#[derive(Debug)]
pub(super) struct BlockToCheck {
    pub(super) entry: BlockEntry,
    pub(super) topic: Option<u32>,
}

impl BlockToCheck {
    /// The offsets that are lost with it.
    pub(super) fn range(&self) -> Option<AffectedRange> {
        Some(AffectedRange {
            topic: self.topic?,
            partition: self.entry.partition.partition,
            first: self.entry.meta.base_offset,
            last: self.entry.meta.last_offset,
        })
    }
}

/// Checks a segment's blocks in the order in which they lie there.
#[derive(Debug)]
pub(super) struct BlockCheck {
    object: String,
    digest: SegmentDigest,
    decompressor: Decompressor,
    scratch: Vec<u8>,
    pub(super) batches: u64,
    pub(super) records: u64,
    pub(super) findings: Vec<Finding>,
}

impl BlockCheck {
    pub(super) fn new(object: &str) -> Self {
        Self {
            object: object.to_owned(),
            digest: SegmentDigest::new(),
            decompressor: Decompressor::new(),
            scratch: Vec::new(),
            batches: 0,
            records: 0,
            findings: Vec::new(),
        }
    }

    /// Bytes that are only digested here.
    pub(super) fn digest(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
    }

    /// Blocks that follow each other, and their bytes.
    pub(super) fn blocks(&mut self, blocks: &[BlockToCheck], bytes: &Bytes) {
        self.digest(bytes);
        let start = blocks.first().map_or(0, |block| block.entry.position);
        for block in blocks {
            let range = block.entry.range();
            // The reader has asked for all of them, and the storage gives what is asked for or an error.
            let stored = bytes.slice((range.start - start) as usize..(range.end - start) as usize);
            if let Err(finding) = self.block(&block.entry, stored) {
                self.findings.push(finding.hitting(block.range()));
            }
        }
    }

    /// The digest of all that has been seen.
    pub(super) fn digested(&self) -> [u8; 32] {
        self.digest.finish()
    }

    fn block(&mut self, entry: &BlockEntry, stored: Bytes) -> Result<(), Finding> {
        let batches = decode_block(entry, stored).map_err(|e| Finding::of_format(&self.object, &e))?;
        let mut found: Option<BlockMeta> = None;
        let mut walk = BatchIter::new(batches);
        loop {
            let at = walk.position();
            let Some(next) = walk.next() else { break };
            let checked = next.and_then(|entry| self.batch(&entry, at));
            let batch = checked.map_err(|error| self.in_batch(entry, at, &error.to_string()))?;
            if found.is_some_and(|found| batch.header.base_offset <= found.last_offset) {
                let problem = format!(
                    "its offset {} is not after the last one",
                    batch.header.base_offset
                );
                return Err(self.in_batch(entry, at, &problem));
            }
            add(&mut found, &batch);
        }
        if walk.trailing() > 0 {
            return Err(self.in_batch(entry, walk.position(), "it is cut short"));
        }
        match found.and_then(|found| differs(&found, &entry.meta)) {
            Some(problem) => Err(Finding::damaged(&self.object, Some(entry.position), problem)),
            None => Ok(()),
        }
    }

    fn batch(&mut self, entry: &LogEntry, position: usize) -> Result<RawBatch, BatchError> {
        let batch = match entry {
            LogEntry::Batch(batch) => batch,
            LogEntry::Legacy(old) => {
                return Err(BatchError::Magic {
                    position,
                    base_offset: old.offset,
                    magic: old.magic,
                });
            }
        };
        batch.verify_crc()?;
        self.walk_records(batch)?;
        self.batches += 1;
        self.records += u64::from(batch.header.record_count.unsigned_abs());
        Ok(batch.clone())
    }

    /// A record that does not parse, or has an offset outside of its batch, would stop every consumer.
    fn walk_records(&mut self, batch: &RawBatch) -> Result<(), BatchError> {
        let base_offset = batch.header.base_offset;
        let mut previous = -1;
        let walk = self
            .decompressor
            .records(batch, MAX_DECOMPRESSED_BYTES, &mut self.scratch)?;
        for (index, record) in walk.enumerate() {
            let delta = record?.offset_delta;
            if delta <= previous || delta > batch.header.last_offset_delta {
                return Err(BatchError::OffsetDelta {
                    base_offset,
                    index: u32::try_from(index).unwrap_or(u32::MAX),
                    delta,
                });
            }
            previous = delta;
        }
        Ok(())
    }

    /// A batch lies at a byte of the object unless its block is compressed.
    fn in_batch(&self, entry: &BlockEntry, at: usize, problem: &str) -> Finding {
        let (position, place) = match entry.compression {
            Compression::None => (entry.position + entry.header_len() + at as u64, String::new()),
            _ => (entry.position, format!(" at byte {at} of the decompressed block")),
        };
        let problem = format!("a record batch of {}{place}: {problem}", entry.partition);
        Finding::damaged(&self.object, Some(position), problem)
    }
}

fn add(found: &mut Option<BlockMeta>, batch: &RawBatch) {
    let header = &batch.header;
    let found = found.get_or_insert(BlockMeta {
        base_offset: header.base_offset,
        last_offset: header.base_offset,
        min_timestamp: i64::MAX,
        max_timestamp: i64::MIN,
        batches: 0,
        records: 0,
    });
    found.last_offset = header.last_offset();
    found.batches = found.batches.saturating_add(1);
    found.records += u64::from(header.record_count.unsigned_abs());
    if header.record_count > 0 {
        found.max_timestamp = found.max_timestamp.max(header.max_timestamp);
    }
}

/// What the batches say otherwise than the block. The lowest timestamp is a hint, and not compared.
fn differs(found: &BlockMeta, said: &BlockMeta) -> Option<String> {
    let fields = [
        ("first offset", found.base_offset, said.base_offset),
        ("last offset", found.last_offset, said.last_offset),
        ("batches", i64::from(found.batches), i64::from(said.batches)),
        ("records", found.records as i64, said.records as i64),
        ("highest timestamp", found.max_timestamp, said.max_timestamp),
    ];
    let (field, found, said) = fields.into_iter().find(|(_, found, said)| found != said)?;
    Some(format!(
        "a block says {field} {said}, and its record batches say {found}"
    ))
}
