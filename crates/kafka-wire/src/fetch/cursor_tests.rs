use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::batch::{BatchBuilder, BatchError, NewRecord, ProducePatch, RawBatch};
use crate::config::ClusterConfig;
use crate::transactions::AbortedTransaction;

fn cursor(from: i64, end: Option<i64>) -> Cursor {
    let mut partition = FetchPartition::new("t", 0, from);
    partition.end_offset = end;
    Cursor::new(partition, 100, limits())
}

pub(crate) fn limits() -> Limits {
    Limits::new(&ClusterConfig::new(["a:1"]), None)
}

fn answer(records: impl Into<Bytes>) -> PartitionResponse {
    PartitionResponse {
        partition: 0,
        error_code: 0,
        high_watermark: 1000,
        last_stable_offset: 900,
        log_start_offset: Some(0),
        aborted: Vec::new(),
        preferred_read_replica: None,
        records: records.into(),
        diverging_epoch: None,
        current_leader: None,
    }
}

pub(in crate::fetch) fn builder(base_offset: i64, epoch: i32) -> BatchBuilder {
    BatchBuilder::new().base_offset(base_offset).leader_epoch(epoch)
}

pub(in crate::fetch) fn filled(mut builder: BatchBuilder, records: usize) -> RawBatch {
    for index in 0..records {
        let value = [index as u8; 20];
        builder
            .push(&NewRecord {
                timestamp: 5,
                value: Some(&value),
                ..NewRecord::default()
            })
            .unwrap();
    }
    builder.build().unwrap()
}

/// Ten batches of ten records, from offset 100 on.
fn log() -> Vec<RawBatch> {
    (0..10)
        .map(|index| filled(builder(100 + index * 10, 4), 10))
        .collect()
}

fn slab(batches: &[RawBatch]) -> Vec<u8> {
    batches.iter().flat_map(|batch| batch.bytes.to_vec()).collect()
}

fn progress(outcome: Result<Outcome, PartitionProblem>) -> FetchedBatches {
    match outcome {
        Ok(Outcome::Progress(fetched)) => fetched,
        other => panic!("{other:?}"),
    }
}

fn bases(fetched: &FetchedBatches) -> Vec<i64> {
    let base = |entry: &LogEntry| match entry {
        LogEntry::Batch(batch) => batch.header.base_offset,
        LogEntry::Legacy(entry) => entry.offset,
    };
    fetched.batches.iter().map(base).collect()
}

#[test]
fn batches_before_the_offset_and_from_the_end_on_are_left_out() {
    let mut cursor = cursor(115, Some(130));
    let fetched = progress(cursor.advance(answer(slab(&log())), true));
    assert_eq!(bases(&fetched), [110, 120]);
    assert_eq!(
        (fetched.next_offset, cursor.offset, cursor.last_epoch),
        (130, 130, 4)
    );
    assert!(cursor.is_finished());
    assert_eq!(
        (fetched.last_epoch, fetched.slab.len()),
        (Some(4), slab(&log()).len())
    );
    assert_eq!(
        (fetched.log_start_offset, fetched.high_watermark),
        (Some(0), 1000)
    );
}

#[test]
fn a_batch_that_contains_the_end_is_whole_and_the_last() {
    let mut cursor = cursor(100, Some(125));
    let fetched = progress(cursor.advance(answer(slab(&log())), true));
    assert_eq!((bases(&fetched), fetched.next_offset), (vec![100, 110, 120], 130));
}

#[test]
fn an_end_inside_of_a_gap_is_reached_by_what_follows_it() {
    let mut log = log();
    log.drain(2..4);
    let mut cursor = cursor(100, Some(130));
    let fetched = progress(cursor.advance(answer(slab(&log)), true));
    assert_eq!((bases(&fetched), fetched.next_offset), (vec![100, 110], 130));
    assert!(cursor.is_finished());
    assert_eq!(
        fetched.last_epoch, None,
        "nobody knows whose reign offset 129 was in"
    );
}

