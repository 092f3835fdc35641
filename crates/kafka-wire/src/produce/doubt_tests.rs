//! Two brokers, one of which leads; neither ever ends a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{ApiVersionsRequest, BrokerId, MetadataRequest, MetadataResponse};
use kafka_protocol::protocol::StrBytes;
use tokio::net::TcpListener;

use super::*;
use crate::cluster::TopicPartition;
use crate::config::ClusterConfig;
use crate::connection::fake::{FakeBroker, Reply, all_versions};
use crate::connection::{Role, topic_name};
use crate::produce::ledger::Ledger;
use crate::retry::Limits;

fn metadata(port: u16, leader: i32) -> MetadataResponse {
    let brokers = [1, 2].map(|node| {
        MetadataResponseBroker::default()
            .with_node_id(BrokerId(node))
            .with_host(StrBytes::from_static_str("127.0.0.1"))
            .with_port(i32::from(port))
    });
    let partition = MetadataResponsePartition::default()
        .with_leader_id(BrokerId(leader))
        .with_leader_epoch(3 + leader);
    let topic = MetadataResponseTopic::default()
        .with_name(Some(topic_name("t")))
        .with_partitions(vec![partition]);
    MetadataResponse::default()
        .with_brokers(brokers.to_vec())
        .with_topics(vec![topic])
}

#[tokio::test]
async fn a_connection_that_never_ends_is_waited_for_until_another_broker_leads() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let leader = Arc::new(AtomicI32::new(1));
    let leads = Arc::clone(&leader);
    let broker = FakeBroker::serve(listener, move |seen| {
        if seen.is::<ApiVersionsRequest>() {
            seen.answer(&all_versions())
        } else if seen.is::<MetadataRequest>() {
            seen.answer(&metadata(port, leads.load(Ordering::SeqCst)))
        } else {
            Reply::HangUp
        }
    });
    let config = ClusterConfig::new([broker.server()]);
    let cluster = Cluster::connect(config.clone()).await.unwrap();
    let name = TopicPartition::new("t", 0);
    cluster.refresh_leaders([&name.topic]).await.unwrap();
    let (ledger, limits) = (Ledger::new(7, 0, 0), Limits::new(&config, None));
    let partition = Arc::new(Partition::new(name, [0; 16], ledger, 1 << 20, limits));
    let doubt = Doubt {
        node: 1,
        link: cluster.link(1, Role::Produce, 0).await.unwrap(),
    };
    let before = broker.count::<MetadataRequest>();
    let waiting = tokio::spawn({
        let (cluster, partition) = (cluster.clone(), Arc::clone(&partition));
        async move { doubt.ends(&cluster, &partition).await }
    });
    while broker.count::<MetadataRequest>() < before + 2 {
        assert!(!waiting.is_finished());
        sleep(Duration::from_millis(10)).await;
    }
    leader.store(2, Ordering::SeqCst);
    tokio::time::timeout(Duration::from_secs(60), waiting)
        .await
        .expect("an end")
        .unwrap();
}
