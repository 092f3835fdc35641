//! A block: whole record batches of one partition, in offset order, checksummed and maybe compressed.
//!
//! The index and the block's own header describe a block with the same fields, so that a reader can check one against
//! the other, and a segment whose index is lost can be read block by block.

use std::ops::Range;

use bytes::{Buf, BufMut, Bytes};

use crate::checksum::{crc32c, crc32c_of};
use crate::compression::{Compression, compress, decompress, is_plausible};
use crate::cursor::{Cursor, checked};
use crate::error::{Error, Part, Result};
use crate::partition::{FIXED_LEN as PARTITION_FIXED_LEN, PartitionRef};

/// The most bytes of batches in one block before compression: 1 GiB.
pub const MAX_BLOCK_LEN: u64 = 1 << 30;

const MAGIC: [u8; 4] = *b"KBLK";

/// Bytes of the fields that the index and the block header share.
pub(crate) const DESCRIPTOR_LEN: usize = 60;

/// What the batches of a block hold. All of it is known from the batch headers, without decoding a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockMeta {
    /// Base offset of the first batch.
    pub base_offset: i64,
    /// Last offset of the last batch, as its header says: after compaction no record may have it.
    pub last_offset: i64,
    /// About the lowest timestamp of a record, in milliseconds; the lowest base timestamp of a batch will do. A hint
    /// for people: records may be older, so a reader must not skip a block for it.
    pub min_timestamp: i64,
    /// The highest timestamp of a record, in milliseconds (the highest `maxTimestamp` of a batch). No record of the
    /// block is newer, so a reader may skip the block when it looks for newer records.
    pub max_timestamp: i64,
    /// Number of batches.
    pub batches: u32,
    /// Number of records in the batches.
    pub records: u64,
}

impl BlockMeta {
    fn problem(&self) -> Option<&'static str> {
        if self.base_offset < 0 {
            Some("the base offset is negative")
        } else if self.last_offset < self.base_offset {
            Some("the last offset is before the base offset")
        } else if self.batches == 0 {
            Some("it holds no batch")
        } else {
            None
        }
    }
}

/// A block that is ready to be appended to a segment.
#[derive(Debug, Clone)]
pub struct EncodedBlock {
    pub(crate) body: BlockBody,
    /// The stored batches; together `body.stored_len` bytes.
    pub(crate) payload: Vec<Bytes>,
}

impl EncodedBlock {
    /// What the block holds.
    pub fn meta(&self) -> &BlockMeta {
        &self.body.meta
    }

    /// How the batches are stored: not compressed, if compression did not make them smaller.
    pub fn compression(&self) -> Compression {
        self.body.compression
    }

    /// Bytes of the batches before compression.
    pub fn raw_len(&self) -> u32 {
        self.body.raw_len
    }

    /// Bytes of the batches as they are stored.
    pub fn stored_len(&self) -> u32 {
        self.body.stored_len
    }

    /// Takes a block out of a segment, to append it to another one without compressing it again. `stored` is the whole
    /// block, as for [`decode_block`].
    ///
    /// # Errors
    ///
    /// Those of [`decode_block`], except that the payload is not decompressed.
    pub fn from_stored(entry: &BlockEntry, stored: Bytes) -> Result<Self> {
        let payload = entry.checked_payload(stored)?;
        Ok(Self {
            body: entry.body(),
            payload: vec![payload],
        })
    }
}

/// Compresses and checksums the batches of a block. This is the expensive part of writing a segment; it needs no
/// segment, and can run on any thread (compression contexts are kept for each thread).
///
/// `batches` are whole batches in offset order, exactly as the broker sent them, in as many slices as is convenient.
/// `level` is a level of Zstandard and ignored for the others. With [`Compression::None`], or when compression does
/// not make the batches smaller, the given `Bytes` are kept and nothing is copied.
///
/// # Errors
///
/// [`Error::InvalidBlock`] when `meta` is impossible or there are no bytes or more than [`MAX_BLOCK_LEN`];
/// [`Error::Compress`] for a level that Zstandard does not have.
pub fn encode_block(
    meta: BlockMeta,
    batches: Vec<Bytes>,
    compression: Compression,
    level: i32,
) -> Result<EncodedBlock> {
    let invalid = |reason: String| Error::InvalidBlock {
        base_offset: meta.base_offset,
        reason,
    };
    if let Some(problem) = meta.problem() {
        return Err(invalid(problem.to_owned()));
    }
    let total = batches.iter().map(|slice| slice.len() as u64).sum::<u64>();
    if total == 0 || total > MAX_BLOCK_LEN {
        return Err(invalid(format!(
            "it has {total} bytes; 1 to {MAX_BLOCK_LEN} are allowed"
        )));
    }
    let raw_len = u32::try_from(total).map_err(|error| invalid(error.to_string()))?;

    let (compression, payload) = match compress(compression, level, &batches, raw_len as usize) {
        Ok(Some((used, stored))) => (used, vec![Bytes::from(stored)]),
        Ok(None) => (Compression::None, batches),
        Err(reason) => {
            return Err(Error::Compress {
                base_offset: meta.base_offset,
                compression,
                level,
                reason,
            });
        }
    };
    // Not longer than the raw batches, which fit.
    let stored_len = payload
        .iter()
        .fold(0, |sum: u32, slice| sum.saturating_add(slice.len() as u32));
    let payload_crc = crc32c_of(&payload);
    Ok(EncodedBlock {
        body: BlockBody {
            meta,
            compression,
            raw_len,
            stored_len,
            payload_crc,
        },
        payload,
    })
}

