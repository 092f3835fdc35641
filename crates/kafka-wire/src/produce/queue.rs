//! The partitions that one produce connection writes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::partition::{Partition, Taken};
use super::request::ProduceEntry;

/// Numbers the requests of all producers.
static REQUESTS: AtomicU64 = AtomicU64::new(0);

/// Bytes that a batch takes in a request apart from itself and its topic's name, at most.
const ENTRY: usize = 32;

/// What a lane is asked to do. The lane itself is a task; see `lane.rs`.
#[derive(Debug)]
pub(super) struct LaneQueue {
    pub(super) node: i32,
    pub(super) shard: usize,
    /// Partitions with something to send, each at most once, in the order of their turns.
    ready: Mutex<VecDeque<Arc<Partition>>>,
    wake: Notify,
    /// Partitions that are pinned here.
    load: AtomicUsize,
}

/// One batch of a request, and whose it is.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) partition: Arc<Partition>,
    pub(super) zstd: bool,
    /// Bytes of the whole batch.
    pub(super) bytes: usize,
    pub(super) records: i32,
}

/// The content of one request; both lists have the same order.
#[derive(Debug, Default)]
pub(super) struct Load {
    pub(super) entries: Vec<ProduceEntry>,
    pub(super) sent: Vec<Sent>,
}

impl LaneQueue {
    pub(super) fn new(node: i32, shard: usize) -> Self {
        Self {
            node,
            shard,
            ready: Mutex::default(),
            wake: Notify::new(),
            load: AtomicUsize::new(0),
        }
    }

    /// Notes a partition that has something to send.
    pub(super) fn push(&self, partition: Arc<Partition>) {
        self.ready
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(partition);
        self.wake.notify_one();
    }

    fn pop(&self) -> Option<Arc<Partition>> {
        self.ready
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    }

    /// Waits until something was pushed.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    pub(super) fn load(&self) -> usize {
        self.load.load(Ordering::Relaxed)
    }

    /// A partition is pinned here.
    pub(super) fn joined(&self) {
        self.load.fetch_add(1, Ordering::Relaxed);
    }

    /// A partition is no longer pinned here.
    pub(super) fn left(&self) {
        self.load.fetch_sub(1, Ordering::Relaxed);
    }

    /// Takes one batch of each partition whose turn it is, up to `most_bytes`, but at least one batch.
    pub(super) fn gather(self: &Arc<Self>, most_bytes: usize) -> Load {
        // 0 is what a partition has that was in no request.
        self.gather_for(REQUESTS.fetch_add(1, Ordering::Relaxed) + 1, most_bytes)
    }

    /// The content of the request with this number.
    pub(super) fn gather_for(self: &Arc<Self>, request: u64, most_bytes: usize) -> Load {
        let mut taken: Vec<(ProduceEntry, Sent)> = Vec::new();
        let mut again = Vec::new();
        let mut bytes = 0usize;
        while let Some(partition) = self.pop() {
            let room = if taken.is_empty() {
                usize::MAX
            } else {
                most_bytes.saturating_sub(bytes)
            };
            match partition.take(self, room, request) {
                Taken::Entry {
                    entry,
                    zstd,
                    records,
                    more,
                } => {
                    let size = entry.header.len() + entry.records.len();
                    bytes += size + entry.topic.len() + ENTRY;
                    if more {
                        again.push(Arc::clone(&partition));
                    }
                    let sent = Sent {
                        partition,
                        zstd,
                        bytes: size,
                        records,
                    };
                    taken.push((entry, sent));
                }
                // Its place in the list stays: nobody else would list it.
                Taken::Later => again.push(partition),
                Taken::Nothing => {}
                Taken::TooLarge => {
                    // It is the first of the next request.
                    self.ready
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push_front(partition);
                    break;
                }
            }
        }
        if !again.is_empty() {
            self.ready
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend(again);
        }
        // A request names every topic once; one that was created anew is another.
        taken.sort_by(|(a, _), (b, _)| a.topic_key().cmp(&b.topic_key()));
        let (entries, sent) = taken.into_iter().unzip();
        Load { entries, sent }
    }
}
