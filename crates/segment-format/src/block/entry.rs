//! A block's place in a segment, and the header that the block starts with.

use std::ops::Range;

use bytes::{Buf, BufMut, Bytes};

use super::body::{BlockBody, BlockMeta, DESCRIPTOR_LEN};
use crate::checksum::crc32c;
use crate::compression::Compression;
use crate::cursor::{Cursor, checked};
use crate::error::{Error, Part, Result};
use crate::partition::{FIXED_LEN as PARTITION_FIXED_LEN, PartitionRef};

const MAGIC: [u8; 4] = *b"KBLK";

/// A block in a segment: where it is and what it holds. Comes from the index, or from the block's own header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockEntry {
    /// The partition that all batches of the block belong to.
    pub partition: PartitionRef,
    /// Where the block starts, in bytes from the start of the object.
    pub position: u64,
    /// What the block holds.
    pub meta: BlockMeta,
    /// How the batches are stored.
    pub compression: Compression,
    /// Bytes of the batches: what decoding the block takes in memory.
    pub raw_len: u32,
    /// Bytes of the batches as they are stored.
    pub stored_len: u32,
    /// CRC-32C of the batches as they are stored.
    pub payload_crc: u32,
}

impl BlockEntry {
    pub(crate) fn new(partition: PartitionRef, position: u64, body: BlockBody) -> Self {
        let BlockBody {
            meta,
            compression,
            raw_len,
            stored_len,
            payload_crc,
        } = body;
        Self {
            partition,
            position,
            meta,
            compression,
            raw_len,
            stored_len,
            payload_crc,
        }
    }

    pub(crate) fn body(&self) -> BlockBody {
        let Self {
            meta,
            compression,
            raw_len,
            stored_len,
            payload_crc,
            ..
        } = *self;
        BlockBody {
            meta,
            compression,
            raw_len,
            stored_len,
            payload_crc,
        }
    }

    /// Bytes of the block's header, which the stored batches follow.
    pub fn header_len(&self) -> u64 {
        (MAGIC.len() + self.partition.encoded_len() + DESCRIPTOR_LEN + 4) as u64
    }

    /// Where the whole block is in the object: what [`decode_block`](crate::decode_block) needs.
    pub fn range(&self) -> Range<u64> {
        self.position
            ..self
                .position
                .saturating_add(self.header_len() + u64::from(self.stored_len))
    }

    /// The block header, complete with its checksum.
    pub(crate) fn encode_header(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.header_len() as usize);
        out.put_slice(&MAGIC);
        self.partition.encode(&mut out);
        self.body().encode(&mut out);
        out.put_u32(crc32c(&out));
        out.into()
    }

    /// Decodes the header of the block that starts at byte `position` of the object; `bytes` start there, and may hold
    /// more than the header.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`], [`Error::BadMagic`], [`Error::Checksum`], [`Error::Invalid`], all naming
    /// [`Part::BlockHeader`].
    pub fn decode_header(bytes: &[u8], position: u64) -> Result<Self> {
        let part = Part::BlockHeader;
        let mut cursor = Cursor::new(part, position, bytes);
        cursor.magic(MAGIC)?;
        // Where the checksum is depends on the length of the topic name, so that is looked at first.
        let name_len = PartitionRef::peek_name_len(&mut cursor)?;
        let crc_at = MAGIC.len() + PARTITION_FIXED_LEN + name_len + DESCRIPTOR_LEN;
        let mut fields = checked(part, position, bytes, crc_at)?;
        fields.take(MAGIC.len())?;
        let partition = PartitionRef::decode(&mut fields)?;
        let body = BlockBody::decode(&mut fields)?;
        Ok(Self::new(partition, position, body))
    }

    /// The stored batches of the block, after checking that `stored` is this block and not damaged.
    pub(super) fn checked_payload(&self, mut stored: Bytes) -> Result<Bytes> {
        let found = Self::decode_header(&stored, self.position)?;
        if let Some(field) = self.first_difference(&found) {
            let PartitionRef { topic, partition, .. } = &self.partition;
            return Err(Error::BlockMismatch {
                topic: topic.to_string(),
                partition: *partition,
                position: self.position,
                field,
            });
        }
        let position = self.position.saturating_add(self.header_len());
        let (available, needed) = (
            stored.len() as u64,
            self.header_len() + u64::from(self.stored_len),
        );
        if available < needed {
            let available = available.saturating_sub(self.header_len());
            let needed = self.stored_len.into();
            return Err(Error::Truncated {
                part: Part::BlockPayload,
                position,
                needed,
                available,
            });
        }
        if available > needed {
            let reason = format!("{} bytes behind the end of the block", available - needed);
            return Err(Error::Invalid {
                part: Part::BlockPayload,
                position,
                reason,
            });
        }
        stored.advance(self.header_len() as usize);
        let computed = crc32c(&stored);
        if computed != self.payload_crc {
            return Err(Error::PayloadChecksum {
                topic: self.partition.topic.to_string(),
                partition: self.partition.partition,
                base_offset: self.meta.base_offset,
                position,
                stored: self.payload_crc,
                computed,
            });
        }
        Ok(stored)
    }

    fn first_difference(&self, other: &Self) -> Option<&'static str> {
        let fields = [
            ("topic", self.partition.topic == other.partition.topic),
            ("topic id", self.partition.topic_id == other.partition.topic_id),
            ("partition", self.partition.partition == other.partition.partition),
            ("position", self.position == other.position),
            ("offsets, timestamps or counts", self.meta == other.meta),
            ("compression", self.compression == other.compression),
            ("raw length", self.raw_len == other.raw_len),
            ("stored length", self.stored_len == other.stored_len),
            ("payload checksum", self.payload_crc == other.payload_crc),
        ];
        fields.into_iter().find(|(_, same)| !same).map(|(field, _)| field)
    }
}
