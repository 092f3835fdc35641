//! A broker, a topic, every codec.
use testkit::{Cluster, ClusterOptions, Codec, JavaClient, ProduceRecord, ProducerOptions};

#[tokio::test]
async fn smoke() {
    let t = std::time::Instant::now();
    let cluster = Cluster::start(ClusterOptions::new()).await.unwrap();
    eprintln!("cluster {:?}", t.elapsed());
    let java = JavaClient::of(&cluster).await.unwrap();
    java.create_topic("t", 3, &[]).await.unwrap();
    eprintln!("topic {:?}", t.elapsed());
    for codec in Codec::ALL {
        let r = vec![
            ProduceRecord::new("t", 0)
                .key("k")
                .value("v")
                .header("a", "b")
                .null_header("a")
                .timestamp(5),
        ];
        let p = java
            .produce_with(&ProducerOptions::new().codec(codec), &[r.clone(), r])
            .await
            .unwrap();
        eprintln!("{p:?}");
    }
    eprintln!("{:?}", java.consume_all("t", 0).await.unwrap());
    eprintln!("done {:?}", t.elapsed());
}
