//! What the parts of a producer have in common: options, lanes, and what to do after a failure.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::ProducerOptions;
use super::fill::Turns;
use super::lane::Lane;
use super::partition::Partition;
use super::queue::LaneQueue;
use super::settle::settle;
use crate::cluster::Cluster;
use crate::error::Error;
use crate::throttled::Throttled;

/// Partitions whose log is looked at at the same time.
const SETTLING: usize = 16;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) cluster: Cluster,
    pub(super) options: ProducerOptions,
    pub(super) throttled: Throttled,
    lanes: Mutex<BTreeMap<i32, Vec<Arc<LaneQueue>>>>,
    /// The largest request that each broker accepts, where it is known.
    request_limits: Mutex<BTreeMap<i32, usize>>,
    settling: Semaphore,
    pub(super) turns: Turns,
    closed: CancellationToken,
}

impl Shared {
    pub(super) fn new(cluster: Cluster, options: ProducerOptions, closed: CancellationToken) -> Self {
        let settling = Semaphore::new(SETTLING);
        Self {
            cluster,
            options,
            throttled: Throttled::default(),
            lanes: Mutex::default(),
            request_limits: Mutex::default(),
            settling,
            turns: Turns::default(),
            closed,
        }
    }

    /// The largest request that a broker accepts, if it is known.
    pub(super) fn request_limit(&self, node: i32) -> Option<usize> {
        let limits = self.request_limits.lock();
        limits.unwrap_or_else(PoisonError::into_inner).get(&node).copied()
    }

    pub(super) fn set_request_limit(&self, node: i32, limit: usize) {
        let limits = self.request_limits.lock();
        limits.unwrap_or_else(PoisonError::into_inner).insert(node, limit);
    }

    /// Resolves when the producer is dropped.
    pub(super) async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// The connection for one more partition that `node` leads: the one with the fewest. A partition stays on it for as
    /// long as nothing fails, as only one connection keeps its requests in order.
    fn lane(self: &Arc<Self>, node: i32) -> Option<Arc<LaneQueue>> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let queues = lanes.entry(node).or_insert_with(|| {
            let shards = 0..self.options.connections_per_broker.max(1);
            let queues: Vec<_> = shards
                .map(|shard| Arc::new(LaneQueue::new(node, shard)))
                .collect();
            for queue in &queues {
                tokio::spawn(
                    Lane {
                        queue: Arc::clone(queue),
                        shared: Arc::clone(self),
                    }
                    .run(),
                );
            }
            queues
        });
        queues.iter().min_by_key(|queue| queue.load()).cloned()
    }

    /// Settles a partition in the background.
    pub(super) fn settle_later(self: &Arc<Self>, partition: Arc<Partition>) {
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            tokio::select! {
                settled = shared.settle(&partition) => {
                    if let Err(error) = settled {
                        partition.fail(error);
                    }
                }
                () = shared.closed() => {}
            }
        });
    }

    /// Looks at the log until it is known what it holds, fills the gap if there is one, then lets the partition go on.
    ///
    /// # Errors
    /// What does not pass, or has not passed in the time that is allowed.
    pub(super) async fn settle(self: &Arc<Self>, partition: &Arc<Partition>) -> Result<(), Error> {
        let mut told = None;
        loop {
            let pause = partition.pause();
            // A timer rounds up to the next millisecond.
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            if partition.is_failed() {
                return Ok(());
            }
            let error = match self.look(partition).await {
                Ok(node) => {
                    let Some(lane) = self.lane(node) else {
                        return Err(Error::Closed);
                    };
                    let resumed = partition.resume(&lane);
                    if resumed.map_err(|problem| partition.error(problem))? {
                        return Ok(());
                    }
                    self.fill(partition, &mut told).await?;
                    continue;
                }
                Err(error) => error,
            };
            tracing::debug!(partition = %partition.name, %error, "the end of the log is not known yet");
            partition.failed_to_settle(error)?;
        }
    }

    /// Looks at the log once. Returns the node id of the leader.
    async fn look(&self, partition: &Arc<Partition>) -> Result<i32, Error> {
        if let Some(doubt) = partition.doubt() {
            doubt.ends(&self.cluster, partition).await?;
            partition.doubt_is_over();
        }
        let _turn = self.settling.acquire().await;
        settle(&self.cluster, partition).await
    }
}
