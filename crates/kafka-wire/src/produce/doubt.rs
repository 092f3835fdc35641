//! Batches that were lost with their connection. The log tells what became of them once the broker is done with that
//! connection, and not before.

use std::time::Duration;

use tokio::time::sleep;

use super::partition::Partition;
use crate::cluster::Cluster;
use crate::connection::Link;

/// How often it is asked whether the partition has another leader by now.
const LOOK_AROUND: Duration = Duration::from_secs(1);

/// Where a partition's batches were lost: those in flight are all on one connection.
#[derive(Debug, Clone)]
pub(super) struct Doubt {
    /// The broker that they were sent to.
    pub(super) node: i32,
    pub(super) link: Link,
}

impl Doubt {
    /// Waits until the broker appends nothing of it any more, or nothing that lasts: what it appends after it has lost the
    /// partition is cut off when it learns of that.
    pub(super) async fn ends(&self, cluster: &Cluster, partition: &Partition) {
        let broker = self.link.broker();
        tokio::select! {
            gone = self.link.gone() => if !gone {
                tracing::warn!(
                    partition = %partition.name,
                    %broker,
                    "cannot know whether the broker will still append what was sent on a connection that was lost; \
                     if it does, the offset of the second copy will tell",
                );
            },
            () = self.leader_moves(cluster, partition) => {
                tracing::debug!(partition = %partition.name, %broker, "the partition has another leader now");
            }
        }
    }

    async fn leader_moves(&self, cluster: &Cluster, partition: &Partition) {
        let mut leader = Some(self.node);
        while leader.is_none_or(|node| node == self.node) {
            sleep(LOOK_AROUND).await;
            // Who leads is not known without an answer; what is cached may be old, but has not moved then.
            let _ = cluster.refresh_leaders([&partition.name.topic]).await;
            leader = cluster.cached_leader(&partition.name).map(|leader| leader.node);
        }
    }
}

#[cfg(test)]
#[path = "doubt_tests.rs"]
mod tests;
