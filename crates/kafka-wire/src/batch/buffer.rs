//! The bytes of a batch that is being written: room for its header, and records behind it.
//!
//! Most records go the short way: a head of a few bytes, then one copy of everything from the key to the last header,
//! then a copy of what is appended. They are written into a window that was filled with zeros beforehand, so that a
//! write is neither a growth check nor, for short records, a call: pieces of constant size are copied, and what they
//! write too much lies in the window and is written over. Records with anything unusual go the long way, which gives
//! the same bytes.

use super::crc::{combine, crc32c};
use super::header::HEADER_LEN;
use super::records::Record;
use super::varint::{SHORT_VARINT_BITS, short_varint, zigzag32, zigzag64};
use super::write::{Body, Suffix, push_record};

/// Largest window. What was written is summed up when one is full, while it is still in the cache.
const WINDOW: usize = 32 << 10;
/// The first window; each is twice as large as the one before.
const FIRST_WINDOW: usize = 2 << 10;
/// Room that a record's head may take: length, attributes and two deltas, each number stored as a word of eight bytes.
const HEAD: usize = 32;
/// What copies of constant size may write too much.
const SLACK: usize = HEAD + 128;
/// Longest record, without what is appended, that goes the short way.
const LONGEST: usize = WINDOW / 4;

/// The bytes of a batch, header room included.
#[derive(Debug)]
pub(crate) struct RecordBuffer {
    /// What is written, up to `end`, and the rest of the window.
    bytes: Vec<u8>,
    end: usize,
    window: usize,
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
            end: HEADER_LEN,
            window: FIRST_WINDOW,
            crc: 0,
            summed: HEADER_LEN,
            sums: false,
        }
    }

    /// Size of the batch so far.
    pub(crate) fn len(&self) -> usize {
        self.end
    }

    pub(crate) fn records(&self) -> &[u8] {
        self.bytes.get(HEADER_LEN..self.end).unwrap_or_default()
    }

    /// Makes room for `additional` bytes; `sums` when [`RecordBuffer::take`] will end this batch.
    pub(crate) fn reserve(&mut self, additional: usize, sums: bool) {
        self.sums = sums;
        let unused = self.bytes.len() - self.end;
        self.bytes
            .reserve((additional + LONGEST.min(additional) + SLACK).saturating_sub(unused));
    }

    /// Forgets the records; keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.end = HEADER_LEN;
        self.crc = 0;
        self.summed = HEADER_LEN;
    }

    /// Takes the batch, whose header is still to be written, and the CRC of its records; starts over.
    pub(crate) fn take(&mut self) -> (Vec<u8>, u32) {
        self.sum();
        let mut whole = std::mem::replace(self, Self::new());
        whole.bytes.truncate(whole.end);
        // When most records were left out, their room is given back.
        if whole.bytes.capacity() / 2 > whole.end {
            whole.bytes.shrink_to_fit();
        }
        (whole.bytes, whole.crc)
    }

    /// Appends a record of parts; `None` when it does not fit the format's 32-bit lengths.
    pub(crate) fn push(&mut self, body: &Body<'_>, timestamp_delta: i64, offset_delta: i32) -> Option<()> {
        self.bytes.truncate(self.end);
        self.window = FIRST_WINDOW;
        let pushed = push_record(&mut self.bytes, body, timestamp_delta, offset_delta);
        self.end = self.bytes.len();
        if self.sums && self.end - self.summed >= WINDOW {
            self.sum();
        }
        pushed
    }

    /// Appends `record` and what is to be appended to it: the same as [`RecordBuffer::push`] of its parts.
    ///
    /// `tail` is what the record was read from, from its key's length on; it may go on behind the record.
    #[inline(always)]
    pub(crate) fn push_copy(
        &mut self,
        record: &Record<'_>,
        tail: &[u8],
        suffix: Suffix<'_>,
        timestamp_delta: i64,
        offset_delta: i32,
    ) -> Option<()> {
        let copied = self.push_short(record, tail, suffix, timestamp_delta, offset_delta);
        if copied.is_some() {
            return copied;
        }
        self.push(&Body::of(record, suffix), timestamp_delta, offset_delta)
    }

    /// The short way; `None`, and nothing written, when the record cannot go it.
    #[inline(always)]
    fn push_short(
        &mut self,
        record: &Record<'_>,
        tail: &[u8],
        suffix: Suffix<'_>,
        timestamp_delta: i64,
        offset_delta: i32,
    ) -> Option<()> {
        let (count_at, own_headers) = (record.key_and_value.len(), record.headers.stored().len());
        // The count of headers is written over: it took a byte and takes one.
        let tail_len = count_at + 1 + own_headers;
        let count = record.headers.len() + suffix.count as usize;
        let (timestamp, offset) = (zigzag64(timestamp_delta), zigzag32(offset_delta));
        if record.tail_len != tail_len
            || count >= 64
            || tail_len > LONGEST
            || suffix.bytes.len() > LONGEST
            || timestamp >> SHORT_VARINT_BITS != 0
            || offset >> SHORT_VARINT_BITS != 0
        {
            return None;
        }
        let (timestamp, timestamp_len) = short_varint(timestamp as u32);
        let (offset, offset_len) = short_varint(offset);
        let len = 1 + timestamp_len + offset_len + tail_len + suffix.bytes.len();
        let (len_word, len_len) = short_varint((len as u32) << 1);
        let whole = len_len + len;
        let out = self.window(whole + SLACK)?;

        let (head, _) = out.split_first_chunk_mut::<HEAD>()?;
        let mut at = 0;
        put_word(head, &mut at, len_word, len_len)?;
        put_word(head, &mut at, u64::from(record.attributes as u8), 1)?;
        put_word(head, &mut at, timestamp, timestamp_len)?;
        put_word(head, &mut at, offset, offset_len)?;
        let rest = out.get_mut(at..)?;
        copy(rest, tail, tail_len)?;
        *rest.get_mut(count_at)? = (count << 1) as u8;
        let appended = rest.get_mut(tail_len..)?;
        copy(appended, suffix.padded, suffix.bytes.len())?;
        suffix.finish(appended);
        self.end += whole;
        Some(())
    }

    /// At least `needed` bytes behind what is written.
    #[inline(always)]
    fn window(&mut self, needed: usize) -> Option<&mut [u8]> {
        if self.bytes.len() - self.end < needed {
            self.open(needed);
        }
        self.bytes.get_mut(self.end..)
    }

    #[cold]
    #[inline(never)]
    fn open(&mut self, needed: usize) {
        if self.sums {
            self.sum();
        }
        let most = self.bytes.capacity().saturating_sub(self.end);
        let size = self.window.min(most).max(needed);
        self.window = (self.window * 2).min(WINDOW);
        self.bytes.resize(self.end + size, 0);
    }

    fn sum(&mut self) {
        let new = self.bytes.get(self.summed..self.end).unwrap_or_default();
        self.crc = combine(self.crc, crc32c(new), new.len() as u32);
        self.summed = self.end;
    }
}

