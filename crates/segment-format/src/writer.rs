//! Puts blocks into a segment, and knows what was put when it is finished.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::block::{BlockEntry, EncodedBlock};
use crate::digest::SegmentDigest;
use crate::error::{Error, Result};
use crate::footer::{FOOTER_LEN, Footer, MAX_INDEX_LEN};
use crate::header::SegmentHeader;
use crate::index::{INDEX_BLOCK_LEN, INDEX_FIXED_LEN, INDEX_PARTITION_LEN, Index};
use crate::partition::PartitionRef;
use bytes::Bytes;

/// Writes one segment. It does no I/O: each call returns the bytes to append to the object, in order.
///
/// Blocks of many partitions may come in any order, as long as those of one partition come in offset order.
#[derive(Debug)]
pub struct SegmentWriter {
    header: Bytes,
    digest: SegmentDigest,
    bytes_written: u64,
    index_len: u64,
    partitions: BTreeMap<(Arc<str>, i32), Vec<BlockEntry>>,
}

impl SegmentWriter {
    /// Starts a segment. `writer_nonce` is the number that the writer drew at random when it started, `created_at` the
    /// time in milliseconds since 1970 UTC.
    pub fn new(writer_nonce: u64, created_at: i64) -> Self {
        let header = SegmentHeader {
            writer_nonce,
            created_at,
        }
        .encode();
        let mut writer = Self {
            header: header.clone(),
            digest: SegmentDigest::new(),
            bytes_written: 0,
            index_len: INDEX_FIXED_LEN,
            partitions: BTreeMap::new(),
        };
        writer.account(&header);
        writer
    }

    /// The bytes that the object starts with, in front of the first block.
    pub fn header_bytes(&self) -> Bytes {
        self.header.clone()
    }

    /// Appends a block; returns the bytes to append to the object. The batches are not copied, but digested.
    ///
    /// # Errors
    ///
    /// The segment is as before, and can take other blocks, after [`Error::InvalidBlock`] (the partition has no name,
    /// too long a name, or a negative number), [`Error::OutOfOrder`], [`Error::TopicIdChanged`], [`Error::IndexFull`].
    pub fn add_block(&mut self, partition: &PartitionRef, block: EncodedBlock) -> Result<Vec<Bytes>> {
        let growth = self.check(partition, &block)?;
        let entry = BlockEntry::new(partition.clone(), self.bytes_written, block.body);
        let mut appended = Vec::with_capacity(1 + block.payload.len());
        appended.push(entry.encode_header());
        appended.extend(block.payload);
        for bytes in &appended {
            self.account(bytes);
        }
        self.index_len += growth;
        self.partitions
            .entry((Arc::clone(&partition.topic), partition.partition))
            .or_default()
            .push(entry);
        Ok(appended)
    }

    /// By how many bytes the block makes the index grow, if the segment can take it.
    fn check(&self, partition: &PartitionRef, block: &EncodedBlock) -> Result<u64> {
        let (topic, base_offset) = (|| partition.topic.to_string(), block.body.meta.base_offset);
        if let Some(problem) = partition.problem() {
            return Err(Error::InvalidBlock {
                base_offset,
                reason: problem.to_owned(),
            });
        }
        let blocks = self
            .partitions
            .get(&(Arc::clone(&partition.topic), partition.partition));
        let last = blocks.and_then(|blocks| blocks.last());
        let mut growth = INDEX_BLOCK_LEN;
        match last {
            None => growth += INDEX_PARTITION_LEN + partition.topic.len() as u64,
            Some(last) if last.partition.topic_id != partition.topic_id => {
                return Err(Error::TopicIdChanged {
                    topic: topic(),
                    partition: partition.partition,
                    found: partition.topic_id,
                    held: last.partition.topic_id,
                });
            }
            Some(last) if base_offset <= last.meta.last_offset => {
                return Err(Error::OutOfOrder {
                    topic: topic(),
                    partition: partition.partition,
                    base_offset,
                    last_offset: last.meta.last_offset,
                });
            }
            Some(_) => {}
        }
        if self.index_len + growth > MAX_INDEX_LEN {
            return Err(Error::IndexFull {
                length: self.index_len,
            });
        }
        Ok(growth)
    }

    fn account(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
        self.bytes_written += bytes.len() as u64;
    }

    /// Bytes handed out so far, the header included.
    pub fn bytes_written(&self) -> u64 {
        self.bytes_written
    }

