//! Reading from a scripted broker: every error code, stale leader epochs, and what requests say.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use kafka_protocol::messages::fetch_response::{EpochEndOffset, FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, BrokerId, FetchRequest, FetchResponse, ListOffsetsRequest,
    ListOffsetsResponse, MetadataRequest, MetadataResponse, OffsetForLeaderEpochRequest,
};
use tokio::net::TcpListener;

use super::*;
use crate::budget::ByteBudget;
use crate::config::ClusterConfig;
use crate::connection::fake::{FakeBroker, Reply, Seen, all_versions};
use crate::connection::{Api, text, topic_name};
use crate::error::{Error, ErrorCode};
use crate::fetch::cursor::tests::{builder, filled};
use crate::problem::PartitionProblem;
use crate::retry::Verdict;

#[path = "history_tests.rs"]
mod history;

/// Offsets of the log: twelve batches of two records.
const END: i64 = 24;

/// The offset after each batch.
fn all() -> Vec<i64> {
    (2..=END).step_by(2).collect()
}

/// A change made to a slab.
type Alteration = fn(&mut Vec<u8>);

/// A broker that leads `t-0`, whatever it answers.
struct Leader {
    epoch: AtomicI32,
    /// The error code that fetches are answered with, and how many of them.
    code: AtomicI32,
    failing: AtomicUsize,
    failing_every_second_time: AtomicBool,
    requests: AtomicUsize,
    /// There is an election after so many good answers.
    good_answers_left: AtomicUsize,
    port: u16,
    /// Whether fetches say that the reader knows another history.
    diverging: AtomicBool,
    /// So many fetches are answered by hanging up.
    hang_ups: AtomicUsize,
    /// So many fetches are answered with nothing but a throttle time.
    withheld: AtomicUsize,
    /// So many answers tell a port where nobody listens.
    wrong_ports: AtomicUsize,
    /// Start and end of the log, for who asks.
    edges: Mutex<Option<(i64, i64)>>,
    /// What is changed in each slab.
    alter: Mutex<Option<Alteration>>,
    /// Whether the first batch is sent, whatever is asked for.
    only_the_first: AtomicBool,
    /// Set for a broker whose fetches are of an old version.
    old: Option<history::OldBroker>,
}

impl Leader {
    async fn start(code: i16, failing: usize, good_answers: usize) -> (Arc<Self>, FakeBroker) {
        Self::start_as(None, code, failing, good_answers).await
    }

