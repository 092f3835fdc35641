use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::batch::{BatchBuilder, NewRecord};
use crate::error::{ConnectionError, ErrorCode};

pub(crate) fn batch(records: usize) -> RawBatch {
    valued(records, b"v")
}

fn valued(records: usize, value: &[u8]) -> RawBatch {
    let mut builder = BatchBuilder::new().base_offset(500);
    for _ in 0..records {
        builder
            .push(&NewRecord {
                timestamp: 1,
                value: Some(value),
                ..NewRecord::default()
            })
            .unwrap();
    }
    builder.build().unwrap()
}

fn lost() -> Error {
    Error::InDoubt {
        broker: "b".into(),
        api: "Produce",
        source: ConnectionError::ClosedByBroker,
    }
}

/// What the broker stores of a parcel.
fn stored(parcel: &Parcel, base_offset: i64) -> BatchHeader {
    let mut header = BatchHeader::parse(&parcel.header).unwrap();
    header.base_offset = base_offset;
    header
}

#[test]
fn sequence_numbers_count_records_and_start_again_after_the_largest() {
    assert_eq!(sequence_after(0, 5), 5);
    assert_eq!(sequence_after(i32::MAX, 1), 0);
    assert_eq!(sequence_after(i32::MAX - 1, 5), 3);
    assert_eq!(sequence_after(i32::MAX, i32::MAX), i32::MAX - 1);
}

#[test]
fn one_batch_is_in_flight_until_the_leader_has_acknowledged_one() {
    let mut ledger = Ledger::new(7, 0, 100);
    for _ in 0..10 {
        ledger.append(batch(2)).unwrap();
    }
    assert!(ledger.send().is_some());
    assert!(ledger.send().is_none());
    assert!(matches!(ledger.answered(Ok(100)), Answered::Acknowledged));
    assert_eq!(ledger.acknowledged(), 102);
    let in_flight = std::iter::from_fn(|| ledger.send().map(|parcel| parcel.stamp.base_sequence));
    assert_eq!(in_flight.collect::<Vec<_>>(), [2, 4, 6, 8, 10]);
}

#[test]
fn an_answer_with_another_offset_ends_it() {
    let mut ledger = Ledger::new(7, 0, 100);
    ledger.append(batch(2)).unwrap();
    ledger.send().unwrap();
    let answered = ledger.answered(Ok(101));
    let unexpected = PartitionProblem::UnexpectedOffset {
        expected: 100,
        acknowledged: 101,
    };
    assert!(matches!(answered, Answered::Broken(problem) if problem == unexpected));
}

#[test]
fn after_a_failure_nothing_is_sent_until_the_log_was_looked_at() {
    let mut ledger = Ledger::new(7, 0, 0);
    for _ in 0..6 {
        ledger.append(batch(1)).unwrap();
    }
    ledger.send().unwrap();
    ledger.answered(Ok(0));
    while ledger.send().is_some() {}
    assert!(matches!(ledger.answered(Ok(1)), Answered::Acknowledged));
    assert!(matches!(ledger.answered(Err(lost())), Answered::Draining));
    assert!(ledger.sendable().is_none());
    // An answer that says yes is not trusted any more: where is what came before it?
    assert!(matches!(ledger.answered(Ok(3)), Answered::Draining));
    assert!(matches!(ledger.answered(Err(lost())), Answered::Draining));
    assert!(matches!(ledger.answered(Err(lost())), Answered::Drained(_)));
    assert_eq!(ledger.acknowledged(), 2);

    let first = stored(&ledger.in_flight[0], 2);
    ledger.found(&first).unwrap();
    assert_eq!(ledger.acknowledged(), 3);
    assert!(ledger.settled().is_some());
    let parcel = ledger.send().unwrap();
    assert_eq!((parcel.base_offset, parcel.stamp.base_sequence), (3, 3));
    assert!(ledger.send().is_none());
}

#[test]
fn what_is_in_the_log_is_recognised_by_every_field_that_counts() {
    let mut ledger = Ledger::new(7, 3, 10);
    ledger.append(batch(4)).unwrap();
    ledger.send().unwrap();
    let ours = stored(&ledger.in_flight[0], 10);
    let other: [fn(&mut BatchHeader); 7] = [
        |header| header.producer_id += 1,
        |header| header.producer_epoch += 1,
        |header| header.base_sequence += 1,
        |header| header.record_count += 1,
        |header| header.base_offset += 1,
        |header| header.crc ^= 1,
        |header| header.producer_id = -1,
    ];
    for change in other {
        let mut header = ours;
        change(&mut header);
        let error = ledger.clone_for_test().found(&header).unwrap_err();
        assert!(matches!(error, PartitionProblem::ForeignWrite { .. }), "{error}");
    }
    // The broker compressed it anew, or stamped it.
    let rewritten: [fn(&mut BatchHeader); 2] = [
        |header| header.attributes |= 1,
        |header| header.max_timestamp += 9,
    ];
    for change in rewritten {
        let mut header = ours;
        header.crc ^= 0x55;
        change(&mut header);
        ledger.clone_for_test().found(&header).unwrap();
    }
    ledger.found(&ours).unwrap();
}

