//! Batches that were lost with their connection. The log tells what became of them once the broker is done with that
//! connection, and not before.

use std::time::Duration;

use tokio::time::sleep;

use super::partition::Partition;
use crate::cluster::{Cluster, TopicFilter};
use crate::connection::Link;
use crate::error::Error;

/// How often it is asked whether the partition has another leader by now.
const LOOK_AROUND: Duration = Duration::from_secs(1);

/// Where a partition's batches were lost: those in flight are all on one connection.
#[derive(Debug, Clone)]
pub(super) struct Doubt {
    /// The broker that they were sent to.
    pub(super) node: i32,
    pub(super) link: Link,
    /// What a broker that works may need for all that was on the connection.
    pub(super) patience: Duration,
}

impl Doubt {
    /// Waits until the broker appends nothing of it any more, or nothing that lasts: what it appends after it has lost the
    /// partition is cut off when it learns of that.
    ///
    /// # Errors
    /// Why the broker does not answer.
    pub(super) async fn ends(&self, cluster: &Cluster, partition: &Partition) -> Result<(), Error> {
        let broker = self.link.broker();
        tokio::select! {
            biased;
            // Whether it was may never be known, and then the others decide.
            true = self.link.gone() => return Ok(()),
            () = self.leader_moves(cluster, partition) => {
                tracing::debug!(partition = %partition.name, %broker, "the partition has another leader now");
                return Ok(());
            }
            had_time = self.broker_has_time(cluster) => had_time?,
        }
        tracing::warn!(
            partition = %partition.name,
            %broker,
            "the broker has not ended a connection that was lost, so it may still append what was sent on it; the offsets of \
             what is written from now on will show it",
        );
        Ok(())
    }

    async fn leader_moves(&self, cluster: &Cluster, partition: &Partition) {
        loop {
            // Without an answer, what is known stays as it is.
            let _ = cluster.refresh_leaders([&partition.name.topic]).await;
            let leader = cluster.cached_leader(&partition.name);
            if leader.is_some_and(|leader| leader.node != self.node) {
                return;
            }
            sleep(LOOK_AROUND).await;
        }
    }

    /// A broker that hangs may do so for long, and comes to what is in its sockets after that: its time begins when it
    /// answers.
    async fn broker_has_time(&self, cluster: &Cluster) -> Result<(), Error> {
        if let Err(error) = cluster.metadata_of(self.node, &TopicFilter::none()).await {
            // There is to be a look at the leaders, however soon this failed.
            sleep(LOOK_AROUND).await;
            return Err(error);
        }
        sleep(self.patience).await;
        Ok(())
    }
}

#[cfg(test)]
#[path = "doubt_tests.rs"]
mod tests;
