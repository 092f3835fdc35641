//! Transcoding, against the naive way: decode everything, choose, build a new batch.

use std::ops::Range;

use kafka_wire::batch::{
    AppendedHeader, AppendedValue, BatchBuilder, Codec, Header, LogEntry, NewRecord, RawBatch,
    TranscodeOptions, Transcoded, Transcoder,
};
use kafka_wire::codec::Decompressor;

use crate::batches::{LIMIT, as_batch, decompressed};
use crate::input::Input;
use crate::memory::bounded;

type OwnedHeader = (Vec<u8>, Option<Vec<u8>>);

/// A record as a consumer sees it.
#[derive(Debug, PartialEq)]
struct Plain {
    /// No consumer sees them, but they are kept.
    attributes: i8,
    offset: i64,
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<OwnedHeader>,
}

/// A batch, transcoded with options that the first bytes say.
pub fn transcode(data: &[u8]) {
    let mut input = Input::new(data);
    let chosen = [input.u8(), input.u8(), input.u8(), input.u8()];
    let (max, limits) = (input.u16(), [input.u8(), input.u8(), input.u8(), input.u8()]);
    let Some(batch) = as_batch(input.rest) else { return };
    let options = options(&batch, chosen, max, limits);
    let mut transcoder = Transcoder::new(options.clone()).expect("small headers");
    let _ = transcoder.passthrough(&batch);
    let suffix = 100 * options.append.len();
    let written = bounded(
        || transcoder.transcode(&batch),
        // Records of seven bytes get all the headers, too, and a run each; several batches, and a copy while one is split.
        |_| 2 * decompressed(input.rest.len()) + (input.rest.len().max(LIMIT) / 7) * (suffix + 64),
    );
    let expected = naive(&batch, &options);
    let (Ok(written), Some((expected, as_built))) = (&written, &expected) else {
        assert!(
            written.is_err() && expected.is_none(),
            "{written:?} instead of {expected:?}"
        );
        return;
    };
    let read: Vec<Plain> = written
        .iter()
        .flat_map(|written| read(written, options.max_batch_bytes))
        .collect();
    assert_eq!(&read, expected);
    // The builder writes no attributes.
    if let [written] = &written[..]
        && *as_built
        && expected.iter().all(|record| record.attributes == 0)
    {
        let codec = written.batch.header.compression().expect("a codec");
        assert_eq!(
            written.batch.bytes,
            build(codec, expected).bytes,
            "not what the builder writes"
        );
    }
    // A used transcoder gives the same, and so does the one that could merge.
    assert_eq!(transcoder.transcode(&batch).as_ref(), Ok(written));
    let merged = transcoder.transcode_merged([&LogEntry::Batch(batch)]);
    assert_eq!(merged.as_ref(), Ok(written));
}

fn options(batch: &RawBatch, chosen: [u8; 4], max: u16, limits: [u8; 4]) -> TranscodeOptions {
    let mut append = AppendedHeader::original_position(Some("production"));
    append.rotate_left(usize::from(chosen[0] >> 4) % 3);
    append.truncate(usize::from(chosen[0]) % 4);
    if chosen[0] >> 6 == 3 {
        // So long that it does not fit into whatever a writer keeps for short ones.
        let value = AppendedValue::Fixed(vec![b'v'; 300].into());
        append.push(AppendedHeader {
            name: vec![b'n'; 100].into(),
            value,
        });
    }
    let [from_offset, offsets, from_time, times] = limits.map(i64::from);
    let range = |start: i64, len: i64| -> Range<i64> { start..start.saturating_add(len) };
    TranscodeOptions {
        append,
        codec: Codec::from_id(chosen[1] % 8),
        level: None,
        offsets: (chosen[2] & 1 == 1)
            .then(|| range(batch.header.base_offset.saturating_add(from_offset), offsets)),
        timestamps: (chosen[2] & 2 == 2)
            .then(|| range(batch.header.base_timestamp.saturating_add(from_time), times)),
        max_batch_bytes: if chosen[3] & 1 == 1 {
            usize::from(max)
        } else {
            64 << 20
        },
        max_decompressed_bytes: LIMIT,
    }
}

