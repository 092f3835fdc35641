use std::time::Duration;

use kafka_wire::{
    AclFilter, AclOperation, AclPattern, AclPermission, AclResource, Cluster, ConfigChange, ConfigSource,
    ErrorCode, NewTopic, ScramMechanism,
};
use testkit::Acl;

use crate::support::{code, config, connected, eventually, only};

#[tokio::test]
async fn access_control_lists_are_described_and_filtered() {
    let (shared, cluster) = connected().await;
    let read = Acl {
        resource: "TOPIC",
        name: "acls-",
        pattern: "PREFIXED",
        principal: "User:reader",
        host: "*",
        operation: "READ",
        permission: "ALLOW",
    };
    let deny = Acl {
        resource: "GROUP",
        name: "acls-group",
        pattern: "LITERAL",
        principal: "User:reader",
        host: "10.0.0.1",
        operation: "DELETE",
        permission: "DENY",
    };
    shared.java.create_acl(read).await.unwrap();
    shared.java.create_acl(deny).await.unwrap();
    let reader = AclFilter::all().with_principal("User:reader");
    let found = eventually("both entries", || async {
        let found = cluster.describe_acls(&reader).await.unwrap();
        (found.len() == 2).then_some(found)
    })
    .await;
    let topic = &found[0];
    assert_eq!(
        (topic.resource, topic.name.as_str(), topic.pattern),
        (AclResource::Topic, "acls-", AclPattern::Prefixed)
    );
    assert_eq!(
        (topic.host.as_str(), topic.operation, topic.permission),
        ("*", AclOperation::Read, AclPermission::Allow)
    );
    let group = &found[1];
    assert_eq!(
        (group.resource, group.name.as_str(), group.pattern),
        (AclResource::Group, "acls-group", AclPattern::Literal)
    );
    assert_eq!(
        (group.host.as_str(), group.operation, group.permission),
        ("10.0.0.1", AclOperation::Delete, AclPermission::Deny)
    );
    let groups = AclFilter::all()
        .with_resource(AclResource::Group)
        .with_name("acls-group");
    assert_eq!(cluster.describe_acls(&groups).await.unwrap(), found[1..]);
    let prefixed = reader.clone().with_pattern(AclPattern::Prefixed);
    let reading = reader.clone().with_operation(AclOperation::Read);
    let allowed = reader.with_permission(AclPermission::Allow);
    for filter in [prefixed, reading, allowed] {
        assert_eq!(
            cluster.describe_acls(&filter).await.unwrap(),
            found[..1],
            "{filter:?}"
        );
    }
    let none = AclFilter::all().with_principal("User:nobody");
    assert!(cluster.describe_acls(&none).await.unwrap().is_empty());
}

#[tokio::test]
async fn client_quotas_are_described_with_their_defaults() {
    let (shared, cluster) = connected().await;
    let (user, default) = (
        [("user", Some("quotas-user")), ("client-id", None)],
        [("client-id", Some("quotas-client"))],
    );
    shared
        .java
        .set_quota(&user, "consumer_byte_rate", 1_048_576.0)
        .await
        .unwrap();
    shared
        .java
        .set_quota(&default, "request_percentage", 99.5)
        .await
        .unwrap();
    let found = eventually("both quotas", || async {
        let mut found = cluster.describe_client_quotas().await.unwrap();
        found.retain(|entry| {
            entry
                .entity
                .values()
                .flatten()
                .any(|name| name.starts_with("quotas-"))
        });
        (found.len() == 2).then_some(found)
    })
    .await;
    // Sorted by entity, in which a default comes before every name.
    assert_eq!(
        found[0].entity["client-id"], None,
        "the default of all client ids"
    );
    assert_eq!(found[0].entity["user"].as_deref(), Some("quotas-user"));
    assert_eq!(found[0].quotas["consumer_byte_rate"].to_string(), "1048576");
    assert_eq!(found[1].entity.len(), 1);
    assert_eq!(found[1].quotas["request_percentage"].to_string(), "99.5");
}

