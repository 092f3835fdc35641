//! A block: whole record batches of one partition, in offset order, checksummed and maybe compressed.
//!
//! The index and the block's own header describe a block with the same fields, so that a reader can check one against
//! the other, and a segment whose index is lost can be read block by block.

mod body;
mod entry;

use std::fmt;

use bytes::Bytes;

use crate::checksum::crc32c_of;
use crate::compression::{Compression, compress, decompress};
use crate::error::{Error, Result};

pub(crate) use body::{BlockBody, DESCRIPTOR_LEN};

pub use body::BlockMeta;
pub use entry::BlockEntry;

/// The most bytes of batches in one block before compression: 1 GiB.
pub const MAX_BLOCK_LEN: u64 = 1 << 30;

/// A block that is ready to be appended to a segment.
#[derive(Clone)]
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

/// Without the batches, which are large and not for a log.
impl fmt::Debug for EncodedBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncodedBlock")
            .field("body", &self.body)
            .finish_non_exhaustive()
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
