//! Reading through what is lost, cut, damaged or slowed down on the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use kafka_wire::batch::Codec;
use kafka_wire::{
    Cluster, Error, FetchEventKind, FetchOptions, FetchPartition, FetchStream, PartitionProblem, Producer,
    ProducerOptions, TopicPartition,
};
use testkit::{Direction, RequestFault, Rule, api_key};

use crate::faults::proxied;
use crate::support::{Bench, batches, options, read, write};

const PARTITIONS: i32 = 4;
const RECORDS: i64 = 2000;

/// Fills a topic.
async fn fill(bench: &Bench, cluster: &Cluster, topic: &str) {
    bench.create(topic, PARTITIONS).await;
    let producer = Producer::start(cluster, ProducerOptions::default())
        .await
        .unwrap();
    for partition in 0..PARTITIONS {
        let batches = batches(partition, 100, 20, Codec::None);
        assert_eq!(
            write(&producer, topic, partition, batches).await.unwrap(),
            RECORDS
        );
    }
}

/// Reads a topic under a fault; every record has to come once, in order.
async fn survives(bench: &Bench, cluster: &Cluster, topic: &str, options: FetchOptions, rule: Rule) {
    let handle = bench.kafka.proxy(0).unwrap().add(rule);
    let asked = (0..PARTITIONS).map(|partition| FetchPartition::new(topic, partition, 0).until(RECORDS));
    let read = read(cluster, asked, options).await;
    assert!(handle.hits() > 0, "nothing happened");
    handle.remove();
    for partition in 0..PARTITIONS {
        let records = &read[&TopicPartition::new(topic, partition)].records;
        assert!(
            records.iter().map(|record| record.offset).eq(0..RECORDS),
            "{topic}-{partition}"
        );
    }
}

