//! A naive model of a partition's records, and batches made from it.

use std::ops::Range;

use proptest::prelude::*;

use crate::batch::*;
use crate::codec::Decompressor;

pub(super) const LIMIT: usize = 64 << 20;

/// A record as a consumer sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plain {
    pub(super) offset: i64,
    pub(super) timestamp: i64,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

fn bytes(max: usize) -> impl Strategy<Value = Option<Vec<u8>>> {
    prop_oneof![
        1 => Just(None),
        1 => Just(Some(Vec::new())),
        4 => prop::collection::vec(any::<u8>(), 0..max).prop_map(Some),
        2 => (0..max * 4, any::<u8>()).prop_map(|(len, byte)| Some(vec![byte; len])),
    ]
}

pub(super) fn headers() -> impl Strategy<Value = Vec<(Vec<u8>, Option<Vec<u8>>)>> {
    let name = prop_oneof![
        Just(b"same".to_vec()),
        Just(Vec::new()),
        prop::collection::vec(any::<u8>(), 1..20),
        Just(ORIGINAL_OFFSET.as_bytes().to_vec()),
    ];
    prop::collection::vec((name, bytes(40)), 0..5)
}

/// Records with gaps between their offsets, and timestamps in any order.
pub(super) fn records(len: Range<usize>, gaps: bool) -> impl Strategy<Value = Vec<Plain>> {
    let gap = if gaps { 0..4i64 } else { 0..1i64 };
    let times = prop_oneof![9 => 1_600_000_000_000..1_600_000_100_000i64, 1 => -1..2_000_000_000_000i64];
    let record = (gap, times, bytes(60), bytes(300), headers());
    (0..1i64 << 40, prop::collection::vec(record, len)).prop_map(|(mut offset, records)| {
        let plain = |(gap, timestamp, key, value, headers)| {
            let plain = Plain {
                offset: offset + gap,
                timestamp,
                key,
                value,
                headers,
            };
            offset += gap + 1;
            plain
        };
        records.into_iter().map(plain).collect()
    })
}

pub(super) fn codec() -> impl Strategy<Value = Codec> {
    prop::sample::select(Codec::ALL.to_vec())
}

pub(super) fn build_with(builder: BatchBuilder, records: &[Plain]) -> RawBatch {
    let base = records.first().map_or(0, |record| record.offset);
    let mut builder = builder.base_offset(base);
    for record in records {
        let headers: Vec<_> = record
            .headers
            .iter()
            .map(|(name, value)| Header {
                name,
                value: value.as_deref(),
            })
            .collect();
        let new = NewRecord {
            timestamp: record.timestamp,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &headers,
        };
        builder.push_at((record.offset - base) as i32, &new).unwrap();
    }
    builder.build().unwrap()
}

pub(super) fn build(codec: Codec, records: &[Plain]) -> RawBatch {
    build_with(BatchBuilder::new().compression(codec, None), records)
}

/// What a consumer sees of a batch.
pub(super) fn read(batch: &RawBatch) -> Result<Vec<Plain>, BatchError> {
    let mut scratch = Vec::new();
    let records = Decompressor::new().records(batch, LIMIT, &mut scratch)?;
    records
        .map(|record| {
            let record = record?;
            let headers = record.headers.iter().map(|header| {
                let header = header.unwrap();
                (header.name.to_vec(), header.value.map(<[u8]>::to_vec))
            });
            Ok(Plain {
                offset: batch.header.base_offset + i64::from(record.offset_delta),
                timestamp: batch.header.timestamp(record.timestamp_delta),
                key: record.key.map(<[u8]>::to_vec),
                value: record.value.map(<[u8]>::to_vec),
                headers: headers.collect(),
            })
        })
        .collect()
}

/// What a consumer sees of transcoded batches, with the offsets that the runs give back.
pub(super) fn read_transcoded(batches: &[Transcoded]) -> Vec<Plain> {
    let mut all = Vec::new();
    for transcoded in batches {
        let batch = RawBatch::parse(transcoded.batch.bytes.clone()).unwrap();
        assert_eq!(batch.header, transcoded.batch.header);
        batch.verify_crc().unwrap();
        assert_eq!(Passthrough::check(&batch.header), Passthrough::Yes);
        let mut records = read(&batch).unwrap();
        assert!(
            records
                .iter()
                .map(|record| record.offset)
                .eq(0..records.len() as i64),
            "offsets are dense"
        );
        assert_eq!(transcoded.first_timestamp, records[0].timestamp);
        assert_eq!(transcoded.last_timestamp, records[records.len() - 1].timestamp);
        assert_eq!(
            batch.header.max_timestamp,
            records.iter().map(|record| record.timestamp).max().unwrap()
        );
        assert_eq!(
            transcoded.runs.iter().map(|run| run.length).sum::<u32>(),
            transcoded.records()
        );
        for run in &transcoded.runs {
            assert_eq!(records[run.index as usize].timestamp, run.first_timestamp);
            for i in 0..run.length {
                records[(run.index + i) as usize].offset = run.source_first + i64::from(i);
            }
        }
        all.extend(records);
    }
    all
}
