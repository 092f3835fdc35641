//! The handle of a running read.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::cursor::Cursor;
use super::router::Router;
use super::shared::{Command, Shared};
use super::{FetchEvent, FetchEventKind, FetchOptions, FetchPartition};
use crate::cluster::Cluster;
use crate::retry::Limits;
use crate::throttled::Throttled;

/// Events that wait for the caller. What they hold is bounded by the byte budget, so this bounds only their number.
const EVENTS: usize = 64;

/// Reads many partitions at once. Dropping it ends the reading.
///
/// For each partition the events come in offset order: batches, and at last one that ends it. What passes is retried:
/// elections, restarts, lost connections, quotas (which brokers enforce by empty answers, so the end of a partition is
/// never concluded from those). What does not pass ends that partition only.
///
/// Poll it from a spawned task: in a runtime with several threads, the future that the runtime blocks on is polled by a thread
/// of its own, which then has to be woken for every event.
///
/// ```no_run
/// # async fn example(cluster: kafka_wire::Cluster) {
/// use kafka_wire::{ByteBudget, FetchEventKind, FetchOptions, FetchPartition, FetchStream};
///
/// let options = FetchOptions::new(ByteBudget::new(64 << 20));
/// let orders = FetchPartition::new("orders", 0, 0).until(1000);
/// let mut stream = FetchStream::start(&cluster, [orders], options);
/// while let Some(event) = stream.next().await {
///     match event.kind {
///         FetchEventKind::Batches(fetched) => println!("up to {}", fetched.next_offset),
///         end => println!("{end:?}"),
///     }
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct FetchStream {
    events: mpsc::Receiver<FetchEvent>,
    commands: mpsc::UnboundedSender<Command>,
    router: JoinHandle<()>,
    throttled: Arc<Throttled>,
    partition_max_bytes: usize,
    limits: Limits,
    open: usize,
}

impl FetchStream {
    /// Starts reading in the background.
    ///
    /// A partition whose end is not after its start is finished at once.
    pub fn start(
        cluster: &Cluster,
        partitions: impl IntoIterator<Item = FetchPartition>,
        options: FetchOptions,
    ) -> Self {
        let (events, received) = mpsc::channel(EVENTS);
        let (commands, commanded) = mpsc::unbounded_channel();
        let partition_max_bytes = options.partition_max_bytes;
        let limits = Limits::new(cluster.config(), options.give_up_after);
        let shared = Arc::new(Shared::new(cluster.clone(), options, events, commands.clone()));
        let throttled = Arc::clone(&shared.throttled);
        let router = tokio::spawn(Router::new(shared, commanded).run());
        let mut stream = Self {
            events: received,
            commands,
            router,
            throttled,
            partition_max_bytes,
            limits,
            open: 0,
        };
        for partition in partitions {
            stream.add(partition);
        }
        stream
    }

    /// Adds a partition, or one again whose reading has ended. A partition must not be read twice at the same time.
    pub fn add(&mut self, partition: FetchPartition) {
        self.open += 1;
        let cursor = Cursor::new(partition, self.partition_max_bytes, self.limits);
        // The router runs for as long as this handle exists.
        let _ = self.commands.send(Command {
            cursor,
            due: Instant::now(),
        });
    }

    /// The number of partitions whose reading has not ended.
    pub fn open_partitions(&self) -> usize {
        self.open
    }

    /// How long brokers have made the stream wait because of quotas: the throttle times of all answers together. Several
    /// connections may wait at the same time, so it can be more than has passed.
    pub fn throttled(&self) -> Duration {
        self.throttled.total()
    }

    /// The next event; `None` when the reading of every partition has ended. Nothing is lost when the future is
    /// dropped.
    pub async fn next(&mut self) -> Option<FetchEvent> {
        if self.open == 0 {
            return None;
        }
        let event = self.events.recv().await?;
        if !matches!(event.kind, FetchEventKind::Batches(_)) {
            self.open -= 1;
        }
        Some(event)
    }
}

impl Drop for FetchStream {
    fn drop(&mut self) {
        self.router.abort();
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "moved_tests.rs"]
mod moved_tests;
