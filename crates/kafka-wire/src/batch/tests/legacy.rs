//! Message sets of format 0 and 1, from a naive writer that exists only here.

use bytes::Bytes;
use proptest::prelude::*;

use super::model::*;
use crate::batch::*;
use crate::codec::{Compressor, Decompressor};

const APPEND_TIME: u8 = 8;

fn message(
    offset: i64,
    magic: u8,
    attributes: u8,
    timestamp: i64,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
) -> Vec<u8> {
    let mut body = vec![magic, attributes];
    if magic == 1 {
        body.extend(timestamp.to_be_bytes());
    }
    for field in [key, value] {
        body.extend(field.map_or(-1, |bytes| bytes.len() as i32).to_be_bytes());
        body.extend(field.unwrap_or_default());
    }
    let mut out = offset.to_be_bytes().to_vec();
    out.extend((body.len() as i32 + 4).to_be_bytes());
    out.extend(crc32fast::hash(&body).to_be_bytes());
    out.extend(body);
    out
}

fn set(records: &[Plain], magic: u8, offset: impl Fn(&Plain) -> i64) -> Vec<u8> {
    let write = |r: &Plain| {
        message(
            offset(r),
            magic,
            0,
            r.timestamp,
            r.key.as_deref(),
            r.value.as_deref(),
        )
    };
    records.iter().flat_map(write).collect()
}

fn wrapper(offset: i64, magic: u8, codec: Codec, flags: u8, timestamp: i64, inner: &[u8]) -> Vec<u8> {
    let mut value = Vec::new();
    Compressor::new()
        .compress(codec, None, inner, &mut value)
        .unwrap();
    message(offset, magic, codec.id() | flags, timestamp, None, Some(&value))
}

fn read_all(slab: Vec<u8>) -> Result<Vec<Plain>, BatchError> {
    let mut decompressor = Decompressor::new();
    let mut all = Vec::new();
    for entry in BatchIter::new(Bytes::from(slab)) {
        let LogEntry::Legacy(entry) = entry? else {
            panic!("not legacy")
        };
        entry.verify_crc()?;
        let mut scratch = Vec::new();
        for record in entry.records(&mut decompressor, LIMIT, &mut scratch)? {
            let LegacyRecord {
                offset,
                timestamp,
                key,
                value,
            } = record?;
            let (key, value) = (key.map(<[u8]>::to_vec), value.map(<[u8]>::to_vec));
            all.push(Plain {
                offset,
                timestamp,
                key,
                value,
                headers: Vec::new(),
            });
        }
    }
    Ok(all)
}

/// Records as the format can hold them.
fn legacy_records(len: std::ops::Range<usize>, magic: u8) -> impl Strategy<Value = Vec<Plain>> {
    records(len, true).prop_map(move |mut records| {
        for record in &mut records {
            record.headers.clear();
            if magic == 0 {
                record.timestamp = -1;
            }
        }
        records
    })
}

fn legacy_codec() -> impl Strategy<Value = Codec> {
    prop::sample::select(vec![Codec::Gzip, Codec::Snappy, Codec::Lz4])
}

fn any_set() -> impl Strategy<Value = (u8, Vec<Plain>)> {
    (0..2u8).prop_flat_map(|magic| (Just(magic), legacy_records(1..20, magic)))
}

