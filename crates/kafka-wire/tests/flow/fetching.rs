//! Reading.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_wire::codec::Decompressor;
use kafka_wire::{
    ByteBudget, Error, ErrorCode, FetchEventKind, FetchPartition, FetchStream, IsolationLevel,
    PartitionProblem, TopicPartition,
};
use testkit::{Codec, ConsumeOptions, Generate, Isolation, ProduceRecord, ProducerOptions};

use crate::support::{Bench, Read, next_batches, next_event, options, read, read_one, seen, shared};

const TIME: i64 = 1_700_000_000_000;

fn records(topic: &str, partition: i32, range: std::ops::Range<i64>) -> Vec<ProduceRecord> {
    let record = |i: i64| {
        let record = ProduceRecord::new(topic, partition).timestamp(TIME + i * 7);
        match i % 4 {
            0 => record
                .key(format!("key-{i}"))
                .value(format!("value-{i}").repeat(20)),
            1 => record
                .value("")
                .header("a", "1")
                .header("a", "2")
                .null_header("b"),
            2 => record.key("tombstone"),
            _ => record.key("").value([0xff, 0, 0x80]).header("", ""),
        }
    };
    range.map(record).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_codec_reads_as_the_java_consumer_sees_it() {
    let bench = shared().await;
    let cluster = bench.connect().await;
    for codec in Codec::ALL {
        let topic = format!("codec-{}", codec.name());
        bench.create(&topic, 1).await;
        let groups: Vec<_> = (0..8).map(|i| records(&topic, 0, i * 50..(i + 1) * 50)).collect();
        bench
            .java
            .produce_with(&ProducerOptions::new().codec(codec), &groups)
            .await
            .unwrap();
        let java = bench.java.consume_all(&topic, 0).await.unwrap();
        let read = read_one(&cluster, &topic, 0, 0).await;
        assert_eq!(read.records.len(), 400);
        assert_eq!(read.records, seen(&java), "{topic}");
        assert_eq!(read.batches.len(), 8);
        assert_eq!(read.next_offset, 400);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn aborted_transactions_are_left_out_and_counted() {
    transactions(shared().await).await;
}

/// Transactions side by side that end in either way: what is read of them.
pub(crate) async fn transactions(bench: &Bench) {
    let cluster = bench.connect().await;
    let topic = "transactions";
    bench.create(topic, 1).await;
    let transactional = |id: &str| ProducerOptions::new().transactional_id(id);
    let first = bench.java.producer(&transactional("first")).await.unwrap();
    let second = bench.java.producer(&transactional("second")).await.unwrap();
    let mut aborted = 0;
    for round in 0..12i64 {
        // Two transactions whose batches alternate, ended in either order and way; between them plain records.
        first.begin().await.unwrap();
        second.begin().await.unwrap();
        for step in 0..3 {
            let at = round * 100 + step * 10;
            first.send(&records(topic, 0, at..at + 4)).await.unwrap();
            first.flush().await.unwrap();
            second.send(&records(topic, 0, at + 4..at + 7)).await.unwrap();
            second.flush().await.unwrap();
        }
        bench
            .java
            .produce(&records(topic, 0, round * 100 + 50..round * 100 + 52))
            .await
            .unwrap();
        for (producer, commits, sent) in [(&first, round % 2 == 0, 12), (&second, round % 3 == 0, 9)] {
            if commits {
                producer.commit().await.unwrap();
            } else {
                producer.abort().await.unwrap();
                aborted += sent;
            }
        }
    }
    let java = bench.java.consume_all(topic, 0).await.unwrap();
    let committed = read_one(&cluster, topic, 0, 0).await;
    assert_eq!(committed.records, seen(&java));
    assert_eq!(
        (committed.aborted_records, committed.control_batches),
        (aborted, 24)
    );

    let uncommitted = ConsumeOptions {
        isolation: Isolation::ReadUncommitted,
        ..ConsumeOptions::default()
    };
    let java = bench.java.consume(topic, 0, &uncommitted).await.unwrap();
    let mut everything = options();
    everything.isolation = IsolationLevel::ReadUncommitted;
    let asked = FetchPartition::new(topic, 0, 0).until(committed.next_offset);
    let all = read(&cluster, [asked], everything)
        .await
        .remove(&TopicPartition::new(topic, 0))
        .unwrap();
    assert_eq!(all.records, seen(&java));
    assert_eq!((all.aborted_records, all.control_batches), (0, 24));

    // Wherever reading begins, and however little fits into an answer, the same records are visible.
    for from in (0..committed.next_offset).step_by(17) {
        let mut small = options();
        small.partition_max_bytes = 700;
        let asked = FetchPartition::new(topic, 0, from).until(committed.next_offset);
        let part = read(&cluster, [asked], small)
            .await
            .remove(&TopicPartition::new(topic, 0))
            .unwrap();
        let visible = part.records.iter().filter(|record| record.offset >= from);
        let expected = committed.records.iter().filter(|record| record.offset >= from);
        assert!(visible.eq(expected), "from {from}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_transaction_is_waited_for_at_the_last_stable_offset() {
    let bench = shared().await;
    let cluster = bench.connect().await;
    let topic = "open-transactions";
    bench.create(topic, 1).await;
    let id = ProducerOptions::new().transactional_id("open");
    let producer = bench.java.producer(&id).await.unwrap();
    let mut stream = FetchStream::start(&cluster, [FetchPartition::new(topic, 0, 0)], options());
    let (mut read, mut decompressor) = (Read::default(), Decompressor::new());
    let mut end = 0;
    for commits in [true, false, true] {
        producer.begin().await.unwrap();
        producer.send(&records(topic, 0, end..end + 5)).await.unwrap();
        producer.flush().await.unwrap();
        // What comes behind the open transaction is replicated, and waits with it.
        let plain = records(topic, 0, end + 5..end + 8);
        bench.java.produce(&plain).await.unwrap();
        let early = tokio::time::timeout(Duration::from_secs(1), stream.next()).await;
        assert!(early.is_err(), "{early:?}");
        if commits {
            producer.commit().await.unwrap();
        } else {
            producer.abort().await.unwrap();
        }
        // With the marker.
        end += 9;
        while read.next_offset < end {
            let fetched = next_batches(&mut stream, Duration::from_secs(60)).await;
            read.take(fetched, &mut decompressor);
        }
    }
    assert_eq!(read.records.len(), 8 + 3 + 8);
    assert_eq!((read.aborted_records, read.control_batches), (5, 3));
    let java = bench.java.consume_all(topic, 0).await.unwrap();
    assert_eq!(read.records, seen(&java));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_prefix_is_reported_and_never_skipped() {
    let bench = shared().await;
    let cluster = bench.connect().await;
    let topic = "log-start";
    bench.create(topic, 2).await;
    for partition in 0..2 {
        let groups: Vec<_> = (0..10)
            .map(|i| records(topic, partition, i * 10..(i + 1) * 10))
            .collect();
        bench
            .java
            .produce_with(&ProducerOptions::new(), &groups)
            .await
            .unwrap();
    }
    bench.java.delete_records(topic, 0, 37).await.unwrap();

    let partitions = [0, 1].map(|partition| FetchPartition::new(topic, partition, 5).until(100));
    let mut stream = FetchStream::start(&cluster, partitions, options());
    let mut lowest = BTreeMap::new();
    let mut finished = 0;
    while let Some(event) = next_event(&mut stream).await {
        match event.kind {
            FetchEventKind::OutOfRange {
                requested,
                log_start_offset,
                log_end_offset,
            } => {
                assert_eq!(
                    (event.partition, requested, log_start_offset, log_end_offset),
                    (0, 5, 37, 100)
                );
                assert_eq!(lowest.get(&0), None);
                stream.add(FetchPartition::new(topic, 0, log_start_offset).until(100));
            }
            FetchEventKind::Batches(fetched) => {
                let kafka_wire::batch::LogEntry::Batch(batch) = &fetched.batches[0] else {
                    panic!()
                };
                lowest.entry(event.partition).or_insert(batch.header.base_offset);
                assert_eq!(
                    fetched.log_start_offset,
                    Some(if event.partition == 0 { 37 } else { 0 })
                );
            }
            FetchEventKind::Finished { next_offset } => {
                assert_eq!(next_offset, 100);
                finished += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    // The log starts inside of a batch.
    assert_eq!((lowest, finished), (BTreeMap::from([(0, 30), (1, 0)]), 2));

    let mut beyond = FetchStream::start(
        &cluster,
        [FetchPartition::new(topic, 1, 101).until(200)],
        options(),
    );
    let event = next_event(&mut beyond).await.unwrap();
    assert!(matches!(
        event.kind,
        FetchEventKind::OutOfRange {
            requested: 101,
            log_start_offset: 0,
            log_end_offset: 100
        }
    ));
    assert!(beyond.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compacted_log_reads_as_the_java_consumer_sees_it() {
    let bench = shared().await;
    let cluster = bench.connect().await;
    let topic = "compacted";
    let configs = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "1000"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("delete.retention.ms", "0"),
    ];
    bench.java.create_topic(topic, 1, &configs).await.unwrap();
    let record = |i: i64| {
        let record = ProduceRecord::new(topic, 0)
            .timestamp(TIME + i)
            .key(format!("{}", i % 7));
        if i % 5 == 0 {
            record
        } else {
            record.value(format!("{i}"))
        }
    };
    let groups: Vec<Vec<_>> = (0..20)
        .map(|i| (i * 10..(i + 1) * 10).map(record).collect())
        .collect();
    bench
        .java
        .produce_with(&ProducerOptions::new().codec(Codec::Zstd), &groups)
        .await
        .unwrap();
    // Another producer has the last word about each key: of the first one's last batch nothing is left but its numbers.
    let last: Vec<_> = (200..207).map(record).collect();
    bench.java.produce(&last).await.unwrap();
    // A late record ends the segment.
    let late = ProduceRecord::new(topic, 0)
        .timestamp(TIME + 10_000_000)
        .key("late")
        .value("late");
    bench.java.produce(&[late]).await.unwrap();
    let mut java = Vec::new();
    for _ in 0..100 {
        java = bench.java.consume_all(topic, 0).await.unwrap();
        if java.len() < 30 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(java.len() < 30, "not compacted: {} records", java.len());
    let read = read_one(&cluster, topic, 0, 0).await;
    assert_eq!(read.records, seen(&java));
    assert_eq!(read.next_offset, 208);
    assert_eq!(read.emptied, [(190, 200)]);
    assert!(read.batches.iter().all(|batch| batch.header.record_count > 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_partitions_share_a_small_budget() {
    let bench = shared().await;
    let cluster = bench.connect().await;
    let topic = "many";
    bench.create(topic, 60).await;
    let generate = Generate {
        topic: topic.to_owned(),
        partitions: 60,
        count: 30_000,
        value_bytes: 400,
        first_timestamp: TIME,
        timestamp_step: 1,
        seed: 7,
    };
    bench
        .java
        .generate(&generate, &ProducerOptions::new().batch_size(20_000))
        .await
        .unwrap();
    let java = bench.java.consume_topic(topic).await.unwrap();
    let mut tight = options();
    tight.budget = ByteBudget::new(1 << 20);
    tight.max_bytes = 300_000;
    tight.partition_max_bytes = 30_000;
    let asked = (0..60).map(|partition| FetchPartition::new(topic, partition, 0).until(500));
    let read = read(&cluster, asked, tight).await;
    assert_eq!(read.len(), 60);
    for (partition, records) in java.iter().enumerate() {
        let name = TopicPartition::new(topic, partition as i32);
        assert_eq!(read[&name].records, seen(records), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_larger_than_asked_for_are_read() {
    let bench = shared().await;
    let cluster = bench.connect().await;
    let topic = "large-batches";
    bench.create(topic, 4).await;
    for partition in 0..4 {
        let record = |i: i64| {
            ProduceRecord::new(topic, partition)
                .timestamp(TIME)
                .value(vec![i as u8; 200_000])
        };
        let groups: Vec<Vec<_>> = (0..5).map(|i| vec![record(i)]).collect();
        bench
            .java
            .produce_with(&ProducerOptions::new(), &groups)
            .await
            .unwrap();
    }
    let mut tiny = options();
    tiny.partition_max_bytes = 500;
    tiny.max_bytes = 2000;
    tiny.connections_per_broker = 1;
    tiny.requests_per_connection = 1;
    let asked = (0..4).map(|partition| FetchPartition::new(topic, partition, 0).until(5));
    let read = read(&cluster, asked, tiny).await;
    let total: usize = read.values().map(|read: &Read| read.records.len()).sum();
    assert_eq!(total, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_inside_of_batches_is_covered_by_whole_batches() {
    let bench = shared().await;
    let cluster = bench.connect().await;
    let topic = "range";
    bench.create(topic, 1).await;
    let groups: Vec<_> = (0..10).map(|i| records(topic, 0, i * 10..(i + 1) * 10)).collect();
    bench
        .java
        .produce_with(&ProducerOptions::new(), &groups)
        .await
        .unwrap();
    let name = TopicPartition::new(topic, 0);
    for (start, end, bases, next) in [
        (25, 45, vec![20, 30, 40], 50),
        (30, 50, vec![30, 40], 50),
        (7, 7, vec![], 7),
    ] {
        let asked = FetchPartition::new(topic, 0, start).until(end);
        let read = read(&cluster, [asked], options()).await.remove(&name).unwrap();
        let found: Vec<i64> = read
            .batches
            .iter()
            .map(|batch| batch.header.base_offset)
            .collect();
        assert_eq!((found, read.next_offset), (bases, next));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_partition_that_cannot_be_read_does_not_stop_the_others() {
    let bench = shared().await;
    let cluster = bench.connect().await;
    bench.create("replaced", 1).await;
    bench.create("healthy", 1).await;
    bench.java.produce(&records("healthy", 0, 0..50)).await.unwrap();
    let asked = [
        FetchPartition::new("healthy", 0, 0).until(50),
        FetchPartition::new("replaced", 0, 0)
            .until(10)
            .with_topic_id([7; 16]),
        FetchPartition::new("never-created", 0, 0).until(10),
        FetchPartition::new("healthy", 9, 0).until(10),
    ];
    let mut stream = FetchStream::start(&cluster, asked, options());
    let mut ends = BTreeMap::new();
    while let Some(event) = next_event(&mut stream).await {
        match event.kind {
            FetchEventKind::Batches(_) => {}
            FetchEventKind::Finished { .. } => _ = ends.insert((event.topic, event.partition), None),
            FetchEventKind::Failed(error) => _ = ends.insert((event.topic, event.partition), Some(error)),
            other => panic!("{other:?}"),
        }
    }
    let end = |topic: &str, partition: i32| ends[&(topic.into(), partition)].as_ref();
    assert!(end("healthy", 0).is_none());
    assert!(matches!(
        end("replaced", 0),
        Some(Error::Partition { problem, .. }) if matches!(**problem, PartitionProblem::TopicReplaced { .. })
    ));
    let unknown = Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(end("never-created", 0).and_then(Error::code), unknown);
    assert_eq!(end("healthy", 9).and_then(Error::code), unknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_end_reading_goes_on_with_what_is_written_later() {
    let bench = shared().await;
    let cluster = bench.connect().await;
    bench.create("tail", 3).await;
    let asked = (0..3).map(|partition| FetchPartition::new("tail", partition, 0));
    let mut stream = FetchStream::start(&cluster, asked, options());
    for round in 0..5 {
        let partition = round % 3;
        bench
            .java
            .produce(&records("tail", partition, 0..20))
            .await
            .unwrap();
        let mut next = 0;
        while next < i64::from(round / 3 + 1) * 20 {
            let event = tokio::time::timeout(Duration::from_secs(10), stream.next())
                .await
                .unwrap()
                .unwrap();
            let FetchEventKind::Batches(fetched) = event.kind else {
                panic!()
            };
            assert_eq!(event.partition, partition);
            next = fetched.next_offset;
        }
    }
    assert_eq!(stream.open_partitions(), 3);
}
