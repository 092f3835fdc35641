//! Logs that get the offsets of other ones: what is missing is filled with markers, and what is before the first record with
//! nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kafka_wire::batch::{BatchBuilder, Codec, NewRecord};
use kafka_wire::{
    Cluster, Error, ErrorCode, IsolationLevel, OffsetSpec, PartitionProblem, PartitionWriter, Producer,
    ProducerOptions, TopicFilter, TopicPartition,
};
use testkit::{ProduceRecord, Record, RequestFault, Rule, TransactionEnd, api_key};

use crate::faults::{impatient, proxied};
use crate::support::{Bench, batch, seen, shared};
use crate::writing::PATIENCE;

/// A log with committed and aborted transactions, deleted records, and a marker at its end.
async fn original(bench: &Bench, topic: &str) {
    bench.create(topic, 1).await;
    let record = |index: usize| {
        ProduceRecord::new(topic, 0)
            .timestamp(1_600_000_000_000 + index as i64)
            .value(format!("record {index}"))
    };
    let records = |range: std::ops::Range<usize>| range.map(record).collect::<Vec<_>>();
    bench.java.produce(&records(0..30)).await.unwrap();
    let ends = [
        TransactionEnd::Commit,
        TransactionEnd::Abort,
        TransactionEnd::Commit,
    ];
    for (index, end) in ends.into_iter().enumerate() {
        let first = 100 * (index + 1);
        let id = format!("{topic}-{index}");
        bench
            .java
            .transaction(&id, &records(first..first + 20), end)
            .await
            .unwrap();
        bench
            .java
            .produce(&records(first + 50..first + 53))
            .await
            .unwrap();
    }
    bench
        .java
        .transaction(
            &format!("{topic}-last"),
            &records(900..905),
            TransactionEnd::Abort,
        )
        .await
        .unwrap();
    bench.java.delete_records(topic, 0, 7).await.unwrap();
}

/// Writes records at their own offsets.
async fn write_at(writer: &mut PartitionWriter, records: &[Record]) {
    for run in records.chunk_by(|record, next| next.offset == record.offset + 1) {
        writer.fill_to(run[0].offset).await.unwrap();
        for part in run.chunks(10) {
            let mut builder = BatchBuilder::new().compression(Codec::Zstd, None);
            for record in part {
                builder
                    .push(&NewRecord {
                        timestamp: record.timestamp,
                        key: record.key.as_deref(),
                        value: record.value.as_deref(),
                        headers: &[],
                    })
                    .unwrap();
            }
            assert_eq!(
                writer.append(builder.build().unwrap()).await.unwrap(),
                part[0].offset
            );
        }
    }
}