    /// Bytes that the object would have if it were finished now.
    pub fn finished_len(&self) -> u64 {
        self.bytes_written + self.index_len + FOOTER_LEN as u64
    }

    /// Whether no block was added yet.
    pub fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    /// Ends the segment: returns the last bytes to append to the object, and what it holds.
    pub fn finish(mut self) -> (Vec<Bytes>, SegmentSummary) {
        let index_position = self.bytes_written;
        let blocks: Vec<BlockEntry> = std::mem::take(&mut self.partitions)
            .into_values()
            .flatten()
            .collect();
        let partitions = summarize(&blocks);
        let index = Bytes::from(Index::from_sorted(blocks).encode());
        let index_len = index.len() as u64;
        let object_len = index_position + index_len + FOOTER_LEN as u64;
        let footer = Bytes::from(
            Footer {
                index_position,
                index_len,
                object_len,
            }
            .encode(),
        );
        self.account(&index);
        self.account(&footer);
        let summary = SegmentSummary {
            bytes: object_len,
            blake3: self.digest.finish(),
            partitions,
        };
        (vec![index, footer], summary)
    }
}

/// What a finished segment holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentSummary {
    /// Bytes of the object.
    pub bytes: u64,
    /// BLAKE3 of the object.
    pub blake3: [u8; 32],
    /// What the segment holds of each partition, sorted by topic name (as bytes) and partition number.
    pub partitions: Vec<PartitionSummary>,
}

/// What a segment holds of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionSummary {
    /// The partition.
    pub partition: PartitionRef,
    /// Base offset of the first batch.
    pub first_offset: i64,
    /// Last offset of the last batch.
    pub last_offset: i64,
    /// Number of records.
    pub records: u64,
    /// Number of batches.
    pub batches: u64,
    /// Lowest [`min_timestamp`](crate::BlockMeta::min_timestamp) of its blocks.
    pub min_timestamp: i64,
    /// Highest [`max_timestamp`](crate::BlockMeta::max_timestamp) of its blocks.
    pub max_timestamp: i64,
    /// Bytes of its blocks in the object, block headers included.
    pub stored_bytes: u64,
    /// Number of its blocks.
    pub blocks: u64,
}

impl PartitionSummary {
    fn of_block(block: &BlockEntry) -> Self {
        Self {
            partition: block.partition.clone(),
            first_offset: block.meta.base_offset,
            last_offset: block.meta.last_offset,
            records: 0,
            batches: 0,
            min_timestamp: block.meta.min_timestamp,
            max_timestamp: block.meta.max_timestamp,
            stored_bytes: 0,
            blocks: 0,
        }
    }

    fn add(&mut self, block: &BlockEntry) {
        let range = block.range();
        self.last_offset = block.meta.last_offset;
        self.records = self.records.saturating_add(block.meta.records);
        self.batches += u64::from(block.meta.batches);
        self.min_timestamp = self.min_timestamp.min(block.meta.min_timestamp);
        self.max_timestamp = self.max_timestamp.max(block.meta.max_timestamp);
        self.stored_bytes += range.end - range.start;
        self.blocks += 1;
    }
}

/// Blocks of one partition are next to each other.
fn summarize(blocks: &[BlockEntry]) -> Vec<PartitionSummary> {
    blocks
        .chunk_by(|left, right| left.partition == right.partition)
        .filter_map(|chunk| {
            let mut summary = PartitionSummary::of_block(chunk.first()?);
            chunk.iter().for_each(|block| summary.add(block));
            Some(summary)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BlockMeta, Compression, TopicId, encode_block};

    #[test]
    fn a_segment_takes_blocks_until_its_index_is_full() {
        let meta = BlockMeta {
            base_offset: 0,
            last_offset: 0,
            min_timestamp: 0,
            max_timestamp: 0,
            batches: 1,
            records: 1,
        };
        let block = encode_block(meta, vec![Bytes::from_static(b"batch")], Compression::None, 0).unwrap();
        let partition = |number| PartitionRef::new("t", TopicId::ZERO, number);
        let mut writer = SegmentWriter::new(1, 2);
        // As if there were so many blocks that one more of a new partition fits.
        writer.index_len = MAX_INDEX_LEN - (68 + 26 + 1);
        writer.add_block(&partition(0), block.clone()).unwrap();
        let full = writer.add_block(&partition(1), block).unwrap_err();
        assert!(
            matches!(
                full,
                Error::IndexFull {
                    length: MAX_INDEX_LEN
                }
            ),
            "{full}"
        );
    }
}
