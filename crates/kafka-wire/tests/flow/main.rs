//! The data path on real brokers: what this crate reads is what the Java consumer sees, and what it writes is there once.
//!
//! * `fetching`: codecs, transactions, compaction, deleted prefixes, many partitions, what cannot be read
//! * `producing`: byte for byte, many partitions at once, what the broker refuses, foreign writers
//! * `faults`: lost answers, cut connections, a broker that hangs or is killed; nothing lost, nothing twice
//! * `disturbed`: the same for reading, damage and throttling included
//! * `failover`: three brokers, leaders that change while partitions are read and written
//! * `versions`: the same on older brokers, and logs in the formats before record batches

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod disturbed;
mod failover;
mod faults;
mod fetching;
mod producing;
mod support;
mod versions;
