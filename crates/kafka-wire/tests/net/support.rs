//! The clusters and helpers that the tests share.

use std::time::Duration;

use kafka_wire::{Cluster, ClusterConfig, Error, ErrorCode, TopicPartition};
use testkit::{ClusterOptions, JavaClient};
use tokio::sync::OnceCell;

/// A cluster that no test breaks, and a Java client of it.
pub(crate) struct Shared {
    pub(crate) brokers: testkit::Cluster,
    pub(crate) java: JavaClient,
}

/// Two brokers with an authorizer that allows everything to everyone without a name. They create topics when an ordinary consumer asks for them, which ours must never make them do.
pub(crate) async fn shared() -> &'static Shared {
    static SHARED: OnceCell<Shared> = OnceCell::const_new();
    SHARED
        .get_or_init(|| async {
            let options = ClusterOptions::new()
                .brokers(2)
                .property("auto.create.topics.enable", true)
                .property("default.replication.factor", 1)
                .property("group.initial.rebalance.delay.ms", 0)
                .property(
                    "authorizer.class.name",
                    "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                )
                .property("super.users", "User:ANONYMOUS")
                // Refuses topics whose names begin with "forbidden".
                .property("create.topic.policy.class.name", "testkit.NamePolicy")
                .broker_property(0, "broker.rack", "rack-a")
                .broker_property(1, "broker.rack", "rack-b");
            let brokers = testkit::Cluster::start(options).await.expect("a cluster");
            let java = JavaClient::of(&brokers).await.expect("a Java client");
            Shared { brokers, java }
        })
        .await
}

/// The shared cluster, a Java client, and a connection of ours.
pub(crate) async fn connected() -> (&'static Shared, Cluster) {
    let shared = shared().await;
    let cluster = Cluster::connect(config(&shared.brokers))
        .await
        .expect("a connection");
    (shared, cluster)
}

pub(crate) fn config(brokers: &testkit::Cluster) -> ClusterConfig {
    let mut config = ClusterConfig::new(brokers.bootstrap_servers());
    config.client_id = "net-tests".to_owned();
    config.unknown_topic_grace = Duration::from_secs(2);
    config
}

pub(crate) fn tp(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition::new(topic, partition)
}

/// The only entry of a result.
pub(crate) fn only<K, T>(mut results: Vec<(K, Result<T, Error>)>) -> Result<T, Error> {
    assert_eq!(results.len(), 1);
    results.remove(0).1
}

/// The code that a broker answered with.
pub(crate) fn code<T: std::fmt::Debug>(outcome: &Result<T, Error>) -> ErrorCode {
    match outcome {
        Err(error) => error.code().unwrap_or_else(|| panic!("no code in {error}")),
        Ok(value) => panic!("no error, but {value:?}"),
    }
}

/// An error with its causes, as an operator would see it.
pub(crate) fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// What is changed is stored at once, and known to all brokers a little later.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, look: impl Fn() -> F) -> T {
    for _ in 0..200 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never seen: {what}");
}
