//! What is lost, cut or delayed on the way to one broker. Whatever happens: every record once, in order.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::ProduceRequest;
use kafka_wire::batch::BatchHeader;
use kafka_wire::{Error, ErrorCode, PartitionProblem, Producer, ProducerOptions};
use testkit::{ClusterOptions, Direction, FaultProxy, RecordedRequest, RequestFault, Rule, api_key};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use crate::support::{Bench, batches, decoded, holds_exactly_once, write, write_all};
use crate::writing::{PARTITIONS, Writing};

/// One broker behind a proxy, for one test at a time.
pub(crate) async fn proxied() -> MutexGuard<'static, Bench> {
    static BENCH: OnceCell<Mutex<Bench>> = OnceCell::const_new();
    let start = || async {
        // Producers are forgotten soon, as records of long ago let it happen at any time.
        let options = ClusterOptions::new()
            .proxied()
            .property("producer.id.expiration.ms", 1000)
            .property("producer.id.expiration.check.interval.ms", 500);
        Mutex::new(Bench::start(options).await)
    };
    let bench = BENCH.get_or_init(start).await.lock().await;
    bench.kafka.proxy(0).unwrap().clear();
    bench
}

pub(crate) fn impatient() -> ProducerOptions {
    let mut options = ProducerOptions::default();
    options.request_timeout = Duration::from_secs(1);
    options
}

