use std::time::{Duration, Instant};

use testkit::{Cluster, ClusterOptions, JavaClient};

use crate::records;

#[tokio::test]
async fn a_killed_broker_comes_back_with_its_data_and_its_address() {
    let cluster = Cluster::start(ClusterOptions::new()).await.unwrap();
    let java = JavaClient::of(&cluster).await.unwrap();
    java.create_topic("kept", 1, &[]).await.unwrap();
    java.produce(&records("kept", 0, 10)).await.unwrap();
    let before = cluster.bootstrap_servers();
    cluster.kill_broker(0).await.unwrap();
    assert_eq!(cluster.broker_pid(0).await.unwrap(), None);
    assert!(cluster.kill_broker(0).await.is_err());
    cluster.start_broker(0).await.unwrap();
    assert_eq!(cluster.bootstrap_servers(), before);
    assert_eq!(java.consume_all("kept", 0).await.unwrap().len(), 10);

    let begin = Instant::now();
    cluster.restart_broker(0).await.unwrap();
    println!("restarted in {:?}", begin.elapsed());
    assert_eq!(java.consume_all("kept", 0).await.unwrap().len(), 10);
}

#[tokio::test]
async fn a_paused_broker_answers_when_it_is_resumed() {
    let cluster = Cluster::start(ClusterOptions::new()).await.unwrap();
    let java = JavaClient::of(&cluster).await.unwrap();
    cluster.pause_broker(0).await.unwrap();
    let waiting = tokio::time::timeout(Duration::from_millis(500), java.list_topics(false)).await;
    assert!(waiting.is_err());
    cluster.resume_broker(0).await.unwrap();
    java.list_topics(false).await.unwrap();
}

#[tokio::test]
async fn three_brokers_survive_the_loss_of_one() {
    let begin = Instant::now();
    let cluster = Cluster::start(ClusterOptions::new().brokers(3)).await.unwrap();
    println!("three brokers started in {:?}", begin.elapsed());
    let java = JavaClient::of(&cluster).await.unwrap();
    java.create_replicated_topic("moved", 1, 3, &[("min.insync.replicas", "2")])
        .await
        .unwrap();
    java.produce(&records("moved", 0, 5)).await.unwrap();
    java.reassign_partition("moved", 0, &[2, 0, 1]).await.unwrap();
    assert_eq!(
        java.describe_topic("moved").await.unwrap().partitions[0].leader,
        Some(2)
    );

    cluster.kill_broker(2).await.unwrap();
    let begin = Instant::now();
    java.produce(&records("moved", 0, 5)).await.unwrap();
    println!("another leader after {:?}", begin.elapsed());
    let partition = java.describe_topic("moved").await.unwrap().partitions.remove(0);
    assert!(
        partition.leader.is_some_and(|leader| leader != 2),
        "{partition:?}"
    );
    let read = java.consume_all("moved", 0).await.unwrap();
    assert_eq!(read.len(), 10);
    assert!(read[9].leader_epoch > read[0].leader_epoch);

    cluster.start_broker(2).await.unwrap();
    cluster.stop_broker(0).await.unwrap();
    java.produce(&records("moved", 0, 5)).await.unwrap();
    cluster.start_broker(0).await.unwrap();
    assert_eq!(java.consume_all("moved", 0).await.unwrap().len(), 15);
}

#[tokio::test]
async fn a_failed_start_shows_the_log() {
    let options = ClusterOptions::new().property("log.segment.bytes", "nonsense");
    let error = Cluster::start(options).await.unwrap_err().to_string();
    assert!(
        error.contains("log.segment.bytes") && error.contains("nonsense"),
        "{error}"
    );
}
