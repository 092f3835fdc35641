use std::time::Instant;

use testkit::{Cluster, ClusterOptions, Commit, JavaClient, RawFetch, TransactionEnd};

use crate::records;

async fn works(version: &str) {
    let begin = Instant::now();
    let cluster = Cluster::start(ClusterOptions::new().version(version))
        .await
        .unwrap();
    println!("{version} started in {:?}", begin.elapsed());
    let java = JavaClient::of(&cluster).await.unwrap();
    java.create_topic("t", 1, &[]).await.unwrap();
    java.produce(&records("t", 0, 10)).await.unwrap();
    java.transaction("t", &records("t", 0, 1), TransactionEnd::Commit)
        .await
        .unwrap();
    let raw = java.fetch_raw("t", 0, RawFetch::from(0)).await.unwrap();
    assert_eq!(raw.error_code, 0);
    assert_eq!(raw.high_watermark, 12);
    java.commit("g", &[Commit::new("t", 0, 4)]).await.unwrap();
    assert_eq!(java.next_record("g", "t", 0).await.unwrap().unwrap().offset, 4);
    cluster.kill_broker(0).await.unwrap();
    cluster.start_broker(0).await.unwrap();
    assert_eq!(java.consume_all("t", 0).await.unwrap().len(), 11);
}

#[tokio::test]
#[ignore = "long: resolves another Kafka release"]
async fn the_last_release_of_kafka_3() {
    works("3.9.2").await;
}

#[tokio::test]
#[ignore = "long: resolves another Kafka release"]
async fn a_release_with_zookeeper() {
    works("2.8.2").await;
}
