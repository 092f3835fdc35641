//! The topic through `FetchStream`, into nothing.

use kafka_wire::batch::LogEntry;
use kafka_wire::{
    ByteBudget, Cluster, ClusterConfig, FetchEventKind, FetchOptions, FetchPartition, FetchStream, TlsConfig,
};

use crate::Result;
use crate::cost::Meter;

/// Partitions of the topic.
pub(crate) const PARTITIONS: i32 = 12;
const BUDGET: usize = 64 << 20;

pub(crate) fn options() -> FetchOptions {
    FetchOptions::new(ByteBudget::new(BUDGET))
}

/// How to reach a listener of TLS whose certificate is issued by the authority in a file.
pub(crate) fn encrypted(address: &str, ca: &str) -> ClusterConfig {
    let mut config = ClusterConfig::new([address]);
    config.security.tls = Some(TlsConfig::new().ca_file(ca));
    config
}

/// As a child process: reads the topic `passes` times and tells what it took. With a single thread, or with one for each core
/// that the process may use.
pub(crate) fn run(
    config: ClusterConfig,
    topic: &str,
    end: i64,
    passes: usize,
    single_thread: bool,
) -> Result<()> {
    let mut builder = match single_thread {
        true => tokio::runtime::Builder::new_current_thread(),
        false => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder.enable_all().build()?;
    let topic = topic.to_owned();
    let meter = Meter::start()?;
    // As a task: the main future of a runtime with several threads is polled by a thread of its own, which would have to be
    // woken for every event.
    let reading = runtime.spawn(async move { read(config, topic, end, passes).await });
    let bytes = runtime.block_on(reading)??;
    meter.stop(bytes)
}

/// Reads every partition up to `end`, again and again; returns the bytes of the batches.
pub(crate) async fn read(config: ClusterConfig, topic: String, end: i64, passes: usize) -> Result<u64> {
    let cluster = Cluster::connect(config).await?;
    let mut bytes = 0;
    for _ in 0..passes {
        bytes += read_once(&cluster, &topic, end).await?;
    }
    Ok(bytes)
}

async fn read_once(cluster: &Cluster, topic: &str, end: i64) -> Result<u64> {
    let partitions = (0..PARTITIONS).map(|partition| FetchPartition::new(topic, partition, 0).until(end));
    let mut stream = FetchStream::start(cluster, partitions, options());
    let mut bytes = 0;
    while let Some(event) = stream.next().await {
        match event.kind {
            FetchEventKind::Batches(fetched) => {
                let sizes = fetched.batches.iter().map(|entry| match entry {
                    LogEntry::Batch(batch) => batch.bytes.len() as u64,
                    LogEntry::Legacy(entry) => entry.bytes.len() as u64,
                });
                bytes += sizes.sum::<u64>();
            }
            FetchEventKind::Finished { .. } => {}
            other => return Err(format!("{topic}-{}: {other:?}", event.partition).into()),
        }
    }
    Ok(bytes)
}
