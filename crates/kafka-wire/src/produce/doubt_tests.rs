//! Two brokers, one of which leads; neither ever ends the connection that is in doubt.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    ApiVersionsRequest, BrokerId, DescribeConfigsRequest, MetadataRequest, MetadataResponse,
};
use kafka_protocol::protocol::StrBytes;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

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

struct Bench {
    broker: FakeBroker,
    leader: Arc<AtomicI32>,
    /// Whether the brokers answer.
    well: Arc<AtomicBool>,
    cluster: Cluster,
    partition: Arc<Partition>,
    doubt: Arc<Doubt>,
}

/// The partition was sent to broker 1.
async fn bench(patience: Duration) -> Bench {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (leader, well) = (Arc::new(AtomicI32::new(1)), Arc::new(AtomicBool::new(true)));
    let (leads, is_well) = (Arc::clone(&leader), Arc::clone(&well));
    let broker = FakeBroker::serve(listener, move |seen| {
        if seen.is::<ApiVersionsRequest>() {
            seen.answer(&all_versions())
        } else if seen.is::<MetadataRequest>() && is_well.load(Ordering::SeqCst) {
            seen.answer(&metadata(port, leads.load(Ordering::SeqCst)))
        } else if seen.is::<DescribeConfigsRequest>() {
            Reply::Silence
        } else {
            Reply::HangUp
        }
    });
    let config = ClusterConfig::new([broker.server()]);
    let cluster = Cluster::connect(config.clone()).await.unwrap();
    let name = TopicPartition::new("t", 0);
    cluster.refresh_leaders([&name.topic]).await.unwrap();
    let (ledger, limits) = (Ledger::new(7, 0, 0), Limits::new(&config, None));
    let doubt = Doubt {
        node: 1,
        link: cluster.link(1, Role::Produce, 0).await.unwrap(),
        patience,
    };
    Bench {
        broker,
        leader,
        well,
        cluster,
        partition: Arc::new(Partition::new(name, [0; 16], ledger, 1 << 20, limits)),
        doubt: Arc::new(doubt),
    }
}

impl Bench {
    /// Waits for the doubt to end, and meanwhile for this many questions about metadata.
    async fn wait(&self, questions: usize) -> JoinHandle<Result<(), Error>> {
        let before = self.broker.count::<MetadataRequest>();
        let (cluster, partition) = (self.cluster.clone(), Arc::clone(&self.partition));
        let doubt = Arc::clone(&self.doubt);
        let waiting = tokio::spawn(async move { doubt.ends(&cluster, &partition).await });
        while self.broker.count::<MetadataRequest>() < before + questions {
            assert!(!waiting.is_finished());
            sleep(Duration::from_millis(10)).await;
        }
        waiting
    }
}

async fn ends(waiting: JoinHandle<Result<(), Error>>) -> Result<(), Error> {
    let ended = tokio::time::timeout(Duration::from_secs(60), waiting).await;
    ended.expect("an end").unwrap()
}

#[tokio::test]
async fn a_connection_that_never_ends_is_waited_for_until_another_broker_leads() {
    let bench = bench(Duration::MAX).await;
    let waiting = bench.wait(4).await;
    bench.leader.store(2, Ordering::SeqCst);
    ends(waiting).await.unwrap();
}

#[tokio::test]
async fn a_broker_that_answers_has_only_so_much_time() {
    let bench = bench(Duration::from_secs(3)).await;
    // Two looks at the leaders, and one at the broker.
    ends(bench.wait(3).await).await.unwrap();
}

#[tokio::test]
async fn a_broker_that_does_not_answer_has_all_the_time_that_the_partition_has() {
    let bench = bench(Duration::ZERO).await;
    bench.well.store(false, Ordering::SeqCst);
    for _ in 0..2 {
        assert!(ends(bench.wait(0).await).await.unwrap_err().is_retriable());
    }
    bench.well.store(true, Ordering::SeqCst);
    ends(bench.wait(0).await).await.unwrap();
}

#[tokio::test]
async fn a_connection_whose_end_is_never_known_ends_no_doubt() {
    let mut bench = bench(Duration::MAX).await;
    // Somebody else's, who does not want to know what became of the request.
    let other = Cluster::connect(ClusterConfig::new([bench.broker.server()]))
        .await
        .unwrap();
    let link = other.link(1, Role::Produce, 0).await.unwrap();
    let asked = link.clone();
    let unanswered = tokio::spawn(async move {
        let request = DescribeConfigsRequest::default();
        asked.call(&request, Duration::from_secs(60)).await
    });
    while bench.broker.count::<DescribeConfigsRequest>() == 0 {
        sleep(Duration::from_millis(10)).await;
    }
    other.close().await;
    assert!(unanswered.await.unwrap().unwrap_err().is_in_doubt());
    assert!(!link.gone().await);
    bench.doubt = Arc::new(Doubt {
        link,
        ..Doubt::clone(&bench.doubt)
    });
    let waiting = bench.wait(4).await;
    bench.leader.store(2, Ordering::SeqCst);
    ends(waiting).await.unwrap();
}