#[tokio::test]
async fn scram_users_are_described_without_their_secrets() {
    let (shared, cluster) = connected().await;
    for (mechanism, iterations) in [("SCRAM-SHA-512", 8192), ("SCRAM-SHA-256", 4096)] {
        shared
            .java
            .set_scram("scram-user", mechanism, "secret", iterations)
            .await
            .unwrap();
    }
    let credentials = eventually("both mechanisms", || async {
        let users = cluster.describe_scram_users(None).await.unwrap();
        let (_, found) = users.into_iter().find(|(user, _)| user == "scram-user")?;
        let found = found.unwrap();
        (found.len() == 2).then_some(found)
    })
    .await;
    let found: Vec<_> = credentials
        .iter()
        .map(|credential| (credential.mechanism, credential.iterations))
        .collect();
    assert_eq!(
        found,
        [(ScramMechanism::Sha256, 4096), (ScramMechanism::Sha512, 8192)]
    );
    let mut asked = cluster
        .describe_scram_users(Some(&["scram-user", "scram-nobody"]))
        .await
        .unwrap();
    assert_eq!(asked.pop().unwrap().1.unwrap(), credentials);
    assert_eq!(code(&only(asked)), ErrorCode::RESOURCE_NOT_FOUND);
}

#[tokio::test]
async fn the_configuration_of_one_broker_and_of_all_is_changed_at_run_time() {
    let (shared, cluster) = connected().await;
    let name = "message.max.bytes";
    for (node, value) in [(Some(1), "2000000"), (None, "3000000")] {
        let change = ConfigChange::new().set(name, value);
        cluster.alter_broker_configs(node, &change).await.unwrap();
        eventually("the change", || async {
            let configs = shared.java.broker_configs(node).await.unwrap();
            (configs.get(name).map(String::as_str) == Some(value)).then_some(())
        })
        .await;
    }
    let source = |node| {
        let cluster = &cluster;
        async move {
            let entries = cluster.describe_broker_configs(node).await.unwrap();
            entries
                .into_iter()
                .find(|entry| entry.name == name)
                .unwrap()
                .source
        }
    };
    assert_eq!(source(1).await, ConfigSource::DynamicBroker);
    eventually("the value of all brokers", || async {
        (source(0).await == ConfigSource::DynamicDefaultBroker).then_some(())
    })
    .await;
    let reset = ConfigChange::new().reset(name);
    cluster.alter_broker_configs(Some(1), &reset).await.unwrap();
    cluster.alter_broker_configs(None, &reset).await.unwrap();

    let bad = ConfigChange::new().set(name, "many");
    let outcome = cluster.alter_broker_configs(Some(1), &bad).await;
    assert_eq!(code(&outcome), ErrorCode::INVALID_REQUEST);
    let words = outcome.unwrap_err().to_string();
    assert!(words.starts_with("broker 1: "), "{words}");
}

#[tokio::test]
async fn a_quota_on_topic_changes_is_waited_out() {
    let (shared, cluster) = connected().await;
    let client = [("client-id", Some("admin-throttled"))];
    shared
        .java
        .set_quota(&client, "controller_mutation_rate", 5.0)
        .await
        .unwrap();
    eventually("the quota", || async {
        let quotas = cluster.describe_client_quotas().await.unwrap();
        let ours = |entry: &&kafka_wire::QuotaEntry| entry.quotas.contains_key("controller_mutation_rate");
        quotas.iter().find(ours).map(drop)
    })
    .await;
    let mut config = config(&shared.brokers);
    config.client_id = "admin-throttled".to_owned();
    let patient = Cluster::connect(config.clone()).await.unwrap();
    config.retry_timeout = Duration::from_millis(1);
    let impatient = Cluster::connect(config).await.unwrap();

    let mut refused = None;
    for number in 0..10 {
        let name = format!("admin-throttled-{number}");
        let topic = [NewTopic::new(name.as_str(), 30)];
        let outcome = only(impatient.create_topics(&topic).await);
        if outcome.is_err() {
            assert_eq!(code(&outcome), ErrorCode::THROTTLING_QUOTA_EXCEEDED);
            refused = Some(topic);
            break;
        }
    }
    let topic = refused.expect("the quota is exhausted after some topics");
    only(patient.create_topics(&topic).await).unwrap();
    let seen = shared.java.describe_topic(&topic[0].name).await.unwrap();
    assert_eq!(seen.partitions.len(), 30);
}
