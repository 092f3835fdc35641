//! How fast offsets are skipped on one broker: by markers in large and small gaps, and by an empty beginning.
//!
//! `cargo run --release -p kafka-wire --example gap_speed`
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

use std::error::Error;
use std::time::Instant;

use kafka_wire::batch::{BatchBuilder, NewRecord, RawBatch};
use kafka_wire::{Cluster, ClusterConfig, Producer, ProducerOptions};
use testkit::{ClusterOptions, JavaClient};

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// Partitions that are filled at the same time.
const PARTITIONS: i32 = 8;

#[tokio::main]
async fn main() -> Result<()> {
    let kafka = testkit::Cluster::start(ClusterOptions::new()).await?;
    let java = JavaClient::of(&kafka).await?;
    let cluster = Cluster::connect(ClusterConfig::new(kafka.bootstrap_servers())).await?;
    let producer = Producer::start(&cluster, ProducerOptions::default()).await?;
    let topic = "gaps";
    java.create_topic(topic, 3 * PARTITIONS + 1, &[("retention.ms", "-1")])
        .await?;
    println!("{:<52} {:>10} {:>12}", "what", "offsets", "offsets/s");
    // The broker's code has to be compiled first.
    fill(&producer, topic, 0..1, 5_000, 1).await?;
    report(
        "one gap of 20,000",
        20_000,
        fill(&producer, topic, 1..2, 20_000, 1).await?,
    );
    let many = fill(&producer, topic, PARTITIONS..2 * PARTITIONS, 20_000, 1).await?;
    report("the same in 8 partitions at once", 160_000, many);
    report(
        "2,000 gaps of 1, a batch of 10 records after each",
        2_000,
        fill(&producer, topic, 2..3, 1, 2_000).await?,
    );
    let many = fill(&producer, topic, 2 * PARTITIONS..3 * PARTITIONS, 1, 2_000).await?;
    report("the same in 8 partitions at once", 16_000, many);
    let mut writer = producer.partition(topic, 3 * PARTITIONS, 0).await?;
    let started = Instant::now();
    writer.begin_at(20_000_000).await?;
    report("an empty beginning", 20_000_000, started.elapsed().as_secs_f64());
    Ok(())
}

fn report(what: &str, offsets: u64, seconds: f64) {
    println!("{what:<52} {offsets:>10} {:>12.0}", offsets as f64 / seconds);
}

/// Fills gaps in each of the partitions, with a batch behind each; tells the seconds.
async fn fill(
    producer: &Producer,
    topic: &'static str,
    partitions: std::ops::Range<i32>,
    size: i64,
    gaps: usize,
) -> Result<f64> {
    let started = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for partition in partitions {
        let producer = producer.clone();
        tasks.spawn(async move {
            let mut writer = producer.partition(topic, partition, 0).await?;
            for _ in 0..gaps {
                writer.fill_to(writer.next_offset() + size).await?;
                writer.append(batch()?).await?;
            }
            writer.flush().await?;
            Result::<()>::Ok(())
        });
    }
    while let Some(filled) = tasks.join_next().await {
        filled??;
    }
    Ok(started.elapsed().as_secs_f64())
}

fn batch() -> Result<RawBatch> {
    let mut builder = BatchBuilder::new();
    for _ in 0..10 {
        builder.push(&NewRecord {
            timestamp: 1_600_000_000_000,
            value: Some(&[b'x'; 100]),
            ..NewRecord::default()
        })?;
    }
    Ok(builder.build()?)
}
