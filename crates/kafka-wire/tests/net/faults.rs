//! A cluster of one broker behind a proxy that breaks things. The tests take turns.

use std::time::{Duration, Instant};

use kafka_wire::{
    Cluster, ClusterConfig, Error, ErrorCode, IsolationLevel, NewTopic, OffsetCommit, OffsetSpec, TopicFilter,
};
use testkit::{ClusterOptions, Direction, FaultProxy, RequestFault, Rule, api_key};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use crate::support::{chain, code, config, only, tp};

async fn broken() -> MutexGuard<'static, testkit::Cluster> {
    static CLUSTER: OnceCell<Mutex<testkit::Cluster>> = OnceCell::const_new();
    let cluster = CLUSTER
        .get_or_init(|| async {
            let options = ClusterOptions::new().proxied();
            Mutex::new(testkit::Cluster::start(options).await.expect("a cluster"))
        })
        .await
        .lock()
        .await;
    cluster.proxy(0).unwrap().clear();
    cluster
}

fn proxy(cluster: &testkit::Cluster) -> &FaultProxy {
    cluster.proxy(0).unwrap()
}

/// Patient enough for a busy machine, and no more.
fn patient(cluster: &testkit::Cluster) -> ClusterConfig {
    let mut config = config(cluster);
    config.request_timeout = Duration::from_secs(3);
    config.connect_timeout = Duration::from_secs(3);
    config.retry_timeout = Duration::from_secs(30);
    config
}

async fn with_topic(cluster: &testkit::Cluster, topic: &str) -> Cluster {
    let ours = Cluster::connect(patient(cluster)).await.unwrap();
    only(ours.create_topics(&[NewTopic::new(topic, 1)]).await).unwrap();
    ours
}

async fn end_offset(cluster: &Cluster, topic: &str) -> Result<i64, Error> {
    let asked = [tp(topic, 0)];
    let listed = cluster
        .list_offsets(&asked, OffsetSpec::Latest, IsolationLevel::ReadUncommitted)
        .await;
    only(listed).map(|listed| listed.offset)
}