/// Writes six partitions under a fault, and checks that it was met.
pub(crate) async fn survives(topic: &str, bench: &Bench, rule: Rule) {
    bench.create(topic, 6).await;
    let cluster = bench.connect().await;
    let producer = Producer::start(&cluster, impatient()).await.unwrap();
    let proxy: &FaultProxy = bench.kafka.proxy(0).unwrap();
    let handle = proxy.add(rule);
    let results = write_all(&producer, topic, 6, 60, 20).await;
    assert!(handle.hits() > 0, "{topic}: nothing happened");
    proxy.clear();
    for (partition, result) in results.into_iter().enumerate() {
        assert_eq!(result.unwrap(), 1200);
        holds_exactly_once(bench, topic, partition as i32, 1200).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_with_its_connection() {
    let bench = proxied().await;
    let rule = Rule::request(api_key::PRODUCE, RequestFault::CutBeforeResponse);
    survives("lost-first-answer", &bench, rule.clone()).await;
    survives("lost-answers", &bench, rule.skip(5).times(6)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_never_comes() {
    let bench = proxied().await;
    let rule = Rule::request(api_key::PRODUCE, RequestFault::DropResponse);
    survives("silent", &bench, rule.skip(3).times(2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_late() {
    let bench = proxied().await;
    let late = RequestFault::DelayResponse(Duration::from_millis(2500));
    survives(
        "late",
        &bench,
        Rule::request(api_key::PRODUCE, late).skip(3).times(2),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_cut_anywhere() {
    let bench = proxied().await;
    for bytes in [0, 10, 60, 700, 3000] {
        let rule = Rule::request(api_key::PRODUCE, RequestFault::CutInsideRequest(bytes));
        survives(&format!("cut-request-{bytes}"), &bench, rule.skip(2).times(3)).await;
    }
    let rule = Rule::request(api_key::PRODUCE, RequestFault::CutBeforeRequest);
    survives("cut-before-request", &bench, rule.times(4)).await;
}

/// The batches of a request, with their partitions.
fn sent(request: &RecordedRequest) -> Vec<(i32, Bytes)> {
    let request: ProduceRequest = decoded(request);
    let partitions = request
        .topic_data
        .into_iter()
        .flat_map(|topic| topic.partition_data);
    partitions
        .map(|partition| (partition.index, partition.records.unwrap()))
        .collect()
}

/// The broker knows what it has already by the numbers in the header, and keeps the bytes that came first.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_again_is_the_same_byte_for_byte() {
    let bench = proxied().await;
    let proxy = bench.kafka.proxy(0).unwrap();
    proxy.start_recording(api_key::PRODUCE);
    let rule = Rule::request(api_key::PRODUCE, RequestFault::CutInsideRequest(700));
    survives("sent-again", &bench, rule.skip(2).times(3)).await;
    let (mut first, mut again) = (BTreeMap::new(), 0);
    for (partition, batch) in proxy.stop_recording().iter().flat_map(sent) {
        let sequence = BatchHeader::parse(&batch).unwrap().base_sequence;
        if let Some(other) = first.get(&(partition, sequence)) {
            assert_eq!(other, &batch, "partition {partition}, sequence {sequence}");
            again += 1;
        } else {
            first.insert((partition, sequence), batch);
        }
    }
    assert!(again >= 3, "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_break_again_and_again() {
    let bench = proxied().await;
    for (direction, name) in [(Direction::ToBroker, "up"), (Direction::ToClient, "down")] {
        let bytes = if name == "up" { 70_000 } else { 900 };
        let rule = Rule::cut_after(direction, bytes).times(12);
        survives(&format!("broken-{name}"), &bench, rule).await;
    }
}

/// Makes the answer about the only partition of a Produce v13 request say something else.
fn alter(error_code: Option<i16>, base_offset: Option<i64>) -> RequestFault {
    // Correlation id, no tagged fields, one topic, its id, one partition, its index.
    const ERROR_CODE: usize = 4 + 1 + 1 + 16 + 1 + 4;
    RequestFault::alter_response(move |answer| {
        if let Some(code) = error_code {
            answer[ERROR_CODE..ERROR_CODE + 2].copy_from_slice(&code.to_be_bytes());
        }
        if let Some(offset) = base_offset {
            answer[ERROR_CODE + 2..ERROR_CODE + 10].copy_from_slice(&offset.to_be_bytes());
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_code_for_a_batch_that_was_appended() {
    let bench = proxied().await;
    let cluster = bench.connect().await;
    for code in [-1, 2, 3, 6, 7, 13, 19, 20, 45, 46, 47, 56, 59, 74] {
        let topic = format!("code-{code}");
        bench.create(&topic, 1).await;
        let producer = Producer::start(&cluster, impatient()).await.unwrap();
        let rule = Rule::request(api_key::PRODUCE, alter(Some(code), None))
            .skip(4)
            .times(3);
        let handle = bench.kafka.proxy(0).unwrap().add(rule);
        let batches = batches(0, 40, 10, kafka_wire::batch::Codec::None);
        assert_eq!(
            write(&producer, &topic, 0, batches).await.unwrap(),
            400,
            "code {code}"
        );
        assert_eq!(handle.hits(), 3);
        holds_exactly_once(&bench, &topic, 0, 400).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_code_that_does_not_pass_ends_that_writer() {
    let bench = proxied().await;
    let cluster = bench.connect().await;
    bench.create("permanent", 2).await;
    let producer = Producer::start(&cluster, impatient()).await.unwrap();
    let rule = Rule::request(api_key::PRODUCE, alter(Some(29), None)).skip(2);
    bench.kafka.proxy(0).unwrap().add(rule);
    let none = kafka_wire::batch::Codec::None;
    let error = write(&producer, "permanent", 0, batches(0, 40, 10, none))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::TOPIC_AUTHORIZATION_FAILED));
    assert_eq!(
        write(&producer, "permanent", 1, batches(1, 40, 10, none))
            .await
            .unwrap(),
        400
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_that_is_not_the_expected_one_ends_the_writer() {
    let bench = proxied().await;
    let cluster = bench.connect().await;
    bench.create("unexpected", 1).await;
    let producer = Producer::start(&cluster, impatient()).await.unwrap();
    let rule = Rule::request(api_key::PRODUCE, alter(None, Some(77))).skip(3);
    bench.kafka.proxy(0).unwrap().add(rule);
    let none = kafka_wire::batch::Codec::None;
    let error = write(&producer, "unexpected", 0, batches(0, 40, 10, none))
        .await
        .unwrap_err();
    let Error::Partition { problem, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(
        **problem,
        PartitionProblem::UnexpectedOffset {
            expected: 30,
            acknowledged: 77
        }
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_hangs_for_longer_than_the_patience() {
    let bench = proxied().await;
    bench.create("hanging", PARTITIONS).await;
    let cluster = bench.connect().await;
    let producer = Producer::start(&cluster, impatient()).await.unwrap();
    let writing = Writing::by(&producer, "hanging");
    tokio::time::sleep(Duration::from_millis(150)).await;
    for _ in 0..2 {
        bench.kafka.pause_broker(0).await.unwrap();
        tokio::time::sleep(Duration::from_secs(4)).await;
        // What it finds in its sockets now are requests that were given up long ago.
        bench.kafka.resume_broker(0).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    writing.finish(&bench, "hanging").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_and_started_again() {
    let bench = proxied().await;
    bench.create("killed", PARTITIONS).await;
    let cluster = bench.connect().await;
    let producer = Producer::start(&cluster, impatient()).await.unwrap();
    let writing = Writing::by(&producer, "killed");
    tokio::time::sleep(Duration::from_millis(150)).await;
    bench.kafka.kill_broker(0).await.unwrap();
    bench.kafka.start_broker(0).await.unwrap();
    writing.finish(&bench, "killed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_has_forgotten_the_producer_takes_a_batch_again() {
    use kafka_wire::batch::{BatchBuilder, NewRecord, ProducePatch};
    let bench = proxied().await;
    bench.create("forgotten", 1).await;
    let identity = ProducePatch {
        producer_id: 777_777,
        producer_epoch: 0,
        base_sequence: 0,
    };
    let mut builder = BatchBuilder::new().producer(identity);
    let record = NewRecord {
        timestamp: 1_600_000_000_000,
        value: Some(b"long ago"),
        ..NewRecord::default()
    };
    builder.push(&record).unwrap();
    let batch = builder.build().unwrap();
    let send = async || {
        let produced = bench
            .java
            .produce_raw("forgotten", 0, &batch.bytes)
            .await
            .unwrap();
        assert_eq!(produced.error_code, 0);
        produced.base_offset
    };
    assert_eq!(
        (send().await, send().await),
        (0, 0),
        "a duplicate, answered with the offset of the first"
    );
    let mut later = 0;
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        later = send().await;
        if later > 0 {
            break;
        }
    }
    // This is why the log is looked at before anything is sent again, and why every offset is compared.
    assert_eq!(later, 1);
}

/// The answers are lost, and before the client gives up waiting for them the broker has forgotten the producer.
#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_of_a_broker_that_forgets_the_producer_meanwhile() {
    let bench = proxied().await;
    bench.create("old-and-lost", 1).await;
    let cluster = bench.connect().await;
    let mut options = impatient();
    options.request_timeout = Duration::from_secs(2);
    // An answer to a later request would end the connection at once, and with it the waiting.
    options.requests_per_connection = 3;
    let producer = Producer::start(&cluster, options).await.unwrap();
    let rule = Rule::request(api_key::PRODUCE, RequestFault::DropResponse)
        .skip(2)
        .times(3);
    let handle = bench.kafka.proxy(0).unwrap().add(rule);
    let batches = batches(0, 30, 10, kafka_wire::batch::Codec::None);
    assert_eq!(write(&producer, "old-and-lost", 0, batches).await.unwrap(), 300);
    assert!(handle.hits() > 0);
    holds_exactly_once(&bench, "old-and-lost", 0, 300).await;
}

/// Requests that are under way for longer than the client waits, to a broker that has forgotten the producer when they come.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_arrives_long_after_it_was_given_up() {
    let bench = proxied().await;
    let proxy = bench.kafka.proxy(0).unwrap();
    for (skip, topic) in [(0, "late-first-request"), (3, "late-requests")] {
        bench.create(topic, 1).await;
        let cluster = bench.connect().await;
        let producer = Producer::start(&cluster, impatient()).await.unwrap();
        let underway = Duration::from_secs(6);
        let late = RequestFault::DelayRequest(underway);
        let handle = proxy.add(Rule::request(api_key::PRODUCE, late).skip(skip));
        let writing = tokio::spawn(async move {
            let batches = batches(0, 30, 10, kafka_wire::batch::Codec::None);
            write(&producer, topic, 0, batches).await
        });
        handle.wait_for_hits(1, Duration::from_secs(60)).await.unwrap();
        let arrives = tokio::time::Instant::now() + underway;
        assert_eq!(writing.await.unwrap().unwrap(), 300);
        // Whoever did not wait for it, finds it in the log now.
        tokio::time::sleep_until(arrives + Duration::from_secs(1)).await;
        holds_exactly_once(&bench, topic, 0, 300).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_on_which_nothing_passes_for_longer_than_the_patience() {
    let bench = proxied().await;
    for (direction, topic) in [
        (Direction::ToBroker, "stalled-up"),
        (Direction::ToClient, "stalled-down"),
    ] {
        bench.create(topic, PARTITIONS).await;
        let cluster = bench.connect_with(Duration::from_secs(1)).await;
        let producer = Producer::start(&cluster, impatient()).await.unwrap();
        let proxy = bench.kafka.proxy(0).unwrap();
        let before = proxy.requests(api_key::OFFSET_FOR_LEADER_EPOCH);
        let writing = Writing::by(&producer, topic);
        tokio::time::sleep(Duration::from_millis(150)).await;
        let stall = proxy.add(Rule::stall(direction));
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert!(stall.hits() > 0);
        stall.remove();
        writing.finish(&bench, topic).await;
        // Once for each partition, to begin with, and again for what was given up.
        let looks = proxy.requests(api_key::OFFSET_FOR_LEADER_EPOCH) - before;
        assert!(looks > PARTITIONS as u64, "{looks}: nothing was in doubt");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_line_is_no_timeout() {
    let bench = proxied().await;
    bench.create("slow-line", 3).await;
    let cluster = bench.connect().await;
    let mut options = impatient();
    // A request waits behind others for longer than the broker may take for an answer.
    options.connections_per_broker = 1;
    let producer = Producer::start(&cluster, options).await.unwrap();
    let proxy = bench.kafka.proxy(0).unwrap();
    let slow = proxy.add(Rule::throttle(Direction::ToBroker, 150_000));
    let before = proxy.requests(api_key::OFFSET_FOR_LEADER_EPOCH);
    for (partition, result) in write_all(&producer, "slow-line", 3, 9, 600)
        .await
        .into_iter()
        .enumerate()
    {
        assert_eq!(result.unwrap(), 5400);
        holds_exactly_once(&bench, "slow-line", partition as i32, 5400).await;
    }
    slow.remove();
    // Once for each partition, to begin with: nothing was ever in doubt.
    assert_eq!(proxy.requests(api_key::OFFSET_FOR_LEADER_EPOCH), before + 3);
}