#[test]
fn an_empty_answer_ends_nothing() {
    let mut cursor = cursor(100, Some(101));
    assert_eq!(cursor.advance(answer(Bytes::new()), true), Ok(Outcome::Empty));
    assert_eq!((cursor.offset, cursor.is_finished()), (100, false));
}

#[test]
fn a_batch_that_is_cut_makes_the_cursor_ask_for_as_much_as_it_needs() {
    let whole = slab(&[filled(builder(100, 4), 400)]);
    for cut in [1, 11, 12, 16, 17, 60, 61, whole.len() - 1] {
        let mut cursor = cursor(100, None);
        assert_eq!(
            cursor.advance(answer(whole[..cut].to_vec()), true),
            Ok(Outcome::Cut)
        );
        assert_eq!(cursor.max_bytes, if cut < 12 { 200 } else { whole.len() });
        assert_eq!(cursor.offset, 100);
    }
}

#[test]
fn the_batch_after_whole_ones_may_be_cut() {
    let all = slab(&log());
    let mut cursor = cursor(100, None);
    let fetched = progress(cursor.advance(answer(all[..all.len() - 5].to_vec()), true));
    assert_eq!((fetched.batches.len(), fetched.next_offset), (9, 190));
}

#[test]
fn an_answer_that_does_not_reach_the_offset_makes_the_cursor_ask_for_more() {
    let mut cursor = cursor(150, None);
    let before = slab(&log()[..3]);
    for answers in 1..5 {
        assert_eq!(cursor.advance(answer(before.clone()), true), Ok(Outcome::Stuck));
        assert_eq!(
            (cursor.stuck_answers, cursor.max_bytes),
            (answers, 100 << answers)
        );
        assert_eq!(cursor.offset, 150);
    }
    progress(cursor.advance(answer(slab(&log())), true));
    assert_eq!(cursor.stuck_answers, 0);
}

#[test]
fn damage_is_reported_when_nothing_good_is_before_it() {
    let mut bytes = slab(&log());
    let length = log()[0].bytes.len();
    bytes[length * 3 + 70] ^= 1;
    let mut cursor = cursor(100, None);
    let fetched = progress(cursor.advance(answer(bytes.clone()), true));
    assert_eq!((bases(&fetched), cursor.offset), (vec![100, 110, 120], 130));
    let problem = cursor.advance(answer(bytes), true).unwrap_err();
    assert!(
        matches!(
            problem,
            PartitionProblem::Batch(BatchError::Crc { base_offset: 130, .. })
        ),
        "{problem}"
    );
    assert_eq!(cursor.offset, 130);
}

#[test]
fn control_empty_and_aborted_batches_are_passed_and_counted() {
    let producer = ProducePatch {
        producer_id: 9,
        producer_epoch: 0,
        base_sequence: 0,
    };
    let transactional = |base| builder(base, 4).producer(producer).transactional();
    let mut marker = transactional(130).control();
    marker
        .push(&NewRecord {
            timestamp: 1,
            key: Some(&[0, 0, 0, 0]),
            ..NewRecord::default()
        })
        .unwrap();
    let log = [
        filled(builder(100, 4), 10),
        filled(transactional(110), 10),
        builder(120, 4).last_offset_delta(9).build().unwrap(),
        marker.build().unwrap(),
        filled(transactional(131), 5),
    ];
    let mut response = answer(slab(&log));
    response.aborted = vec![AbortedTransaction {
        producer_id: 9,
        first_offset: 110,
    }];
    let fetched = progress(cursor(100, None).advance(response.clone(), true));
    assert_eq!(bases(&fetched), [100, 131]);
    assert_eq!(
        (
            fetched.aborted_batches,
            fetched.aborted_records,
            fetched.control_batches
        ),
        (1, 10, 1)
    );
    assert_eq!(fetched.next_offset, 136);
    let fetched = progress(cursor(100, None).advance(response, false));
    assert_eq!(bases(&fetched), [100, 110, 131]);
    assert_eq!((fetched.aborted_batches, fetched.control_batches), (0, 1));
    // Passing only such batches is progress too.
    let fetched = progress(cursor(120, Some(131)).advance(answer(slab(&log)), true));
    assert_eq!((bases(&fetched), fetched.next_offset), (vec![], 131));
}