#[tokio::test]
async fn a_lost_answer_to_a_question_is_asked_for_again() {
    let brokers = broken().await;
    let cluster = with_topic(&brokers, "faults-question").await;
    for fault in [
        RequestFault::CutBeforeRequest,
        RequestFault::CutInsideRequest(10),
        RequestFault::CutBeforeResponse,
        RequestFault::CutInsideResponse(9),
        RequestFault::DropResponse,
    ] {
        let rule = proxy(&brokers).add(Rule::request(api_key::LIST_OFFSETS, fault.clone()));
        assert_eq!(
            end_offset(&cluster, "faults-question").await.unwrap(),
            0,
            "{fault:?}"
        );
        assert_eq!(rule.hits(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_creation_whose_answer_is_lost_is_in_doubt_and_not_repeated() {
    let brokers = broken().await;
    let cluster = with_topic(&brokers, "faults-warm-up").await;
    for (fault, topic) in [
        (RequestFault::CutBeforeResponse, "faults-cut"),
        (RequestFault::DropResponse, "faults-dropped"),
        (RequestFault::CutInsideRequest(20), "faults-half"),
    ] {
        let before = proxy(&brokers).requests(api_key::CREATE_TOPICS);
        proxy(&brokers).add(Rule::request(api_key::CREATE_TOPICS, fault.clone()));
        let error = only(cluster.create_topics(&[NewTopic::new(topic, 1)]).await).unwrap_err();
        assert!(
            matches!(
                error,
                Error::InDoubt {
                    api: "CreateTopics",
                    ..
                }
            ),
            "{fault:?}: {error}"
        );
        assert!(error.is_in_doubt());
        assert!(
            chain(&error).contains("may have taken effect"),
            "{}",
            chain(&error)
        );
        assert_eq!(
            proxy(&brokers).requests(api_key::CREATE_TOPICS),
            before + 1,
            "{fault:?}"
        );
    }
    let topics = cluster.metadata(TopicFilter::All).await.unwrap().topics;
    assert!(topics.contains_key("faults-cut") && topics.contains_key("faults-dropped"));
    assert!(!topics.contains_key("faults-half"));
}

#[tokio::test]
async fn a_broker_that_cannot_be_connected_to_is_waited_for_even_by_a_creation() {
    let brokers = broken().await;
    let cluster = with_topic(&brokers, "faults-away").await;
    let refusing = proxy(&brokers).add(Rule::refuse());
    proxy(&brokers).cut_all();
    // A connection of which the client does not know yet that it is cut would leave the request in doubt.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let creating = tokio::spawn({
        let cluster = cluster.clone();
        async move {
            only(
                cluster
                    .create_topics(&[NewTopic::new("faults-away-later", 1)])
                    .await,
            )
        }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!creating.is_finished());
    refusing.remove();
    creating.await.unwrap().unwrap();
}

#[tokio::test]
async fn waiting_for_a_broker_ends_with_every_cause_named() {
    let brokers = broken().await;
    let mut config = patient(&brokers);
    config.retry_timeout = Duration::from_secs(1);
    let cluster = Cluster::connect(config).await.unwrap();
    let refusing = proxy(&brokers).add(Rule::refuse());
    proxy(&brokers).cut_all();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let error = cluster.list_groups().await.unwrap_err();
    let words = chain(&error);
    assert!(words.starts_with("gave up after "), "{words}");
    assert!(
        words.contains(&proxy(&brokers).address()) && words.contains("refused"),
        "{words}"
    );
    refusing.remove();
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_repeated() {
    let brokers = broken().await;
    let cluster = with_topic(&brokers, "faults-commit").await;
    for (offset, fault) in [
        (1, RequestFault::CutBeforeResponse),
        (2, RequestFault::DropResponse),
        (3, RequestFault::CutBeforeRequest),
    ] {
        let rule = proxy(&brokers).add(Rule::request(api_key::OFFSET_COMMIT, fault));
        let commit = OffsetCommit::new(tp("faults-commit", 0), offset);
        only(cluster.commit_offsets("faults-commit", &[commit]).await).unwrap();
        assert_eq!(rule.hits(), 1);
        let committed = only(cluster.fetch_offsets("faults-commit").await.unwrap()).unwrap();
        assert_eq!(committed.offset, offset);
    }
}

#[tokio::test]
async fn a_silent_broker_is_given_up_after_the_timeout_and_found_again() {
    let brokers = broken().await;
    let cluster = with_topic(&brokers, "faults-silent").await;
    let stalled = proxy(&brokers).add(Rule::stall(Direction::ToClient));
    let asking = tokio::spawn({
        let cluster = cluster.clone();
        async move { end_offset(&cluster, "faults-silent").await }
    });
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(!asking.is_finished());
    stalled.remove();
    assert_eq!(asking.await.unwrap().unwrap(), 0);
}

#[tokio::test]
async fn nonsense_is_refused_without_being_believed() {
    let brokers = broken().await;
    let cluster = with_topic(&brokers, "faults-nonsense").await;
    // An array of 2^28 topics is announced.
    let huge = RequestFault::alter_response(|payload| {
        payload.truncate(9);
        payload.extend_from_slice(&[0xff, 0xff, 0xff, 0x7f]);
    });
    proxy(&brokers).add(Rule::request(api_key::LIST_OFFSETS, huge));
    let error = end_offset(&cluster, "faults-nonsense").await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Malformed {
                api: "ListOffsets",
                ..
            }
        ),
        "{error}"
    );
    let other_id = RequestFault::alter_response(|payload| payload[3] ^= 0x40);
    proxy(&brokers).add(Rule::request(api_key::LIST_OFFSETS, other_id));
    let error = end_offset(&cluster, "faults-nonsense").await.unwrap_err();
    assert!(chain(&error).contains("correlation id"), "{}", chain(&error));
    assert_eq!(
        end_offset(&cluster, "faults-nonsense").await.unwrap(),
        0,
        "a new connection is good again"
    );
}

#[tokio::test]
async fn a_restarted_broker_is_found_again() {
    let brokers = broken().await;
    let cluster = with_topic(&brokers, "faults-restart").await;
    let commit = OffsetCommit::new(tp("faults-restart", 0), 5);
    only(cluster.commit_offsets("faults-restart", &[commit]).await).unwrap();
    brokers.kill_broker(0).await.unwrap();
    let asking = tokio::spawn({
        let cluster = cluster.clone();
        async move {
            let offset = end_offset(&cluster, "faults-restart").await;
            (offset, cluster.fetch_offsets("faults-restart").await)
        }
    });
    brokers.start_broker(0).await.unwrap();
    let (offset, committed) = asking.await.unwrap();
    assert_eq!(offset.unwrap(), 0);
    assert_eq!(only(committed.unwrap()).unwrap().offset, 5);
}

#[tokio::test]
async fn connections_end_when_idle_when_closed_and_when_dropped() {
    let brokers = broken().await;
    let connections = async |expected: usize| {
        for _ in 0..100 {
            if proxy(&brokers).connections() == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!(
            "{} connections instead of {expected}",
            proxy(&brokers).connections()
        );
    };
    proxy(&brokers).cut_all();
    connections(0).await;
    let mut config = patient(&brokers);
    config.idle_timeout = Duration::from_millis(500);
    let cluster = Cluster::connect(config).await.unwrap();
    cluster.list_groups().await.unwrap();
    assert!(proxy(&brokers).connections() > 0);
    connections(0).await;
    cluster.list_groups().await.unwrap();
    cluster.close().await;
    connections(0).await;
    let cluster = Cluster::connect(patient(&brokers)).await.unwrap();
    cluster.list_groups().await.unwrap();
    assert!(proxy(&brokers).connections() > 0);
    drop(cluster);
    connections(0).await;
}

/// Topics whose configurations are some hundred kilobytes, on a connection that gives a request one second.
async fn with_large_answers(brokers: &testkit::Cluster) -> (Cluster, Vec<String>) {
    let mut config = patient(brokers);
    config.request_timeout = Duration::from_secs(1);
    config.retry_timeout = Duration::from_secs(1);
    let names: Vec<String> = (0..40).map(|n| format!("faults-slow-{n:02}")).collect();
    let topics: Vec<_> = names.iter().map(|name| NewTopic::new(name, 1)).collect();
    let patient = Cluster::connect(patient(brokers)).await.unwrap();
    patient.create_topics(&topics).await;
    (Cluster::connect(config).await.unwrap(), names)
}

#[tokio::test]
async fn a_broker_behind_a_slow_line_is_no_timeout() {
    let brokers = broken().await;
    let (cluster, names) = with_large_answers(&brokers).await;
    let slow = proxy(&brokers).add(Rule::throttle(Direction::ToClient, 20 << 10));
    let started = Instant::now();
    let configs = cluster.describe_topic_configs(&names).await;
    assert_eq!(configs.len(), names.len());
    for (topic, outcome) in configs {
        assert!(outcome.is_ok_and(|entries| !entries.is_empty()), "{topic}");
    }
    assert!(
        started.elapsed() > Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
    slow.remove();
    let outcome = only(cluster.delete_topics(&["faults-never"]).await);
    assert_eq!(code(&outcome), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
}

#[tokio::test]
async fn an_answer_that_trickles_is_given_up_and_does_not_hold_its_request() {
    let brokers = broken().await;
    let (cluster, names) = with_large_answers(&brokers).await;
    let trickle = proxy(&brokers).add(Rule::throttle(Direction::ToClient, 2 << 10));
    for (topic, outcome) in cluster.describe_topic_configs(&names).await {
        let words = chain(&outcome.expect_err("an answer that never ends"));
        assert!(
            words.contains("bytes of the answer in") && words.contains("raise the request timeout"),
            "{topic}: {words}"
        );
    }
    trickle.remove();
    for (topic, outcome) in cluster.describe_topic_configs(&names).await {
        assert!(outcome.is_ok_and(|entries| !entries.is_empty()), "{topic}");
    }
}
