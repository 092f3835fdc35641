//! Walking the records of a batch.

use proptest::prelude::*;

use super::model::*;
use crate::batch::*;
use crate::codec::Decompressor;

proptest! {
    #[test]
    fn what_was_built_is_read(records in records(0..40, true), codec in codec()) {
        let batch = build(codec, &records);
        batch.verify_crc().unwrap();
        prop_assert_eq!(BatchHeader::parse(&batch.header.encode()).unwrap(), batch.header);
        prop_assert_eq!(&RawBatch::parse(batch.bytes.clone()).unwrap(), &batch);
        prop_assert_eq!(read(&batch).unwrap(), records);
    }

    #[test]
    fn append_time_is_every_records_time(records in records(1..10, true)) {
        let batch = build_with(BatchBuilder::new().log_append_time(77), &records);
        prop_assert!(read(&batch).unwrap().iter().all(|record| record.timestamp == 77));
    }

    #[test]
    fn timestamps_count_from_a_delete_horizon(records in records(1..10, true)) {
        let batch = build_with(BatchBuilder::new().delete_horizon(1_900_000_000_000), &records);
        prop_assert_eq!(read(&batch).unwrap(), records);
    }
}

#[test]
fn raw_records_are_the_whole_section() {
    let record = |value: &'static [u8]| NewRecord {
        value: Some(value),
        ..NewRecord::default()
    };
    let mut builder = BatchBuilder::new();
    builder.push(&record(b"one")).unwrap();
    builder.push(&record(b"")).unwrap();
    let batch = builder.build().unwrap();
    let raw: Vec<u8> = RecordIter::new(&batch.header, batch.stored_records())
        .flat_map(|record| record.unwrap().raw.to_vec())
        .collect();
    assert_eq!(raw, batch.stored_records());
}

/// A batch of one record whose bytes, behind the length, are `body`.
fn batch_of(body: &[u8], count: i32) -> RawBatch {
    let mut batch = BatchBuilder::new().build().unwrap();
    let mut bytes = vec![0; HEADER_LEN];
    bytes.extend_from_slice(body);
    batch.header.record_count = count;
    batch.header.length = (bytes.len() - LENGTH_OVERHEAD) as i32;
    bytes[..HEADER_LEN].copy_from_slice(&batch.header.encode());
    RawBatch::parse(bytes.into()).unwrap()
}

#[test]
fn malformed_records_are_errors_that_say_where() {
    let cases: &[(&[u8], i32, &str)] = &[
        (&[], 1, "its length is cut"),
        (&[1], 1, "its length is negative"),
        (&[14, 0, 0, 0], 1, "it is cut"),
        (&[0], 1, "it is shorter than its fields"),
        (&[4, 0, 0], 1, "its offset is cut"),
        (&[8, 0, 0, 0, 6], 1, "its key is cut"),
        (&[10, 0, 0, 0, 1, 2], 1, "its value is cut"),
        (&[10, 0, 0, 0, 1, 1], 1, "its header count is cut"),
        (&[12, 0, 0, 0, 1, 1, 1], 1, "its header count is negative"),
        (
            &[12, 0, 0, 0, 1, 1, 2],
            1,
            "its header count does not fit its length",
        ),
        (
            &[14, 0, 0, 0, 1, 1, 0, 0],
            1,
            "its header count does not fit its length",
        ),
        (&[12, 0, 0, 0, 1, 1, 0], 2, "its length is cut"),
        (
            &[12, 0, 0, 0, 1, 1, 0, 12, 0, 0, 2, 1, 1, 0],
            1,
            "bytes follow the last record",
        ),
        (&[12, 0, 0, 0, 1, 1, 0], 0, "bytes follow the last record"),
    ];
    for (body, count, expected) in cases {
        let batch = batch_of(body, *count);
        let mut scratch = Vec::new();
        let mut walk = Decompressor::new().records(&batch, LIMIT, &mut scratch).unwrap();
        let error = walk.find_map(Result::err);
        let Some(BatchError::Record { problem, .. }) = error else {
            panic!("{body:?}: {error:?}")
        };
        assert_eq!(problem, *expected, "{body:?}");
        assert!(walk.next().is_none(), "the walk ends after an error");
    }
}

#[test]
fn malformed_headers_are_errors_and_the_walk_ends() {
    let cases: &[(&[u8], &str)] = &[
        (&[16, 0, 0, 0, 1, 1, 2, 1, 1], "it has no name"),
        (&[16, 0, 0, 0, 1, 1, 2, 4, 97], "its name is cut"),
        (&[18, 0, 0, 0, 1, 1, 2, 2, 97, 2], "its value is cut"),
        (
            &[20, 0, 0, 0, 1, 1, 2, 2, 97, 1, 0],
            "bytes follow the last header",
        ),
    ];
    for (body, expected) in cases {
        let batch = batch_of(body, 1);
        let record = RecordIter::new(&batch.header, batch.stored_records())
            .next()
            .unwrap()
            .unwrap();
        let mut headers = record.headers.iter();
        assert_eq!(headers.find_map(Result::err).unwrap().problem, *expected);
        assert!(headers.next().is_none());
    }
}
