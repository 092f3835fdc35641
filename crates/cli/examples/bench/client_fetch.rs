//! Every byte of a topic through `kafka-wire`, checked, into nothing: what is left of a backup when nothing is kept.

use kafka_wire::{
    ByteBudget, Cluster as Client, ClusterConfig, FetchEventKind, FetchOptions, FetchPartition, FetchStream,
};
use testkit::Cluster;

use crate::Result;
use crate::clusters::{PARTITIONS, Topic, address};
use crate::measure::{Cost, Meter};

/// What a backup may hold in memory if nothing is said.
const BUDGET: usize = 96 << 20;

/// Fetches the topic with the options of the measured program.
pub(crate) async fn measure(source: &Cluster, topic: &Topic, connections: usize) -> Result<Cost> {
    let mut config = ClusterConfig::new([address(source)?]);
    config.recycled_buffer_bytes = BUDGET / 4;
    let meter = Meter::start(source).await?;
    let client = Client::connect(config).await?;
    let mut options = FetchOptions::new(ByteBudget::new(BUDGET));
    options.connections_per_broker = connections;
    let end = i64::try_from(topic.records)? / i64::from(PARTITIONS);
    let wanted =
        (0..PARTITIONS).map(|partition| FetchPartition::new(topic.name.as_str(), partition, 0).until(end));
    let mut stream = FetchStream::start(&client, wanted, options);
    let mut finished = 0;
    while let Some(event) = stream.next().await {
        match event.kind {
            FetchEventKind::Batches(_) => {}
            FetchEventKind::Finished { .. } => finished += 1,
            other => return Err(format!("partition {}: {other:?}", event.partition).into()),
        }
    }
    if finished != PARTITIONS {
        return Err(format!("{finished} of {PARTITIONS} partitions were read to their end").into());
    }
    client.close().await;
    meter.stop()
}
