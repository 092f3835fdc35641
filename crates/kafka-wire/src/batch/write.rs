//! Writing records, and the header in front of them.

use super::BatchError;
use super::append::Slot;
use super::crc::{combine, crc32c};
use super::header::{BatchHeader, CRC_START, HEADER_LEN, LENGTH_OVERHEAD};
use super::records::{Headers, Record};
use super::varint::{Small, push_i32, size_i32};

/// Appends a nullable byte string: its length, -1 for none, and its bytes.
pub(crate) fn push_bytes(
    out: &mut Vec<u8>,
    base_offset: i64,
    bytes: Option<&[u8]>,
) -> Result<(), BatchError> {
    let Some(bytes) = bytes else {
        push_i32(out, -1);
        return Ok(());
    };
    push_i32(
        out,
        i32::try_from(bytes.len()).map_err(|_| BatchError::TooLarge { base_offset })?,
    );
    out.extend_from_slice(bytes);
    Ok(())
}

/// Headers to be written behind those that a record has: how many, and how many bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Suffix<'a> {
    pub(crate) count: u32,
    pub(crate) len: usize,
    /// Their bytes and possibly more of no meaning, so that they can be copied in pieces of constant size.
    pub(crate) padded: &'a [u8],
    /// Numbers whose last digits are still to be put into a copy of the bytes: see [`Suffix::finish`].
    pub(crate) slots: &'a [Slot],
}

impl<'a> Suffix<'a> {
    pub(crate) const EMPTY: Suffix<'static> = Suffix {
        count: 0,
        len: 0,
        padded: &[],
        slots: &[],
    };

    /// The headers, but for what [`Suffix::finish`] puts in.
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.padded.get(..self.len).unwrap_or_default()
    }

    /// Puts what is different in each record into a copy of the bytes.
    #[inline(always)]
    pub(crate) fn finish(&self, copy: &mut [u8]) {
        for slot in self.slots {
            slot.finish(copy);
        }
    }
}

/// The parts of a record that are copied, not made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Body<'a> {
    pub(crate) attributes: i8,
    pub(crate) key_and_value: &'a [u8],
    pub(crate) headers: Headers<'a>,
    pub(crate) suffix: Suffix<'a>,
}

impl<'a> Body<'a> {
    /// The parts of a record that was read, and what is appended to it.
    pub(crate) fn of(record: &Record<'a>, suffix: Suffix<'a>) -> Self {
        Self {
            attributes: record.attributes,
            key_and_value: record.key_and_value,
            headers: record.headers,
            suffix,
        }
    }
}

/// Appends a record; `None` when it does not fit the format's 32-bit lengths.
#[inline]
pub(crate) fn push_record(
    out: &mut Vec<u8>,
    body: &Body<'_>,
    timestamp_delta: i64,
    offset_delta: i32,
) -> Option<()> {
    let mut fixed = Small::new();
    fixed.put_u8(body.attributes as u8);
    fixed.put_i64(timestamp_delta);
    fixed.put_i32(offset_delta);
    let header_count = i32::try_from(body.headers.len() as u64 + u64::from(body.suffix.count)).ok()?;
    let stored_headers = body.headers.stored();
    let len = fixed.len()
        + body.key_and_value.len()
        + size_i32(header_count)
        + stored_headers.len()
        + body.suffix.len;
    let mut head = Small::new();
    head.put_i32(i32::try_from(len).ok()?);
    out.reserve(head.len() + len);
    out.extend_from_slice(head.as_slice());
    out.extend_from_slice(fixed.as_slice());
    out.extend_from_slice(body.key_and_value);
    if header_count < 64 {
        out.push((header_count << 1) as u8);
    } else {
        push_i32(out, header_count);
    }
    out.extend_from_slice(stored_headers);
    let suffix_at = out.len();
    out.extend_from_slice(body.suffix.bytes());
    if let Some(suffix) = out.get_mut(suffix_at..) {
        body.suffix.finish(suffix);
    }
    Some(())
}

/// Fills in length and CRC of `header` and puts it over the first 61 bytes of `batch`, which holds room for it and the
/// records as they are stored.
pub(crate) fn seal(header: BatchHeader, batch: &mut [u8]) -> Result<BatchHeader, BatchError> {
    let crc = crc32c(batch.get(HEADER_LEN..).unwrap_or_default());
    seal_summed(header, batch, crc)
}

/// [`seal`] for records whose CRC-32C is known.
pub(crate) fn seal_summed(
    mut header: BatchHeader,
    batch: &mut [u8],
    records_crc: u32,
) -> Result<BatchHeader, BatchError> {
    let records = batch.len().saturating_sub(HEADER_LEN);
    let too_large = BatchError::TooLarge {
        base_offset: header.base_offset,
    };
    header.length = batch
        .len()
        .checked_sub(LENGTH_OVERHEAD)
        .and_then(|length| i32::try_from(length).ok())
        .ok_or(too_large.clone())?;
    let Some(head) = batch.first_chunk_mut::<HEADER_LEN>() else {
        return Err(too_large);
    };
    *head = header.encode();
    let (_, summed) = head.split_at(CRC_START);
    header.crc = combine(crc32c(summed), records_crc, records as u32);
    *head = header.encode();
    Ok(header)
}
