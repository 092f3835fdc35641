use std::time::Duration;

use testkit::{Cluster, ClusterOptions, Direction, JavaClient, ProducerOptions, RequestFault, Rule, api_key};

use crate::records;

#[tokio::test]
async fn a_cluster_behind_proxies_is_used_through_them_only() {
    let cluster = Cluster::start(ClusterOptions::new().proxied()).await.unwrap();
    let proxy = cluster.proxy(0).unwrap();
    let direct = JavaClient::of(&cluster).await.unwrap();
    let through = JavaClient::start(&cluster.bootstrap_servers()).await.unwrap();
    direct.create_topic("proxied", 1, &[]).await.unwrap();
    direct.produce(&records("proxied", 0, 1)).await.unwrap();
    assert_eq!(proxy.requests(api_key::PRODUCE), 0);
    through.produce(&records("proxied", 0, 1)).await.unwrap();
    assert_eq!(proxy.requests(api_key::PRODUCE), 1);

    // Without idempotence a lost answer means a second append: the broker has acted before the connection was cut.
    let lost = proxy.add(Rule::request(api_key::PRODUCE, RequestFault::CutBeforeResponse));
    let options = ProducerOptions::new().property("enable.idempotence", false);
    through
        .produce_with(&options, &[records("proxied", 0, 1)])
        .await
        .unwrap();
    assert_eq!(lost.hits(), 1);
    assert_eq!(direct.consume_all("proxied", 0).await.unwrap().len(), 4);
    // With it there is none.
    proxy.add(Rule::request(api_key::PRODUCE, RequestFault::CutBeforeResponse));
    through.produce(&records("proxied", 0, 1)).await.unwrap();
    assert_eq!(direct.consume_all("proxied", 0).await.unwrap().len(), 5);

    let stall = proxy.add(Rule::stall(Direction::ToClient));
    assert!(
        tokio::time::timeout(Duration::from_millis(300), through.consume_all("proxied", 0))
            .await
            .is_err()
    );
    stall.wait_for_hits(1, Duration::from_secs(5)).await.unwrap();
    assert_eq!(direct.consume_all("proxied", 0).await.unwrap().len(), 5);
    stall.remove();
    assert_eq!(through.consume_all("proxied", 0).await.unwrap().len(), 5);
}

#[tokio::test]
async fn clients_have_to_log_in_where_it_is_asked_for() {
    let options = ClusterOptions::new()
        .proxied()
        .sasl_plain(&[("alice", "her secret")]);
    let cluster = Cluster::start(options).await.unwrap();
    let login = |password: &str| {
        format!(
            "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"alice\" password=\"{password}\";"
        )
    };
    let servers = cluster.bootstrap_servers();
    let [right, wrong] = [login("her secret"), login("a guess")];
    let properties = |login| {
        [
            ("security.protocol", "SASL_PLAINTEXT"),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.jaas.config", login),
        ]
    };
    let alice = JavaClient::start_with(&servers, &properties(&right))
        .await
        .unwrap();
    alice.create_topic("t", 1, &[]).await.unwrap();
    let mallory = JavaClient::start_with(&servers, &properties(&wrong))
        .await
        .unwrap();
    let refused = mallory.list_topics(false).await.unwrap_err();
    assert_eq!(refused.kafka_code(), Some(58), "{refused}");
    assert!(cluster.proxy(0).unwrap().requests(api_key::SASL_AUTHENTICATE) >= 2);
}
