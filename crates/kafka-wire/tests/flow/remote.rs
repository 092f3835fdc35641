//! Topics whose old segments are in a remote storage (KIP-405).

use std::time::Duration;

use kafka_protocol::messages::FetchRequest;
use kafka_wire::{FetchEventKind, FetchPartition, FetchStream, TopicPartition};
use testkit::{
    ClusterOptions, Isolation, OffsetSpec, ProduceRecord, ProducerOptions, RecordedRequest, api_key,
};

use crate::support::{Bench, decoded, next_event, options, read, seen};

const PARTITIONS: i32 = 6;
const SEGMENTS: i64 = 20;
const PER_SEGMENT: i64 = 5;
const END: i64 = SEGMENTS * PER_SEGMENT;

/// A topic whose segments, all but the last ones, are in the remote storage only.
async fn fill(bench: &Bench, topic: &str) {
    let configs = [
        ("remote.storage.enable", "true"),
        ("local.retention.bytes", "1"),
        ("segment.ms", "1000"),
        ("retention.ms", "-1"),
    ];
    bench
        .java
        .create_topic(topic, PARTITIONS, &configs)
        .await
        .unwrap();
    let record = |partition: i32, i: i64| {
        ProduceRecord::new(topic, partition)
            .timestamp(1_700_000_000_000 + i / PER_SEGMENT * 60_000 + i)
            .value(format!("{partition}/{i}"))
    };
    for partition in 0..PARTITIONS {
        let groups: Vec<Vec<_>> = (0..SEGMENTS)
            .map(|segment| {
                let range = segment * PER_SEGMENT..(segment + 1) * PER_SEGMENT;
                range.map(|i| record(partition, i)).collect()
            })
            .collect();
        bench
            .java
            .produce_with(&ProducerOptions::new(), &groups)
            .await
            .unwrap();
    }
    for partition in 0..PARTITIONS {
        remote_only_before(bench, topic, partition, END - 2 * PER_SEGMENT).await;
    }
}

/// Waits until the broker's own log begins at `offset` or later.
async fn remote_only_before(bench: &Bench, topic: &str, partition: i32, offset: i64) {
    let mut local = 0;
    for _ in 0..600 {
        let at = [(topic, partition)];
        let listed = bench
            .java
            .list_offsets(&at, OffsetSpec::EarliestLocal, Isolation::ReadUncommitted);
        local = listed.await.unwrap()[0].offset;
        if local >= offset {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{topic}-{partition}: the broker still has everything from {local} on");
}

/// What is read is what the Java consumer reads, from the start and from the middle.
async fn everything_is_read(bench: &Bench, topic: &str) {
    let cluster = bench.connect().await;
    for from in [0, 33] {
        let partitions =
            (0..PARTITIONS).map(|partition| FetchPartition::new(topic, partition, from).until(END));
        let all = read(&cluster, partitions, options()).await;
        for partition in 0..PARTITIONS {
            let java = bench.java.consume_all(topic, partition).await.unwrap();
            assert_eq!(java.len() as i64, END);
            let mut records = all[&TopicPartition::new(topic, partition)].records.clone();
            // The first batch may begin before the offset that was asked for.
            records.retain(|record| record.offset >= from);
            assert_eq!(
                records,
                seen(&java)[from as usize..],
                "{topic}-{partition} from {from}"
            );
        }
    }
}

/// Where the log starts is where the remote part does.
async fn the_start_is_that_of_the_remote_log(bench: &Bench, topic: &str) {
    const START: i64 = 37;
    bench.java.delete_records(topic, 0, START).await.unwrap();
    let cluster = bench.connect().await;
    let asked = FetchPartition::new(topic, 0, 5).until(END);
    let mut stream = FetchStream::start(&cluster, [asked], options());
    let event = next_event(&mut stream).await.unwrap();
    let FetchEventKind::OutOfRange {
        requested,
        log_start_offset,
        log_end_offset,
    } = event.kind
    else {
        panic!("{event:?}")
    };
    assert_eq!((requested, log_start_offset, log_end_offset), (5, START, END));
    drop(stream);

    let asked = FetchPartition::new(topic, 0, START).until(END);
    let read = read(&cluster, [asked], options()).await;
    let read = &read[&TopicPartition::new(topic, 0)];
    assert_eq!(read.log_start_offset, Some(START));
    let java = bench.java.consume_all(topic, 0).await.unwrap();
    let mut records = read.records.clone();
    records.retain(|record| record.offset >= START);
    assert_eq!(records, seen(&java));
}

/// How many partitions were asked for alone, with more room than a partition usually has.
fn asked_alone(requests: &[RecordedRequest]) -> usize {
    let is_alone = |request: &&RecordedRequest| {
        let request: FetchRequest = decoded(request);
        let partitions = request.topics.iter().flat_map(|topic| &topic.partitions);
        let room: Vec<_> = partitions
            .map(|partition| partition.partition_max_bytes)
            .collect();
        matches!(room[..], [only] if only > options().partition_max_bytes as i32)
    };
    requests.iter().filter(is_alone).count()
}

/// `one_per_request`: the broker reads one partition from the remote storage for each request, and leaves others empty.
async fn all_of_it(options: ClusterOptions, one_per_request: bool) {
    let bench = Bench::start(options.remote_storage().proxied()).await;
    fill(&bench, "remote").await;
    let proxy = bench.kafka.proxy(0).unwrap();
    proxy.start_recording(api_key::FETCH);
    everything_is_read(&bench, "remote").await;
    assert_eq!(asked_alone(&proxy.stop_recording()) > 0, one_per_request);
    the_start_is_that_of_the_remote_log(&bench, "remote").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_in_the_remote_storage_is_read() {
    all_of_it(ClusterOptions::new(), false).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: another release"]
async fn kafka_3_9_reads_one_remote_partition_per_request() {
    all_of_it(ClusterOptions::new().version("3.9.2"), true).await;
}
