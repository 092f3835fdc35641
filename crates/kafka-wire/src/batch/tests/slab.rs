//! Walking slabs of log data.

use bytes::Bytes;

use super::model::*;
use crate::batch::*;

fn two_batches() -> (RawBatch, RawBatch) {
    let record = |offset| Plain {
        offset,
        timestamp: 5,
        key: None,
        value: Some(vec![1; 30]),
        headers: Vec::new(),
    };
    (
        build(Codec::None, &[record(4), record(5)]),
        build(Codec::Zstd, &[record(6), record(9)]),
    )
}

#[test]
fn a_slab_cut_anywhere_gives_the_whole_batches_before_the_cut() {
    let (first, second) = two_batches();
    let slab = Bytes::from([&first.bytes[..], &second.bytes].concat());
    for cut in 0..=slab.len() {
        let mut batches = BatchIter::new(slab.slice(..cut));
        let found: Vec<_> = batches.by_ref().map(Result::unwrap).collect();
        let mut expected = Vec::new();
        let mut used = 0;
        for batch in [&first, &second] {
            if used + batch.bytes.len() > cut {
                break;
            }
            used += batch.bytes.len();
            expected.push(LogEntry::Batch(batch.clone()));
        }
        assert_eq!(found, expected, "cut at {cut}");
        assert_eq!(batches.trailing(), cut - used);
        assert_eq!(batches.position(), used);
        assert!(batches.next().is_none());
    }
}

#[test]
fn items_share_the_memory_of_the_slab() {
    let (first, _) = two_batches();
    let slab = first.bytes;
    let Some(Ok(LogEntry::Batch(batch))) = BatchIter::new(slab.clone()).next() else {
        panic!("one batch")
    };
    assert_eq!(batch.bytes.as_ptr(), slab.as_ptr());
    assert_eq!(batch.stored_records_bytes().as_ptr(), slab[HEADER_LEN..].as_ptr());
}

#[test]
fn lengths_that_cannot_be_are_errors_not_loops() {
    let (first, _) = two_batches();
    for length in [i32::MIN, -12, -1, 0, 48] {
        let mut bytes = first.bytes.to_vec();
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        let mut batches = BatchIter::new(bytes.into());
        assert_eq!(
            batches.next(),
            Some(Err(BatchError::Length {
                position: 0,
                base_offset: 4,
                length
            }))
        );
        assert!(batches.next().is_none());
    }
    let mut bytes = first.bytes.to_vec();
    bytes[8..12].copy_from_slice(&i32::MAX.to_be_bytes());
    assert!(
        BatchIter::new(bytes.into()).next().is_none(),
        "more than there is: partial"
    );
}

#[test]
fn unknown_formats_are_errors() {
    let (first, second) = two_batches();
    let mut bytes = [&first.bytes[..], &second.bytes].concat();
    bytes[first.bytes.len() + 16] = 3;
    let mut batches = BatchIter::new(bytes.into());
    assert!(matches!(batches.next(), Some(Ok(_))));
    let position = first.bytes.len();
    assert_eq!(
        batches.next(),
        Some(Err(BatchError::Magic {
            position,
            base_offset: 6,
            magic: 3
        }))
    );
}

#[test]
fn next_offset_comes_from_the_header() {
    let record = Plain {
        offset: 10,
        timestamp: 0,
        key: None,
        value: None,
        headers: Vec::new(),
    };
    let batch = build_with(BatchBuilder::new().last_offset_delta(9), &[record]);
    assert_eq!((batch.header.last_offset(), batch.header.next_offset()), (19, 20));
    let empty = BatchBuilder::new()
        .base_offset(5)
        .last_offset_delta(4)
        .build()
        .unwrap();
    assert_eq!(empty.header.record_count, 0);
    assert_eq!(LogEntry::Batch(empty).next_offset(), 10);
}

#[test]
fn header_fields_that_cannot_be_are_errors() {
    let (first, _) = two_batches();
    let change = |position: usize, bytes: &[u8]| {
        let mut batch = first.bytes.to_vec();
        batch[position..position + bytes.len()].copy_from_slice(bytes);
        BatchHeader::parse(&batch).unwrap_err()
    };
    assert!(matches!(
        change(0, &[0xff]),
        BatchError::Field {
            field: "base offset",
            ..
        }
    ));
    assert!(matches!(
        change(0, &i64::MAX.to_be_bytes()),
        BatchError::Field {
            field: "last offset delta",
            ..
        }
    ));
    assert!(matches!(
        change(23, &[0xff]),
        BatchError::Field {
            field: "last offset delta",
            ..
        }
    ));
    assert!(matches!(
        change(57, &[0xff]),
        BatchError::Field {
            field: "record count",
            ..
        }
    ));
    assert!(matches!(change(16, &[1]), BatchError::Magic { magic: 1, .. }));
    assert!(matches!(
        RawBatch::parse(first.bytes.slice(..70)),
        Err(BatchError::Truncated { available: 70, .. })
    ));
    let longer = Bytes::from([&first.bytes[..], &[0; 3]].concat());
    assert!(matches!(
        RawBatch::parse(longer),
        Err(BatchError::ExtraBytes { extra: 3, .. })
    ));
}
