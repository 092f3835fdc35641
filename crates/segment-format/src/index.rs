//! The table of a segment's partitions and blocks: what a reader needs to fetch only the bytes that it wants.

use std::ops::Range;

use bytes::BufMut;

use crate::block::{BlockBody, BlockEntry, DESCRIPTOR_LEN};
use crate::checksum::crc32c;
use crate::cursor::{Cursor, checked};
use crate::error::{Part, Result};
use crate::footer::Footer;
use crate::header::HEADER_LEN;
use crate::partition::{FIXED_LEN as PARTITION_FIXED_LEN, PartitionRef};

const MAGIC: [u8; 4] = *b"KBIX";

/// Magic, number of partitions, number of blocks, checksum.
pub(crate) const INDEX_FIXED_LEN: u64 = 16;
/// Bytes for each block: position, descriptor.
pub(crate) const INDEX_BLOCK_LEN: u64 = 8 + DESCRIPTOR_LEN as u64;
/// Bytes for each partition, besides its name: partition, number of blocks.
pub(crate) const INDEX_PARTITION_LEN: u64 = PARTITION_FIXED_LEN as u64 + 4;

/// The index of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    partitions: Vec<IndexPartition>,
    blocks: Vec<BlockEntry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct IndexPartition {
    partition: PartitionRef,
    /// Its blocks in `Index::blocks`.
    blocks: Range<usize>,
}

impl Index {
    /// An index of `blocks`, which are sorted by topic, partition and offset.
    pub(crate) fn from_sorted(blocks: Vec<BlockEntry>) -> Self {
        let mut partitions: Vec<IndexPartition> = Vec::new();
        for (number, block) in blocks.iter().enumerate() {
            match partitions.last_mut() {
                Some(last) if last.partition == block.partition => last.blocks.end = number + 1,
                _ => partitions.push(IndexPartition {
                    partition: block.partition.clone(),
                    blocks: number..number + 1,
                }),
            }
        }
        Self { partitions, blocks }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_slice(&MAGIC);
        // The writer keeps the index below `MAX_INDEX_LEN`, so the numbers fit.
        out.put_u32(self.partitions.len() as u32);
        out.put_u32(self.blocks.len() as u32);
        for entry in &self.partitions {
            entry.partition.encode(&mut out);
            out.put_u32(entry.blocks.len() as u32);
        }
        for block in &self.blocks {
            out.put_u64(block.position);
            block.body().encode(&mut out);
        }
        out.put_u32(crc32c(&out));
        out
    }

    /// Decodes the bytes of [`Footer::index_range`].
    ///
    /// Also checked: partitions are sorted and named once, a partition's blocks are in offset order, and the blocks
    /// fill the object from its header to the index without a hole, so that no byte of a segment is outside of every
    /// checksum.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`](crate::Error::Truncated), [`Error::BadMagic`](crate::Error::BadMagic),
    /// [`Error::Checksum`](crate::Error::Checksum), [`Error::Invalid`](crate::Error::Invalid), all naming
    /// [`Part::Index`].
    pub fn decode(bytes: &[u8], footer: &Footer) -> Result<Self> {
        let (part, position) = (Part::Index, footer.index_position);
        Cursor::new(part, position, bytes).magic(MAGIC)?;
        if bytes.len() as u64 != footer.index_len {
            let reason = format!("{} bytes instead of {}", bytes.len(), footer.index_len);
            return Err(crate::Error::Invalid {
                part,
                position,
                reason,
            });
        }
        let mut fields = checked(part, position, bytes, bytes.len().saturating_sub(4))?;
        fields.take(MAGIC.len())?;
        let partitions = decode_partitions(&mut fields)?;
        let blocks = decode_blocks(&mut fields, &partitions)?;
        if fields.remaining() > 0 {
            let reason = format!("{} bytes behind the last block", fields.remaining());
            return Err(fields.invalid_at(fields.position(), reason));
        }
        let index = Self { partitions, blocks };
        if let Some(reason) = index.hole_before(position) {
            return Err(fields.invalid_at(position, reason));
        }
        Ok(index)
    }

    /// Why the blocks do not fill the object from the header to `end`, if they do not.
    fn hole_before(&self, end: u64) -> Option<String> {
        let mut expected = HEADER_LEN as u64;
        for block in self.blocks_by_position() {
            if block.position != expected {
                return Some(format!(
                    "a block at byte {} where byte {expected} is expected",
                    block.position
                ));
            }
            expected = block.range().end;
        }
        (expected != end)
            .then(|| format!("the blocks end at byte {expected}, the index starts at byte {end}"))
    }

    /// The partitions in the segment, sorted by topic name (as bytes) and number.
    pub fn partitions(&self) -> impl ExactSizeIterator<Item = &PartitionRef> {
        self.partitions.iter().map(|entry| &entry.partition)
    }