    async fn start_as(
        old: Option<history::OldBroker>,
        code: i16,
        failing: usize,
        good_answers: usize,
    ) -> (Arc<Self>, FakeBroker) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let leader = Arc::new(Self {
            epoch: AtomicI32::new(5),
            code: AtomicI32::new(i32::from(code)),
            failing: AtomicUsize::new(failing),
            failing_every_second_time: AtomicBool::new(false),
            requests: AtomicUsize::new(0),
            good_answers_left: AtomicUsize::new(good_answers),
            port: listener.local_addr().unwrap().port(),
            diverging: AtomicBool::new(false),
            hang_ups: AtomicUsize::new(0),
            withheld: AtomicUsize::new(0),
            wrong_ports: AtomicUsize::new(0),
            edges: Mutex::default(),
            alter: Mutex::default(),
            only_the_first: AtomicBool::new(false),
            old,
        });
        let serving = Arc::clone(&leader);
        (
            leader,
            FakeBroker::serve(listener, move |seen| serving.serve(seen)),
        )
    }

    fn serve(&self, seen: &Seen) -> Reply {
        if seen.is::<ApiVersionsRequest>() {
            seen.answer(&self.versions())
        } else if let Some(old) = &self.old
            && seen.is::<OffsetForLeaderEpochRequest>()
        {
            seen.answer(&old.answer(&seen.read()))
        } else if seen.is::<MetadataRequest>() {
            seen.answer(&self.metadata())
        } else if seen.is::<FetchRequest>() && takes_one(&self.hang_ups) {
            Reply::HangUp
        } else if seen.is::<FetchRequest>() && takes_one(&self.withheld) {
            seen.answer(&FetchResponse::default().with_throttle_time_ms(1))
        } else if seen.is::<FetchRequest>() {
            seen.answer(&self.fetch(&seen.read()))
        } else if let Some(edges) = *self.edges.lock().unwrap()
            && seen.is::<ListOffsetsRequest>()
        {
            seen.answer(&list_offsets(&seen.read(), edges))
        } else {
            Reply::HangUp
        }
    }

    fn versions(&self) -> ApiVersionsResponse {
        let mut versions = all_versions();
        if let Some(old) = &self.old {
            for api in &mut versions.api_keys {
                api.max_version = old.cap(api.api_key, api.max_version);
            }
        }
        versions
    }

    fn metadata(&self) -> MetadataResponse {
        let broker = MetadataResponseBroker::default()
            .with_node_id(BrokerId(1))
            .with_host(text("127.0.0.1"))
            .with_port(match takes_one(&self.wrong_ports) {
                true => 1,
                false => i32::from(self.port),
            });
        let partition = MetadataResponsePartition::default()
            .with_leader_id(BrokerId(1))
            .with_leader_epoch(self.epoch.load(SeqCst));
        let topic = MetadataResponseTopic::default()
            .with_name(Some(topic_name("t")))
            .with_partitions(vec![partition]);
        MetadataResponse::default()
            .with_brokers(vec![broker])
            .with_topics(vec![topic])
    }

    /// One batch for each request, so that there are some.
    fn fetch(&self, request: &FetchRequest) -> FetchResponse {
        let asked = &request.topics[0].partitions[0];
        let (asked_epoch, epoch) = (asked.current_leader_epoch, self.epoch.load(SeqCst));
        let fails = takes_one(&self.failing);
        let second = self.requests.fetch_add(1, SeqCst).is_multiple_of(2);
        let fails = fails || (second && self.failing_every_second_time.load(SeqCst));
        let code = match asked_epoch.cmp(&epoch) {
            std::cmp::Ordering::Less => 74,
            std::cmp::Ordering::Greater => 75,
            std::cmp::Ordering::Equal if fails => self.code.load(SeqCst) as i16,
            std::cmp::Ordering::Equal => 0,
        };
        let mut answer = PartitionData::default()
            .with_partition_index(0)
            .with_error_code(code)
            .with_high_watermark(END)
            .with_last_stable_offset(END)
            .with_log_start_offset(0);
        if code == 0 && self.diverging.load(SeqCst) {
            answer.diverging_epoch = EpochEndOffset::default().with_epoch(4).with_end_offset(1);
        } else if code == 0 && asked.fetch_offset < END {
            let first = self.only_the_first.load(SeqCst);
            let mut records = filled(builder(if first { 0 } else { asked.fetch_offset }, epoch), 2)
                .bytes
                .to_vec();
            if let Some(alter) = *self.alter.lock().unwrap() {
                alter(&mut records);
            }
            answer.records = Some(records.into());
            if self.good_answers_left.fetch_sub(1, SeqCst) == 1 {
                self.epoch.fetch_add(1, SeqCst);
            }
        }
        let topic = FetchableTopicResponse::default()
            .with_topic(request.topics[0].topic.clone())
            .with_partitions(vec![answer]);
        FetchResponse::default().with_responses(vec![topic])
    }
}

fn list_offsets(request: &ListOffsetsRequest, (start, end): (i64, i64)) -> ListOffsetsResponse {
    let earliest = request.topics[0].partitions[0].timestamp == -2;
    let partition = ListOffsetsPartitionResponse::default()
        .with_partition_index(0)
        .with_offset(if earliest { start } else { end });
    let topic = ListOffsetsTopicResponse::default()
        .with_name(topic_name("t"))
        .with_partitions(vec![partition]);
    ListOffsetsResponse::default().with_topics(vec![topic])
}

/// Whether there was one left.
fn takes_one(left: &AtomicUsize) -> bool {
    left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1))
        .is_ok()
}

async fn start(broker: &FakeBroker, asked: FetchPartition, budget: &ByteBudget) -> FetchStream {
    let mut config = ClusterConfig::new([broker.server()]);
    config.retry_backoff = Duration::from_millis(1);
    config.retry_backoff_max = Duration::from_millis(2);
    config.metadata_min_age = Duration::from_millis(1);
    let cluster = Cluster::connect(config).await.unwrap();
    FetchStream::start(&cluster, [asked], FetchOptions::new(budget.clone()))
}

async fn next(stream: &mut FetchStream) -> Option<FetchEvent> {
    let event = tokio::time::timeout(Duration::from_secs(20), stream.next()).await;
    event.expect("an event, or the end")
}

/// Reads to the end; the offsets that were passed, or the error.
async fn read(broker: &FakeBroker) -> Result<Vec<i64>, Error> {
    read_from(broker, FetchPartition::new("t", 0, 0).until(END)).await
}