#[test]
fn a_batch_that_waits_to_be_sent_again_may_turn_up_in_the_log() {
    let mut ledger = Ledger::new(7, 0, 0);
    for _ in 0..3 {
        ledger.append(batch(1)).unwrap();
    }
    ledger.send().unwrap();
    ledger.answered(Err(lost()));
    ledger.settled();
    ledger.send().unwrap();
    ledger.answered(Err(lost()));
    let (first, second) = (stored(&ledger.in_flight[0], 0), stored(&ledger.queue[0], 1));
    ledger.found(&first).unwrap();
    ledger.found(&second).unwrap();
    assert_eq!(ledger.acknowledged(), 2);
    ledger.settled();
    assert_eq!(ledger.send().unwrap().base_offset, 2);
}

#[test]
fn a_new_epoch_starts_at_sequence_0_with_the_first_batch_that_is_missing() {
    let mut ledger = Ledger::new(7, 3, 0);
    for _ in 0..4 {
        ledger.append(batch(3)).unwrap();
    }
    ledger.send().unwrap();
    ledger.answered(Ok(0));
    ledger.send().unwrap();
    let error = Error::kafka(
        ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
        "Produce",
        &"b".into(),
        "",
    );
    assert!(matches!(ledger.answered(Err(error)), Answered::Drained(_)));
    ledger.settled();
    ledger.renew_epoch().unwrap();
    let stamps: Vec<_> = ledger.queue.iter().map(|parcel| parcel.stamp).collect();
    let stamp = |base_sequence| ProducePatch {
        producer_id: 7,
        producer_epoch: 4,
        base_sequence,
    };
    assert_eq!(stamps, [stamp(0), stamp(3), stamp(6)]);
    ledger.append(batch(1)).unwrap();
    assert_eq!(ledger.queue[3].stamp, stamp(9));
    for parcel in &ledger.queue {
        let header = BatchHeader::parse(&parcel.header).unwrap();
        assert_eq!(
            (header.producer_epoch, header.base_sequence),
            (4, parcel.stamp.base_sequence)
        );
    }
    ledger.producer_epoch = i16::MAX;
    assert!(ledger.renew_epoch().is_none());
}

/// What the broker stores of a marker.
pub(crate) fn marker(base_offset: i64, producer_id: i64) -> BatchHeader {
    let mut builder = BatchBuilder::new().control().producer(ProducePatch {
        producer_id,
        producer_epoch: 0,
        base_sequence: -1,
    });
    builder.push(&NewRecord::default()).unwrap();
    let mut header = builder.build().unwrap().header;
    header.base_offset = base_offset;
    header
}

#[test]
fn what_comes_behind_a_gap_waits_until_the_log_has_all_its_markers() {
    let mut ledger = Ledger::new(7, 0, 10);
    ledger.open_gap(13, (8, 0));
    assert_eq!(ledger.append(batch(2)).unwrap(), 13);
    for offset in 10..13 {
        assert_eq!(ledger.gap().unwrap().missing, 13 - offset);
        assert!(ledger.sendable().is_none());
        ledger.found(&marker(offset, 8)).unwrap();
    }
    assert_eq!((ledger.gap(), ledger.acknowledged()), (None, 13));
    // One more is too many.
    let error = ledger.found(&marker(13, 8)).unwrap_err();
    assert!(
        matches!(error, PartitionProblem::ForeignWrite { offset: 13, .. }),
        "{error}"
    );
    let parcel = ledger.send().unwrap();
    assert_eq!((parcel.base_offset, parcel.stamp.base_sequence), (13, 0));
}

