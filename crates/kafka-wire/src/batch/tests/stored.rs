//! Records as any producer may have stored them: the fast ways give what the general way gives, errors included.

use proptest::prelude::*;

use crate::batch::append::SuffixWriter;
use crate::batch::buffer::{LONGEST, RecordBuffer};
use crate::batch::records::{DeltaCheck, read_any, read_record};
use crate::batch::usual::UsualRecord;
use crate::batch::varint::zigzag64;
use crate::batch::write::{Body, Suffix};
use crate::batch::*;

/// A varint that may be longer than it need be.
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
    offset_delta: i32,
    /// A negative number of bytes: none.
    key: i32,
    value: i32,
    headers: usize,
    /// How many bytes each varint is longer than it need be.
    extra: [usize; 5],
    /// What it is written with; as it is stored, when there is nothing.
    written: Option<(i64, i32)>,
}

impl Stored {
    fn encode(&self) -> Vec<u8> {
        let mut body = vec![self.attributes];
        body.extend(padded(self.timestamp_delta, self.extra[0]));
        body.extend(padded(i64::from(self.offset_delta), self.extra[4]));
        for field in [self.key, self.value] {
            body.extend(padded(i64::from(field), self.extra[1]));
            body.extend((0..field.max(0)).map(|i| i as u8));
        }
        body.extend(padded(self.headers as i64, self.extra[2]));
        body.extend([2, b'h', 1].repeat(self.headers));
        let mut whole = padded(body.len() as i64, self.extra[3]);
        whole.extend(body);
        whole
    }
}

fn stored() -> impl Strategy<Value = Stored> {
    let large = [LONGEST - 8, LONGEST, 4 * LONGEST, 12 * LONGEST]
        .map(|len| len as i32)
        .to_vec();
    let length = || {
        prop_oneof![
            2 => prop::sample::select(vec![-1, 0, 1, -1, -17, i32::MIN]),
            8 => 0..300,
            1 => prop::sample::select(large.clone()),
        ]
    };
    let headers = prop_oneof![4 => Just(0usize), 3 => 0..5usize, 1 => 58..70usize];
    let extra = || prop_oneof![8 => Just(0usize), 1 => 0..3usize];
    let edges =
        |bits: Vec<u32>| prop::sample::select(bits).prop_flat_map(|bit| (1i64 << bit) - 2..(1i64 << bit) + 2);
    let delta =
        move || prop_oneof![8 => -10_000..10_000i64, 1 => any::<i64>(), 1 => edges(vec![6, 13, 20, 27, 34])];
    let index = move || {
        prop_oneof![8 => 0..100_000i64, 1 => edges(vec![6, 13, 20, 27])].prop_map(|index| index as i32)
    };
    let written = prop_oneof![Just(None), (delta(), index()).prop_map(Some)];
    let extras = [extra(), extra(), extra(), extra(), extra()];
    (
        any::<u8>(),
        delta(),
        index(),
        length(),
        length(),
        headers,
        extras,
        written,
    )
        .prop_map(
            |(attributes, timestamp_delta, offset_delta, key, value, headers, extra, written)| Stored {
                attributes,
                timestamp_delta,
                offset_delta,
                key,
                value,
                headers,
                extra,
                written,
            },
        )
}

/// Records of which most are stored as a producer would, with deltas that rise.
fn rising() -> impl Strategy<Value = Vec<Stored>> {
    (prop::collection::vec((stored(), 0..40u8), 1..30), 0..3i32).prop_map(|(mut records, gap)| {
        let mut next = 0;
        for (record, odd) in &mut records {
            (record.key, record.value) = (record.key.min(300), record.value.min(300));
            if *odd > 0 {
                (record.offset_delta, record.extra) = (next, [0; 5]);
            }
            next = record.offset_delta.saturating_add(1 + gap);
        }
        records.into_iter().map(|(record, _)| record).collect()
    })
}