/// The records that should be written, and whether they are stored as the builder would store them; `None` when the batch
/// should be refused.
fn naive(batch: &RawBatch, options: &TranscodeOptions) -> Option<(Vec<Plain>, bool)> {
    let header = &batch.header;
    if header.is_control() {
        return None;
    }
    let mut scratch = Vec::new();
    let (mut expected, mut as_built) = (Vec::new(), true);
    let mut previous = -1;
    for record in Decompressor::new().records(batch, LIMIT, &mut scratch).ok()? {
        let record = record.ok()?;
        if record.offset_delta <= previous || record.offset_delta > header.last_offset_delta {
            return None;
        }
        previous = record.offset_delta;
        let offset = header.base_offset + i64::from(record.offset_delta);
        let timestamp = header.timestamp(record.timestamp_delta);
        let outside = |range: &Range<i64>, value: i64| value < range.start || value >= range.end;
        if options
            .offsets
            .as_ref()
            .is_some_and(|range| outside(range, offset))
            || options
                .timestamps
                .as_ref()
                .is_some_and(|range| outside(range, timestamp))
        {
            continue;
        }
        let mut headers = Vec::new();
        let mut tail = Vec::new();
        push_bytes(&mut tail, record.key);
        push_bytes(&mut tail, record.value);
        push_varint(&mut tail, record.headers.len() as i64);
        for header in record.headers {
            let header = header.ok()?;
            push_bytes(&mut tail, Some(header.name));
            push_bytes(&mut tail, header.value);
            headers.push((header.name.to_vec(), header.value.map(<[u8]>::to_vec)));
        }
        let fields = behind_varint(record.raw);
        as_built &= behind_varint(behind_varint(&fields[1..])) == tail;
        headers.extend(options.append.iter().map(|header| {
            let value = match &header.value {
                AppendedValue::SourceOffset => offset.to_string().into_bytes(),
                AppendedValue::SourceTimestamp => timestamp.to_string().into_bytes(),
                AppendedValue::Fixed(value) => value.to_vec(),
                other => unreachable!("{other:?}"),
            };
            (header.name.to_vec(), Some(value))
        }));
        let (key, value) = (record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec));
        let attributes = record.attributes;
        expected.push(Plain {
            attributes,
            offset,
            timestamp,
            key,
            value,
            headers,
        });
    }
    Some((expected, as_built))
}

/// A length and the bytes. The transcoder copies lengths as they are stored, and others than this mean the same: longer
/// ones than need be, and any negative number for "none".
fn push_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    push_varint(out, bytes.map_or(-1, |bytes| bytes.len() as i64));
    out.extend(bytes.unwrap_or_default());
}

fn push_varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn behind_varint(bytes: &[u8]) -> &[u8] {
    let last = bytes.iter().position(|byte| *byte < 0x80);
    &bytes[last.map_or(bytes.len(), |last| last + 1)..]
}

fn build(codec: Codec, records: &[Plain]) -> RawBatch {
    let mut builder = BatchBuilder::new().compression(codec, None);
    for record in records {
        let header = |(name, value): &'_ OwnedHeader| (name.clone(), value.clone());
        let owned: Vec<OwnedHeader> = record.headers.iter().map(header).collect();
        let headers: Vec<Header<'_>> = owned
            .iter()
            .map(|(name, value)| Header {
                name,
                value: value.as_deref(),
            })
            .collect();
        let record = NewRecord {
            timestamp: record.timestamp,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &headers,
        };
        builder.push(&record).expect("a record");
    }
    builder.build().expect("a batch")
}

/// What a consumer sees of a written batch, with the offsets that the runs give back.
fn read(written: &Transcoded, max_batch_bytes: usize) -> Vec<Plain> {
    let batch = RawBatch::parse(written.batch.bytes.clone()).expect("a batch");
    assert_eq!(batch, written.batch);
    assert_eq!(batch.verify_crc(), Ok(()));
    assert!(batch.header.is_dense() && batch.header.base_offset == 0 && batch.header.record_count > 0);
    assert!(batch.bytes.len() <= max_batch_bytes || batch.header.record_count == 1);
    let mut offsets = written
        .runs
        .iter()
        .flat_map(|run| (0..i64::from(run.length)).map(move |i| run.source_first + i));
    let mut scratch = Vec::new();
    let records = Decompressor::new()
        .records(&batch, usize::MAX, &mut scratch)
        .expect("records");
    let read: Vec<Plain> = records
        .enumerate()
        .map(|(index, record)| {
            let record = record.expect("a written record");
            assert_eq!(record.offset_delta as usize, index);
            let headers = record.headers.iter().map(|header| {
                let header = header.expect("a written header");
                (header.name.to_vec(), header.value.map(<[u8]>::to_vec))
            });
            Plain {
                attributes: record.attributes,
                offset: offsets.next().expect("an offset for each record"),
                timestamp: batch.header.timestamp(record.timestamp_delta),
                key: record.key.map(<[u8]>::to_vec),
                value: record.value.map(<[u8]>::to_vec),
                headers: headers.collect(),
            }
        })
        .collect();
    assert_eq!(offsets.next(), None);
    for run in &written.runs {
        assert_eq!(read[run.index as usize].timestamp, run.first_timestamp);
    }
    assert_eq!(
        Some(written.first_timestamp),
        read.first().map(|record| record.timestamp)
    );
    assert_eq!(
        Some(written.last_timestamp),
        read.last().map(|record| record.timestamp)
    );
    assert_eq!(
        Some(batch.header.max_timestamp),
        read.iter().map(|record| record.timestamp).max()
    );
    read
}
