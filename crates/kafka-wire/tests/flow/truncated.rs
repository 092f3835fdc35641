//! Logs that were cut by an unclean election: noticed by the epoch of what was read, by new brokers and by old ones.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::ApiVersionsResponse;
use kafka_protocol::protocol::{Decodable, Encodable};
use kafka_wire::batch::LogEntry;
use kafka_wire::{Cluster, Error, FetchEvent, FetchEventKind, FetchPartition, FetchStream, PartitionProblem};
use testkit::{ProduceRecord, RequestFault, Rule, api_key};

use crate::failover::three;
use crate::support::{Bench, KEEP, options};

/// The last version of fetches that do not carry the epoch of the last batch.
const OLD_FETCH: i16 = 11;
/// The last version that this crate knows.
const NEW_FETCH: i16 = 17;

/// Makes the brokers offer the fetches of releases before 2.7, until [`fetched_in`] is asked.
fn offer_old_fetches(bench: &Bench) {
    let cap = |payload: &mut Vec<u8>| {
        // The correlation id; then version 3 and 4, which have the same layout.
        let mut body = Bytes::copy_from_slice(&payload[4..]);
        let mut offered = ApiVersionsResponse::decode(&mut body, 3).unwrap();
        assert!(!body.has_remaining());
        for api in &mut offered.api_keys {
            if api.api_key == api_key::FETCH {
                api.max_version = OLD_FETCH;
            }
        }
        let mut capped = BytesMut::new();
        offered.encode(&mut capped, 3).unwrap();
        payload.truncate(4);
        payload.extend_from_slice(&capped);
    };
    for broker in 0..3 {
        let proxy = bench.kafka.proxy(broker).unwrap();
        proxy.add(Rule::request(api_key::API_VERSIONS, RequestFault::alter_response(cap)).always());
    }
}

/// Keeps the fetches from now on.
fn start_recording(bench: &Bench) {
    for broker in 0..3 {
        bench.kafka.proxy(broker).unwrap().start_recording(api_key::FETCH);
    }
}

/// The versions in which this crate fetched since.
fn fetched_in(bench: &Bench) -> BTreeSet<i16> {
    let mut versions = BTreeSet::new();
    for broker in 0..3 {
        let proxy = bench.kafka.proxy(broker).unwrap();
        proxy.clear();
        let recorded = proxy.stop_recording();
        let ours = recorded.iter().filter(|request| {
            let name = b"kafka-backup";
            request.frame.windows(name.len()).any(|window| window == name)
        });
        versions.extend(ours.map(|request| i16::from_be_bytes([request.frame[6], request.frame[7]])));
    }
    versions
}

fn asked_for_epochs(bench: &Bench) -> u64 {
    let asked = |broker| {
        let proxy = bench.kafka.proxy(broker).unwrap();
        proxy.requests(api_key::OFFSET_FOR_LEADER_EPOCH)
    };
    (0..3).map(asked).sum()
}

async fn produce(bench: &Bench, topic: &str, values: std::ops::Range<usize>) {
    let records: Vec<_> = values
        .map(|i| ProduceRecord::new(topic, 0).value(format!("{i}")))
        .collect();
    bench.java.produce(&records).await.unwrap();
}

/// A topic of which brokers 0 and 1 have 100 records, and broker 0 alone 100 more; broker 1 is down.
async fn divided(bench: &Bench, topic: &str) {
    let unclean = [
        ("unclean.leader.election.enable", "true"),
        ("min.insync.replicas", "1"),
        ("retention.ms", "-1"),
    ];
    bench
        .java
        .create_replicated_topic(topic, 1, 2, &unclean)
        .await
        .unwrap();
    bench.java.reassign_partition(topic, 0, &[0, 1]).await.unwrap();
    produce(bench, topic, 0..100).await;
    bench.kafka.kill_broker(1).await.unwrap();
    produce(bench, topic, 100..200).await;
}

/// Broker 1 takes over without what only broker 0 has, and another history goes on to offset 400.
async fn cut(bench: &Bench, topic: &str) {
    bench.kafka.kill_broker(0).await.unwrap();
    bench.kafka.start_broker(1).await.unwrap();
    produce(bench, topic, 1000..1300).await;
    assert_eq!(bench.java.end_offset(topic, 0).await.unwrap(), 400);
}

async fn next(stream: &mut FetchStream) -> FetchEvent {
    let event = tokio::time::timeout(Duration::from_secs(60), stream.next()).await;
    event.expect("an event").expect("not the end")
}

