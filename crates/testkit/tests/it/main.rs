//! The equipment itself, tried on real brokers.
//!
//! * `batches`: what the log looks like after the Java producer, and raw requests
//! * `brokers`: kill, stop, pause, restart, failover
//! * `compaction`: the preset for quick compaction
//! * `faults`: a cluster behind proxies
//! * `groups`: commits, members of both protocols, what a group reads next
//! * `lifecycle`: nothing is left when the process that started it is gone
//! * `produce`: codecs, records with every oddity, large amounts
//! * `s3`: the S3 server checks who asks
//! * `topics`: configs, offsets, deleted records
//! * `transactions`: commit, abort, open ones
//! * `versions`: earlier releases (long)

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "all of this crate is tests, its helpers too"
)]

mod batches;
mod brokers;
mod compaction;
mod faults;
mod groups;
mod lifecycle;
mod produce;
mod s3;
mod topics;
mod transactions;
mod versions;

use testkit::{Cluster, JavaClient, ProduceRecord};

/// A client of the shared cluster.
async fn java() -> JavaClient {
    JavaClient::of(Cluster::shared().await.unwrap()).await.unwrap()
}

/// `count` small records with increasing timestamps.
fn records(topic: &str, partition: i32, count: usize) -> Vec<ProduceRecord> {
    let record = |i: usize| {
        ProduceRecord::new(topic, partition)
            .key(format!("key-{i}"))
            .value(format!("value-{i}"))
            .timestamp(1_700_000_000_000 + i as i64)
    };
    (0..count).map(record).collect()
}

/// The batches of a record set: base offset, number of records, attributes.
fn batches(mut bytes: &[u8]) -> Vec<(i64, i32, i16)> {
    let mut found = Vec::new();
    while bytes.len() >= 61 {
        let length = u32::from_be_bytes(bytes[8..12].try_into().unwrap()) as usize + 12;
        found.push((
            i64::from_be_bytes(bytes[..8].try_into().unwrap()),
            i32::from_be_bytes(bytes[57..61].try_into().unwrap()),
            i16::from_be_bytes(bytes[21..23].try_into().unwrap()),
        ));
        bytes = &bytes[length.min(bytes.len())..];
    }
    found
}
