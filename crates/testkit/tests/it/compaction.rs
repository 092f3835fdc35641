use std::time::{Duration, Instant};

use testkit::{Cluster, ClusterOptions, JavaClient, ProduceRecord, RawFetch};

use crate::batches;

#[tokio::test]
async fn old_values_and_tombstones_go_within_seconds() {
    let cluster = Cluster::start(ClusterOptions::new().quick_compaction())
        .await
        .unwrap();
    let java = JavaClient::of(&cluster).await.unwrap();
    let configs = [("cleanup.policy", "compact"), ("segment.ms", "1000")];
    java.create_topic("compacted", 1, &configs).await.unwrap();
    let record = |key: &str, time| ProduceRecord::new("compacted", 0).key(key).timestamp(time);
    java.produce(&[
        record("a", 1).value("old"),
        record("b", 2).value("kept"),
        record("c", 3).value("deleted"),
        record("a", 4).value("new"),
        record("c", 5),
    ])
    .await
    .unwrap();
    // Its time ends the segment before it.
    java.produce(&[record("end", 5_000).value("")]).await.unwrap();
    let begin = Instant::now();
    java.wait_until_compacted("compacted", 0, 5, Duration::from_secs(30))
        .await
        .unwrap();
    println!("compacted after {:?}", begin.elapsed());
    let left = java.consume_all("compacted", 0).await.unwrap();
    let offsets: Vec<i64> = left.iter().map(|record| record.offset).collect();
    assert!(offsets == [1, 3, 4, 5] || offsets == [1, 3, 5], "{offsets:?}");
    let raw = java.fetch_raw("compacted", 0, RawFetch::from(0)).await.unwrap();
    assert!(batches(&raw.records)[0].1 < 5);
}

#[tokio::test]
async fn retention_removes_old_records_at_once() {
    let cluster = Cluster::start(ClusterOptions::new().quick_retention())
        .await
        .unwrap();
    let java = JavaClient::of(&cluster).await.unwrap();
    let configs = [("retention.ms", "60000"), ("segment.ms", "1000")];
    java.create_topic("retained", 1, &configs).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    java.produce(&[ProduceRecord::new("retained", 0).value("old").timestamp(1)])
        .await
        .unwrap();
    while java.beginning_offset("retained", 0).await.unwrap() == 0 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