/// The fields that the index and the block header share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockBody {
    pub(crate) meta: BlockMeta,
    pub(crate) compression: Compression,
    pub(crate) raw_len: u32,
    pub(crate) stored_len: u32,
    pub(crate) payload_crc: u32,
}

impl BlockBody {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.put_i64(self.meta.base_offset);
        out.put_i64(self.meta.last_offset);
        out.put_i64(self.meta.min_timestamp);
        out.put_i64(self.meta.max_timestamp);
        out.put_u64(self.meta.records);
        out.put_u32(self.meta.batches);
        out.put_u32(self.raw_len);
        out.put_u32(self.stored_len);
        out.put_u32(self.payload_crc);
        out.put_u8(self.compression.code());
        out.put_bytes(0, 3);
    }

    pub(crate) fn decode(cursor: &mut Cursor<'_>) -> Result<Self> {
        let position = cursor.position();
        let (base_offset, last_offset) = (cursor.i64()?, cursor.i64()?);
        let (min_timestamp, max_timestamp) = (cursor.i64()?, cursor.i64()?);
        let (records, batches) = (cursor.u64()?, cursor.u32()?);
        let (raw_len, stored_len, payload_crc) = (cursor.u32()?, cursor.u32()?, cursor.u32()?);
        let code = cursor.u8()?;
        let compression = Compression::from_code(code)
            .ok_or_else(|| cursor.invalid_at(position, format!("compression {code} is not known")))?;
        cursor.zeros::<3>()?;

        let meta = BlockMeta {
            base_offset,
            last_offset,
            min_timestamp,
            max_timestamp,
            batches,
            records,
        };
        if let Some(problem) = meta.problem() {
            return Err(cursor.invalid_at(position, format!("the block is impossible: {problem}")));
        }
        let (raw, stored) = (u64::from(raw_len), u64::from(stored_len));
        if raw == 0 || raw > MAX_BLOCK_LEN || !is_plausible(compression, raw, stored) {
            let reason =
                format!("a block of {raw} bytes stored in {stored} bytes with compression {compression}");
            return Err(cursor.invalid_at(position, reason));
        }
        Ok(Self {
            meta,
            compression,
            raw_len,
            stored_len,
            payload_crc,
        })
    }
}

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

    /// Where the whole block is in the object: what [`decode_block`] needs.
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
    fn checked_payload(&self, mut stored: Bytes) -> Result<Bytes> {
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

/// Checks a block and returns its batches, exactly as the broker sent them.
///
/// `stored` is the whole block, header included: the bytes of [`BlockEntry::range`]. A block that is not compressed is
/// returned as a slice of `stored`, without a copy; any other takes [`BlockEntry::raw_len`] bytes of memory, which is
/// at most [`MAX_BLOCK_LEN`] and at most 1024 times the stored length.
///
/// # Errors
///
/// [`Error::Truncated`], [`Error::BadMagic`], [`Error::Checksum`] and [`Error::Invalid`] for a damaged header,
/// [`Error::BlockMismatch`] when the block is another than `entry`, [`Error::PayloadChecksum`] for damaged batches,
/// [`Error::Decompress`].
pub fn decode_block(entry: &BlockEntry, stored: Bytes) -> Result<Bytes> {
    let payload = entry.checked_payload(stored)?;
    let decompress_error = |reason: String| Error::Decompress {
        topic: entry.partition.topic.to_string(),
        partition: entry.partition.partition,
        base_offset: entry.meta.base_offset,
        position: entry.position,
        reason,
    };
    match entry.compression {
        Compression::None => Ok(payload),
        compression => decompress(compression, &payload, entry.raw_len as usize)
            .map(Bytes::from)
            .map_err(decompress_error),
    }
}
