//! The produce patch, and what can be passed through.

use bytes::Bytes;
use proptest::prelude::*;

use super::model::*;
use crate::batch::*;

proptest! {
    #[test]
    fn a_patched_batch_has_the_right_crc_and_the_same_records(
        records in records(1..30, false),
        codec in codec(),
        transactional: bool,
        horizon in prop::option::of(0..2_000_000_000_000i64),
        patch in (any::<i64>(), any::<i16>(), any::<i32>()),
    ) {
        let (producer_id, producer_epoch, base_sequence) = patch;
        let patch = ProducePatch { producer_id, producer_epoch, base_sequence };
        let mut builder = BatchBuilder::new().compression(codec, None).leader_epoch(9);
        builder = if transactional { builder.transactional() } else { builder };
        builder = horizon.into_iter().fold(builder, BatchBuilder::delete_horizon);
        let batch = build_with(builder, &records);

        let header = patch.patched_header(&batch).unwrap();
        let patched = RawBatch::parse(Bytes::from([&header[..], batch.stored_records()].concat())).unwrap();
        patched.verify_crc().unwrap();
        let expected = BatchHeader {
            base_offset: 0,
            partition_leader_epoch: -1,
            producer_id,
            producer_epoch,
            base_sequence,
            attributes: i16::from(codec.id()),
            crc: patched.header.crc,
            ..batch.header
        };
        prop_assert_eq!(patched.header, expected);
        let renumbered = records.iter().zip(0..).map(|(record, offset)| Plain { offset, ..record.clone() });
        prop_assert_eq!(read(&patched).unwrap(), renumbered.collect::<Vec<_>>());
    }
}

#[test]
fn obstacles() {
    let record = |offset| Plain {
        offset,
        timestamp: 1,
        key: None,
        value: None,
        headers: Vec::new(),
    };
    let one = [record(3)];
    let check = |batch: RawBatch| {
        let patched = ProducePatch::NONE.patched_header(&batch);
        match Passthrough::check(&batch.header) {
            Passthrough::Yes => assert!(patched.is_ok()),
            Passthrough::No(obstacle) => {
                assert_eq!(
                    patched,
                    Err(BatchError::NotPassable {
                        base_offset: batch.header.base_offset,
                        obstacle
                    })
                );
            }
        }
        Passthrough::check(&batch.header)
    };
    assert_eq!(check(build(Codec::None, &one)), Passthrough::Yes);
    assert_eq!(
        check(build(Codec::None, &[record(3), record(5)])),
        Passthrough::No(Obstacle::Compacted)
    );
    let shorter = BatchBuilder::new().last_offset_delta(3);
    assert_eq!(
        check(build_with(shorter, &one)),
        Passthrough::No(Obstacle::Compacted)
    );
    assert_eq!(check(build(Codec::None, &[])), Passthrough::No(Obstacle::Empty));
    assert_eq!(
        check(build_with(BatchBuilder::new().control(), &one)),
        Passthrough::No(Obstacle::Control)
    );
    let appended = BatchBuilder::new().log_append_time(4);
    assert_eq!(
        check(build_with(appended, &one)),
        Passthrough::No(Obstacle::LogAppendTime)
    );
    let mut unknown = build(Codec::None, &one);
    unknown.header.attributes = 5;
    assert_eq!(check(unknown), Passthrough::No(Obstacle::UnknownCodec));
    assert_eq!(
        check(build_with(BatchBuilder::new().delete_horizon(1), &one)),
        Passthrough::Yes
    );
}

#[test]
fn options_decide_about_passthrough_too() {
    let record = |offset| Plain {
        offset,
        timestamp: 1,
        key: None,
        value: None,
        headers: Vec::new(),
    };
    let batch = build(Codec::None, &[record(3), record(4)]);
    let check = |options| Transcoder::new(options).unwrap().passthrough(&batch);
    let options = TranscodeOptions::default;
    assert_eq!(check(options()), Passthrough::Yes);
    assert_eq!(
        check(TranscodeOptions {
            offsets: Some(3..5),
            codec: Some(Codec::None),
            ..options()
        }),
        Passthrough::Yes
    );
    let no = |options| match check(options) {
        Passthrough::No(obstacle) => obstacle,
        Passthrough::Yes => panic!("passable"),
    };
    assert_eq!(
        no(TranscodeOptions {
            offsets: Some(4..5),
            ..options()
        }),
        Obstacle::OffsetRange
    );
    assert_eq!(
        no(TranscodeOptions {
            offsets: Some(3..4),
            ..options()
        }),
        Obstacle::OffsetRange
    );
    assert_eq!(
        no(TranscodeOptions {
            timestamps: Some(0..9),
            ..options()
        }),
        Obstacle::TimestampRange
    );
    assert_eq!(
        no(TranscodeOptions {
            codec: Some(Codec::Lz4),
            ..options()
        }),
        Obstacle::Codec
    );
    assert_eq!(
        no(TranscodeOptions {
            max_batch_bytes: batch.bytes.len() - 1,
            ..options()
        }),
        Obstacle::TooLarge
    );
    let append = AppendedHeader::original_position(None);
    assert_eq!(
        no(TranscodeOptions { append, ..options() }),
        Obstacle::AppendedHeaders
    );
}

#[test]
fn wrong_offset_deltas_in_an_uncompressed_batch_are_seen() {
    let mut builder = BatchBuilder::new().last_offset_delta(1);
    for delta in [0, 0] {
        builder.push_at(delta, &NewRecord::default()).unwrap();
    }
    let batch = builder.build().unwrap();
    assert_eq!(Passthrough::check(&batch.header), Passthrough::Yes);
    let transcoder = Transcoder::new(TranscodeOptions::default()).unwrap();
    assert_eq!(transcoder.passthrough(&batch), Passthrough::No(Obstacle::Records));
}
