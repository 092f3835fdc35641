//! Writing records again.

use proptest::prelude::*;

use super::model::*;
use crate::batch::*;

fn transcode(options: TranscodeOptions, batch: &RawBatch) -> Vec<Transcoded> {
    Transcoder::new(options).unwrap().transcode(batch).unwrap()
}

/// The records of `batch` as they are stored, but with their first `own` headers only.
fn strip(batch: &RawBatch, own: &[usize]) -> Vec<u8> {
    let mut stripped = Vec::new();
    for (record, &own) in RecordIter::new(&batch.header, batch.stored_records()).zip(own) {
        let record = record.unwrap();
        let kept: usize = record
            .headers
            .iter()
            .take(own)
            .map(|header| stored_len(header.unwrap()))
            .sum();
        let after_len = record.raw.len() - crate::batch::varint::read_i32(record.raw).unwrap().1.len();
        let mut count = Vec::new();
        crate::batch::varint::push_i32(&mut count, record.headers.len() as i32);
        let count = count.len();
        let before_count = record.raw.len() - record.headers.stored().len() - count;
        let mut body = record.raw[after_len..before_count].to_vec();
        crate::batch::varint::push_i32(&mut body, own as i32);
        body.extend_from_slice(&record.headers.stored()[..kept]);
        crate::batch::varint::push_i32(&mut stripped, body.len() as i32);
        stripped.extend(body);
    }
    stripped
}

fn stored_len(header: Header<'_>) -> usize {
    let mut bytes = Vec::new();
    crate::batch::write::push_bytes(&mut bytes, 0, Some(header.name)).unwrap();
    crate::batch::write::push_bytes(&mut bytes, 0, header.value).unwrap();
    bytes.len()
}

