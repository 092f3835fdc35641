//! Every bit of an answer is flipped once. Whatever comes of it, no other records are read than the log has.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::fetch_response::{
    FetchResponse as Written, FetchableTopicResponse, PartitionData,
};
use kafka_protocol::protocol::Encodable;

use super::super::response::FetchResponse;
use super::tests::limits;
use super::*;
use crate::batch::{BatchBuilder, CRC_START, NewRecord};
use crate::connection::topic_name;
use crate::retry::Verdict;

/// Batches of ten records from offset 100 on, without those that compaction is said to have removed.
fn log(removed: &[i64]) -> Vec<RawBatch> {
    let batch = |base_offset: i64| {
        let mut builder = BatchBuilder::new().base_offset(base_offset).leader_epoch(4);
        for index in 0..10 {
            let value = [base_offset as u8, index];
            let record = NewRecord {
                timestamp: 5,
                value: Some(&value),
                ..NewRecord::default()
            };
            builder.push(&record).unwrap();
        }
        builder.build().unwrap()
    };
    let bases = (100..180).step_by(10);
    bases.filter(|base| !removed.contains(base)).map(batch).collect()
}

/// What a broker answers: some bytes from the batch on that holds the offset, and at least that batch.
fn answer(log: &[RawBatch], offset: i64, max_bytes: usize, version: i16) -> Vec<u8> {
    let mut records = Vec::new();
    for batch in log.iter().filter(|batch| batch.header.next_offset() > offset) {
        let fits = max_bytes.saturating_sub(records.len());
        let part = if records.is_empty() {
            batch.bytes.len()
        } else {
            fits.min(batch.bytes.len())
        };
        records.extend_from_slice(&batch.bytes[..part]);
    }
    let partition = PartitionData::default()
        .with_high_watermark(180)
        .with_last_stable_offset(180)
        .with_log_start_offset(0)
        .with_records(Some(Bytes::from(records)));
    let topic = FetchableTopicResponse::default()
        .with_topic(topic_name("t"))
        .with_partitions(vec![partition]);
    let mut body = BytesMut::new();
    let response = Written::default().with_responses(vec![topic]);
    response.encode(&mut body, version).unwrap();
    body.to_vec()
}

/// What lane and router make of an answer, as far as it changes what is read. `None`: the partition has failed for good.
fn take_in(cursor: &mut Cursor, body: Vec<u8>, version: i16) -> Option<Vec<LogEntry>> {
    let Ok(response) = FetchResponse::decode(Bytes::from(body), version, 1) else {
        return Some(Vec::new());
    };
    let mut partitions = response.topics.into_iter().flat_map(|topic| topic.partitions);
    let Some(partition) = partitions.next().filter(|partition| partition.partition == 0) else {
        return Some(Vec::new());
    };
    if response.error_code != 0 || partition.error_code != 0 || partition.preferred_read_replica.is_some() {
        return Some(Vec::new());
    }
    if partition.diverging_epoch.is_some() {
        return None;
    }
    let max_bytes = cursor.max_bytes;
    match cursor.advance(partition, false) {
        Ok(Outcome::Progress(fetched)) => Some(fetched.batches),
        Ok(_) => Some(Vec::new()),
        Err(problem) => {
            assert_eq!(cursor.error(problem).verdict(), Verdict::Odd);
            cursor.max_bytes = max_bytes;
            Some(Vec::new())
        }
    }
}

/// Base offset, and all that the checksum covers.
fn known(batch: &RawBatch) -> (i64, Bytes) {
    (batch.header.base_offset, batch.bytes.slice(CRC_START..))
}

/// How reading went on with one bit of one answer damaged.
enum Ended {
    /// There was no such bit.
    Undamaged,
    /// The partition has failed.
    Failed,
    /// It has finished with these.
    Finished(Vec<(i64, Bytes)>),
}

const END: i64 = 165;

/// Reads the log while one bit of the answer at `damaged.0` is flipped.
fn read(log: &[RawBatch], from: i64, max_bytes: usize, version: i16, damaged: (usize, usize)) -> Ended {
    let mut partition = FetchPartition::new("t", 0, from);
    partition.end_offset = Some(END);
    let mut cursor = Cursor::new(partition, max_bytes, limits());
    cursor.leader_epoch = 4;
    let mut found = Vec::new();
    let mut met = false;
    for answers in 0..50 {
        let mut body = answer(log, cursor.offset, cursor.max_bytes, version);
        if answers == damaged.0 && damaged.1 / 8 < body.len() {
            body[damaged.1 / 8] ^= 1 << (damaged.1 % 8);
            met = true;
        }
        let Some(batches) = take_in(&mut cursor, body, version) else {
            return Ended::Failed;
        };
        found.extend(batches.iter().map(|entry| match entry {
            LogEntry::Batch(batch) => known(batch),
            LogEntry::Legacy(entry) => panic!("{entry:?}"),
        }));
        if cursor.is_finished() && met {
            return Ended::Finished(found);
        } else if cursor.is_finished() {
            return Ended::Undamaged;
        }
    }
    Ended::Failed
}

/// Flips each bit of the first answers; `check` compares what was read with what should be.
fn flip_all(removed: &[i64], from: i64, check: impl Fn(&[(i64, Bytes)], &[(i64, Bytes)]) -> bool) -> usize {
    let log = log(removed);
    let holds = |batch: &&RawBatch| batch.header.next_offset() > from && batch.header.base_offset < END;
    let expected: Vec<_> = log.iter().filter(holds).map(known).collect();
    let mut failures = 0;
    // One batch for each answer, two and a part of the third, all.
    for max_bytes in [1, 2 * log[0].bytes.len() + 30, 1 << 20] {
        for version in [11, 12] {
            for damaged in 0..3 {
                for bit in 0.. {
                    match read(&log, from, max_bytes, version, (damaged, bit)) {
                        Ended::Undamaged => {
                            assert!(damaged > 0 || bit > 1000);
                            break;
                        }
                        Ended::Failed => failures += 1,
                        Ended::Finished(found) => assert!(
                            check(&found, &expected),
                            "from {from}, {max_bytes} bytes, answer {damaged}, bit {bit}: {found:?}"
                        ),
                    }
                }
            }
        }
    }
    failures
}

#[test]
fn no_bit_that_flips_changes_what_is_read() {
    assert_eq!(flip_all(&[], 100, |found, expected| found == expected), 0);
}

#[test]
fn nor_when_reading_begins_inside_of_a_batch() {
    assert_eq!(flip_all(&[], 115, |found, expected| found == expected), 0);
}

/// What cannot be noticed is a batch that was moved within the gaps around it; it may come at its own place as well, but
/// nothing is lost by that, and nothing moved beyond its neighbours.
#[test]
fn no_bit_that_flips_loses_a_batch_where_others_are_missing() {
    let same = |found: &[(i64, Bytes)], expected: &[(i64, Bytes)]| {
        let mut index = 0;
        for (at, (base_offset, content)) in found.iter().enumerate() {
            if at > 0 && *content != expected[index].1 {
                index += 1;
            }
            let from = index.checked_sub(1).map_or(0, |before| expected[before].0 + 10);
            let until = expected.get(index + 1).map_or(180, |after| after.0);
            if *content != expected[index].1 || !(from..=until - 10).contains(base_offset) {
                return false;
            }
        }
        index + 1 == expected.len()
    };
    flip_all(&[100, 110, 140], 100, same);
    flip_all(&[120, 130], 100, same);
}
