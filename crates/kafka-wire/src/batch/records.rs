//! The records of a batch, read in place.

use super::usual::UsualRecord;
use super::varint::{read_i32, read_i64};
use super::{BatchError, BatchHeader, RawBatch};
use crate::codec::Decompressor;

impl Decompressor {
    /// The records of `batch`, decompressed into `scratch` when they are compressed, and in place when not.
    ///
    /// At most `limit` bytes. `scratch` is used as in [`Decompressor::decompress`].
    pub fn records<'a>(
        &mut self,
        batch: &'a RawBatch,
        limit: usize,
        scratch: &'a mut Vec<u8>,
    ) -> Result<RecordIter<'a>, BatchError> {
        let codec = batch.header.compression()?;
        let bytes = self
            .decompress(codec, batch.stored_records(), limit, scratch)
            .map_err(|source| BatchError::codec(batch.header.base_offset, source))?;
        Ok(RecordIter::new(&batch.header, bytes))
    }
}

/// One record, its parts borrowed from the decompressed batch.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Unused by Kafka so far: 0.
    pub attributes: i8,
    /// Distance to the batch's base timestamp: see [`BatchHeader::timestamp`].
    pub timestamp_delta: i64,
    /// Distance to the batch's base offset.
    pub offset_delta: i32,
    /// The key: none and empty are different.
    pub key: Option<&'a [u8]>,
    /// The value: none (a tombstone) and empty are different.
    pub value: Option<&'a [u8]>,
    /// The headers, in order, duplicates kept.
    pub headers: Headers<'a>,
    /// The whole record as it is stored, its length in front.
    pub raw: &'a [u8],
    /// From the key's length to the value's last byte.
    pub(crate) key_and_value: &'a [u8],
}

/// The headers of a record, not parsed yet.
#[derive(Debug, Clone, Copy)]
pub struct Headers<'a> {
    count: u32,
    bytes: &'a [u8],
}

/// One header: the name as it is on the wire, which need not be UTF-8, and the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// The name.
    pub name: &'a [u8],
    /// The value: none and empty are different.
    pub value: Option<&'a [u8]>,
}

/// A header that does not parse; the index counts from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("header {index}: {problem}")]
pub struct HeaderError {
    /// Which header.
    pub index: u32,
    /// What is wrong.
    pub problem: &'static str,
}

impl<'a> Headers<'a> {
    /// No headers.
    pub(crate) const EMPTY: Self = Self { count: 0, bytes: &[] };

    /// Headers that are stored as `bytes`, if they are as many as `count` says.
    pub(crate) fn new(count: u32, bytes: &'a [u8]) -> Self {
        Self { count, bytes }
    }

    /// How many headers the record says it has.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The headers in order. The iterator ends after an error.
    pub fn iter(&self) -> HeaderIter<'a> {
        HeaderIter {
            index: 0,
            count: self.count,
            rest: self.bytes,
        }
    }

    /// Everything behind the count: the headers as they are stored.
    pub(crate) fn stored(&self) -> &'a [u8] {
        self.bytes
    }

    /// Walks over all headers, so that their stored bytes may be copied as a whole.
    #[inline(never)]
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        self.iter()
            .try_for_each(|header| header.map(drop))
            .map_err(|error| error.problem)
    }
}

impl<'a> IntoIterator for Headers<'a> {
    type Item = Result<Header<'a>, HeaderError>;
    type IntoIter = HeaderIter<'a>;

    fn into_iter(self) -> HeaderIter<'a> {
        self.iter()
    }
}

/// Iterator over [`Headers`].
#[derive(Debug, Clone)]
pub struct HeaderIter<'a> {
    index: u32,
    count: u32,
    rest: &'a [u8],
}

impl<'a> HeaderIter<'a> {
    fn header(&mut self) -> Result<Header<'a>, &'static str> {
        let (name, rest) = read_bytes(self.rest, "its name is cut")?;
        let name = name.ok_or("it has no name")?;
        let (value, rest) = read_bytes(rest, "its value is cut")?;
        self.rest = rest;
        Ok(Header { name, value })
    }
}

impl<'a> Iterator for HeaderIter<'a> {
    type Item = Result<Header<'a>, HeaderError>;

    fn next(&mut self) -> Option<Self::Item> {
        let index = self.index;
        let result = if index < self.count {
            self.index += 1;
            self.header()
        } else if self.rest.is_empty() {
            return None;
        } else {
            Err("bytes follow the last header")
        };
        if result.is_err() {
            self.index = self.count;
            self.rest = &[];
        }
        Some(result.map_err(|problem| HeaderError { index, problem }))
    }
}

impl std::iter::FusedIterator for HeaderIter<'_> {}

/// A length and as many bytes; a negative length means none, as in the Java client.
#[inline(always)]
fn read_bytes<'a>(input: &'a [u8], cut: &'static str) -> Result<(Option<&'a [u8]>, &'a [u8]), &'static str> {
    let (len, rest) = read_i32(input).ok_or(cut)?;
    match usize::try_from(len) {
        Ok(len) => {
            let (bytes, rest) = rest.split_at_checked(len).ok_or(cut)?;
            Ok((Some(bytes), rest))
        }
        Err(_) => Ok((None, rest)),
    }
}

/// Walks the decompressed records of a batch.
///
/// Yields as many records as the header says, or an error: for a record that does not parse, for bytes behind the last
/// record, for records that are missing. After an error it ends. Offset deltas are handed out as they are stored.
#[derive(Debug, Clone)]
pub struct RecordIter<'a> {
    base_offset: i64,
    count: u32,
    index: u32,
    total: usize,
    rest: &'a [u8],
    failed: bool,
}