/// Writes the bytes of `word` at `at`, of which `len` count.
#[inline(always)]
fn put_word(head: &mut [u8; HEAD], at: &mut usize, word: u64, len: usize) -> Option<()> {
    *head.get_mut(*at..)?.first_chunk_mut::<8>()? = word.to_le_bytes();
    *at += len;
    Some(())
}

/// Copies `len` bytes, and up to 64 more when both sides have them: that saves a call.
#[inline(always)]
fn copy(to: &mut [u8], from: &[u8], len: usize) -> Option<()> {
    let constant = match len {
        0 => return Some(()),
        1..=32 => copy_chunk::<32>(to, from),
        33..=64 => copy_chunk::<64>(to, from),
        65..=96 => copy_chunk::<96>(to, from),
        97..=128 => copy_chunk::<128>(to, from),
        _ => None,
    };
    if constant.is_some() {
        return constant;
    }
    to.get_mut(..len)?.copy_from_slice(from.get(..len)?);
    Some(())
}

#[inline(always)]
fn copy_chunk<const N: usize>(to: &mut [u8], from: &[u8]) -> Option<()> {
    *to.first_chunk_mut::<N>()? = *from.first_chunk::<N>()?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{BatchHeader, Codec, RecordIter};
    use proptest::prelude::*;

    /// Varints as some other producer might write them: longer than they need be.
    fn padded(value: i64, extra: usize) -> Vec<u8> {
        let mut rest = zigzag64(value);
        let mut bytes = Vec::new();
        while rest >= 0x80 {
            bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        bytes.push(rest as u8);
        for _ in 0..extra.min(5usize.saturating_sub(bytes.len())) {
            *bytes.last_mut().unwrap() |= 0x80;
            bytes.push(0);
        }
        bytes
    }

    #[derive(Debug, Clone)]
    struct Stored {
        attributes: u8,
        timestamp_delta: i64,
        key: Option<usize>,
        value: Option<usize>,
        headers: usize,
        /// How many bytes each varint is longer than it need be.
        extra: [usize; 4],
        /// Where it is written to, which need not be where it was.
        written: (i64, i32),
    }

    impl Stored {
        fn encode(&self) -> Vec<u8> {
            let mut body = vec![self.attributes];
            body.extend(padded(self.timestamp_delta, self.extra[0]));
            body.extend(padded(3, 0));
            for field in [self.key, self.value] {
                body.extend(padded(field.map_or(-1, |len| len as i64), self.extra[1]));
                body.extend((0..field.unwrap_or(0)).map(|i| i as u8));
            }
            body.extend(padded(self.headers as i64, self.extra[2]));
            body.extend([2, b'h', 1].repeat(self.headers));
            let mut whole = padded(body.len() as i64, self.extra[3]);
            whole.extend(body);
            whole
        }
    }

    fn stored() -> impl Strategy<Value = Stored> {
        let length = || {
            prop_oneof![
                1 => Just(None),
                8 => (0..300usize).prop_map(Some),
                1 => prop::sample::select(vec![LONGEST - 8, LONGEST, WINDOW, 3 * WINDOW]).prop_map(Some),
            ]
        };
        let headers = prop_oneof![6 => 0..5usize, 1 => 58..70usize];
        let extra = prop_oneof![4 => Just(0usize), 1 => 0..3usize];
        let delta =
            || prop_oneof![8 => -10_000..10_000i64, 1 => any::<i64>(), 1 => (1i64 << 27) - 2..(1 << 27) + 2];
        let index = prop_oneof![8 => 0..100_000, 1 => (1i32 << 27) - 2..(1 << 27) + 2];
        (
            any::<u8>(),
            delta(),
            length(),
            length(),
            headers,
            [extra.clone(), extra.clone(), extra.clone(), extra],
            (delta(), index),
        )
            .prop_map(
                |(attributes, timestamp_delta, key, value, headers, extra, written)| Stored {
                    attributes,
                    timestamp_delta: if extra[0] > 0 {
                        timestamp_delta % 1_000
                    } else {
                        timestamp_delta
                    },
                    key,
                    value,
                    headers,
                    extra,
                    written,
                },
            )
    }

    proptest! {
        #[test]
        fn the_short_way_gives_what_the_long_way_gives(
            records in prop::collection::vec(stored(), 1..60),
            suffix in prop::sample::select(vec![0usize, 1, 28, 32, 33, 91, 127, 128, 129, 400, LONGEST + 1]),
            padding in prop::sample::select(vec![0usize, 128]),
            sums: bool,
            reserved in 0..40_000usize,
        ) {
            let encoded: Vec<u8> = records.iter().flat_map(Stored::encode).collect();
            let appended: Vec<u8> = (0..suffix + padding).map(|i| i as u8 ^ 0x55).collect();
            let suffix = Suffix { count: 1 + suffix as u32 / 200, bytes: &appended[..suffix], padded: &appended, slots: &[] };
            let header = BatchHeader { record_count: records.len() as i32, ..header() };
            let (mut short, mut long) = (RecordBuffer::new(), RecordBuffer::new());
            short.reserve(reserved, sums);
            let mut input = RecordIter::new(&header, &encoded);
            for stored in &records {
                let rest = input.rest();
                let record = input.next().unwrap().unwrap();
                let tail = &rest[record.raw.len() - record.tail_len..];
                let (delta, index) = stored.written;
                prop_assert!(short.push_copy(&record, tail, suffix, delta, index).is_some());
                prop_assert!(long.push(&Body::of(&record, suffix), delta, index).is_some());
                prop_assert_eq!(short.len(), long.len());
            }
            prop_assert_eq!(short.records(), long.records());
            let (bytes, crc) = short.take();
            prop_assert_eq!(crc, crc32c(&bytes[HEADER_LEN..]));
            prop_assert_eq!(long.take(), (bytes, crc));
        }
    }

    fn header() -> BatchHeader {
        crate::batch::BatchBuilder::new().build().unwrap().header
    }

    /// Otherwise the property above would compare the long way with itself.
    #[test]
    fn ordinary_records_go_the_short_way() {
        let mut builder = crate::batch::BatchBuilder::new();
        for _ in 0..100 {
            let value = Some(&[b'v'; 100][..]);
            builder
                .push(&crate::batch::NewRecord {
                    value,
                    ..Default::default()
                })
                .unwrap();
        }
        let batch = builder.build().unwrap();
        let mut input = RecordIter::new(&batch.header, batch.stored_records());
        let mut buffer = RecordBuffer::new();
        for index in 0..100 {
            let rest = input.rest();
            let record = input.next().unwrap().unwrap();
            let tail = &rest[record.raw.len() - record.tail_len..];
            assert_eq!(
                buffer.push_short(&record, tail, Suffix::EMPTY, 0, index),
                Some(())
            );
        }
        assert_eq!(buffer.records(), batch.stored_records());
        assert_eq!(batch.header.compression(), Ok(Codec::None));
    }

    #[test]
    fn room_that_was_not_needed_is_given_back() {
        let mut buffer = RecordBuffer::new();
        buffer.reserve(1 << 20, true);
        let (bytes, _) = buffer.take();
        assert_eq!(bytes.len(), HEADER_LEN);
        assert!(bytes.capacity() < 1 << 10);
    }
}
