//! Reading many partitions in bulk.
//!
//! ```text
//!             add                 leader known                 share of one request
//! FetchStream ----> router ------------------------> pool ----------------------> lane ---> events
//!                     ^  (one per stream)         (one per broker)  <------------  (several per broker)
//!                     |                                               put back
//!                     +------------------------- failed, moved ---------------------+
//! ```
//!
//! A partition's position (`Cursor`) is owned by exactly one of these at a time, so its batches come in order and
//! nothing is locked while bytes move.

mod account;
mod answer;
mod cursor;
mod exchange;
mod history;
mod lane;
mod place;
mod pool;
mod replica;
pub(crate) mod request;
pub(crate) mod response;
mod router;
mod shared;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub(crate) use exchange::fetch_one;
pub use stream::FetchStream;

use crate::batch::LogEntry;
use crate::budget::ByteBudget;
use crate::error::Error;
use crate::offsets::IsolationLevel;

/// A partition to be read.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FetchPartition {
    /// Name of the topic.
    pub topic: Arc<str>,
    /// Id of the topic; all zeros when it is not known. A topic that was deleted and created again is not read under
    /// its old id.
    pub topic_id: [u8; 16],
    /// Number of the partition.
    pub partition: i32,
    /// The first offset wanted.
    pub start_offset: i64,
    /// Where reading ends: the first offset that is not wanted. With `None` it goes on for ever.
    pub end_offset: Option<i64>,
    /// Leader epoch of the batch before `start_offset`, when the caller has read it earlier. With it, a log that was
    /// truncated since is noticed (on brokers from version 2.3 on).
    pub last_epoch: Option<i32>,
}

impl FetchPartition {
    /// A partition of a topic whose id is not known, to be read for ever from `start_offset` on.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32, start_offset: i64) -> Self {
        Self {
            topic: topic.into(),
            topic_id: [0; 16],
            partition,
            start_offset,
            end_offset: None,
            last_epoch: None,
        }
    }

    /// Insists on the topic with this id.
    pub fn with_topic_id(mut self, topic_id: [u8; 16]) -> Self {
        self.topic_id = topic_id;
        self
    }

    /// Ends reading before `end_offset`.
    pub fn until(mut self, end_offset: i64) -> Self {
        self.end_offset = Some(end_offset);
        self
    }

    /// Continues after a batch of this leader epoch.
    pub fn after_epoch(mut self, last_epoch: i32) -> Self {
        self.last_epoch = Some(last_epoch).filter(|&epoch| epoch >= 0);
        self
    }
}

/// How to read. Start from [`FetchOptions::new`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FetchOptions {
    /// What of transactions is seen.
    pub isolation: IsolationLevel,
    /// Memory for responses: in flight, and until the last batch of each is dropped by the caller.
    pub budget: ByteBudget,
    /// Connections per broker. A broker serves one request per connection at a time.
    pub connections_per_broker: usize,
    /// Requests in flight on each connection, so that the broker finds the next one when it has answered one.
    pub requests_per_connection: usize,
    /// Bytes of one response, unless its first batch is larger. 4 to 16 MiB is a good size.
    pub max_bytes: usize,
    /// Bytes of one partition in one response. Grows by itself for a partition with larger batches, and to all of a response
    /// for one that is asked for alone, as an older broker left it out beside others in a remote storage. The last batch of
    /// each partition is mostly cut off and sent again with the next response, so little of each costs more than its bytes.
    pub partition_max_bytes: usize,
    /// How long a broker waits for data when there is none.
    pub max_wait: Duration,
    /// How long a partition may fail without a good answer in between before it is given up. `None`: for ever.
    pub give_up_after: Option<Duration>,
    /// The rack of this client, if brokers should name a replica near it to read from (KIP-392). When that one fails, or does
    /// not have what is wanted, the leader is read from for five minutes.
    pub rack: Option<String>,
}

impl FetchOptions {
    /// Committed data only, two connections per broker, 4 MiB responses.
    pub fn new(budget: ByteBudget) -> Self {
        Self {
            isolation: IsolationLevel::ReadCommitted,
            budget,
            connections_per_broker: 2,
            requests_per_connection: 2,
            max_bytes: 4 << 20,
            partition_max_bytes: 2 << 20,
            max_wait: Duration::from_millis(500),
            give_up_after: None,
            rack: None,
        }
    }
}

/// Something that happened to one partition.
#[derive(Debug)]
pub struct FetchEvent {
    /// Name of the topic.
    pub topic: Arc<str>,
    /// Number of the partition.
    pub partition: i32,
    /// What happened.
    pub kind: FetchEventKind,
}

/// What happened to a partition. All but [`Batches`](Self::Batches) end the reading of it; others go on.
#[derive(Debug)]
#[non_exhaustive]
pub enum FetchEventKind {
    /// Offsets were passed.
    Batches(FetchedBatches),
    /// The end offset was reached.
    Finished {
        /// The offset after everything that was read: the end offset, or what follows the batch that contains it.
        next_offset: i64,
    },
    /// The offset to be read next is not in the log: retention has removed it, or the log was cut. Nothing is skipped
    /// on its own account; add the partition again to go on elsewhere.
    OutOfRange {
        /// The offset that was asked for.
        requested: i64,
        /// The first offset of the log now.
        log_start_offset: i64,
        /// The end of the log now (the high watermark).
        log_end_offset: i64,
    },
    /// Reading cannot go on.
    Failed(Error),
}

/// What was read of one partition, in offset order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FetchedBatches {
    /// The batches, as the broker sent them; checksums were checked. Control batches, batches without records and (when
    /// only committed data is read) those of aborted transactions are left out. The first and the last one may contain
    /// offsets outside the range asked for, as batches are not cut.
    ///
    /// They are slices of the response: whoever keeps one keeps the memory of all, and the budget knows.
    pub batches: Vec<LogEntry>,
    /// All bytes of the answer, also of the batches that were left out. Whoever moves batches on can see here which of them follow each other, and move those as
    /// one piece.
    pub slab: Bytes,
    /// Records of aborted transactions that were left out.
    pub aborted_records: u64,
    /// Batches that held them.
    pub aborted_batches: u64,
    /// Control batches that were left out.
    pub control_batches: u64,
    /// The next offset to be read: everything below has been dealt with.
    pub next_offset: i64,
    /// Leader epoch of the batch that ends right before `next_offset`, left out or not. Not known when that batch has none,
    /// or when the offsets before `next_offset` are in no batch any more.
    pub last_epoch: Option<i32>,
    /// The first offset of the log.
    pub log_start_offset: Option<i64>,
    /// The end of what is replicated.
    pub high_watermark: i64,
    /// The end of what is decided, when transactions are open below the high watermark.
    pub last_stable_offset: Option<i64>,
}