async fn read_from(broker: &FakeBroker, asked: FetchPartition) -> Result<Vec<i64>, Error> {
    let budget = ByteBudget::new(8 << 20);
    let mut stream = start(broker, asked, &budget).await;
    let mut offsets = Vec::new();
    let mut failure = None;
    while let Some(event) = next(&mut stream).await {
        match event.kind {
            FetchEventKind::Batches(fetched) => offsets.push(fetched.next_offset),
            FetchEventKind::Finished { .. } => {}
            FetchEventKind::OutOfRange { .. } => panic!("{event:?}"),
            FetchEventKind::Failed(error) => failure = Some(error),
        }
    }
    drop(stream);
    // Whatever happened, no memory is accounted for that nobody has.
    for _ in 0..500 {
        if budget.available() == budget.total() {
            return failure.map_or(Ok(offsets), Err);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} bytes were lost", budget.total() - budget.available());
}

#[tokio::test]
async fn every_code_that_passes_is_tried_again_with_fresh_metadata_and_every_other_ends_the_partition() {
    for code in (-1..=133).filter(|code| ![0, 1].contains(code)) {
        let (_leader, broker) = Leader::start(code, 3, 99).await;
        let read = tokio::time::timeout(Duration::from_secs(20), read(&broker))
            .await
            .unwrap();
        let verdict = Error::kafka(ErrorCode::new(code).unwrap(), "Fetch", &"b".into(), "").verdict();
        if verdict == Verdict::Stays {
            assert_eq!(read.unwrap_err().code(), ErrorCode::new(code), "code {code}");
            assert_eq!(broker.count::<FetchRequest>(), 1, "code {code}");
        } else {
            assert_eq!(read.unwrap(), all(), "code {code}");
            // One to connect, which tells the leader as well; one after each failure.
            assert_eq!(broker.count::<MetadataRequest>(), 4, "code {code}");
        }
    }
}

#[tokio::test]
async fn an_offset_that_is_said_to_be_out_of_range_is_looked_up_before_it_is_believed() {
    let (_leader, broker) = Leader::start(1, 1, 99).await;
    // The look-up is answered by hanging up, which passes.
    assert_eq!(read(&broker).await.unwrap(), all());
    assert_eq!(broker.count::<ListOffsetsRequest>(), 1);
}

#[tokio::test]
async fn requests_name_the_leaders_epoch_and_that_of_the_last_batch() {
    let (_leader, broker) = Leader::start(0, 0, 2).await;
    assert_eq!(read(&broker).await.unwrap(), all());
    let asked: Vec<FetchRequest> = broker
        .seen()
        .iter()
        .filter(|seen| seen.is::<FetchRequest>())
        .map(Seen::read)
        .collect();
    // Committed data is what is asked for, unless somebody wants other.
    assert!(asked.iter().all(|request| request.isolation_level == 1));
    let epochs = |request: &FetchRequest| {
        let asked = &request.topics[0].partitions[0];
        (
            asked.fetch_offset,
            asked.current_leader_epoch,
            asked.last_fetched_epoch,
        )
    };
    let said: Vec<_> = asked.iter().map(epochs).collect();
    // The third request is refused, as its epoch is over; it comes again with that of the new leader.
    let mut expected = vec![(0, 5, -1), (2, 5, 5), (4, 5, 5), (4, 6, 5)];
    expected.extend((6..END).step_by(2).map(|offset| (offset, 6, 6)));
    assert_eq!(said, expected);
}

#[tokio::test]
async fn failures_that_should_not_happen_are_borne_again_after_each_good_answer() {
    // More of them than are borne in a row, but never two.
    let (leader, broker) = Leader::start(2, 0, 99).await;
    leader.failing_every_second_time.store(true, SeqCst);
    assert_eq!(read(&broker).await.unwrap(), all());
    assert_eq!(broker.count::<FetchRequest>(), 2 * all().len());
}

#[tokio::test]
async fn answers_that_a_quota_holds_back_are_no_failures() {
    // More of them in a row than failures that should not happen are borne.
    let (leader, broker) = Leader::start(0, 0, 99).await;
    leader.withheld.store(20, SeqCst);
    assert_eq!(read(&broker).await.unwrap(), all());
    assert_eq!(broker.count::<FetchRequest>(), 20 + all().len());
    assert_eq!(broker.count::<MetadataRequest>(), 1);
}

#[tokio::test]
async fn a_history_that_a_fetch_finds_to_be_another_is_a_truncated_log() {
    let (leader, broker) = Leader::start(0, 0, 99).await;
    leader.diverging.store(true, SeqCst);
    let asked = FetchPartition::new("t", 0, 4).until(END).after_epoch(5);
    let error = read_from(&broker, asked).await.unwrap_err();
    let Error::Partition { problem, .. } = error else {
        panic!("{error}")
    };
    let expected = PartitionProblem::Truncated {
        offset: 4,
        last_epoch: 5,
        epoch: 4,
        end_offset: 1,
    };
    assert_eq!(*problem, expected);
    assert_eq!(broker.count::<FetchRequest>(), 1);
}

async fn problem_with(alter: Alteration) -> PartitionProblem {
    let (leader, broker) = Leader::start(0, 0, 99).await;
    *leader.alter.lock().unwrap() = Some(alter);
    let Err(Error::Partition { problem, .. }) = read(&broker).await else {
        panic!("something was read")
    };
    // It was asked for again as often as is usual.
    assert!(broker.count::<FetchRequest>() > 8);
    *problem
}

#[tokio::test]
async fn a_length_that_cannot_be_is_asked_for_again_before_it_is_reported() {
    let problem = problem_with(|slab| slab[8] ^= 0x40).await;
    assert!(
        matches!(problem, PartitionProblem::BatchTooLarge { offset: 0, .. }),
        "{problem}"
    );
    // There was room for a batch of that length.
    let problem = problem_with(|slab| slab[10] ^= 0x40).await;
    let expected = "record batch at byte 0 (offset 0) says it is 16";
    assert!(problem.to_string().starts_with(expected), "{problem}");
}

#[tokio::test]
async fn a_batch_beyond_the_end_of_the_log_is_asked_for_again_before_it_is_reported() {
    let problem = problem_with(|slab| slab[1] ^= 1).await;
    let expected = PartitionProblem::OutOfPlace {
        offset: 0,
        found: 1 << 48,
        high_watermark: END,
    };
    assert_eq!(problem, expected);
}

#[tokio::test]
async fn a_broker_that_does_not_get_on_is_not_asked_for_more_than_is_accepted() {
    let (leader, broker) = Leader::start(0, 0, 99).await;
    leader.only_the_first.store(true, SeqCst);
    let error = read_from(&broker, FetchPartition::new("t", 0, 4).until(END)).await;
    let Err(Error::Partition { problem, .. }) = error else {
        panic!("{error:?}")
    };
    assert!(
        matches!(*problem, PartitionProblem::NoProgress { offset: 4, .. }),
        "{problem}"
    );
    let most = ClusterConfig::new(["a:1"]).max_response_bytes as i32;
    let asked: Vec<i32> = (broker.seen().iter())
        .filter(|seen| seen.is::<FetchRequest>())
        .map(|seen| seen.read::<FetchRequest>().topics[0].partitions[0].partition_max_bytes)
        .collect();
    assert!(
        asked.len() > 8 && asked.iter().all(|&bytes| bytes < most),
        "{asked:?}"
    );
    assert!(asked.last() > asked.first(), "{asked:?}");
}

#[tokio::test]
async fn requests_that_are_lost_and_connections_that_cannot_be_made_cost_no_memory() {
    let (leader, broker) = Leader::start(0, 0, 99).await;
    leader.hang_ups.store(3, SeqCst);
    leader.wrong_ports.store(3, SeqCst);
    assert_eq!(read(&broker).await.unwrap(), all());
    assert_eq!(broker.count::<FetchRequest>(), 3 + all().len());
    assert_eq!(leader.wrong_ports.load(SeqCst), 0);
}

#[tokio::test]
async fn an_offset_that_is_out_of_range_ends_the_reading_with_what_the_log_holds() {
    for (edges, from) in [((10, END), 4), ((0, 6), 8)] {
        let (leader, broker) = Leader::start(1, usize::MAX, 99).await;
        *leader.edges.lock().unwrap() = Some(edges);
        let asked = FetchPartition::new("t", 0, from).until(END);
        let mut stream = start(&broker, asked, &ByteBudget::new(8 << 20)).await;
        let event = next(&mut stream).await.unwrap();
        let FetchEventKind::OutOfRange {
            requested,
            log_start_offset,
            log_end_offset,
        } = event.kind
        else {
            panic!("{event:?}")
        };
        assert_eq!((requested, (log_start_offset, log_end_offset)), (from, edges));
        assert!(stream.next().await.is_none());
        assert_eq!(broker.count::<FetchRequest>(), 1);
    }
}
