//! Writing many partitions in bulk, each record exactly once.
//!
//! ```text
//! PartitionWriter -> ledger -> lane (a connection; requests combine partitions) -> broker
//!                      ^                                                             |
//!                      +--- acknowledged: the offset must be the expected one -------+
//!                      +--- anything else: wait until the broker is done with what is in doubt, settle (read the end of
//!                           the log), send the rest again
//! ```
//!
//! Offsets that nothing is left of are taken by transaction markers (see `fill.rs`), those before the first record by nothing
//! at all (see `prefix.rs`), so that a log can have the offsets of another one.
//!
//! The broker's idempotence is used but not relied on (see `settle.rs`). What is relied on: nobody else writes to the
//! partition, so every batch has one offset that it can get, and the log can be compared with what was sent; and a broker
//! that has ended a connection appends nothing more of it (see `doubt.rs`).

mod claims;
mod doubt;
mod fill;
mod lane;
mod ledger;
mod limit;
mod partition;
mod prefix;
mod queue;
pub(crate) mod request;
pub(crate) mod response;
mod settle;
mod shared;
mod writer;

use std::time::Duration;

pub use writer::{PartitionWriter, Producer};

/// How to write.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ProducerOptions {
    /// Connections per broker. A broker serves one request per connection at a time, so this is what gives speed; each
    /// partition stays on one of them.
    pub connections_per_broker: usize,
    /// Requests in flight on each connection.
    pub requests_per_connection: usize,
    /// Bytes of one request, unless its only batch is larger. Brokers refuse more than `socket.request.max.bytes`
    /// (100 MiB by default): requests are made smaller when that is found out, and a batch that is larger is an error.
    pub max_request_bytes: usize,
    /// Bytes appended to a partition and not acknowledged, before [`PartitionWriter::append`] waits. A single batch may
    /// be larger.
    pub partition_queue_bytes: usize,
    /// How long the broker may wait for its replicas before it answers that it timed out.
    pub request_timeout: Duration,
    /// How long a partition may fail without an acknowledgement in between before it is given up. `None`: for ever.
    pub give_up_after: Option<Duration>,
}

impl Default for ProducerOptions {
    fn default() -> Self {
        Self {
            connections_per_broker: 4,
            requests_per_connection: 4,
            max_request_bytes: 8 << 20,
            partition_queue_bytes: 8 << 20,
            request_timeout: Duration::from_secs(30),
            give_up_after: None,
        }
    }
}

/// How much longer than the broker may take the answer may take: the broker's own timeout comes first, and says more.
const MARGIN: Duration = Duration::from_secs(10);

impl ProducerOptions {
    /// How long an answer may take.
    fn answer_timeout(&self) -> Duration {
        let timeout = self.request_timeout;
        timeout.saturating_add(MARGIN.min(timeout))
    }
}

#[cfg(test)]
mod chaos_tests;
