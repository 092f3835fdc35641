//! The two clusters, and what is in them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use testkit::{Cluster, ClusterOptions, Codec, Commit, Generate, JavaClient, ProducerOptions, Tuning};

use crate::Result;

/// Partitions of the topic.
pub(crate) const PARTITIONS: i32 = 12;
const RECORD_BYTES: u64 = 1024;
/// A fill of several gigabytes takes a minute: this is for when something hangs.
const PATIENCE: Duration = Duration::from_secs(20 * 60);
/// What a producer that is tuned for throughput has.
const BATCH_BYTES: usize = 256 << 10;

/// A source and a target of one broker each, and a Java client for either.
pub(crate) struct Clusters {
    pub(crate) source: Cluster,
    pub(crate) target: Cluster,
    source_java: JavaClient,
    pub(crate) target_java: JavaClient,
}

/// A topic of the source.
#[derive(Debug, Clone)]
pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) codec: Codec,
    pub(crate) records: u64,
    /// Bytes of the records' values.
    pub(crate) record_bytes: u64,
}

impl Clusters {
    pub(crate) async fn start() -> Result<Self> {
        // Deleted topics leave the disk soon, or several rounds would fill it.
        let options = || {
            ClusterOptions::new()
                .tuning(Tuning::Throughput)
                .property("log.segment.delete.delay.ms", 100)
        };
        let (source, target) = tokio::join!(Cluster::start(options()), Cluster::start(options()));
        let (source, target) = (source?, target?);
        Ok(Self {
            source_java: JavaClient::of(&source).await?,
            target_java: JavaClient::of(&target).await?,
            source,
            target,
        })
    }

    /// Writes `megabytes` of records, and a consumer group that has read half of them.
    pub(crate) async fn fill(&self, codec: Codec, megabytes: u64) -> Result<Topic> {
        let per_partition = (megabytes * 1_000_000 / RECORD_BYTES / PARTITIONS as u64).max(1);
        let records = per_partition * PARTITIONS as u64;
        let topic = Topic {
            name: format!("bench-{}", codec.name()),
            codec,
            records,
            record_bytes: records * RECORD_BYTES,
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        let what = Generate {
            topic: topic.name.clone(),
            partitions: PARTITIONS,
            count: records,
            value_bytes: RECORD_BYTES as usize,
            first_timestamp: i64::try_from(now)? - 3_600_000,
            timestamp_step: 1,
            seed: 1,
        };
        let java = &self.source_java;
        create(java, &topic.name).await?;
        let options = ProducerOptions::new()
            .codec(codec)
            .batch_size(BATCH_BYTES)
            .property("delivery.timeout.ms", PATIENCE.as_millis());
        tokio::time::timeout(PATIENCE, java.generate(&what, &options)).await??;
        let half = i64::try_from(per_partition / 2)?;
        let read: Vec<Commit> = (0..PARTITIONS)
            .map(|partition| Commit::new(&topic.name, partition, half))
            .collect();
        java.commit(&format!("{}-group", topic.name), &read).await?;
        Ok(topic)
    }

    /// Every partition of the target ends where that of the source does.
    pub(crate) async fn check_restored(&self, topic: &Topic) -> Result<()> {
        for partition in 0..PARTITIONS {
            let wanted = self.source_java.end_offset(&topic.name, partition).await?;
            let found = self.target_java.end_offset(&topic.name, partition).await?;
            if wanted != found {
                let name = &topic.name;
                return Err(format!("{name}/{partition} ends at {found} instead of {wanted}").into());
            }
        }
        Ok(())
    }

    /// Frees the disk.
    pub(crate) async fn forget(&self, topic: &Topic) -> Result<()> {
        Ok(self.source_java.delete_topic(&topic.name).await?)
    }
}

/// Creates a topic and waits for its leaders: an idempotent Java producer whose first request comes too early may get its
/// second one in first, and then repeats the first for ever.
pub(crate) async fn create(java: &JavaClient, topic: &str) -> Result<()> {
    java.create_topic(topic, PARTITIONS, &[]).await?;
    for partition in 0..PARTITIONS {
        java.end_offset(topic, partition).await?;
    }
    Ok(())
}

/// The address of the only broker.
pub(crate) fn address(cluster: &Cluster) -> Result<String> {
    Ok(cluster.bootstrap_servers().first().ok_or("no broker")?.clone())
}
