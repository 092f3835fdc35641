//! What a user may not do is said by the broker, for each topic and group, and nothing else is held up by it.

use kafka_wire::{
    AclFilter, ByteBudget, Cluster, ConfigChange, Error, ErrorCode, FetchEventKind, FetchOptions,
    FetchPartition, FetchStream, OffsetCommit, Producer, ProducerOptions, SaslConfig, Secret, TopicPartition,
};
use testkit::Acl;

use crate::support::{Shared, USER, password, shared, with_login, write};

async fn connected(shared: &Shared) -> Cluster {
    let login = SaslConfig::scram_sha_256(USER, password());
    Cluster::connect(with_login(shared, "LOGIN", login))
        .await
        .unwrap()
}

/// A resource with any entry is closed for all that no entry allows.
async fn allow(shared: &Shared, resource: &str, name: &str, operations: &[&str]) {
    let principal = format!("User:{USER}");
    for operation in operations {
        let entry = Acl {
            resource,
            name,
            pattern: "LITERAL",
            principal: &principal,
            host: "*",
            operation,
            permission: "ALLOW",
        };
        shared.java.create_acl(entry).await.unwrap();
    }
}

/// A user who may do all with the cluster but fill gaps.
#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_write_markers_is_told_before_and_fills_nothing() {
    const USER: &str = "no-markers";
    let shared = shared().await;
    shared.java.create_topic("rights-gap", 1, &[]).await.unwrap();
    shared
        .java
        .set_scram(USER, "SCRAM-SHA-256", "secret", 4096)
        .await
        .unwrap();
    let entry = |principal, operation, permission| Acl {
        resource: "CLUSTER",
        name: "kafka-cluster",
        pattern: "LITERAL",
        principal,
        host: "*",
        operation,
        permission,
    };
    // All others keep what they had.
    shared
        .java
        .create_acl(entry("User:*", "ALL", "ALLOW"))
        .await
        .unwrap();
    let principal = format!("User:{USER}");
    let deny = async |operation| {
        let entry = entry(&principal, operation, "DENY");
        shared.java.create_acl(entry).await.unwrap();
    };
    let login = SaslConfig::scram_sha_256(USER, Secret::new("secret"));
    let config = with_login(shared, "LOGIN", login);
    let cluster = Cluster::connect(config).await.unwrap();
    // One of two rights is enough.
    deny("CLUSTER_ACTION").await;
    let denied = AclFilter::all().with_principal(principal.clone());
    let known = async {
        while cluster.describe_acls(&denied).await.unwrap().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let patience = std::time::Duration::from_secs(60);
    tokio::time::timeout(patience, known).await.expect("an entry");
    cluster.check_marker_rights().await.unwrap();
    deny("ALTER").await;
    let denied = code_of(async || cluster.check_marker_rights().await).await;
    assert_eq!(denied, ErrorCode::CLUSTER_AUTHORIZATION_FAILED);

    let producer = Producer::start(&cluster, ProducerOptions::default())
        .await
        .unwrap();
    let mut writer = producer.partition("rights-gap", 0, 0).await.unwrap();
    writer.fill_to(5).await.unwrap();
    let error = writer.flush().await.unwrap_err();
    assert_eq!(
        error.code(),
        Some(ErrorCode::CLUSTER_AUTHORIZATION_FAILED),
        "{error}"
    );
    assert_eq!(shared.java.end_offset("rights-gap", 0).await.unwrap(), 0);
    cluster.close().await;
}

/// The answer of a broker that has heard of the entries: they are stored first, and known a little later.
async fn code_of<T, F: Future<Output = Result<T, Error>>>(ask: impl Fn() -> F) -> ErrorCode {
    for _ in 0..100 {
        if let Err(error) = ask().await {
            assert!(!error.is_retriable(), "{error}");
            return error.code().expect("a broker's answer");
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("it is allowed")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_may_only_be_read_is_not_written() {
    let shared = shared().await;
    shared.java.create_topic("rights-read", 1, &[]).await.unwrap();
    allow(shared, "TOPIC", "rights-read", &["READ"]).await;
    let cluster = connected(shared).await;
    let change = ConfigChange::new().set("retention.ms", "-1");
    let changes = [("rights-read".to_owned(), change)];
    let denied = code_of(async || cluster.alter_topic_configs(&changes).await.remove(0).1).await;
    assert_eq!(denied, ErrorCode::TOPIC_AUTHORIZATION_FAILED);
    // The broker knows by now.
    let error = write(&cluster, "rights-read", 0, &[10]).await.unwrap_err();
    assert_eq!(
        error.code(),
        Some(ErrorCode::TOPIC_AUTHORIZATION_FAILED),
        "{error}"
    );
    assert!(
        !error.is_retriable() && error.to_string().contains("rights-read"),
        "{error}"
    );
    assert_eq!(shared.java.end_offset("rights-read", 0).await.unwrap(), 0);
    cluster.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_may_not_be_read_does_not_keep_others_from_being_read() {
    let shared = shared().await;
    for topic in ["rights-write", "rights-open"] {
        shared.java.create_topic(topic, 1, &[]).await.unwrap();
    }
    let cluster = connected(shared).await;
    for topic in ["rights-write", "rights-open"] {
        write(&cluster, topic, 0, &[10, 20]).await.unwrap();
    }
    allow(shared, "TOPIC", "rights-write", &["WRITE"]).await;
    let denied = code_of(async || {
        let wanted = ["rights-write", "rights-open"].map(|topic| FetchPartition::new(topic, 0, 0).until(2));
        let mut stream = FetchStream::start(&cluster, wanted, FetchOptions::new(ByteBudget::new(8 << 20)));
        let (mut finished, mut failed) = (Vec::new(), Ok(()));
        while let Some(event) = stream.next().await {
            match event.kind {
                FetchEventKind::Batches(_) => {}
                FetchEventKind::Finished { .. } => finished.push(event.topic),
                FetchEventKind::Failed(error) => {
                    assert_eq!(&*event.topic, "rights-write");
                    failed = Err(error);
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(finished.iter().any(|topic| &**topic == "rights-open"));
        failed
    })
    .await;
    assert_eq!(denied, ErrorCode::TOPIC_AUTHORIZATION_FAILED);
    cluster.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_may_only_be_described_is_not_moved() {
    let shared = shared().await;
    shared.java.create_topic("rights-group", 1, &[]).await.unwrap();
    allow(shared, "GROUP", "rights-group", &["DESCRIBE"]).await;
    let cluster = connected(shared).await;
    let commit = [OffsetCommit::new(TopicPartition::new("rights-group", 0), 7)];
    let denied = code_of(async || cluster.commit_offsets("rights-group", &commit).await.remove(0).1).await;
    assert_eq!(denied, ErrorCode::GROUP_AUTHORIZATION_FAILED);
    assert!(cluster.fetch_offsets("rights-group").await.is_ok());
    cluster.close().await;
}