proptest! {
    #[test]
    fn nothing_asked_nothing_changed(records in records(1..30, false)) {
        let batch = build(Codec::None, &records);
        let out = transcode(TranscodeOptions::default(), &batch);
        prop_assert_eq!(out.len(), 1);
        let header = BatchHeader { base_offset: 0, ..batch.header };
        prop_assert_eq!(out[0].batch.header, header);
        prop_assert_eq!(&out[0].batch.bytes[HEADER_LEN..], batch.stored_records());
        let (source_first, length) = (records[0].offset, records.len() as u32);
        let first_timestamp = records[0].timestamp;
        prop_assert_eq!(&out[0].runs, &[SourceRun { source_first, index: 0, length, first_timestamp }]);
    }

    #[test]
    fn appended_headers_come_last_and_taking_them_off_gives_the_record(
        records in records(1..30, true),
        codec in codec(),
        cluster in prop::option::of("[a-z]{0,40}"),
    ) {
        let append = AppendedHeader::original_position(cluster.as_deref());
        let appended = append.len();
        let out = transcode(TranscodeOptions { append, ..TranscodeOptions::default() }, &build(codec, &records));
        prop_assert!(out.iter().all(|out| out.batch.header.compression() == Ok(codec)));
        let mut written = read_transcoded(&out);
        for record in &mut written {
            let own = record.headers.split_off(record.headers.len() - appended);
            let number = |at: usize| String::from_utf8(own[at].1.clone().unwrap()).unwrap().parse::<i64>().unwrap();
            prop_assert_eq!(&own[0].0[..], b"x-original-offset");
            prop_assert_eq!(number(0), record.offset);
            prop_assert_eq!(&own[1].0[..], b"x-original-timestamp");
            prop_assert_eq!(number(1), record.timestamp);
            let name = own.get(2).map(|(_, value)| String::from_utf8(value.clone().unwrap()).unwrap());
            prop_assert_eq!(&name, &cluster);
        }
        prop_assert_eq!(written, records);
    }

    #[test]
    fn what_was_appended_can_be_cut_off_again_to_the_byte(
        records in records(1..60, false),
        cluster in prop::option::of("[a-z]{0,200}"),
        rotate in 0..3usize,
    ) {
        let mut append = AppendedHeader::original_position(cluster.as_deref());
        let appended = append.len();
        append.rotate_left(rotate % appended);
        let batch = build(Codec::None, &records);
        let max_batch_bytes = 4 << 20;
        let out = transcode(TranscodeOptions { append, max_batch_bytes, ..TranscodeOptions::default() }, &batch);
        prop_assert_eq!(out.len(), 1);
        prop_assert!(out[0].batch.verify_crc().is_ok());
        let own: Vec<usize> = records.iter().map(|record| record.headers.len()).collect();
        prop_assert_eq!(strip(&out[0].batch, &own), batch.stored_records());
    }

    #[test]
    fn filters_keep_what_the_naive_filter_keeps(
        records in records(0..40, true),
        codec in codec(),
        to in prop::option::of(codec()),
        from_offset in 0..60usize, offsets in 0..60i64,
        from_time in 1_600_000_000_000..1_600_000_100_000i64, times in 0..100_000i64,
    ) {
        let base = records.first().map_or(0, |record| record.offset);
        let offsets = base + from_offset as i64..base + from_offset as i64 + offsets;
        let timestamps = from_time..from_time + times;
        let options = TranscodeOptions {
            offsets: Some(offsets.clone()),
            timestamps: Some(timestamps.clone()),
            codec: to,
            ..TranscodeOptions::default()
        };
        let out = transcode(options, &build(codec, &records));
        let mut expected = records;
        expected.retain(|record| offsets.contains(&record.offset) && timestamps.contains(&record.timestamp));
        prop_assert!(out.iter().all(|out| out.batch.header.compression() == Ok(to.unwrap_or(codec))));
        prop_assert_eq!(read_transcoded(&out), expected);
    }

    #[test]
    fn batches_are_split_at_the_limit(records in records(1..60, true), codec in codec(), max in 62..4000usize) {
        let options = TranscodeOptions { max_batch_bytes: max, ..TranscodeOptions::default() };
        let out = transcode(options, &build(codec, &records));
        prop_assert!(out.iter().all(|out| out.batch.bytes.len() <= max || out.records() == 1));
        prop_assert_eq!(read_transcoded(&out), records);
    }

    #[test]
    fn merging_keeps_every_record(groups in prop::collection::vec((records(0..12, true), codec()), 0..8), max in 200..4000usize) {
        let mut all = Vec::new();
        let mut next = 0;
        let entries: Vec<_> = groups.into_iter().map(|(mut records, codec)| {
            for record in &mut records {
                record.offset = next;
                next += 1;
            }
            all.extend(records.clone());
            LogEntry::Batch(build(codec, &records))
        }).collect();
        let options = TranscodeOptions { max_batch_bytes: max, ..TranscodeOptions::default() };
        let out = Transcoder::new(options).unwrap().transcode_merged(&entries).unwrap();
        prop_assert!(out.iter().all(|out| out.batch.bytes.len() <= max || out.records() == 1));
        prop_assert_eq!(read_transcoded(&out), all);
    }

    #[test]
    fn append_time_is_written_into_the_records(records in records(1..20, true), horizon: bool) {
        let mut builder = BatchBuilder::new().log_append_time(1_700_000_000_123).transactional();
        builder = if horizon { builder.delete_horizon(5) } else { builder };
        let append = AppendedHeader::original_position(None);
        let out = transcode(TranscodeOptions { append, ..TranscodeOptions::default() }, &build_with(builder, &records));
        for record in read_transcoded(&out) {
            prop_assert_eq!(record.timestamp, 1_700_000_000_123);
            let (_, value) = record.headers.last().unwrap();
            prop_assert_eq!(value.as_deref(), Some(&b"1700000000123"[..]));
        }
    }
}

#[test]
fn merged_neighbours_share_a_batch() {
    let record = |offset| Plain {
        offset,
        timestamp: 1,
        key: None,
        value: None,
        headers: Vec::new(),
    };
    let entries: Vec<_> = (0..10)
        .map(|offset| LogEntry::Batch(build(Codec::None, &[record(offset * 2)])))
        .collect();
    let out = Transcoder::new(TranscodeOptions::default())
        .unwrap()
        .transcode_merged(&entries)
        .unwrap();
    assert_eq!(out.len(), 1);
    assert_eq!(out[0].runs.len(), 10);
    assert_eq!(
        out[0].runs[3],
        SourceRun {
            source_first: 6,
            index: 3,
            length: 1,
            first_timestamp: 1
        }
    );
}

#[test]
fn a_failed_call_leaves_nothing_for_the_next() {
    let record = |offset| Plain {
        offset,
        timestamp: 1,
        key: None,
        value: None,
        headers: Vec::new(),
    };
    let good = build(Codec::None, &[record(0)]);
    let control = build_with(BatchBuilder::new().control(), &[record(1)]);
    let mut transcoder = Transcoder::new(TranscodeOptions::default()).unwrap();
    let entries = [LogEntry::Batch(good.clone()), LogEntry::Batch(control)];
    assert_eq!(
        transcoder.transcode_merged(&entries),
        Err(BatchError::Control { base_offset: 1 })
    );
    assert_eq!(transcoder.transcode(&good).unwrap()[0].records(), 1);
}

