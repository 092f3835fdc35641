//! A cluster that grants rights: what a backup needs of them, and what is said when one is missing.

use kafka_wire::{AclFilter, ClusterConfig};
use testkit::{Acl, Cluster, ClusterOptions, Commit, JavaClient, Mechanism, ProduceRecord};

use crate::program::{Ran, Workplace};
use crate::stored::Stored;

/// Has the rights that docs/config.md lists, on all topics that begin with `orders-`, and no other.
const ENOUGH: &str = "enough";
/// Of the rights on topics these have the ones of their name only.
const DESCRIBE: &str = "describe";
const READ: &str = "read";
/// Has all rights on topics, and that on the cluster instead of those on groups.
const CLUSTER: &str = "cluster";

async fn cluster() -> (Cluster, JavaClient) {
    let users = [ENOUGH, DESCRIBE, READ, CLUSTER].map(|user| (user.to_owned(), format!("{user}-secret")));
    let options = ClusterOptions::new()
        .listener("LOGIN", "SASL_PLAINTEXT")
        .mechanisms("LOGIN", &[Mechanism::Plain(users.to_vec())])
        .property(
            "authorizer.class.name",
            "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        )
        .property("super.users", "User:ANONYMOUS");
    let cluster = Cluster::start(options).await.unwrap();
    let java = JavaClient::of(&cluster).await.unwrap();
    for topic in ["orders-eu", "orders-us", "secret"] {
        java.create_topic(topic, 1, &[("retention.ms", "-1")])
            .await
            .unwrap();
        let records: Vec<_> = (0..20)
            .map(|n| ProduceRecord::new(topic, 0).value(format!("{topic} {n}")))
            .collect();
        java.produce(&records).await.unwrap();
        java.commit("shop", &[Commit::new(topic, 0, 7)]).await.unwrap();
    }
    (cluster, java)
}

async fn grant(java: &JavaClient, user: &str, resource: &str, name: &str, operation: &str) {
    set(java, user, resource, name, operation, "ALLOW").await;
}

/// `name` may end in `*`.
async fn set(java: &JavaClient, user: &str, resource: &str, name: &str, operation: &str, permission: &str) {
    let (name, pattern) = match name.strip_suffix('*') {
        Some("") => ("*", "LITERAL"),
        Some(prefix) => (prefix, "PREFIXED"),
        None => (name, "LITERAL"),
    };
    let acl = Acl {
        resource,
        name,
        pattern,
        principal: &format!("User:{user}"),
        host: "*",
        operation,
        permission,
    };
    java.create_acl(acl).await.unwrap();
}

/// Brokers hear of new entries a moment later.
async fn all_are_known(cluster: &Cluster, entries: usize) {
    let config = ClusterConfig::new(cluster.direct_bootstrap_servers());
    let admin = kafka_wire::Cluster::connect(config).await.unwrap();
    while admin.describe_acls(&AclFilter::all()).await.unwrap().len() < entries {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    admin.close().await;
}

struct Backups<'a> {
    work: Workplace,
    cluster: &'a Cluster,
}

impl Backups<'_> {
    /// A user's backup, of the same name.
    async fn run(&self, user: &str, include: &[&str]) -> Ran {
        let servers = self.cluster.listener("LOGIN");
        let yaml = format!(
            "mode: backup\nbackup_id: {user}\nsource:\n  bootstrap_servers: {servers:?}\n  topics: {{include: {include:?}}}\n  \
             security: {{security_protocol: SASL_PLAINTEXT, sasl_mechanism: PLAIN, sasl_username: {user}, \
             sasl_password: {user}-secret}}\n\
             storage: {{backend: filesystem, path: '{{backups}}'}}\n"
        );
        self.work.config("backup.yaml", &yaml);
        self.work.run(&["backup", "--config", "backup.yaml"]).await
    }
}

