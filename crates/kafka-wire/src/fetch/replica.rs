//! Which of its brokers a partition is read from (KIP-392).
//!
//! The leader names a replica near to whoever tells a rack. It goes by what it knows: that the replica is in sync, and where
//! its log starts, some time ago. It does not know what keeps this client from the replica. So after a failure the leader
//! itself is read from for a while; told a rack, it would name the same replica again, and again.

use std::time::Duration;

use tokio::time::Instant;

use super::cursor::Cursor;

/// How long a broker is read from before the leader is asked again which one is near.
const TERM: Duration = Duration::from_secs(5 * 60);

/// A broker that is to be read from, and until when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Replica {
    pub(super) node: i32,
    until: Instant,
}

impl Replica {
    /// For a term from now on.
    pub(super) fn new(node: i32) -> Self {
        let until = Instant::now() + TERM;
        Self { node, until }
    }

    /// Whether its term is over.
    pub(super) fn is_over(&self) -> bool {
        self.until <= Instant::now()
    }
}

impl Cursor {
    /// Whether the leader is read from whichever broker it would name.
    pub(super) fn stays_with_leader(&self) -> bool {
        self.replica.is_some_and(|replica| replica.node == self.leader)
    }

    /// Whether the broker that is read from is the leader.
    pub(super) fn reads_leader(&self) -> bool {
        self.replica.is_none() || self.stays_with_leader()
    }

    /// Goes back to the leader after a failure, for a term if that was another replica's.
    pub(super) fn return_to_leader(&mut self) {
        if !self.reads_leader() {
            self.replica = Some(Replica::new(self.leader));
        }
    }
}