#[test]
fn offset_deltas_out_of_order_are_errors() {
    for deltas in [[0, 0], [1, 0], [0, 3], [-1, 0]] {
        let mut builder = BatchBuilder::new().base_offset(8).last_offset_delta(1);
        for delta in deltas {
            builder.push_at(delta, &NewRecord::default()).unwrap();
        }
        let error = Transcoder::new(TranscodeOptions::default())
            .unwrap()
            .transcode(&builder.build().unwrap());
        assert!(
            matches!(error, Err(BatchError::OffsetDelta { base_offset: 8, .. })),
            "{deltas:?}: {error:?}"
        );
    }
}

#[test]
fn merging_ends_where_the_codec_changes_or_enough_is_collected() {
    let entry = |codec, offset| {
        let value = Some(vec![0; 1000]);
        let record = Plain {
            offset,
            timestamp: 1,
            key: None,
            value,
            headers: Vec::new(),
        };
        LogEntry::Batch(build(codec, &[record]))
    };
    let (zstd, lz4) = (Codec::Zstd, Codec::Lz4);
    let entries: Vec<_> = [zstd, zstd, lz4, lz4, lz4, lz4]
        .into_iter()
        .zip(0..)
        .map(|(c, o)| entry(c, o))
        .collect();
    let merge = |max_batch_bytes| {
        let options = TranscodeOptions {
            max_batch_bytes,
            ..TranscodeOptions::default()
        };
        let out = Transcoder::new(options)
            .unwrap()
            .transcode_merged(&entries)
            .unwrap();
        out.iter()
            .map(|out| (out.batch.header.compression().unwrap(), out.records()))
            .collect::<Vec<_>>()
    };
    assert_eq!(merge(1 << 20), [(zstd, 2), (lz4, 4)]);
    assert_eq!(merge(2500), [(zstd, 2), (lz4, 3), (lz4, 1)]);
}

/// One record whose bytes, length included, are `record`, at offset 9.
fn batch_of_one(record: &[u8]) -> RawBatch {
    let mut header = BatchBuilder::new().base_offset(9).build().unwrap().header;
    header.record_count = 1;
    header.length = (HEADER_LEN - LENGTH_OVERHEAD + record.len()) as i32;
    RawBatch::parse([&header.encode()[..], record].concat().into()).unwrap()
}

#[test]
fn malformed_headers_are_not_copied() {
    // Two headers by the count, but one by the bytes: what is appended would be taken for the second.
    let batch = batch_of_one(&[20, 0, 0, 0, 1, 1, 4, 4, b'h', b'i', 1]);
    let error = Transcoder::new(TranscodeOptions::default())
        .unwrap()
        .transcode(&batch)
        .unwrap_err();
    assert!(matches!(
        error,
        BatchError::Record {
            base_offset: 9,
            index: 0,
            problem: "its name is cut",
            ..
        }
    ));
}

#[test]
fn records_that_are_left_out_have_to_be_right_too() {
    // 20 headers in the 19 bytes that follow the count.
    let record = [&[50, 0, 0, 0, 1, 1, 40][..], &[0; 19]].concat();
    let batch = batch_of_one(&record);
    let options = TranscodeOptions {
        offsets: Some(0..5),
        ..TranscodeOptions::default()
    };
    let error = Transcoder::new(options).unwrap().transcode(&batch).unwrap_err();
    assert!(matches!(
        error,
        BatchError::Record {
            index: 0,
            position: 0,
            problem: "its header count does not fit its length",
            ..
        }
    ));
}

#[test]
fn records_with_many_headers_take_more() {
    for own in [61, 62, 63, 64, 8189, 8191, 8192] {
        let headers = vec![(b"h".to_vec(), None); own];
        let record = Plain {
            offset: 0,
            timestamp: 1,
            key: None,
            value: None,
            headers,
        };
        let append = AppendedHeader::original_position(None);
        let out = transcode(
            TranscodeOptions {
                append,
                ..TranscodeOptions::default()
            },
            &build(Codec::None, &[record]),
        );
        assert_eq!(read_transcoded(&out)[0].headers.len(), own + 2);
    }
}

#[test]
fn workers_can_be_moved_to_other_threads() {
    fn send<T: Send>() {}
    send::<Transcoder>();
    send::<crate::codec::Decompressor>();
    send::<crate::codec::Compressor>();
}