async fn first(cluster: &Cluster, wanted: FetchPartition) -> FetchEvent {
    next(&mut FetchStream::start(cluster, [wanted], options())).await
}

#[track_caller]
fn problem(event: FetchEvent) -> PartitionProblem {
    match event.kind {
        FetchEventKind::Failed(Error::Partition { problem, .. }) => *problem,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn is_cut(event: FetchEvent) {
    let problem = problem(event);
    let expected = matches!(
        problem,
        PartitionProblem::Truncated {
            offset: 200,
            end_offset: 100,
            ..
        }
    );
    assert!(expected, "{problem}");
}

/// What readers find who come back to the log: without an epoch, with that of the last batch, with one that never was.
async fn is_noticed(bench: &Bench, topic: &str, epoch: i32) {
    let cluster = bench.connect().await;
    let wanted = || FetchPartition::new(topic, 0, 200).until(400);
    // The offset is in the log, which says nothing.
    let blind = first(&cluster, wanted()).await;
    assert!(matches!(blind.kind, FetchEventKind::Batches(_)), "{blind:?}");
    is_cut(first(&cluster, wanted().after_epoch(epoch)).await);
    bench.kafka.start_broker(0).await.unwrap();
    // An epoch that no log ever had is no reason to wait for ever.
    let impossible = first(&cluster, wanted().after_epoch(10_000)).await;
    assert_eq!(
        problem(impossible),
        PartitionProblem::UnknownEpoch {
            offset: 200,
            last_epoch: 10_000
        }
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_truncated_is_noticed_by_the_epoch_of_what_was_read() {
    truncation(&*three().await, "truncated", NEW_FETCH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_whose_fetches_do_not_tell_are_asked_whether_the_log_was_truncated() {
    let bench = three().await;
    offer_old_fetches(&bench);
    truncation(&bench, "truncated-long-ago", OLD_FETCH).await;
}

/// A log is cut behind a reader that waits at its end, and before others come back. All fetches are of this version.
pub(crate) async fn truncation(bench: &Bench, topic: &str, version: i16) {
    start_recording(bench);
    divided(bench, topic).await;
    let cluster = bench.connect().await;
    let asked = FetchPartition::new(topic, 0, 0);
    let mut reading = FetchStream::start(&cluster, [asked], options());
    let (mut offset, mut epoch) = (0, None);
    while offset < 200 {
        let event = next(&mut reading).await;
        let FetchEventKind::Batches(fetched) = event.kind else {
            panic!("{event:?}")
        };
        (offset, epoch) = (fetched.next_offset, fetched.last_epoch);
        let Some(LogEntry::Batch(last)) = fetched.batches.last() else {
            panic!("no batch")
        };
        assert_eq!(epoch, Some(last.header.partition_leader_epoch));
    }
    cut(bench, topic).await;
    // Who waits at the old end does not go on with the other history.
    is_cut(next(&mut reading).await);
    is_noticed(bench, topic, epoch.unwrap()).await;
    assert_eq!(fetched_in(bench), BTreeSet::from([version]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_has_what_was_read_is_asked_and_read_on() {
    let bench = three().await;
    let topic = "read-on";
    bench
        .java
        .create_replicated_topic(topic, 1, 3, KEEP)
        .await
        .unwrap();
    bench.java.reassign_partition(topic, 0, &[1, 0, 2]).await.unwrap();
    produce(&bench, topic, 0..100).await;
    offer_old_fetches(&bench);
    start_recording(&bench);
    let cluster = bench.connect().await;
    let wanted = FetchPartition::new(topic, 0, 0).until(200);
    let mut reading = FetchStream::start(&cluster, [wanted], options());
    let mut offset = 0;
    let mut asked = 0;
    loop {
        let event = next(&mut reading).await;
        match event.kind {
            FetchEventKind::Batches(fetched) => offset = fetched.next_offset,
            FetchEventKind::Finished { .. } => break,
            other => panic!("{other:?}"),
        }
        if offset == 100 {
            asked = asked_for_epochs(&bench);
            bench.kafka.restart_broker(1).await.unwrap();
            produce(&bench, topic, 100..200).await;
        }
    }
    assert_eq!(offset, 200);
    assert!(asked_for_epochs(&bench) > asked);
    assert_eq!(fetched_in(&bench), BTreeSet::from([OLD_FETCH]));
}
