//! Batches and segments of very different sizes.

use std::time::Duration;

use kafka_wire::batch::{BatchBuilder, Codec, NewRecord, RawBatch};
use kafka_wire::{
    ByteBudget, FetchEventKind, FetchPartition, FetchStream, Producer, ProducerOptions, TopicPartition,
};
use testkit::{ClusterOptions, ProduceRecord};

use crate::support::{Bench, batches, next_event, options, read, seen, shared, write};

/// A batch with one record that does not compress.
fn bulky(bytes: usize, seed: u8) -> RawBatch {
    let mut state = u32::from(seed) + 1;
    let value: Vec<u8> = (0..bytes)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    let mut builder = BatchBuilder::new();
    let record = NewRecord {
        timestamp: 1_600_000_000_000,
        value: Some(&value),
        ..NewRecord::default()
    };
    builder.push(&record).unwrap();
    builder.build().unwrap()
}

async fn create(bench: &Bench, topic: &str, partitions: i32) {
    let configs = [("max.message.bytes", "12000000"), ("retention.ms", "-1")];
    bench
        .java
        .create_topic(topic, partitions, &configs)
        .await
        .unwrap();
}

async fn fill(bench: &Bench, topic: &str, partition: i32, batches: Vec<RawBatch>) {
    let producer = Producer::start(&bench.connect().await, ProducerOptions::default())
        .await
        .unwrap();
    write(&producer, topic, partition, batches).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_of_a_kilobyte_and_of_ten_megabytes_in_one_topic() {
    let bench = shared().await;
    create(bench, "all-sizes", 3).await;
    let large: Vec<_> = (0..4).map(|index| bulky(10_000_000, index)).collect();
    fill(bench, "all-sizes", 0, large.clone()).await;
    for partition in 1..3 {
        fill(
            bench,
            "all-sizes",
            partition,
            batches(partition, 1500, 4, Codec::None),
        )
        .await;
    }
    let cluster = bench.connect().await;
    for budget in [4 << 20, 64 << 20] {
        let mut options = options();
        options.budget = ByteBudget::new(budget);
        let ends = [4, 6000, 6000];
        let asked = (0..3)
            .map(|partition| FetchPartition::new("all-sizes", partition, 0).until(ends[partition as usize]));
        let read = read(&cluster, asked, options).await;
        for partition in 1..3 {
            let java = bench.java.consume_all("all-sizes", partition).await.unwrap();
            let records = &read[&TopicPartition::new("all-sizes", partition)].records;
            assert_eq!(records, &seen(&java), "{partition}");
        }
        let bulk = &read[&TopicPartition::new("all-sizes", 0)].batches;
        let same =
            |(read, written): (&RawBatch, &RawBatch)| read.stored_records() == written.stored_records();
        assert!(bulk.len() == 4 && bulk.iter().zip(&large).all(same));
    }
}

/// A broker ends the connection on a request that is too large, without a word. Nothing of it is in the log, and nothing of
/// what went before is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_larger_than_any_request_of_the_broker_is_refused_by_name() {
    const LIMIT: u64 = 2_000_000;
    let bench = Bench::start(ClusterOptions::new().property("socket.request.max.bytes", LIMIT)).await;
    create(&bench, "requests", 6).await;
    let mut options = ProducerOptions::default();
    options.connections_per_broker = 1;
    let producer = Producer::start(&bench.connect().await, options).await.unwrap();
    let mut writers = Vec::new();
    for partition in 0..6 {
        let mut writer = producer.partition("requests", partition, 0).await.unwrap();
        // Together they are more than one request may hold, too.
        for seed in 0..4 {
            writer.append(bulky(700_000, seed)).await.unwrap();
        }
        writers.push(writer);
    }
    writers[2].append(bulky(3_000_000, 9)).await.unwrap();
    for (partition, writer) in writers.iter_mut().enumerate() {
        let patience = Duration::from_secs(60);
        let flushed = tokio::time::timeout(patience, writer.flush())
            .await
            .expect("an end");
        if partition == 2 {
            let words = flushed.unwrap_err().to_string();
            let told = format!("raise its socket.request.max.bytes, which is {LIMIT}");
            assert!(
                words.contains("topic requests partition 2") && words.contains(&told),
                "{words}"
            );
        } else {
            assert_eq!(flushed.unwrap(), 4);
        }
        assert_eq!(writer.acknowledged(), 4);
        let java = bench
            .java
            .consume_all("requests", partition as i32)
            .await
            .unwrap();
        let lengths: Vec<_> = java
            .iter()
            .map(|record| record.value.as_ref().unwrap().len())
            .collect();
        assert_eq!(lengths, [700_000; 4], "partition {partition}");
    }
}

/// Answers with small batches of the others would never have room for a large one.
#[tokio::test(flavor = "multi_thread")]
async fn large_batches_have_their_turn_though_small_ones_never_run_dry() {
    let bench = shared().await;
    create(bench, "crowded", 4).await;
    fill(
        bench,
        "crowded",
        0,
        (0..4).map(|index| bulky(200_000, index)).collect(),
    )
    .await;
    for partition in 1..4 {
        fill(
            bench,
            "crowded",
            partition,
            batches(partition, 300, 2, Codec::None),
        )
        .await;
    }
    let mut single = options();
    single.connections_per_broker = 1;
    single.requests_per_connection = 1;
    single.partition_max_bytes = 600;
    single.max_bytes = 100_000;
    let asked = [(1, 600), (2, 600), (3, 600), (0, 4)]
        .map(|(partition, end)| FetchPartition::new("crowded", partition, 0).until(end));
    let mut stream = FetchStream::start(&bench.connect().await, asked, single);
    let (mut answers, mut large_done_at) = (0, 0);
    while let Some(event) = next_event(&mut stream).await {
        match event.kind {
            FetchEventKind::Batches(_) => answers += 1,
            FetchEventKind::Finished { .. } if event.partition == 0 => large_done_at = answers,
            FetchEventKind::Finished { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    // Each of the four takes a few answers of the others, of some hundreds in all.
    assert!(answers > 200, "{answers}");
    assert!(
        large_done_at < answers / 4,
        "done after {large_done_at} of {answers} answers"
    );
}

/// A broker answers with the data of one segment at most.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_of_many_segments_is_read_one_after_the_other() {
    const SEGMENTS: i64 = 30;
    let bench = shared().await;
    let configs = [("segment.ms", "1000"), ("retention.ms", "-1")];
    bench.java.create_topic("segmented", 1, &configs).await.unwrap();
    let record = |segment: i64, index: i64| {
        ProduceRecord::new("segmented", 0)
            .timestamp(1_700_000_000_000 + segment * 60_000 + index)
            .value(format!("{segment}/{index}"))
    };
    let groups: Vec<Vec<_>> = (0..SEGMENTS)
        .map(|segment| (0..5).map(|index| record(segment, index)).collect())
        .collect();
    bench
        .java
        .produce_with(&testkit::ProducerOptions::new(), &groups)
        .await
        .unwrap();
    let java = bench.java.consume_all("segmented", 0).await.unwrap();
    let asked = || FetchPartition::new("segmented", 0, 0).until(SEGMENTS * 5);
    let cluster = bench.connect().await;
    let read = read(&cluster, [asked()], options()).await;
    assert_eq!(read[&TopicPartition::new("segmented", 0)].records, seen(&java));

    let mut stream = FetchStream::start(&cluster, [asked()], options());
    let mut answers = 0;
    while let Some(event) = next_event(&mut stream).await {
        answers += i64::from(matches!(event.kind, FetchEventKind::Batches(_)));
    }
    assert_eq!(answers, SEGMENTS);
}
