//! The bytes of a batch that is being written: room for its header, and records behind it.
//!
//! Usual records go the short way: a length, then one copy of what stays, then a copy of what is appended. Short pieces
//! are copied with a constant size, which is a few instructions and no call, and what is written too much is cut off
//! again. All other records go the long way, which gives the same bytes.

use super::crc::{combine, crc32c};
use super::header::HEADER_LEN;
use super::usual::UsualRecord;
use super::varint::{SHORT_VARINT_BITS, short_varint, zigzag32, zigzag64};
use super::write::{Body, Suffix, push_record};

/// So much is summed up at once, while it is still in the cache.
const PIECE: usize = 32 << 10;
/// What copies of constant size may write too much.
const SLACK: usize = 128;
/// Longest record, what is appended included, that goes the short way.
pub(super) const LONGEST: usize = 8 << 10;

/// The bytes of a batch, header room included.
#[derive(Debug)]
pub(crate) struct RecordBuffer {
    bytes: Vec<u8>,
    /// CRC-32C of the records before `summed`.
    crc: u32,
    summed: usize,
    /// Whether the checksum will be asked for.
    sums: bool,
}

impl RecordBuffer {
    pub(crate) fn new() -> Self {
        Self {
            bytes: vec![0; HEADER_LEN],
            crc: 0,
            summed: HEADER_LEN,
            sums: false,
        }
    }

    /// Size of the batch so far.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn records(&self) -> &[u8] {
        self.bytes.get(HEADER_LEN..).unwrap_or_default()
    }

    /// Makes room for `additional` bytes; `sums` when [`RecordBuffer::take`] will end this batch.
    pub(crate) fn reserve(&mut self, additional: usize, sums: bool) {
        self.sums = sums;
        self.bytes.reserve(additional + SLACK);
    }

    /// Forgets the records; keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.truncate(HEADER_LEN);
        self.crc = 0;
        self.summed = HEADER_LEN;
    }

    /// Takes the batch, whose header is still to be written, and the CRC of its records; starts over.
    pub(crate) fn take(&mut self) -> (Vec<u8>, u32) {
        self.sum();
        let mut whole = std::mem::replace(self, Self::new());
        // When most records were left out, their room is given back.
        if whole.bytes.capacity() / 2 > whole.bytes.len() {
            whole.bytes.shrink_to_fit();
        }
        (whole.bytes, whole.crc)
    }

    /// Appends a record of parts; `None` when it does not fit the format's 32-bit lengths.
    pub(crate) fn push(&mut self, body: &Body<'_>, timestamp_delta: i64, offset_delta: i32) -> Option<()> {
        let pushed = push_record(&mut self.bytes, body, timestamp_delta, offset_delta);
        self.sum_piece();
        pushed
    }

    /// Appends the record that was read from the front of `input`, with other deltas, and what is to be appended to it:
    /// the same as [`RecordBuffer::push`] of its parts. `None`, and nothing written, when it has to go that way.
    #[inline(always)]
    pub(crate) fn push_usual(
        &mut self,
        input: &[u8],
        record: &UsualRecord,
        suffix: Suffix<'_>,
        timestamp_delta: i64,
        offset_delta: i32,
    ) -> Option<()> {
        let count = u32::from(record.count) + suffix.count;
        let (timestamp, offset) = (zigzag64(timestamp_delta), zigzag32(offset_delta));
        if count >= 64
            || record.end + suffix.len > LONGEST
            || (timestamp | u64::from(offset)) >> SHORT_VARINT_BITS != 0
        {
            return None;
        }
        // Everything from here on is copied.
        let as_it_is = record.timestamp_delta == timestamp_delta && record.offset_delta == offset_delta;
        let from = if as_it_is { record.body_at } else { record.tail_at };
        let (copied, tail) = (record.end - from, input.get(from..)?);
        let out = &mut self.bytes;
        if as_it_is {
            put(out, short_varint(((copied + suffix.len) as u32) << 1));
        } else {
            let (timestamp, offset) = (short_varint(timestamp as u32), short_varint(offset));
            let len = 1 + timestamp.1 + offset.1 + copied + suffix.len;
            put(out, short_varint((len as u32) << 1));
            put(out, (u32::from(record.attributes), 1));
            put(out, timestamp);
            put(out, offset);
        }
        let count_at = out.len() + record.count_at - from;
        copy(out, tail, copied);
        // The count of headers is written over: it took a byte and takes one.
        if let Some(place) = out.get_mut(count_at) {
            *place = (count << 1) as u8;
        }
        let suffix_at = out.len();
        copy(out, suffix.padded, suffix.len);
        if let Some(appended) = out.get_mut(suffix_at..) {
            suffix.finish(appended);
        }
        self.sum_piece();
        Some(())
    }

    #[inline(always)]
    fn sum_piece(&mut self) {
        if self.sums && self.bytes.len() - self.summed >= PIECE {
            self.sum();
        }
    }

    #[inline(never)]
    fn sum(&mut self) {
        let new = self.bytes.get(self.summed..).unwrap_or_default();
        self.crc = combine(self.crc, crc32c(new), new.len() as u32);
        self.summed = self.bytes.len();
    }
}

/// Appends a number of so many bytes.
#[inline(always)]
fn put(out: &mut Vec<u8>, (word, len): (u32, usize)) {
    append(out, &word.to_le_bytes(), len);
}

/// Appends the first `len` bytes of `from`, which has as many.
#[inline(always)]
fn copy(out: &mut Vec<u8>, from: &[u8], len: usize) {
    let copied = match len {
        0 => return,
        1..=32 => copy_chunk::<32>(out, from, len),
        33..=64 => copy_chunk::<64>(out, from, len),
        65..=96 => copy_chunk::<96>(out, from, len),
        97..=128 => copy_chunk::<128>(out, from, len),
        _ => false,
    };
    if !copied {
        out.extend_from_slice(from.get(..len).unwrap_or(from));
    }
}

/// Does it with a constant size, when there are so many bytes to be read.
#[inline(always)]
fn copy_chunk<const N: usize>(out: &mut Vec<u8>, from: &[u8], len: usize) -> bool {
    let chunk = from.first_chunk::<N>();
    if let Some(chunk) = chunk {
        append(out, chunk, len);
    }
    chunk.is_some()
}

/// Appends a piece of constant size, of which `len` bytes stay.
#[inline(always)]
fn append<const N: usize>(out: &mut Vec<u8>, piece: &[u8; N], len: usize) {
    let end = out.len() + len;
    out.extend_from_slice(piece);
    out.truncate(end);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_that_was_not_needed_is_given_back() {
        let mut buffer = RecordBuffer::new();
        buffer.reserve(1 << 20, true);
        let (bytes, _) = buffer.take();
        assert_eq!(bytes.len(), HEADER_LEN);
        assert!(bytes.capacity() < 1 << 10);
    }
}