proptest! {
    #[test]
    fn plain_messages((magic, records) in any_set()) {
        prop_assert_eq!(read_all(set(&records, magic, |record| record.offset)).unwrap(), records);
    }

    #[test]
    fn wrappers_have_absolute_offsets_in_format_0_and_relative_ones_in_format_1(
        (magic, records) in any_set(), codec in legacy_codec(),
    ) {
        let (base, last) = (records[0].offset, records[records.len() - 1].offset);
        let inner = set(&records, magic, |record| if magic == 0 { record.offset } else { record.offset - base });
        prop_assert_eq!(read_all(wrapper(last, magic, codec, 0, 5, &inner)).unwrap(), records);
    }

    #[test]
    fn a_wrappers_append_time_is_every_records_time(records in legacy_records(1..10, 1), codec in legacy_codec()) {
        let (base, last) = (records[0].offset, records[records.len() - 1].offset);
        let inner = set(&records, 1, |record| record.offset - base);
        let expected: Vec<_> = records.into_iter().map(|record| Plain { timestamp: 99, ..record }).collect();
        prop_assert_eq!(read_all(wrapper(last, 1, codec, APPEND_TIME, 99, &inner)).unwrap(), expected);
    }

    #[test]
    fn transcoding_gives_the_same_records((magic, records) in any_set(), codec in codec(), max in 150..5000usize) {
        let slab = Bytes::from(set(&records, magic, |record| record.offset));
        let entries: Vec<_> = BatchIter::new(slab).map(Result::unwrap).collect();
        let options = TranscodeOptions {
            codec: Some(codec),
            append: AppendedHeader::original_position(None),
            max_batch_bytes: max,
            ..TranscodeOptions::default()
        };
        let out = Transcoder::new(options).unwrap().transcode_merged(&entries).unwrap();
        prop_assert!(out.iter().all(|out| out.batch.bytes.len() <= max || out.records() == 1));
        let mut written = read_transcoded(&out);
        for record in &mut written {
            let headers = std::mem::take(&mut record.headers);
            prop_assert_eq!(headers.len(), 2);
            prop_assert_eq!(headers[0].1.clone(), Some(record.offset.to_string().into_bytes()));
        }
        prop_assert_eq!(written, records);
    }

    #[test]
    fn damage_is_an_error_or_seen_by_the_crc(
        records in legacy_records(1..5, 1), codec in legacy_codec(), at: prop::sample::Index, byte in 1..=255u8,
    ) {
        let base = records[0].offset;
        let inner = set(&records, 1, |record| record.offset - base);
        let mut slab = wrapper(records[records.len() - 1].offset, 1, codec, 0, 5, &inner);
        let at = 16 + at.index(slab.len() - 16);
        slab[at] ^= byte;
        prop_assert!(read_all(slab).is_err());
    }
}

#[test]
fn clients_that_left_the_wrapper_at_offset_zero() {
    let record = |offset| Plain {
        offset,
        timestamp: 1,
        key: None,
        value: Some(vec![1]),
        headers: Vec::new(),
    };
    let records = [record(0), record(1)];
    let slab = wrapper(0, 1, Codec::Gzip, 0, 5, &set(&records, 1, |record| record.offset));
    assert_eq!(read_all(slab).unwrap(), records);
}

#[test]
fn contradictions_are_errors() {
    let record = |offset| Plain {
        offset,
        timestamp: 1,
        key: None,
        value: Some(vec![1]),
        headers: Vec::new(),
    };
    let inner = |magic| set(&[record(0), record(5)], magic, |record| record.offset);
    let problem = |slab| match read_all(slab) {
        Err(BatchError::Legacy { problem, .. }) => problem,
        other => panic!("{other:?}"),
    };
    let gzip = Codec::Gzip;
    assert_eq!(
        problem(wrapper(4, 1, gzip, 0, 1, &inner(1))),
        "a wrapper's offset lies before its messages"
    );
    assert_eq!(
        problem(wrapper(9, 1, gzip, 0, 1, &inner(0))),
        "a wrapped message has another format than its wrapper"
    );
    assert_eq!(
        problem(wrapper(9, 1, gzip, 0, 1, &[])),
        "a wrapper around nothing"
    );
    assert_eq!(
        problem(message(9, 1, gzip.id(), 1, None, None)),
        "a wrapper without a value"
    );
    let nested = wrapper(5, 1, gzip, 0, 1, &inner(1));
    assert_eq!(
        problem(wrapper(5, 1, gzip, 0, 1, &nested)),
        "a wrapped message is compressed again"
    );
    let mut longer = message(3, 0, 0, 0, None, None);
    longer.push(0);
    longer[11] += 1;
    assert_eq!(problem(longer), "bytes follow the value");
    let cut = &inner(1)[..40];
    assert!(matches!(
        read_all(wrapper(9, 1, gzip, 0, 1, cut)),
        Err(BatchError::Truncated { .. })
    ));
}

#[test]
fn a_set_cut_anywhere_gives_the_whole_messages_before_the_cut() {
    let record = |offset| Plain {
        offset,
        timestamp: -1,
        key: None,
        value: Some(vec![7; 9]),
        headers: Vec::new(),
    };
    let slab = Bytes::from(set(&[record(1), record(2)], 0, |record| record.offset));
    for cut in 0..=slab.len() {
        let mut entries = BatchIter::new(slab.slice(..cut));
        let whole = entries.by_ref().map(Result::unwrap).count();
        assert_eq!(whole, cut / (slab.len() / 2));
        assert_eq!(entries.trailing(), cut - whole * (slab.len() / 2));
    }
}
