//! Batches that the Java client wrote: read as Java reads them, and written again to the same bytes.
//!
//! The files and how they are made: `testdata/batches/README.md`.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::Value;

use super::model::{LIMIT, Plain, build_with, read, read_transcoded};
use crate::batch::*;
use crate::codec::Decompressor;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/batches")
}

/// Every golden file: its name, its bytes, and the batches that Java reads in it.
fn files() -> Vec<(String, Bytes, Vec<Value>)> {
    let mut files: Vec<_> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "bin"))
        .map(|path| {
            let json: Value =
                serde_json::from_slice(&std::fs::read(path.with_extension("json")).unwrap()).unwrap();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (
                name,
                Bytes::from(std::fs::read(&path).unwrap()),
                json["batches"].as_array().unwrap().clone(),
            )
        })
        .collect();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(files.len() >= 34, "golden files are missing");
    files
}

fn entries(slab: &Bytes) -> Vec<LogEntry> {
    BatchIter::new(slab.clone()).map(Result::unwrap).collect()
}

fn batches(slab: &Bytes) -> Vec<RawBatch> {
    let batch = |entry| match entry {
        LogEntry::Batch(batch) => Some(batch),
        LogEntry::Legacy(_) => None,
    };
    entries(slab).into_iter().filter_map(batch).collect()
}

/// The form that the JSON has for bytes.
fn describe(bytes: Option<&[u8]>) -> Value {
    let Some(bytes) = bytes else { return Value::Null };
    if bytes.len() <= 64 {
        return bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
            .into();
    }
    format!("{} bytes, crc32c {:08x}", bytes.len(), crc32c(bytes)).into()
}

fn describe_record(record: &Plain) -> Value {
    let headers: Vec<Value> = record
        .headers
        .iter()
        .map(|(name, value)| Value::from(vec![describe(Some(name)), describe(value.as_deref())]))
        .collect();
    serde_json::json!({
        "offset": record.offset,
        "timestamp": record.timestamp,
        "key": describe(record.key.as_deref()),
        "value": describe(record.value.as_deref()),
        "headers": headers,
    })
}

fn read_legacy(entry: &LegacyEntry) -> Vec<Plain> {
    let mut scratch = Vec::new();
    let records = entry
        .records(&mut Decompressor::new(), LIMIT, &mut scratch)
        .unwrap();
    let plain = |record: Result<LegacyRecord<'_>, BatchError>| {
        let LegacyRecord {
            offset,
            timestamp,
            key,
            value,
        } = record.unwrap();
        let (key, value) = (key.map(<[u8]>::to_vec), value.map(<[u8]>::to_vec));
        Plain {
            offset,
            timestamp,
            key,
            value,
            headers: Vec::new(),
        }
    };
    records.map(plain).collect()
}

fn check_header(name: &str, header: &BatchHeader, java: &Value) {
    let found = serde_json::json!({
        "magic": header.magic,
        "base_offset": header.base_offset,
        "last_offset": header.last_offset(),
        "next_offset": header.next_offset(),
        "size": header.total_len(),
        "codec": header.compression().unwrap().name(),
        "log_append_time": header.is_log_append_time(),
        "base_timestamp": header.base_timestamp,
        "max_timestamp": header.max_timestamp,
        "delete_horizon": header.has_delete_horizon(),
        "transactional": header.is_transactional(),
        "control": header.is_control(),
        "producer_id": header.producer_id,
        "producer_epoch": header.producer_epoch,
        "base_sequence": header.base_sequence,
        "leader_epoch": header.partition_leader_epoch,
        "record_count": header.record_count,
        "crc": header.crc,
    });
    let mut java = java.clone();
    java.as_object_mut().unwrap().remove("records");
    // DefaultRecordBatch.baseTimestamp() is the raw field, with a delete horizon as without.
    assert_eq!(found, java, "{name}");
}

#[test]
fn every_entry_is_read_as_java_reads_it() {
    for (name, slab, java) in files() {
        let mut walk = BatchIter::new(slab.clone());
        for java in &java {
            let entry = walk.next().unwrap().unwrap();
            let records = match &entry {
                LogEntry::Batch(batch) => {
                    batch.verify_crc().unwrap();
                    check_header(&name, &batch.header, java);
                    read(batch).unwrap()
                }
                LogEntry::Legacy(legacy) => {
                    legacy.verify_crc().unwrap();
                    assert_eq!(java["magic"], legacy.magic, "{name}");
                    assert_eq!(java["codec"], legacy.compression().unwrap().name(), "{name}");
                    assert_eq!(java["size"], legacy.bytes.len(), "{name}");
                    assert_eq!(java["last_offset"], legacy.offset, "{name}");
                    read_legacy(legacy)
                }
            };
            assert_eq!(java["next_offset"], entry.next_offset(), "{name}");
            let records: Vec<Value> = records.iter().map(describe_record).collect();
            assert_eq!(Value::from(records), java["records"], "{name}");
        }
        assert!(walk.next().is_none(), "{name}");
        assert_eq!(walk.trailing(), 0, "{name}");
    }
}

#[test]
fn headers_are_written_to_the_same_bytes() {
    for (name, slab, _) in files() {
        for batch in batches(&slab) {
            assert_eq!(batch.header.encode(), batch.bytes[..HEADER_LEN], "{name}");
        }
    }
}

