//! Sessions that end while they are used.

use std::time::Duration;

use kafka_wire::{
    ByteBudget, ClientCredentials, Cluster, ClusterConfig, FetchEventKind, FetchOptions, FetchPartition,
    FetchStream, Producer, ProducerOptions, SaslConfig, Secret, TokenSource, TopicFilter,
};

use crate::capture::logged;
use crate::support::{Shared, USER, batch, chain, password, says, shared, with_login};
use crate::token_endpoint::TokenEndpoint;

const RENEWED: &str = "login renewed";
const ENDED: &str = "connection ended";
/// For what takes some seconds.
const PATIENCE: Duration = Duration::from_secs(120);

fn named(mut config: ClusterConfig, name: &str) -> ClusterConfig {
    config.client_id = name.to_owned();
    config
}

/// How many lines of the log have all of these.
fn lines(parts: &[&str]) -> usize {
    logged()
        .lines()
        .filter(|line| parts.iter().all(|part| line.contains(part)))
        .count()
}

async fn user(shared: &Shared, name: &str, password: &str) {
    shared
        .java
        .set_scram(name, "SCRAM-SHA-256", password, 4096)
        .await
        .unwrap();
    let login = || SaslConfig::scram_sha_256(name, Secret::new(password));
    // The broker learns of a new password a moment later.
    let known = async {
        while Cluster::connect(with_login(shared, "LOGIN", login()))
            .await
            .is_err()
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, known)
        .await
        .expect("a user that can log in");
}

/// Records are written and read all the time on the same connections, while their sessions of 2.5 s end again and again.
#[tokio::test(flavor = "multi_thread")]
async fn reading_and_writing_go_on_over_many_sessions() {
    let shared = shared().await;
    shared.java.create_topic("renewed", 1, &[]).await.unwrap();
    shared.java.end_offset("renewed", 0).await.unwrap();
    let config = with_login(shared, "SHORT", SaslConfig::scram_sha_256(USER, password()));
    let cluster = Cluster::connect(named(config, "renewed")).await.unwrap();
    let producer = Producer::start(&cluster, ProducerOptions::default())
        .await
        .unwrap();
    let mut writer = producer.partition("renewed", 0, 0).await.unwrap();
    let wanted = FetchPartition::new("renewed", 0, 0).until(i64::MAX);
    let mut stream = FetchStream::start(&cluster, [wanted], FetchOptions::new(ByteBudget::new(8 << 20)));

    let (before, ended_before) = (lines(&[RENEWED]), lines(&[ENDED, "NoAnswer"]));
    let mut written = 0;
    let mut read = 0;
    // Control, produce and fetch: each several times.
    let work = async {
        while lines(&[RENEWED]) < before + 12 || read < written {
            if lines(&[RENEWED]) < before + 12 {
                writer.append(batch(1000)).await.unwrap();
                written += 1;
                cluster.metadata(TopicFilter::Names(vec![])).await.unwrap();
            }
            let next = tokio::time::timeout(Duration::from_millis(20), stream.next());
            if let Ok(Some(event)) = next.await {
                match event.kind {
                    FetchEventKind::Batches(fetched) => read = fetched.next_offset,
                    other => panic!("{other:?}"),
                }
            }
        }
    };
    tokio::time::timeout(PATIENCE, work)
        .await
        .expect("renewed logins");
    assert_eq!(writer.flush().await.unwrap(), written);
    assert_eq!(lines(&[ENDED, "NoAnswer"]), ended_before);
    let java = shared.java.consume_all("renewed", 0).await.unwrap();
    assert_eq!(java.len() as i64, written);
    cluster.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_was_changed_ends_the_connection_with_a_clear_error() {
    let shared = shared().await;
    user(shared, "bob", "bob-secret-1").await;
    shared.java.create_topic("bobs", 1, &[]).await.unwrap();
    shared.java.end_offset("bobs", 0).await.unwrap();
    let config = with_login(
        shared,
        "SHORT",
        SaslConfig::scram_sha_256("bob", Secret::new("bob-secret-1")),
    );
    let cluster = Cluster::connect(config).await.unwrap();
    let wanted = FetchPartition::new("bobs", 0, 0).until(i64::MAX);
    let mut stream = FetchStream::start(&cluster, [wanted], FetchOptions::new(ByteBudget::new(8 << 20)));
    user(shared, "bob", "bob-secret-2").await;

    let event = tokio::time::timeout(PATIENCE, stream.next())
        .await
        .expect("an end")
        .unwrap();
    let FetchEventKind::Failed(error) = event.kind else {
        panic!("{:?}", event.kind)
    };
    assert!(!error.is_retriable());
    says(
        &chain(&error),
        &[
            "the login of user \"bob\" by SCRAM-SHA-256 failed",
            "sasl_password",
        ],
    );
    assert!(!chain(&error).contains("bob-secret"));
    let error = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Err(error) = cluster.metadata(TopicFilter::Names(vec![])).await {
                return error;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    says(
        &chain(&error.await.expect("an error")),
        &["the login of user \"bob\" by SCRAM-SHA-256 failed"],
    );
}

/// The session is as long as the token is good; an endpoint that is down for a moment is asked again.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_replaced_before_they_expire() {
    let shared = shared().await;
    let endpoint = TokenEndpoint::start(None, 8).await;
    let asked = ClientCredentials::new(&endpoint.url, "client", Secret::new("client-secret"));
    let login = SaslConfig::oauth_bearer(TokenSource::ClientCredentials(asked));
    let cluster = Cluster::connect(with_login(shared, "SHORT", login))
        .await
        .unwrap();
    assert_eq!(endpoint.asked().len(), 1);
    let told = || lines(&["will ask for a token again", "status 503", &endpoint.url]) > 0;
    let work = async {
        while endpoint.asked().len() < 4 || !told() {
            // It is for a renewal; a new connection may come first.
            if !told() && endpoint.has_answered() {
                endpoint.answer(503, "");
            }
            cluster.metadata(TopicFilter::Names(vec![])).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, work).await.expect("more tokens");
    cluster.metadata(TopicFilter::Names(vec![])).await.unwrap();
}