/// Copies a log to one that has the same offsets, and compares them by the Java client.
pub(crate) async fn same_offsets(bench: &Bench) {
    let (source, target) = ("gaps-source", "gaps-target");
    original(bench, source).await;
    bench.create(target, 1).await;
    let records = bench.java.consume_all(source, 0).await.unwrap();
    let start = bench.java.beginning_offset(source, 0).await.unwrap();
    let end = bench.java.end_offset(source, 0).await.unwrap();
    let last = records.last().unwrap().offset;
    assert!(
        start == 7 && records[0].offset == 7 && last < end - 5,
        "{start} {last} {end}"
    );

    let cluster = bench.connect().await;
    cluster.check_marker_rights().await.unwrap();
    let producer = Producer::start(&cluster, impatient()).await.unwrap();
    let mut writer = producer.partition(target, 0, 0).await.unwrap();
    writer.begin_at(start).await.unwrap();
    write_at(&mut writer, &records).await;
    writer.fill_to(end).await.unwrap();
    assert_eq!(writer.next_offset(), end);
    assert_eq!(writer.flush().await.unwrap(), end);

    let copied = bench.java.consume_all(target, 0).await.unwrap();
    assert_eq!(seen(&copied), seen(&records));
    assert_eq!(bench.java.beginning_offset(target, 0).await.unwrap(), start);
    assert_eq!(bench.java.end_offset(target, 0).await.unwrap(), end);
    assert_eq!(bench.java.last_stable_offset(target, 0).await.unwrap(), end);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_gets_the_offsets_of_another_one() {
    same_offsets(shared().await).await;
}

/// Many gaps, large and small, in several partitions, under faults. Every record has to be where it is to be, and everything
/// between to be a marker.
async fn fills(bench: &Bench, topic: &str, rules: impl IntoIterator<Item = Rule>) {
    // Some have to wait for others.
    const PARTITIONS: i32 = 8;
    bench.create(topic, PARTITIONS).await;
    let cluster = bench.connect().await;
    let producer = Producer::start(&cluster, impatient()).await.unwrap();
    let proxy = bench.kafka.proxy(0).unwrap();
    let rules: Vec<_> = rules.into_iter().map(|rule| proxy.add(rule)).collect();
    let mut tasks = Vec::new();
    for partition in 0..PARTITIONS {
        let (producer, topic) = (producer.clone(), topic.to_owned());
        tasks.push(tokio::spawn(async move {
            let mut writer = producer.partition(topic, partition, 0).await.unwrap();
            let mut wanted = Vec::new();
            for (index, gap) in [1, 700, 0, 3, 2500, 40].into_iter().enumerate() {
                writer.fill_to(writer.next_offset() + gap).await.unwrap();
                for part in [2 * index, 2 * index + 1] {
                    wanted.push(
                        writer
                            .append(batch(partition, part, 5, Codec::None))
                            .await
                            .unwrap(),
                    );
                }
            }
            (wanted, writer.flush().await.unwrap())
        }));
    }
    let mut results = Vec::new();
    for task in tasks {
        let result = tokio::time::timeout(PATIENCE, task).await;
        results.push(result.expect("filled").unwrap());
    }
    for rule in rules {
        assert!(rule.hits() > 0, "{topic}: nothing happened");
    }
    proxy.clear();
    for (partition, (wanted, end)) in results.into_iter().enumerate() {
        let records = bench.java.consume_all(topic, partition as i32).await.unwrap();
        let values = records.iter().map(|record| {
            let value = String::from_utf8(record.value.clone().unwrap()).unwrap();
            (record.offset, value.split(':').next().unwrap().to_owned())
        });
        let expected = wanted.iter().enumerate().flat_map(|(batch, offset)| {
            (0..5).map(move |record| {
                (
                    offset + record,
                    format!("{partition}/{}", 5 * batch as i64 + record),
                )
            })
        });
        assert!(values.eq(expected), "{topic}-{partition}: {records:?}");
        assert_eq!(end, 1 + 700 + 3 + 2500 + 40 + 60);
        assert_eq!(bench.java.end_offset(topic, partition as i32).await.unwrap(), end);
    }
}

fn markers(fault: RequestFault) -> Rule {
    Rule::request(api_key::WRITE_TXN_MARKERS, fault)
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_to_markers_that_are_lost() {
    let bench = proxied().await;
    fills(
        &bench,
        "gaps-lost",
        [markers(RequestFault::CutBeforeResponse).times(5)],
    )
    .await;
    fills(
        &bench,
        "gaps-silent",
        [markers(RequestFault::DropResponse).skip(2).times(2)],
    )
    .await;
    let late = RequestFault::DelayResponse(Duration::from_millis(2500));
    fills(&bench, "gaps-late", [markers(late).skip(1).times(2)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn markers_that_do_not_arrive() {
    let bench = proxied().await;
    fills(
        &bench,
        "gaps-cut",
        [markers(RequestFault::CutInsideRequest(70)).times(4)],
    )
    .await;
    fills(
        &bench,
        "gaps-unsent",
        [markers(RequestFault::CutBeforeRequest).skip(3).times(3)],
    )
    .await;
    fills(
        &bench,
        "gaps-dropped",
        [markers(RequestFault::DropRequest).skip(1).times(2)],
    )
    .await;
    // They come after our patience has ended, with the broker's reading of all that is in the connection.
    let late = RequestFault::DelayRequest(Duration::from_millis(2500));
    fills(&bench, "gaps-late-request", [markers(late).skip(1).times(2)]).await;
}

/// Batches of the same producer are lost beside them.
#[tokio::test(flavor = "multi_thread")]
async fn markers_and_batches_that_are_lost_by_turns() {
    let bench = proxied().await;
    let batches = Rule::request(api_key::PRODUCE, RequestFault::CutBeforeResponse);
    let markers = markers(RequestFault::CutBeforeResponse);
    fills(
        &bench,
        "gaps-both",
        [batches.skip(2).times(6), markers.skip(1).times(6)],
    )
    .await;
}

/// The broker tells of all markers of a producer what became of the last one, so "all is well" is not taken for it, and a
/// failure is not either.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_answers_is_checked_in_the_log() {
    let bench = proxied().await;
    // The code is last, but for the tags of partition, topic, marker and response. 6: another leader.
    let refused = RequestFault::alter_response(|answer| {
        let code = answer.len() - 5;
        answer[code] = 6;
    });
    fills(&bench, "gaps-refused", [markers(refused).times(3)]).await;
    // A request for less than was meant, answered with success.
    let dropped = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&dropped);
    let fewer = RequestFault::alter_request(move |request| {
        if drop_marker(request) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    fills(&bench, "gaps-fewer", [markers(fewer).times(12)]).await;
    assert!(dropped.load(Ordering::Relaxed) > 2);
}

/// Takes the last of several markers out of a request: they are all the same. Returns whether there were several.
fn drop_marker(request: &mut Vec<u8>) -> bool {
    // API, version, correlation id, client id, tags; then how many markers there are, and one more.
    let client_id = usize::from(u16::from_be_bytes([request[8], request[9]]));
    let at = 10 + client_id + 1;
    let long = request[at] >= 0x80;
    let width = if long { 2 } else { 1 };
    let high = if long { usize::from(request[at + 1]) } else { 0 };
    let count = usize::from(request[at] & 0x7f) + 0x80 * high - 1;
    // The request's tags are last.
    let end = request.len() - 1;
    let size = (end - at - width) / count;
    if count == 1 || (long && count == 0x7f) {
        return false;
    }
    request.drain(end - size..end);
    request[at] = (count & 0x7f) as u8 | if long { 0x80 } else { 0 };
    if long {
        request[at + 1] = (count >> 7) as u8;
    }
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn leaders_that_are_killed_while_gaps_are_filled() {
    let bench = crate::failover::three().await;
    filled_while_killed(&bench).await;
}

pub(crate) async fn filled_while_killed(bench: &Bench) {
    const PARTITIONS: i32 = 3;
    const ROUNDS: i64 = 60;
    let topic = "gaps-killed";
    bench.create(topic, PARTITIONS).await;
    let cluster = bench.connect().await;
    let mut options = ProducerOptions::default();
    options.request_timeout = Duration::from_secs(3);
    let producer = Producer::start(&cluster, options).await.unwrap();
    let rounds = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..PARTITIONS)
        .map(|partition| {
            let (producer, rounds) = (producer.clone(), Arc::clone(&rounds));
            tokio::spawn(async move {
                let mut writer = producer.partition(topic, partition, 0).await.unwrap();
                for index in 0..ROUNDS as usize {
                    writer.fill_to(writer.next_offset() + 300).await.unwrap();
                    writer
                        .append(batch(partition, index, 5, Codec::None))
                        .await
                        .unwrap();
                    if partition == 0 {
                        rounds.store(index, Ordering::Relaxed);
                    }
                }
                writer.flush().await.unwrap()
            })
        })
        .collect();
    while rounds.load(Ordering::Relaxed) < 5 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let metadata = cluster.metadata(TopicFilter::Names(vec![topic.to_owned()])).await;
    let leader = metadata.unwrap().topics[topic].partitions[&0].leader.unwrap();
    bench.kafka.kill_broker(leader as usize).await.unwrap();
    assert!(
        rounds.load(Ordering::Relaxed) < ROUNDS as usize - 2,
        "it was filled before"
    );
    tokio::time::sleep(Duration::from_secs(2)).await;
    bench.kafka.start_broker(leader as usize).await.unwrap();
    for (partition, task) in tasks.into_iter().enumerate() {
        let end = tokio::time::timeout(PATIENCE, task)
            .await
            .expect("filled")
            .unwrap();
        assert_eq!(end, 305 * ROUNDS);
        let records = bench.java.consume_all(topic, partition as i32).await.unwrap();
        let offsets = records.iter().map(|record| record.offset);
        let expected = (0..ROUNDS).flat_map(|round| (0..5).map(move |record| 305 * round + 300 + record));
        assert!(offsets.eq(expected), "partition {partition}");
    }
}

fn problem(error: &Error) -> &PartitionProblem {
    match error {
        Error::Partition { problem, .. } => problem,
        other => panic!("{other}"),
    }
}

async fn opened(cluster: &Cluster, topic: &str, next: i64) -> PartitionWriter {
    let producer = Producer::start(cluster, impatient()).await.unwrap();
    producer.partition(topic, 0, next).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_else_in_a_gap_is_noticed() {
    let bench = shared().await;
    bench.create("gaps-contested", 1).await;
    let cluster = bench.connect().await;
    let mut writer = opened(&cluster, "gaps-contested", 0).await;
    writer.fill_to(3).await.unwrap();
    writer.flush().await.unwrap();
    let record = ProduceRecord::new("gaps-contested", 0).value("theirs");
    bench.java.produce(&[record]).await.unwrap();
    writer.fill_to(10).await.unwrap();
    let error = writer.flush().await.unwrap_err();
    assert!(
        matches!(problem(&error), PartitionProblem::ForeignWrite { offset: 3, .. }),
        "{error}"
    );
    assert_eq!(writer.acknowledged(), 3);

    // Somebody else's marker is not ours either.
    bench.create("gaps-strange-marker", 1).await;
    let mut writer = opened(&cluster, "gaps-strange-marker", 0).await;
    let mut other = opened(&cluster, "gaps-strange-marker", 0).await;
    other.fill_to(1).await.unwrap();
    other.flush().await.unwrap();
    writer.fill_to(2).await.unwrap();
    let error = writer.flush().await.unwrap_err();
    assert!(
        error.to_string().contains("offset 0 holds a transaction marker"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_behind_which_something_stands_is_refused() {
    let bench = shared().await;
    bench.create("gaps-behind", 1).await;
    let cluster = bench.connect().await;
    let mut writer = opened(&cluster, "gaps-behind", 0).await;
    writer.append(batch(0, 0, 5, Codec::None)).await.unwrap();
    let error = writer.fill_to(4).await.unwrap_err().to_string();
    assert!(
        error.contains("cannot be filled to offset 4: the next batch gets 5 already"),
        "{error}"
    );
    // Nothing to be done, and the writer goes on.
    writer.fill_to(5).await.unwrap();
    assert_eq!(writer.append(batch(0, 1, 5, Codec::None)).await.unwrap(), 5);
    assert_eq!(writer.flush().await.unwrap(), 10);
}

async fn bounds(bench: &Bench, topic: &str) -> (i64, i64) {
    let start = bench.java.beginning_offset(topic, 0).await.unwrap();
    (start, bench.java.end_offset(topic, 0).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_empty_log_begins_elsewhere() {
    let bench = shared().await;
    let cluster = bench.connect().await;
    bench.create("begin-full", 1).await;
    let mut writer = opened(&cluster, "begin-full", 0).await;
    writer.append(batch(0, 0, 5, Codec::None)).await.unwrap();
    let error = writer.begin_at(3).await.unwrap_err().to_string();
    assert!(
        error.contains("cannot begin at offset 3: its log ends at 5"),
        "{error}"
    );
    let error = writer.begin_at(100).await.unwrap_err().to_string();
    assert!(
        error.contains("its log has records at the offsets 0 to 4, and has to be empty"),
        "{error}"
    );
    assert_eq!(bounds(bench, "begin-full").await, (0, 5));
    // Emptied, it may; so does one that was left in between.
    let name = TopicPartition::new("begin-full", 0);
    for (_, outcome) in cluster.delete_records(&[(name, 5)]).await {
        outcome.unwrap();
    }
    writer.begin_at(50_123).await.unwrap();
    assert_eq!(bounds(bench, "begin-full").await, (50_123, 50_123));
    assert_eq!(writer.append(batch(0, 1, 5, Codec::None)).await.unwrap(), 50_123);
    writer.flush().await.unwrap();
    let offsets = bench.java.consume_all("begin-full", 0).await.unwrap();
    assert!(offsets.iter().map(|record| record.offset).eq(50_123..50_128));
}

/// With more than one step.
#[tokio::test(flavor = "multi_thread")]
async fn a_beginning_that_was_interrupted_is_taken_up_again() {
    const BEGINNING: i64 = 21_000_001;
    let bench = shared().await;
    let cluster = bench.connect().await;
    bench.create("begin-again", 1).await;
    let mut writer = opened(&cluster, "begin-again", 0).await;
    tokio::select! {
        begun = writer.begin_at(BEGINNING) => panic!("too fast to be interrupted: {begun:?}"),
        () = async { while bounds(bench, "begin-again").await.1 == 0 {} } => {}
    }
    let reached = writer.flush().await.unwrap();
    drop(writer);
    assert!(reached < BEGINNING);
    let name = TopicPartition::new("begin-again", 0);
    for (_, outcome) in cluster.delete_records(&[(name, reached)]).await {
        outcome.unwrap();
    }
    let mut writer = opened(&cluster, "begin-again", reached).await;
    writer.begin_at(BEGINNING).await.unwrap();
    assert_eq!(bounds(bench, "begin-again").await, (BEGINNING, BEGINNING));
    // Where it is already.
    writer.begin_at(BEGINNING).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_keeps_the_last_of_each_key_cannot_begin_elsewhere_unless_it_deletes_too() {
    let bench = shared().await;
    let cluster = bench.connect().await;
    let policy = |policy| [("cleanup.policy", policy)];
    bench
        .java
        .create_topic("begin-compact", 1, &policy("compact"))
        .await
        .unwrap();
    let mut writer = opened(&cluster, "begin-compact", 0).await;
    let error = writer.begin_at(100).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::POLICY_VIOLATION), "{error}");
    assert_eq!(
        bounds(bench, "begin-compact").await,
        (0, 0),
        "nothing was written"
    );
    // It was no failure of the writer, and nothing is needed to begin where it does.
    writer.begin_at(0).await.unwrap();
    writer.fill_to(3).await.unwrap();
    assert_eq!(writer.flush().await.unwrap(), 3);

    bench
        .java
        .create_topic("begin-both", 1, &policy("compact,delete"))
        .await
        .unwrap();
    let mut writer = opened(&cluster, "begin-both", 0).await;
    writer.begin_at(20_001).await.unwrap();
    assert_eq!(bounds(bench, "begin-both").await, (20_001, 20_001));
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_that_take_young_records_or_small_batches_only_or_write_them_anew_begin_elsewhere_too() {
    let bench = shared().await;
    let cluster = bench.connect().await;
    let young = [
        ("message.timestamp.before.max.ms", "1000"),
        ("message.timestamp.after.max.ms", "1000"),
        ("max.message.bytes", "20000"),
    ];
    let anew = [
        ("compression.type", "gzip"),
        ("message.timestamp.type", "LogAppendTime"),
    ];
    for (topic, configs) in [("begin-young", &young[..]), ("begin-anew", &anew)] {
        bench.java.create_topic(topic, 1, configs).await.unwrap();
        let mut writer = opened(&cluster, topic, 0).await;
        writer.begin_at(45_000).await.unwrap();
        assert_eq!(bounds(bench, topic).await, (45_000, 45_000));
    }
}

/// Records before the first that is kept are not found by their time.
#[tokio::test(flavor = "multi_thread")]
async fn look_ups_by_time_do_not_see_what_was_before_the_beginning() {
    let bench = shared().await;
    let cluster = bench.connect().await;
    bench.create("begin-times", 1).await;
    let mut writer = opened(&cluster, "begin-times", 0).await;
    writer.begin_at(30_000).await.unwrap();
    writer.append(batch(0, 0, 5, Codec::None)).await.unwrap();
    writer.flush().await.unwrap();
    let name = TopicPartition::new("begin-times", 0);
    for (time, offset) in [(0, 30_000), (1_600_000_000_003, 30_003)] {
        let asked = [(name.clone(), time)];
        let found = cluster
            .offsets_for_times(&asked, IsolationLevel::ReadCommitted)
            .await;
        assert_eq!(found[0].1.as_ref().unwrap().unwrap().offset, offset);
    }
    let listed = cluster
        .list_offsets(&[name], OffsetSpec::Earliest, IsolationLevel::ReadCommitted)
        .await;
    assert_eq!(listed[0].1.as_ref().unwrap().offset, 30_000);
}