#[test]
fn a_gap_is_filled_by_its_own_markers_only() {
    let mut ledger = Ledger::new(7, 0, 10);
    ledger.open_gap(12, (8, 0));
    ledger.append(batch(1)).unwrap();
    let behind = stored(&ledger.queue[0], 10);
    let others = [
        (
            "a batch",
            BatchHeader {
                attributes: 0,
                ..marker(10, 8)
            },
        ),
        ("a transaction marker", marker(10, 7)),
        ("a transaction marker", marker(11, 8)),
        (
            "a transaction marker",
            BatchHeader {
                last_offset_delta: 1,
                ..marker(10, 8)
            },
        ),
        (
            "a transaction marker",
            BatchHeader {
                producer_epoch: 1,
                ..marker(10, 8)
            },
        ),
        // What waits behind the gap is not to be before it.
        ("a batch", behind),
    ];
    for (what, header) in others {
        let error = ledger.found(&header).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
    assert_eq!((ledger.gap().unwrap().missing, ledger.acknowledged()), (2, 10));
}

#[test]
fn an_empty_gap_is_none() {
    let mut ledger = Ledger::new(7, 0, 10);
    ledger.open_gap(10, (8, 0));
    assert_eq!(ledger.gap(), None);
}

impl Ledger {
    fn clone_for_test(&self) -> Self {
        let mut ledger = Ledger::new(self.producer_id, self.producer_epoch, self.acknowledged);
        ledger.in_flight = self.in_flight.clone();
        ledger.bytes = self.bytes;
        ledger
    }
}

/// A log with a leader that appends or not, answers or not, and forgets producers at any time.
#[derive(Default)]
struct Broker {
    log: Vec<BatchHeader>,
    end: i64,
    /// All bytes of each batch as it was sent first, by the offset that it was to get.
    sent: BTreeMap<i64, (Vec<u8>, Bytes)>,
}

impl Broker {
    /// Whether this is what was sent for the same offset before, if anything was.
    fn receive(&mut self, parcel: &Parcel) -> bool {
        let bytes = (parcel.header.to_vec(), parcel.body());
        let first = self.sent.entry(parcel.base_offset);
        *first.or_insert_with(|| bytes.clone()) == bytes
    }

    fn append(&mut self, sent: &BatchHeader) -> i64 {
        let base_offset = self.end;
        let mut header = *sent;
        header.base_offset = base_offset;
        self.end += i64::from(header.record_count);
        self.log.push(header);
        base_offset
    }
}

#[derive(Debug, Clone, Copy)]
enum Fate {
    Acknowledged,
    AppendedAndLost,
    Lost,
}

proptest! {
    /// Whatever becomes of requests and answers, the log ends up with every batch once, in order, and the ledger never
    /// claims more than the log holds. What is sent again is the same, byte for byte: by that the broker knows it.
    #[test]
    fn every_batch_is_in_the_log_once(
        sizes in proptest::collection::vec(1usize..5, 1..25),
        fates in proptest::collection::vec(
            prop_oneof![
                4 => Just(Fate::Acknowledged),
                1 => Just(Fate::AppendedAndLost),
                1 => Just(Fate::Lost)
            ],
            200,
        ),
        pipelined in 1usize..6,
    ) {
        let mut ledger = Ledger::new(7, 0, 0);
        let mut broker = Broker::default();
        for (index, &size) in sizes.iter().enumerate() {
            ledger.append(valued(size, &[index as u8; 3])).unwrap();
        }
        let total: usize = sizes.iter().sum();
        // After all fates are used up, everything works.
        let mut fates = fates.into_iter().chain(std::iter::repeat(Fate::Acknowledged));
        while ledger.acknowledged() < total as i64 {
            let mut sent = Vec::new();
            while sent.len() < pipelined && let Some(parcel) = ledger.send() {
                prop_assert!(broker.receive(parcel), "offset {}", parcel.base_offset);
                sent.push(BatchHeader::parse(&parcel.header).unwrap());
            }
            prop_assert!(!sent.is_empty());
            // What follows a lost request on the same connection is lost too.
            let mut broken = false;
            let mut drained = false;
            for header in &sent {
                let fate = if broken { Fate::Lost } else { fates.next().unwrap() };
                let answer = match fate {
                    Fate::Acknowledged => Ok(broker.append(header)),
                    Fate::AppendedAndLost => {
                        broker.append(header);
                        Err(lost())
                    }
                    Fate::Lost => Err(lost()),
                };
                broken |= answer.is_err();
                match ledger.answered(answer) {
                    Answered::Acknowledged | Answered::Draining => {}
                    Answered::Drained(_) => drained = true,
                    Answered::Broken(problem) => prop_assert!(false, "{problem}"),
                }
                prop_assert!(ledger.acknowledged() <= broker.end);
            }
            prop_assert_eq!(drained, broken);
            if drained {
                while ledger.acknowledged() < broker.end {
                    let at = ledger.acknowledged();
                    let found = broker.log.iter().find(|header| header.base_offset == at).copied().unwrap();
                    ledger.found(&found).unwrap();
                }
                prop_assert!(ledger.settled().is_some());
            }
        }
        let counts: Vec<usize> = broker.log.iter().map(|header| header.record_count as usize).collect();
        prop_assert_eq!(&counts, &sizes);
        let bodies = broker.sent.values().map(|(_, body)| body.clone());
        let appended = (0..).zip(&sizes).map(|(index, &size)| valued(size, &[index; 3]).stored_records_bytes());
        prop_assert!(bodies.eq(appended));
        prop_assert_eq!(ledger.bytes(), 0);
    }
}