proptest! {
    /// Whatever the bytes are, nothing panics and the offset never goes back.
    #[test]
    fn damaged_slabs_never_panic(
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut in any::<prop::sample::Index>(),
        from in 90i64..210,
        end in proptest::option::of(90i64..210),
    ) {
        let mut bytes = slab(&log());
        for (index, bits) in flips {
            let at = index.index(bytes.len());
            bytes[at] ^= bits;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        let mut cursor = cursor(from, end);
        let outcome = cursor.advance(answer(bytes), true);
        prop_assert!(cursor.offset >= from);
        if let Ok(Outcome::Progress(fetched)) = outcome {
            prop_assert_eq!(fetched.next_offset, cursor.offset);
            prop_assert!(cursor.offset > from);
        } else {
            prop_assert_eq!(cursor.offset, from);
        }
    }

    /// However the log is cut into answers, the same batches are delivered.
    #[test]
    fn any_size_of_answers_gives_the_same_batches(sizes in proptest::collection::vec(1usize..3000, 1..50)) {
        let log = log();
        let mut cursor = cursor(100, Some(200));
        let mut found = Vec::new();
        let mut sizes = sizes.into_iter().cycle();
        while !cursor.is_finished() {
            let rest: Vec<RawBatch> =
                log.iter().filter(|batch| batch.header.next_offset() > cursor.offset).cloned().collect();
            let mut bytes = slab(&rest);
            // At least what it asks for: the size stands for other partitions' share of the answer.
            bytes.truncate(sizes.next().unwrap().max(cursor.needs));
            match cursor.advance(answer(bytes), true).unwrap() {
                Outcome::Progress(fetched) => found.extend(bases(&fetched)),
                Outcome::Cut => {}
                other => prop_assert!(false, "{:?}", other),
            }
        }
        prop_assert!(found.into_iter().eq((0..10).map(|index| 100 + index * 10)));
    }
}

/// A message of format 1 with a value of one byte.
fn message(offset: i64, value: u8) -> Vec<u8> {
    // Magic, attributes, timestamp, no key, the value.
    let mut content = vec![1, 0];
    content.extend_from_slice(&5_i64.to_be_bytes());
    content.extend_from_slice(&(-1_i32).to_be_bytes());
    content.extend_from_slice(&1_i32.to_be_bytes());
    content.push(value);
    let mut message = offset.to_be_bytes().to_vec();
    message.extend_from_slice(&(4 + content.len() as u32).to_be_bytes());
    message.extend_from_slice(&crc32fast::hash(&content).to_be_bytes());
    message.extend_from_slice(&content);
    message
}

#[test]
fn messages_of_old_formats_are_checked_too() {
    let mut log = [message(7, b'a'), message(8, b'b')].concat();
    let fetched = progress(cursor(7, None).advance(answer(log.clone()), true));
    assert_eq!((bases(&fetched), fetched.next_offset), (vec![7, 8], 9));
    *log.last_mut().unwrap() ^= 1;
    let mut cursor = cursor(7, None);
    let fetched = progress(cursor.advance(answer(log.clone()), true));
    assert_eq!((bases(&fetched), cursor.offset), (vec![7], 8));
    let damaged = answer(log[log.len() / 2..].to_vec());
    assert!(matches!(
        cursor.advance(damaged, true),
        Err(PartitionProblem::Batch(_))
    ));
}

fn out_of_place(outcome: Result<Outcome, PartitionProblem>) -> (i64, i64) {
    match outcome {
        Err(PartitionProblem::OutOfPlace { offset, found, .. }) => (offset, found),
        other => panic!("{other:?}"),
    }
}

/// The log with the base offset of one batch changed, as a flipped bit does it.
fn moved(index: usize, base_offset: i64) -> Vec<RawBatch> {
    let mut log = log();
    let mut bytes = log[index].bytes.to_vec();
    bytes[..8].copy_from_slice(&base_offset.to_be_bytes());
    log[index] = RawBatch::parse(bytes.into()).unwrap();
    log
}

#[test]
fn a_batch_with_another_base_offset_ends_what_is_read() {
    for base_offset in [0, 36, 119, 121, 125, 134, 900] {
        let mut cursor = cursor(100, Some(200));
        let log = moved(3, base_offset);
        let fetched = progress(cursor.advance(answer(slab(&log)), true));
        assert_eq!(
            (bases(&fetched), fetched.next_offset),
            (vec![100, 110, 120], 130),
            "{base_offset}"
        );
        // The next answer begins with it.
        let rest = answer(slab(&log[3..]));
        let found = if base_offset < 120 { 140 } else { base_offset };
        assert_eq!(out_of_place(cursor.advance(rest, true)), (130, found));
        assert_eq!(cursor.offset, 130);
        let fetched = progress(cursor.advance(answer(slab(&self::log()[3..])), true));
        assert_eq!(fetched.next_offset, 200);
    }
}

#[test]
fn nothing_is_taken_from_the_high_watermark_on() {
    let mut cursor = cursor(100, None);
    let mut answered = answer(slab(&log()));
    answered.high_watermark = 150;
    let fetched = progress(cursor.advance(answered.clone(), true));
    assert_eq!(fetched.next_offset, 150);
    answered.records = slab(&log()[5..]).into();
    assert_eq!(out_of_place(cursor.advance(answered.clone(), true)), (150, 150));
    answered.high_watermark = -1;
    assert_eq!(progress(cursor.advance(answered, true)).next_offset, 200);
}

#[test]
fn a_last_batch_behind_a_gap_is_taken_when_it_comes_again() {
    let mut cursor = cursor(100, None);
    let mut log = log();
    log.truncate(5);
    log.remove(3);
    let fetched = progress(cursor.advance(answer(slab(&log)), true));
    assert_eq!((bases(&fetched), cursor.offset), (vec![100, 110, 120], 130));
    let last = slab(&log[3..]);
    let fetched = progress(cursor.advance(answer(last.clone()), true));
    assert_eq!((bases(&fetched), cursor.offset), (vec![140], 150));
    // What was seen elsewhere is no confirmation.
    let mut cursor = self::cursor(130, None);
    assert_eq!(cursor.advance(answer(last), true), Ok(Outcome::Doubtful));
    let other = slab(&moved(3, 150)[3..4]);
    assert_eq!(out_of_place(cursor.advance(answer(other), true)), (130, 150));
}

#[test]
fn an_epoch_that_cannot_be_is_not_remembered() {
    for (newest, epoch, remembered) in [
        (-1, 4, 4),
        (4, 4, 4),
        (4, 3, -1),
        (4, 5, -1),
        (-1, 1 << 30, 1 << 30),
        (4, i32::MIN, -1),
    ] {
        let mut cursor = cursor(100, None);
        cursor.leader_epoch = newest;
        cursor.last_epoch = 4;
        let batch = filled(builder(100, epoch), 10);
        let fetched = progress(cursor.advance(answer(slab(&[batch])), true));
        assert_eq!(cursor.last_epoch, remembered, "{newest} {epoch}");
        assert_eq!(fetched.last_epoch, Some(remembered).filter(|&epoch| epoch >= 0));
    }
}

#[test]
fn after_a_large_batch_the_usual_number_of_bytes_is_asked_for() {
    let mut cursor = cursor(100, None);
    let large = slab(&[filled(builder(100, 4), 400)]);
    assert_eq!(
        cursor.advance(answer(large[..500].to_vec()), true),
        Ok(Outcome::Cut)
    );
    progress(cursor.advance(answer(large.clone()), true));
    assert_eq!(cursor.max_bytes, large.len());
    let small: Vec<RawBatch> = (0..5)
        .map(|index| filled(builder(500 + index * 2, 4), 2))
        .collect();
    progress(cursor.advance(answer(slab(&small)), true));
    assert_eq!(cursor.max_bytes, small[0].bytes.len().max(100));
}