#[track_caller]
fn says(ran: &Ran, code: i32, parts: &[&str]) {
    assert_eq!(ran.code, Some(code), "{ran:#?}");
    for part in parts {
        assert!(ran.stderr.contains(part), "{part:?} is not in {ran:#?}");
    }
    for never in ["no longer on", "matches no topic", "panicked"] {
        assert!(!ran.stderr.contains(never), "{never:?} is in {ran:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_needs_these_rights_and_names_the_one_that_is_missing() {
    let (cluster, java) = cluster().await;
    let work = Workplace::new();
    let backups = Backups {
        work,
        cluster: &cluster,
    };
    for user in [ENOUGH, READ] {
        grant(&java, user, "TOPIC", "orders-*", "READ").await;
        grant(&java, user, "GROUP", "*", "DESCRIBE").await;
    }
    grant(&java, ENOUGH, "TOPIC", "orders-*", "DESCRIBE_CONFIGS").await;
    grant(&java, CLUSTER, "TOPIC", "orders-*", "READ").await;
    grant(&java, CLUSTER, "TOPIC", "orders-*", "DESCRIBE_CONFIGS").await;
    grant(&java, CLUSTER, "CLUSTER", "kafka-cluster", "DESCRIBE").await;
    grant(&java, DESCRIBE, "TOPIC", "orders-*", "DESCRIBE").await;
    grant(&java, DESCRIBE, "TOPIC", "orders-*", "DESCRIBE_CONFIGS").await;

    all_are_known(&cluster, 10).await;

    // The rights of the documentation are enough, and those that are not granted are not noticed.
    says(&backups.run(ENOUGH, &["*"]).await, 0, &[]);
    let folder = backups.work.backups();
    let stored = Stored::open(&folder, ENOUGH).await.unwrap();
    assert_eq!(stored.set.topics().len(), 2);
    for topic in ["orders-eu", "orders-us"] {
        stored.is_same(&java, topic, 0).await;
        assert_eq!(stored.set.topic(topic).unwrap().configs["retention.ms"], "-1");
    }
    let positions = &stored.set.group("shop").unwrap().offsets;
    assert_eq!(positions.len(), 2, "{positions:?}");

    // Each of them is needed.
    let ran = backups.run(READ, &["orders-*"]).await;
    says(
        &ran,
        3,
        &[
            "orders-eu: its settings cannot be read",
            "TOPIC_AUTHORIZATION_FAILED",
        ],
    );
    let ran = backups.run(DESCRIBE, &["orders-*"]).await;
    says(&ran, 3, &["orders-eu/0: ", "TOPIC_AUTHORIZATION_FAILED"]);
    let stored = Stored::open(&folder, DESCRIBE).await.unwrap();
    assert_eq!(
        stored.set.groups().len(),
        0,
        "those that may not be described are not there"
    );

    // Who may see all groups of the cluster hears of those whose positions are not to be read.
    let ran = backups.run(CLUSTER, &["orders-*"]).await;
    assert_ne!(ran.code, Some(0), "{ran:#?}");
    for told in ["shop", "GROUP_AUTHORIZATION_FAILED"] {
        assert!(ran.stderr.contains(told), "{told}: {ran:#?}");
    }

    a_hidden_topic_is_not_a_missing_one(&java, &backups).await;
}

async fn a_hidden_topic_is_not_a_missing_one(java: &JavaClient, backups: &Backups<'_>) {
    let may_not = "secret: the source cluster does not let this user see it";
    let ran = backups.run(ENOUGH, &["orders-*", "secret"]).await;
    says(&ran, 3, &[may_not, "Describe on the topic"]);
    let ran = backups.run("enough", &["secret"]).await;
    says(&ran, 3, &[may_not]);

    // One that is in the backup already, and is hidden from now on.
    set(java, ENOUGH, "TOPIC", "orders-us", "DESCRIBE", "DENY").await;
    all_are_known(backups.cluster, 11).await;
    let ran = backups.run(ENOUGH, &["orders-*"]).await;
    says(
        &ran,
        3,
        &["orders-us: the source cluster does not let this user see it"],
    );
    // It stays, with what was read of it; the other one goes on.
    let folder = backups.work.backups();
    let stored = Stored::open(&folder, ENOUGH).await.unwrap();
    assert_eq!(stored.set.topics().len(), 2);
    stored.is_same(java, "orders-us", 0).await;

    // Of what is gone everybody who might see it hears that it is gone.
    java.delete_topic("orders-eu").await.unwrap();
    let ran = backups.run(ENOUGH, &["orders-*"]).await;
    assert_eq!(ran.code, Some(3), "{ran:#?}");
    assert!(
        ran.stderr.contains("orders-eu is no longer on the source"),
        "{ran:#?}"
    );
    let ran = backups.run(ENOUGH, &["orders-*", "orders-none"]).await;
    ran.failed_saying(&["orders-none"]);
}