impl<'a> RecordIter<'a> {
    /// A walk over `records`, the decompressed records of the batch with this header.
    pub fn new(header: &BatchHeader, records: &'a [u8]) -> Self {
        let count = header.record_count.max(0) as u32;
        Self {
            base_offset: header.base_offset,
            count,
            index: 0,
            total: records.len(),
            rest: records,
            failed: false,
        }
    }

    /// Bytes of records that have not been returned yet.
    pub fn remaining_bytes(&self) -> usize {
        self.rest.len()
    }

    /// The bytes of the records that have not been returned yet, and how many there should be.
    pub(crate) fn rest(&self) -> (&'a [u8], u32) {
        (self.rest, self.count - self.index)
    }

    /// Goes on behind `records` records, at `rest`: others have read them.
    pub(crate) fn skip_to(&mut self, rest: &'a [u8], records: u32) {
        self.rest = rest;
        self.index += records;
    }

    #[cold]
    fn fail(&mut self, problem: &'static str) -> BatchError {
        self.failed = true;
        BatchError::Record {
            base_offset: self.base_offset,
            index: self.index,
            position: self.total - self.rest.len(),
            problem,
        }
    }
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<Record<'a>, BatchError>;

    // Inlined, a record stays in registers; handed over in memory it costs as much again as reading it.
    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        if self.index == self.count {
            if self.rest.is_empty() {
                return None;
            }
            return Some(Err(self.fail("bytes follow the last record")));
        }
        match read_record(self.rest) {
            Ok((record, rest)) => {
                self.rest = rest;
                self.index += 1;
                Some(Ok(record))
            }
            Err(problem) => Some(Err(self.fail(problem))),
        }
    }
}

impl std::iter::FusedIterator for RecordIter<'_> {}

#[inline(always)]
pub(super) fn read_record(input: &[u8]) -> Result<(Record<'_>, &[u8]), &'static str> {
    match UsualRecord::read(input).and_then(|usual| read_usual(input, &usual)) {
        Some(read) => Ok(read),
        None => read_any(input),
    }
}

#[inline(always)]
fn read_usual<'a>(input: &'a [u8], usual: &UsualRecord) -> Option<(Record<'a>, &'a [u8])> {
    let (raw, rest) = input.split_at_checked(usual.end)?;
    let headers = Headers::new(u32::from(usual.count), raw.get(usual.count_at + 1..)?);
    let record = Record {
        attributes: usual.attributes as i8,
        timestamp_delta: usual.timestamp_delta,
        offset_delta: usual.offset_delta,
        key: usual.key.of(raw),
        value: usual.value.of(raw),
        headers,
        raw,
        key_and_value: raw.get(usual.tail_at..usual.count_at)?,
    };
    Some((record, rest))
}

#[inline(never)]
pub(super) fn read_any(input: &[u8]) -> Result<(Record<'_>, &[u8]), &'static str> {
    let (len, rest) = read_i32(input).ok_or("its length is cut")?;
    let len = usize::try_from(len).map_err(|_| "its length is negative")?;
    let (body, rest) = rest.split_at_checked(len).ok_or("it is cut")?;
    let raw = &input[..input.len() - rest.len()];

    let (&attributes, body) = body.split_first().ok_or("it is shorter than its fields")?;
    let (timestamp_delta, body) = read_i64(body).ok_or("its timestamp is cut")?;
    let (offset_delta, body) = read_i32(body).ok_or("its offset is cut")?;
    let (key, after_key) = read_bytes(body, "its key is cut")?;
    let (value, after_value) = read_bytes(after_key, "its value is cut")?;
    let key_and_value = &body[..body.len() - after_value.len()];
    let (count, bytes) = read_i32(after_value).ok_or("its header count is cut")?;
    // A header takes two bytes at least, so a count that cannot be true is seen before anybody counts on it.
    let count = u32::try_from(count).map_err(|_| "its header count is negative")?;
    if count as usize > bytes.len() / 2 || (count == 0 && !bytes.is_empty()) {
        return Err("its header count does not fit its length");
    }
    let headers = Headers { count, bytes };
    let attributes = attributes as i8;
    Ok((
        Record {
            attributes,
            timestamp_delta,
            offset_delta,
            key,
            value,
            headers,
            raw,
            key_and_value,
        },
        rest,
    ))
}

/// Checks that the offset deltas of a batch rise strictly and stay inside of it.
#[derive(Debug)]
pub(crate) struct DeltaCheck {
    base_offset: i64,
    last: i32,
    index: u32,
    previous: i32,
}

impl DeltaCheck {
    pub(crate) fn new(header: &BatchHeader) -> Self {
        Self {
            base_offset: header.base_offset,
            last: header.last_offset_delta,
            index: 0,
            previous: -1,
        }
    }

    #[inline]
    pub(crate) fn next(&mut self, delta: i32) -> Result<(), BatchError> {
        if !self.allows(delta) {
            return Err(BatchError::OffsetDelta {
                base_offset: self.base_offset,
                index: self.index,
                delta,
            });
        }
        self.pass(delta);
        Ok(())
    }

    /// Whether a record with this delta may come next.
    #[inline(always)]
    pub(crate) fn allows(&self, delta: i32) -> bool {
        delta > self.previous && delta <= self.last
    }

    /// Notes a record that was allowed.
    #[inline(always)]
    pub(crate) fn pass(&mut self, delta: i32) {
        self.previous = delta;
        self.index += 1;
    }
}
