//! Message sets of the formats 0 and 1.

use bytes::Bytes;
use kafka_wire::batch::{BatchIter, LegacyEntry, LogEntry, TranscodeOptions, Transcoder};
use kafka_wire::codec::Decompressor;

use crate::batches::{LIMIT, decompressed};
use crate::memory::bounded;

/// A message set: its messages, and that they are the same when they are transcoded.
pub fn legacy(data: &[u8]) {
    for entry in BatchIter::new(Bytes::copy_from_slice(data)).map_while(Result::ok) {
        if let LogEntry::Legacy(entry) = entry {
            one(entry);
        }
    }
    // The same with a length that is right, so that a fuzzer gets behind it at once.
    let mut bytes = data.to_vec();
    let length = data.len().saturating_sub(12) as i32;
    if let Some(field) = bytes.get_mut(8..12) {
        field.copy_from_slice(&length.to_be_bytes());
    }
    if let Ok(entry) = LegacyEntry::parse(Bytes::from(bytes)) {
        one(entry);
    }
}

type Owned = (i64, i64, Option<Vec<u8>>, Option<Vec<u8>>);

fn one(entry: LegacyEntry) {
    let _ = entry.verify_crc();
    let mut scratch = Vec::new();
    let mut decompressor = Decompressor::new();
    let walked = bounded(
        || {
            entry
                .records(&mut decompressor, LIMIT, &mut scratch)
                .map(Iterator::count)
        },
        |_| decompressed(entry.bytes.len()),
    );
    let Ok(walked) = walked else { return };
    // A message takes 26 bytes at least.
    assert!(walked <= 1 + LIMIT.max(entry.bytes.len()) / 26);
    let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
    let records: Result<Vec<Owned>, _> = entry
        .records(&mut decompressor, LIMIT, &mut scratch)
        .expect("it could be read before")
        .map(|record| record.map(|r| (r.offset, r.timestamp, owned(r.key), owned(r.value))))
        .collect();

    let options = TranscodeOptions {
        max_decompressed_bytes: LIMIT,
        ..TranscodeOptions::default()
    };
    let mut transcoder = Transcoder::new(options).expect("plain options");
    let written = transcoder.transcode_merged([&LogEntry::Legacy(entry)]);
    let (Ok(written), Ok(records)) = (&written, &records) else {
        assert_eq!(written.is_err(), records.is_err());
        return;
    };
    let mut found = Vec::new();
    for written in written {
        assert_eq!(written.batch.verify_crc(), Ok(()));
        let mut offsets = written
            .runs
            .iter()
            .flat_map(|run| (0..i64::from(run.length)).map(|i| run.source_first.wrapping_add(i)));
        for record in decompressor
            .records(&written.batch, usize::MAX, &mut scratch)
            .expect("records")
        {
            let record = record.expect("a written record");
            let timestamp = written.batch.header.timestamp(record.timestamp_delta);
            found.push((
                offsets.next().expect("an offset for each"),
                timestamp,
                owned(record.key),
                owned(record.value),
            ));
        }
    }
    assert_eq!(&found, records);
}