#[test]
fn uncompressed_batches_are_written_to_the_same_bytes() {
    let mut written = 0;
    for (name, slab, _) in files() {
        for batch in batches(&slab) {
            let header = batch.header;
            // The times of an emptied batch are those of records that are gone.
            if header.compression() != Ok(Codec::None) || header.record_count == 0 {
                continue;
            }
            let mut builder = BatchBuilder::new()
                .leader_epoch(header.partition_leader_epoch)
                .last_offset_delta(header.last_offset_delta)
                .producer(ProducePatch {
                    producer_id: header.producer_id,
                    producer_epoch: header.producer_epoch,
                    base_sequence: header.base_sequence,
                });
            builder = if header.is_transactional() {
                builder.transactional()
            } else {
                builder
            };
            builder = if header.is_control() {
                builder.control()
            } else {
                builder
            };
            if header.is_log_append_time() {
                builder = builder.log_append_time(header.max_timestamp);
            }
            if header.has_delete_horizon() {
                builder = builder.delete_horizon(header.base_timestamp);
            }
            let rebuilt = rebuild(builder.base_offset(header.base_offset), &batch);
            assert_eq!(rebuilt.bytes, batch.bytes, "{name}");
            written += 1;
        }
    }
    assert!(written >= 7);
}

/// The records of `batch` with the times that are stored, through the builder.
fn rebuild(mut builder: BatchBuilder, batch: &RawBatch) -> RawBatch {
    for record in RecordIter::new(&batch.header, batch.stored_records()) {
        let record = record.unwrap();
        let headers: Vec<_> = record.headers.iter().map(Result::unwrap).collect();
        let timestamp = batch.header.base_timestamp + record.timestamp_delta;
        let new = NewRecord {
            timestamp,
            key: record.key,
            value: record.value,
            headers: &headers,
        };
        builder.push_at(record.offset_delta, &new).unwrap();
    }
    builder.build().unwrap()
}

#[test]
fn transcoded_they_hold_what_java_reads() {
    for (name, slab, java) in files() {
        if name == "v2-control" {
            continue;
        }
        for codec in [
            None,
            Some(Codec::None),
            Some(Codec::Zstd),
            Some(Codec::Gzip),
            Some(Codec::Lz4),
        ] {
            let options = TranscodeOptions {
                codec,
                ..TranscodeOptions::default()
            };
            let out = Transcoder::new(options)
                .unwrap()
                .transcode_merged(&entries(&slab))
                .unwrap();
            let found: Vec<Value> = read_transcoded(&out).iter().map(describe_record).collect();
            let expected: Vec<Value> = java
                .iter()
                .flat_map(|batch| batch["records"].as_array().unwrap().clone())
                .collect();
            assert_eq!(found, expected, "{name} to {codec:?}");
        }
    }
}

#[test]
fn which_of_them_pass_through() {
    let obstacle = |name: &str| match name {
        "v2-control" => Some(Obstacle::Control),
        _ if name.ends_with("emptied") => Some(Obstacle::Empty),
        _ if name.contains("compacted") => Some(Obstacle::Compacted),
        _ if name.ends_with("log-append-time") => Some(Obstacle::LogAppendTime),
        _ => None,
    };
    for (name, slab, _) in files() {
        for batch in batches(&slab) {
            let patched = ProducePatch::NONE.patched_header(&batch);
            if let Some(obstacle) = obstacle(&name) {
                let base_offset = batch.header.base_offset;
                assert_eq!(
                    patched,
                    Err(BatchError::NotPassable {
                        base_offset,
                        obstacle
                    }),
                    "{name}"
                );
                continue;
            }
            let bytes = Bytes::from([&patched.unwrap()[..], batch.stored_records()].concat());
            let patched = RawBatch::parse(bytes).unwrap();
            patched.verify_crc().unwrap();
            let renumbered = read(&batch).unwrap().into_iter().zip(0..);
            let expected: Vec<_> = renumbered
                .map(|(record, offset)| Plain { offset, ..record })
                .collect();
            assert_eq!(read(&patched).unwrap(), expected, "{name}");
        }
    }
}

#[test]
fn a_header_name_that_is_not_utf8_is_kept_byte_for_byte() {
    let golden = std::fs::read(folder().join("v2-none.bin")).unwrap();
    let name = b"\xff\xfe\x80\0\xc3(\xa0\xa1";
    let at = golden
        .windows(8)
        .position(|window| window == b"patch-me")
        .unwrap();
    let mut bytes = golden;
    bytes[at..at + 8].copy_from_slice(name);
    let crc = crc32c(&bytes[CRC_START..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    let batch = RawBatch::parse(bytes.into()).unwrap();
    batch.verify_crc().unwrap();

    let is_kept = |records: &[Plain]| {
        records
            .iter()
            .any(|r| r.headers.iter().any(|(found, _)| found == name))
    };
    let records = read(&batch).unwrap();
    assert!(is_kept(&records));
    assert_eq!(
        rebuild(BatchBuilder::new().base_offset(1000), &batch).bytes,
        batch.bytes
    );
    let options = TranscodeOptions {
        codec: Some(Codec::Snappy),
        ..TranscodeOptions::default()
    };
    let out = Transcoder::new(options).unwrap().transcode(&batch).unwrap();
    assert!(is_kept(&read_transcoded(&out)));
    assert_eq!(build_with(BatchBuilder::new(), &records).bytes, batch.bytes);
}
