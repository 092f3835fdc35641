//! The data path on real brokers: what this crate reads is what the Java consumer sees, and what it writes is there once.
//!
//! * `fetching`: codecs, transactions, compaction, deleted prefixes, many partitions, what cannot be read
//! * `producing`: byte for byte, many partitions at once, what the broker refuses, foreign writers
//! * `faults`: lost answers, cut connections, a broker that hangs or is killed; nothing lost, nothing twice
//! * `disturbed`: the same for reading, damage and throttling included
//! * `failover`: three brokers, leaders that change while partitions are read and written
//! * `gaps`: logs that get the offsets of other ones, also when markers are lost and leaders killed
//! * `hints`: brokers that name another leader, and that it is followed without asking for metadata
//! * `idle`: a broker that closes connections early
//! * `quotas`: readers and writers that are throttled by a broker
//! * `releases`: disturbances, cut logs and transactions on older brokers
//! * `remote`: logs whose old part is in a remote storage
//! * `sizes`: large batches beside small ones, many segments
//! * `topics`: topics that are deleted, or created again, while they are read
//! * `truncated`: logs that were cut by an unclean election
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
mod gaps;
mod hints;
mod idle;
mod producing;
mod quotas;
mod releases;
mod remote;
mod sizes;
mod support;
mod topics;
mod truncated;
mod versions;
mod writing;