/// Many small answers, so that there is something to disturb.
fn small() -> FetchOptions {
    let mut options = options();
    options.partition_max_bytes = 20_000;
    options.max_bytes = 50_000;
    options
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_and_cut_connections() {
    let bench = proxied().await;
    let cluster = bench.connect_with(Duration::from_secs(1)).await;
    fill(&bench, &cluster, "read-lost").await;
    let request = |fault| Rule::request(api_key::FETCH, fault).skip(3);
    for rule in [
        request(RequestFault::DropResponse).times(2),
        request(RequestFault::CutBeforeResponse).times(5),
        request(RequestFault::CutInsideResponse(9_000)).times(5),
        request(RequestFault::CutInsideRequest(30)).times(5),
        request(RequestFault::DelayResponse(Duration::from_millis(2000))),
        Rule::cut_after(Direction::ToClient, 70_000).times(15),
    ] {
        survives(&bench, &cluster, "read-lost", small(), rule).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_on_the_way_is_noticed_and_read_again() {
    let bench = proxied().await;
    let cluster = bench.connect().await;
    fill(&bench, &cluster, "read-damaged").await;
    // Near the end of a full answer are records, whose checksum is the only thing that can tell.
    let flip = RequestFault::alter_response(|answer| {
        if answer.len() > 15_000 {
            let at = answer.len() - 5000;
            answer[at] ^= 0x10;
        }
    });
    survives(
        &bench,
        &cluster,
        "read-damaged",
        small(),
        Rule::request(api_key::FETCH, flip).times(6),
    )
    .await;
    // An error of the whole answer, behind correlation id, tagged fields and throttle time.
    let fail = RequestFault::alter_response(|answer| answer[9..11].copy_from_slice(&70i16.to_be_bytes()));
    survives(
        &bench,
        &cluster,
        "read-damaged",
        small(),
        Rule::request(api_key::FETCH, fail).times(3),
    )
    .await;
}

/// Where the records of the first partition that has some begin in an answer: the only batches here have one leader epoch,
/// and format 2.
fn first_batch(answer: &[u8]) -> Option<usize> {
    (0..answer.len().saturating_sub(61)).find(|&at| {
        let batch = &answer[at..];
        let field = |from: usize| u32::from_be_bytes(batch[from..from + 4].try_into().unwrap());
        batch[16] == 2
            && field(0) == 0
            && i64::from(field(4)) < RECORDS
            && (49..50_000).contains(&field(8))
            && field(12) < 100
            && batch[21..23] == [0, 0]
            && field(23) == 19
    })
}

/// The checksum of a batch covers neither its base offset nor its length nor its leader epoch.
#[tokio::test(flavor = "multi_thread")]
async fn damage_to_the_header_of_a_batch_is_noticed_and_read_again() {
    let bench = proxied().await;
    let cluster = bench.connect().await;
    fill(&bench, &cluster, "read-headers").await;
    // One bit of each answer, each time another one; of the first batch, and of the one behind it.
    let next = Arc::new(AtomicUsize::new(0));
    let flipped = Arc::clone(&next);
    let flip = RequestFault::alter_response(move |answer| {
        let Some(first) = first_batch(answer) else { return };
        let turn = flipped.fetch_add(1, Relaxed);
        let length = u32::from_be_bytes(answer[first + 8..first + 12].try_into().unwrap());
        let second = first + 12 + length as usize;
        let batch = if turn % 2 == 1 && second + 61 < answer.len() {
            second
        } else {
            first
        };
        let bit = turn / 2 % (61 * 8);
        answer[batch + bit / 8] ^= 1 << (bit % 8);
    });
    let mut rounds = 0;
    while next.load(Relaxed) < 2 * 61 * 8 {
        // Every other answer is damaged.
        let rule = Rule::request(api_key::FETCH, flip.clone()).times(4);
        survives(&bench, &cluster, "read-headers", small(), rule).await;
        rounds += 1;
        assert!(rounds < 1000, "the answers have no batches");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_always_in_the_wrong_place_ends_the_partition_with_it() {
    let bench = proxied().await;
    let cluster = bench.connect().await;
    fill(&bench, &cluster, "read-misplaced").await;
    // A high bit of the base offset, or of the length.
    for byte in [1, 8] {
        let flip = RequestFault::alter_response(move |answer| {
            if let Some(first) = first_batch(answer) {
                answer[first + byte] ^= 0x40;
            }
        });
        let proxy = bench.kafka.proxy(0).unwrap();
        let rule = proxy.add(Rule::request(api_key::FETCH, flip).always());
        let asked = FetchPartition::new("read-misplaced", 0, 0).until(RECORDS);
        let mut stream = FetchStream::start(&cluster, [asked], small());
        let event = tokio::time::timeout(Duration::from_secs(20), stream.next())
            .await
            .unwrap()
            .unwrap();
        assert!(rule.hits() > 8, "it was not asked again");
        rule.remove();
        let FetchEventKind::Failed(Error::Partition { partition, problem }) = event.kind else {
            panic!("{event:?}")
        };
        assert_eq!(partition, TopicPartition::new("read-misplaced", 0));
        match *problem {
            PartitionProblem::OutOfPlace { offset: 0, .. } if byte == 1 => {}
            PartitionProblem::BatchTooLarge { offset: 0, .. } if byte == 8 => {}
            problem => panic!("{problem}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_that_stays_ends_the_partition_with_its_place() {
    let bench = proxied().await;
    let cluster = bench.connect().await;
    fill(&bench, &cluster, "read-broken").await;
    let flip = RequestFault::alter_response(|answer| {
        if answer.len() > 15_000 {
            // Of the first batch, whatever the size of the answer.
            answer[300] ^= 0x10;
        }
    });
    bench
        .kafka
        .proxy(0)
        .unwrap()
        .add(Rule::request(api_key::FETCH, flip).always());
    let asked = FetchPartition::new("read-broken", 0, 0).until(RECORDS);
    let mut stream = FetchStream::start(&cluster, [asked], small());
    let event = tokio::time::timeout(Duration::from_secs(20), stream.next())
        .await
        .unwrap()
        .unwrap();
    let FetchEventKind::Failed(Error::Partition { partition, problem }) = event.kind else {
        panic!("{event:?}")
    };
    assert_eq!(partition, TopicPartition::new("read-broken", 0));
    assert!(matches!(*problem, PartitionProblem::Batch(_)), "{problem}");
    assert!(stream.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_connection_is_left_alone_for_as_long_as_the_broker_says() {
    let bench = proxied().await;
    let cluster = bench.connect_with(Duration::from_millis(500)).await;
    fill(&bench, &cluster, "read-throttled").await;
    let mut single = small();
    single.connections_per_broker = 1;
    single.requests_per_connection = 1;
    let throttle = RequestFault::alter_response(|answer| answer[5..9].copy_from_slice(&700i32.to_be_bytes()));
    let started = Instant::now();
    let rule = Rule::request(api_key::FETCH, throttle).times(3);
    survives(&bench, &cluster, "read-throttled", single, rule).await;
    assert!(
        started.elapsed() >= Duration::from_millis(2000),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_cannot_be_reached_is_given_up_in_the_time_that_was_set() {
    let bench = proxied().await;
    let cluster = bench.connect_with(Duration::from_secs(1)).await;
    fill(&bench, &cluster, "read-unreachable").await;
    bench.kafka.pause_broker(0).await.unwrap();
    let mut hasty = small();
    hasty.give_up_after = Some(Duration::from_secs(3));
    let asked = FetchPartition::new("read-unreachable", 0, 0).until(RECORDS);
    let mut stream = FetchStream::start(&cluster, [asked], hasty);
    let event = tokio::time::timeout(Duration::from_secs(30), stream.next()).await;
    bench.kafka.resume_broker(0).await.unwrap();
    let event = event.unwrap().unwrap();
    assert!(
        matches!(event.kind, FetchEventKind::Failed(Error::Deadline { .. })),
        "{event:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_on_which_nothing_passes_for_longer_than_the_patience() {
    let bench = proxied().await;
    let cluster = bench.connect_with(Duration::from_secs(1)).await;
    fill(&bench, &cluster, "read-stalled").await;
    let asked =
        || (0..PARTITIONS).map(|partition| FetchPartition::new("read-stalled", partition, 0).until(RECORDS));
    // Connections are there, so that requests are what does not pass.
    read(&cluster, asked(), small()).await;
    for direction in [Direction::ToBroker, Direction::ToClient] {
        let proxy = bench.kafka.proxy(0).unwrap();
        let before = proxy.requests(api_key::METADATA);
        let stall = proxy.add(Rule::stall(direction));
        let reading = tokio::spawn({
            let cluster = cluster.clone();
            let asked = asked();
            async move { read(&cluster, asked, small()).await }
        });
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!(stall.hits() > 0 && !reading.is_finished());
        stall.remove();
        for (name, read) in reading.await.unwrap() {
            let offsets = read.records.iter().map(|record| record.offset);
            assert!(offsets.eq(0..RECORDS), "{name}");
        }
        // Behind what was given up comes the question who leads.
        let asked = proxy.requests(api_key::METADATA);
        assert!(asked > before, "{direction:?}: nothing was given up");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_line_is_no_timeout() {
    let bench = proxied().await;
    let cluster = bench.connect_with(Duration::from_secs(1)).await;
    fill(&bench, &cluster, "read-slowly").await;
    let proxy = bench.kafka.proxy(0).unwrap();
    let slow = proxy.add(Rule::throttle(Direction::ToClient, 80_000));
    let before = proxy.requests(api_key::METADATA);
    // An answer takes longer to arrive than a broker may take to give it.
    let mut large = options();
    large.connections_per_broker = 1;
    large.partition_max_bytes = 200_000;
    let asked =
        (0..PARTITIONS).map(|partition| FetchPartition::new("read-slowly", partition, 0).until(RECORDS));
    for (name, read) in read(&cluster, asked, large).await {
        let offsets = read.records.iter().map(|record| record.offset);
        assert!(offsets.eq(0..RECORDS), "{name}");
    }
    slow.remove();
    // After a failure the brokers would have been asked who leads.
    assert_eq!(proxy.requests(api_key::METADATA), before);
}
