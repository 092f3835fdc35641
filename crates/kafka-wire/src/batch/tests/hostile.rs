//! Bytes that nobody would send in good faith: never a panic, never an endless walk.

use std::hint::black_box;

use bytes::Bytes;
use proptest::prelude::*;

use super::model::*;
use crate::batch::*;
use crate::codec::Decompressor;

/// Everything that reads, on whatever bytes.
fn exercise(bytes: Vec<u8>) {
    let len = bytes.len();
    let mut seen = 0;
    let mut scratch = Vec::new();
    let mut decompressor = Decompressor::new();
    let options = TranscodeOptions {
        append: AppendedHeader::original_position(Some("c")),
        max_decompressed_bytes: 1 << 20,
        ..TranscodeOptions::default()
    };
    let mut transcoder = Transcoder::new(options).unwrap();
    for entry in BatchIter::new(Bytes::from(bytes)) {
        let Ok(entry) = entry else { break };
        seen += 1;
        match &entry {
            LogEntry::Batch(batch) => {
                let _ = black_box(batch.verify_crc());
                let _ = black_box(ProducePatch::NONE.patched_header(batch));
                let _ = black_box(transcoder.passthrough(batch));
                if let Ok(records) = decompressor.records(batch, 1 << 20, &mut scratch) {
                    for record in records.flatten() {
                        let _ = black_box(record.headers.iter().count());
                    }
                }
                let _ = black_box(transcoder.transcode(batch));
            }
            LogEntry::Legacy(legacy) => {
                let _ = black_box(legacy.verify_crc());
                if let Ok(records) = legacy.records(&mut decompressor, 1 << 20, &mut scratch) {
                    let _ = black_box(records.count());
                }
            }
        }
        let _ = black_box(transcoder.transcode_merged([&entry]));
    }
    assert!(seen <= len / 14);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn a_flipped_byte_never_panics(records in records(1..8, true), codec in codec(), at: prop::sample::Index, byte: u8) {
        let mut bytes = build(codec, &records).bytes.to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= byte;
        exercise(bytes);
    }

    #[test]
    fn random_records_never_panic(body in prop::collection::vec(any::<u8>(), 0..300), attributes in 0..8i16, count in 0..20i32) {
        let mut batch = BatchBuilder::new().last_offset_delta(19).build().unwrap();
        batch.header.attributes = attributes;
        batch.header.record_count = count;
        batch.header.length = (HEADER_LEN - LENGTH_OVERHEAD + body.len()) as i32;
        exercise([&batch.header.encode()[..], &body].concat());
    }

    #[test]
    fn random_slabs_never_panic(mut slab in prop::collection::vec(any::<u8>(), 0..300), magic in 0..3u8) {
        if let [_, .., l0, l1, l2, l3, _, _, _, _, m] = &mut slab[..] .get_mut(..17).unwrap_or_default() {
            (*l0, *l1, *l2, *l3, *m) = (0, 0, 0, 100, magic);
        }
        exercise(slab);
    }
}

#[test]
fn a_huge_record_count_allocates_nothing() {
    let mut batch = build(Codec::None, &[]);
    batch.header.record_count = i32::MAX;
    batch.header.last_offset_delta = i32::MAX - 1;
    let bytes = Bytes::copy_from_slice(&batch.header.encode());
    let batch = RawBatch::parse(bytes).unwrap();
    assert!(matches!(read(&batch), Err(BatchError::Record { index: 0, .. })));
    let out = Transcoder::new(TranscodeOptions::default())
        .unwrap()
        .transcode(&batch);
    assert!(matches!(out, Err(BatchError::Record { index: 0, .. })));
}

#[test]
fn a_flipped_byte_behind_the_crc_is_always_seen() {
    let record = Plain {
        offset: 7,
        timestamp: 1,
        key: None,
        value: Some(vec![3; 40]),
        headers: Vec::new(),
    };
    let good = build(Codec::Lz4, &[record]);
    for at in 17..good.bytes.len() {
        for bit in 0..8 {
            let mut bytes = good.bytes.to_vec();
            bytes[at] ^= 1 << bit;
            let seen = RawBatch::parse(bytes.into()).and_then(|batch| batch.verify_crc());
            assert!(seen.is_err(), "byte {at}, bit {bit}");
        }
    }
}