fn batch_of(
    records: &[u8],
    base_offset: i64,
    count: usize,
    last_offset_delta: i32,
    base_timestamp: i64,
) -> RawBatch {
    let mut batch = BatchBuilder::new().base_offset(base_offset).build().unwrap();
    let header = &mut batch.header;
    (header.record_count, header.last_offset_delta) = (count as i32, last_offset_delta);
    header.base_timestamp = base_timestamp;
    header.length = (HEADER_LEN - LENGTH_OVERHEAD + records.len()) as i32;
    RawBatch::parse([&header.encode()[..], records].concat().into()).unwrap()
}

/// What transcoding should write, or why not, by the general ways alone.
fn by_the_general_ways(batch: &RawBatch, options: &TranscodeOptions) -> Result<Vec<u8>, BatchError> {
    let header = &batch.header;
    let mut suffix = SuffixWriter::new(&options.append)?;
    let mut buffer = RecordBuffer::new();
    let mut deltas = DeltaCheck::new(header);
    let (mut rest, mut written, mut base_timestamp) = (batch.stored_records(), 0, 0);
    for index in 0..header.record_count as u32 {
        let fail = |problem| BatchError::Record {
            base_offset: header.base_offset,
            index,
            position: batch.stored_records().len() - rest.len(),
            problem,
        };
        let (record, next) = read_any(rest).map_err(fail)?;
        deltas.next(record.offset_delta)?;
        let offset = header.base_offset + i64::from(record.offset_delta);
        let timestamp = header.timestamp(record.timestamp_delta);
        if options
            .offsets
            .as_ref()
            .is_none_or(|range| range.contains(&offset))
        {
            record.headers.check().map_err(fail)?;
            if written == 0 {
                base_timestamp = timestamp;
            }
            let body = Body::of(&record, suffix.write(offset, timestamp));
            buffer
                .push(&body, timestamp.wrapping_sub(base_timestamp), written)
                .unwrap();
            written += 1;
        }
        rest = next;
    }
    if !rest.is_empty() {
        return Err(BatchError::Record {
            base_offset: header.base_offset,
            index: header.record_count as u32,
            position: batch.stored_records().len() - rest.len(),
            problem: "bytes follow the last record",
        });
    }
    Ok(buffer.records().to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn the_fast_way_reads_what_the_general_way_reads(
        record in stored(),
        behind in prop::collection::vec(any::<u8>(), 0..30),
        flip in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = [record.encode(), behind].concat();
        if let Some((at, byte)) = flip {
            // In front, where the numbers are.
            let at = at.index(bytes.len().min(24));
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        prop_assert_eq!(format!("{:?}", read_record(&bytes)), format!("{:?}", read_any(&bytes)));
        prop_assert!(UsualRecord::read(&bytes).is_none() || read_any(&bytes).is_ok());
    }

    #[test]
    fn the_short_way_writes_what_the_long_way_writes(
        records in prop::collection::vec(stored(), 1..60),
        suffix in prop::sample::select(vec![0usize, 1, 28, 32, 33, 91, 127, 128, 129, 400, LONGEST - 200, LONGEST + 1]),
        padding in prop::sample::select(vec![0usize, 128]),
        sums: bool,
        reserved in 0..40_000usize,
    ) {
        let encoded: Vec<u8> = records.iter().flat_map(Stored::encode).collect();
        let appended: Vec<u8> = (0..suffix + padding).map(|i| i as u8 ^ 0x55).collect();
        let suffix = Suffix { count: 1 + suffix as u32 / 200, len: suffix, padded: &appended, slots: &[] };
        let (mut short, mut long) = (RecordBuffer::new(), RecordBuffer::new());
        short.reserve(reserved, sums);
        let mut rest = &encoded[..];
        for stored in &records {
            let (record, next) = read_any(rest).unwrap();
            let (delta, index) = stored.written.unwrap_or((record.timestamp_delta, record.offset_delta));
            let body = Body::of(&record, suffix);
            let usual = UsualRecord::read(rest);
            let pushed = usual.and_then(|usual| short.push_usual(rest, &usual, suffix, delta, index));
            if pushed.is_none() {
                prop_assert!(short.push(&body, delta, index).is_some());
            }
            prop_assert!(long.push(&body, delta, index).is_some());
            prop_assert_eq!(short.len(), long.len());
            rest = next;
        }
        prop_assert_eq!(short.records(), long.records());
        let (bytes, crc) = short.take();
        prop_assert_eq!(crc, crc32c(&bytes[HEADER_LEN..]));
        prop_assert_eq!(long.take(), (bytes, crc));
    }

    #[test]
    fn transcoding_goes_from_one_way_to_the_other_without_a_trace(
        records in rising(),
        last in prop_oneof![4 => Just(i32::MAX - 1), 1 => 0..100i32],
        missing in prop_oneof![8 => Just(0usize), 1 => 0..2usize],
        flip in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
        cut in prop_oneof![8 => Just(0usize), 1 => 0..30usize],
        append in 0..4usize,
        offsets in prop::option::of((0..30i64, 0..30i64)),
        at_the_end: bool,
        base_timestamp in prop::sample::select(vec![0, 1_700_000_000_000, i64::MAX]),
    ) {
        let mut bytes: Vec<u8> = records.iter().flat_map(Stored::encode).collect();
        if let Some((at, byte)) = flip {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(bytes.len().saturating_sub(cut));
        // There, a delta that is not allowed has no offset.
        let base_offset = if at_the_end { i64::MAX - 1 - i64::from(last) } else { 1000 };
        let batch = batch_of(&bytes, base_offset, records.len().saturating_sub(missing), last, base_timestamp);
        let mut append = AppendedHeader::original_position(Some("c")).split_off(3 - append);
        append.reverse();
        let offsets = offsets.map(|(from, len)| base_offset.saturating_add(from)..base_offset.saturating_add(from + len));
        let options = TranscodeOptions { append, offsets, max_batch_bytes: 64 << 20, ..TranscodeOptions::default() };
        let expected = by_the_general_ways(&batch, &options);
        let out = Transcoder::new(options).unwrap().transcode(&batch);
        prop_assert!(out.as_ref().is_ok_and(|out| out.iter().all(|out| out.batch.verify_crc().is_ok())) || out.is_err());
        let records = out.map(|out| out.iter().flat_map(|out| out.batch.stored_records().to_vec()).collect::<Vec<u8>>());
        prop_assert_eq!(records, expected);
    }
}

/// Otherwise the properties above would compare the general ways with themselves.
#[test]
fn ordinary_records_go_the_fast_ways() {
    let mut builder = BatchBuilder::new();
    let header = Header {
        name: b"h",
        value: None,
    };
    for own in 0..200 {
        let (key, value) = (Some(&[b'k'; 8][..]), Some(&[b'v'; 100][..]));
        builder
            .push(&NewRecord {
                timestamp: 3 * own,
                key: key.filter(|_| own % 5 != 0),
                value: value.filter(|_| own % 7 != 0),
                headers: &[header; 3][..own as usize % 4],
            })
            .unwrap();
    }
    let batch = builder.build().unwrap();
    let mut buffer = RecordBuffer::new();
    let mut rest = batch.stored_records();
    for index in 0..200 {
        let usual = UsualRecord::read(rest);
        // The last one has too little behind it.
        if index < 199 {
            let usual = usual.unwrap();
            assert_eq!(
                buffer.push_usual(rest, &usual, Suffix::EMPTY, 3 * i64::from(index), index),
                Some(())
            );
            let renumbered = RecordBuffer::new().push_usual(rest, &usual, Suffix::EMPTY, 70, 1000);
            assert_eq!(renumbered, Some(()));
        }
        rest = read_any(rest).unwrap().1;
    }
    assert!(batch.stored_records().starts_with(buffer.records()));
}