    /// All blocks, sorted by topic name, partition number and offset.
    pub fn blocks(&self) -> &[BlockEntry] {
        &self.blocks
    }

    /// All blocks in the order in which they are stored, for reading a whole segment from start to end.
    pub fn blocks_by_position(&self) -> Vec<&BlockEntry> {
        let mut blocks: Vec<&BlockEntry> = self.blocks.iter().collect();
        blocks.sort_unstable_by_key(|block| block.position);
        blocks
    }

    /// The blocks of a partition in offset order; none if the segment does not hold the partition.
    pub fn blocks_of(&self, topic: &str, partition: i32) -> &[BlockEntry] {
        let found = self.partitions.binary_search_by(|entry| {
            (entry.partition.topic.as_ref(), entry.partition.partition).cmp(&(topic, partition))
        });
        let range = found
            .ok()
            .and_then(|number| self.partitions.get(number))
            .map(|entry| entry.blocks.clone());
        range.and_then(|range| self.blocks.get(range)).unwrap_or_default()
    }

    /// The blocks of a partition that hold offsets in `offsets` (the end is exclusive), in offset order. The first and
    /// the last of them may hold other offsets too.
    pub fn blocks_in_offsets(&self, topic: &str, partition: i32, offsets: Range<i64>) -> &[BlockEntry] {
        if offsets.is_empty() {
            return &[];
        }
        let blocks = self.blocks_of(topic, partition);
        let start = blocks.partition_point(|block| block.meta.last_offset < offsets.start);
        let end = blocks.partition_point(|block| block.meta.base_offset < offsets.end);
        blocks.get(start..end).unwrap_or_default()
    }

    /// The blocks of a partition that may hold records with a timestamp of `timestamp` (milliseconds) or later, in
    /// offset order. Timestamps need not ascend with offsets, so the blocks need not be neighbours.
    pub fn blocks_since(
        &self,
        topic: &str,
        partition: i32,
        timestamp: i64,
    ) -> impl Iterator<Item = &BlockEntry> {
        self.blocks_of(topic, partition)
            .iter()
            .filter(move |block| block.meta.max_timestamp >= timestamp)
    }
}

fn decode_partitions(cursor: &mut Cursor<'_>) -> Result<Vec<IndexPartition>> {
    let position = cursor.position();
    let (partition_count, block_count) = (cursor.u32()?, cursor.u32()?);
    let least = u64::from(partition_count) * INDEX_PARTITION_LEN + u64::from(block_count) * INDEX_BLOCK_LEN;
    if least > cursor.remaining() as u64 {
        let reason = format!("{partition_count} partitions and {block_count} blocks do not fit into it");
        return Err(cursor.invalid_at(position, reason));
    }
    let mut partitions: Vec<IndexPartition> = Vec::with_capacity(partition_count as usize);
    let mut unassigned = block_count as usize;
    let mut first_block = 0;
    for _ in 0..partition_count {
        let position = cursor.position();
        let partition = PartitionRef::decode(cursor)?;
        let count = cursor.u32()? as usize;
        if partitions
            .last()
            .is_some_and(|last| !sorts_before(&last.partition, &partition))
        {
            return Err(cursor.invalid_at(position, format!("{partition} is not in order, or there twice")));
        }
        if count == 0 || count > unassigned {
            let reason = format!("{partition} has {count} of {unassigned} blocks");
            return Err(cursor.invalid_at(position, reason));
        }
        partitions.push(IndexPartition {
            partition,
            blocks: first_block..first_block + count,
        });
        first_block += count;
        unassigned -= count;
    }
    if unassigned > 0 {
        let reason = format!("{unassigned} of {block_count} blocks are of no partition");
        return Err(cursor.invalid_at(position, reason));
    }
    Ok(partitions)
}

fn sorts_before(left: &PartitionRef, right: &PartitionRef) -> bool {
    (&left.topic, left.partition) < (&right.topic, right.partition)
}

fn decode_blocks(cursor: &mut Cursor<'_>, partitions: &[IndexPartition]) -> Result<Vec<BlockEntry>> {
    let count = partitions.last().map_or(0, |last| last.blocks.end);
    let mut blocks = Vec::with_capacity(count);
    for IndexPartition {
        partition,
        blocks: range,
    } in partitions
    {
        let mut previous_last = None;
        for _ in range.clone() {
            let at = cursor.position();
            let position = cursor.u64()?;
            let block = BlockEntry::new(partition.clone(), position, BlockBody::decode(cursor)?);
            if previous_last.is_some_and(|last| block.meta.base_offset <= last) {
                return Err(
                    cursor.invalid_at(at, format!("the blocks of {partition} are not in offset order"))
                );
            }
            previous_last = Some(block.meta.last_offset);
            blocks.push(block);
        }
    }
    Ok(blocks)
}
