//! Writing.

use std::time::Duration;

use kafka_wire::batch::{BatchBuilder, Codec as WireCodec, NewRecord, RawBatch};
use kafka_wire::{Error, ErrorCode, PartitionProblem, PartitionWriter, Producer, ProducerOptions};
use testkit::{Codec, ProduceRecord};

use crate::support::{batches, holds_exactly_once, read_one, seen, shared, write, write_all};

fn problem(error: &Error) -> &PartitionProblem {
    match error {
        Error::Partition { problem, .. } => problem,
        other => panic!("{other:?}"),
    }
}

fn one(timestamp: i64, key: Option<&[u8]>, value: &[u8]) -> RawBatch {
    let mut builder = BatchBuilder::new();
    let record = NewRecord {
        timestamp,
        key,
        value: Some(value),
        ..NewRecord::default()
    };
    builder.push(&record).unwrap();
    builder.build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_and_written_again_is_byte_for_byte_the_same() {
    let bench = shared().await;
    let cluster = bench.connect().await;
    let producer = Producer::start(&cluster, ProducerOptions::default())
        .await
        .unwrap();
    for codec in Codec::ALL {
        let (source, target) = (
            format!("copy-from-{}", codec.name()),
            format!("copy-to-{}", codec.name()),
        );
        bench.create(&source, 1).await;
        bench.create(&target, 1).await;
        let record = |i: i64| {
            let value = "v".repeat(i as usize);
            ProduceRecord::new(&source, 0)
                .timestamp(i)
                .key(format!("{i}"))
                .value(value)
                .header("h", "")
        };
        let groups: Vec<Vec<_>> = (0..30)
            .map(|i| (i * 9..(i + 1) * 9).map(record).collect())
            .collect();
        bench
            .java
            .produce_with(&testkit::ProducerOptions::new().codec(codec), &groups)
            .await
            .unwrap();
        let read = read_one(&cluster, &source, 0, 0).await;

        let mut writer = producer.partition(target.as_str(), 0, 0).await.unwrap();
        for batch in &read.batches {
            assert_eq!(
                writer.append(batch.clone()).await.unwrap(),
                batch.header.base_offset
            );
        }
        assert_eq!(writer.flush().await.unwrap(), 270);

        let java = (
            bench.java.consume_all(&source, 0).await.unwrap(),
            bench.java.consume_all(&target, 0).await.unwrap(),
        );
        assert_eq!(seen(&java.0), seen(&java.1));
        let written = read_one(&cluster, &target, 0, 0).await;
        for (from, to) in read.batches.iter().zip(&written.batches) {
            assert_eq!(from.stored_records(), to.stored_records());
            assert_eq!(to.header.producer_id, producer.producer_id());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_partitions_are_written_at_the_same_time() {
    let bench = shared().await;
    let cluster = bench.connect().await;
    bench.create("wide", 50).await;
    let producer = Producer::start(&cluster, ProducerOptions::default())
        .await
        .unwrap();
    for (partition, result) in write_all(&producer, "wide", 50, 20, 15)
        .await
        .into_iter()
        .enumerate()
    {
        assert_eq!(result.unwrap(), 300);
        holds_exactly_once(bench, "wide", partition as i32, 300).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_makes_the_writer_wait() {
    let bench = shared().await;
    let cluster = bench.connect().await;
    bench.create("narrow", 1).await;
    let mut options = ProducerOptions::default();
    // Less than a batch: one at a time.
    options.partition_queue_bytes = 100;
    let producer = Producer::start(&cluster, options).await.unwrap();
    let mut writer = producer.partition("narrow", 0, 0).await.unwrap();
    for (index, batch) in batches(0, 20, 10, WireCodec::None).into_iter().enumerate() {
        assert_eq!(writer.append(batch).await.unwrap(), index as i64 * 10);
        assert!(writer.acknowledged() >= (index as i64) * 10);
        assert_eq!(writer.next_offset(), (index as i64 + 1) * 10);
    }
    assert_eq!(writer.flush().await.unwrap(), 200);
    holds_exactly_once(bench, "narrow", 0, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_ends_elsewhere_is_refused_before_anything_is_written() {
    let bench = shared().await;
    let cluster = bench.connect().await;
    bench.create("occupied", 1).await;
    bench
        .java
        .produce(&[ProduceRecord::new("occupied", 0).value("theirs")])
        .await
        .unwrap();
    let producer = Producer::start(&cluster, ProducerOptions::default())
        .await
        .unwrap();
    let error = producer.partition("occupied", 0, 0).await.unwrap_err();
    assert!(
        matches!(problem(&error), PartitionProblem::ForeignWrite { offset: 0, .. }),
        "{error}"
    );
    let error = producer.partition("occupied", 0, 2).await.unwrap_err();
    assert_eq!(
        problem(&error),
        &PartitionProblem::LogShrunk {
            expected: 2,
            log_end: 1
        }
    );
    let mut writer = producer.partition("occupied", 0, 1).await.unwrap();
    assert_eq!(writer.append(one(5, None, b"ours")).await.unwrap(), 1);
    assert_eq!(writer.flush().await.unwrap(), 2);
    let error = producer.partition("occupied", 7, 0).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_writer_is_noticed() {
    let bench = shared().await;
    let cluster = bench.connect().await;
    bench.create("contested", 2).await;
    let producer = Producer::start(&cluster, ProducerOptions::default())
        .await
        .unwrap();
    let mut ours = producer.partition("contested", 0, 0).await.unwrap();
    let mut other = producer.partition("contested", 1, 0).await.unwrap();
    ours.append(one(5, None, b"ours")).await.unwrap();
    ours.flush().await.unwrap();
    bench
        .java
        .produce(&[ProduceRecord::new("contested", 0).value("theirs")])
        .await
        .unwrap();
    ours.append(one(6, None, b"ours again")).await.unwrap();
    let error = ours.flush().await.unwrap_err();
    assert_eq!(
        problem(&error),
        &PartitionProblem::UnexpectedOffset {
            expected: 1,
            acknowledged: 2
        }
    );
    assert_eq!(ours.acknowledged(), 1);
    // It stays so, and the other partition is not concerned.
    assert_eq!(
        ours.append(one(7, None, b"x")).await.unwrap_err().to_string(),
        error.to_string()
    );
    other.append(one(5, None, b"ours")).await.unwrap();
    assert_eq!(other.flush().await.unwrap(), 1);
}

async fn refusal(writer: &mut PartitionWriter, batch: RawBatch) -> String {
    writer.append(batch).await.unwrap();
    let error = writer.flush().await.unwrap_err();
    assert_eq!(writer.acknowledged(), 0);
    error.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_refuses_is_said_in_its_words() {
    let bench = shared().await;
    let cluster = bench.connect().await;
    let small = [("max.message.bytes", "1000"), ("retention.ms", "-1")];
    bench.java.create_topic("small-batches", 1, &small).await.unwrap();
    let segments = [("segment.bytes", "1048576"), ("max.message.bytes", "4000000")];
    bench
        .java
        .create_topic("small-segments", 1, &segments)
        .await
        .unwrap();
    bench
        .java
        .create_topic("keyed", 1, &[("cleanup.policy", "compact")])
        .await
        .unwrap();
    bench.create("timely", 1).await;
    let producer = Producer::start(&cluster, ProducerOptions::default())
        .await
        .unwrap();
    let open = async |topic: &str| producer.partition(topic, 0, 0).await.unwrap();

    let too_large = refusal(&mut open("small-batches").await, one(5, None, &[1; 2000])).await;
    for part in [
        "topic small-batches partition 0",
        "MESSAGE_TOO_LARGE",
        "the batch has 2070 bytes and 1 records",
        "raise max.message.bytes of the topic",
    ] {
        assert!(too_large.contains(part), "{too_large}");
    }
    let beyond_segment = refusal(&mut open("small-segments").await, one(5, None, &[1; 1_500_000])).await;
    for part in [
        "topic small-segments partition 0",
        "RECORD_LIST_TOO_LARGE",
        "the batch has 15000",
        "raise segment.bytes of the topic",
    ] {
        assert!(beyond_segment.contains(part), "{beyond_segment}");
    }
    let no_key = refusal(&mut open("keyed").await, one(5, None, b"v")).await;
    assert!(
        no_key.contains("INVALID_RECORD") && no_key.contains("record 0"),
        "{no_key}"
    );
    let future = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let future = (future + Duration::from_secs(48 * 3600)).as_millis() as i64;
    let too_new = refusal(&mut open("timely").await, one(future, None, b"v")).await;
    assert!(
        too_new.contains("INVALID_TIMESTAMP") && too_new.contains("record 0"),
        "{too_new}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_cannot_be_sent_as_it_is_is_refused_and_the_writer_goes_on() {
    let bench = shared().await;
    let cluster = bench.connect().await;
    bench.create("selective", 1).await;
    let producer = Producer::start(&cluster, ProducerOptions::default())
        .await
        .unwrap();
    let mut writer = producer.partition("selective", 0, 0).await.unwrap();
    let mut builder = BatchBuilder::new().last_offset_delta(9);
    builder
        .push(&NewRecord {
            timestamp: 1,
            value: Some(b"left"),
            ..NewRecord::default()
        })
        .unwrap();
    let compacted = builder.build().unwrap();
    let error = writer.append(compacted).await.unwrap_err();
    assert!(matches!(problem(&error), PartitionProblem::Batch(_)), "{error}");
    assert_eq!(writer.append(one(1, None, b"whole")).await.unwrap(), 0);
    assert_eq!(writer.flush().await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_stamps_or_recompresses_batches_is_written_all_the_same() {
    let bench = shared().await;
    let cluster = bench.connect().await;
    let configs = [
        ("message.timestamp.type", "LogAppendTime"),
        ("compression.type", "gzip"),
    ];
    bench.java.create_topic("rewriting", 1, &configs).await.unwrap();
    let producer = Producer::start(&cluster, ProducerOptions::default())
        .await
        .unwrap();
    assert_eq!(
        write(&producer, "rewriting", 0, batches(0, 20, 10, WireCodec::Zstd))
            .await
            .unwrap(),
        200
    );
    holds_exactly_once(bench, "rewriting", 0, 200).await;
}

/// A broker that sees the same sequence numbers once more believes that it has the batch already.
#[tokio::test(flavor = "multi_thread")]
async fn a_partition_is_written_again_by_the_same_producer() {
    let bench = shared().await;
    let cluster = bench.connect().await;
    bench.create("reopened", 1).await;
    let producer = Producer::start(&cluster, ProducerOptions::default())
        .await
        .unwrap();
    let all = batches(0, 12, 10, WireCodec::None);
    let mut end = 0;
    for part in all.chunks(4) {
        let mut writer = producer.partition("reopened", 0, end).await.unwrap();
        let second = producer.partition("reopened", 0, end).await.unwrap_err();
        assert!(matches!(second, Error::InvalidRequest { .. }), "{second}");
        for batch in part {
            writer.append(batch.clone()).await.unwrap();
        }
        end = writer.flush().await.unwrap();
    }
    assert_eq!(end, 120);
    holds_exactly_once(bench, "reopened", 0, 120).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_created_again_is_not_written_under_its_old_id() {
    let bench = shared().await;
    let cluster = bench.connect().await;
    bench.create("reborn", 1).await;
    let producer = Producer::start(&cluster, ProducerOptions::default())
        .await
        .unwrap();
    let mut writer = producer.partition("reborn", 0, 0).await.unwrap();
    bench.java.delete_topic("reborn").await.unwrap();
    bench.create("reborn", 1).await;
    writer.append(one(5, None, b"v")).await.unwrap();
    let error = writer.flush().await.unwrap_err();
    assert!(
        matches!(problem(&error), PartitionProblem::TopicReplaced { .. }),
        "{error}"
    );
    assert!(bench.java.consume_all("reborn", 0).await.unwrap().is_empty());
}
