//! A source cluster with every kind of record that a backup must bring through.

use std::time::Duration;

use testkit::{
    Cluster, ClusterOptions, Codec, Generate, JavaClient, ProduceRecord, ProducerOptions, RawFetch,
    TransactionEnd,
};

/// Timestamps begin here: in the past, so that retention and producer state are as hostile as in a real restore.
pub(crate) const EPOCH: i64 = 1_700_000_000_000;

/// Topic names and partition counts, sorted by name.
pub(crate) const TOPICS: &[(&str, i32)] = &[
    ("audit", 1),
    ("clicks", 2),
    ("customers", 1),
    ("nothing-yet", 4),
    ("orders", 3),
    ("payments", 2),
];

/// Bytes that are no UTF-8, as long as the placeholder that they replace.
pub(crate) const STRANGE_NAME: &[u8] = b"\xff\xfe\x80name";
const PLACEHOLDER: &[u8] = b"plchldr"; // same length

/// A topic with so many records of 1000 bytes, in many small batches: what a run takes some time for.
pub(crate) async fn create_large(java: &JavaClient, topic: &str, partitions: i32, count: u64) {
    java.create_topic(topic, partitions, &[("retention.ms", "-1")])
        .await
        .unwrap();
    fill_large(java, topic, partitions, count).await;
}

/// The same for a topic that is there.
pub(crate) async fn fill_large(java: &JavaClient, topic: &str, partitions: i32, count: u64) {
    let what = Generate {
        topic: topic.to_owned(),
        partitions,
        count,
        value_bytes: 1000,
        first_timestamp: EPOCH,
        timestamp_step: 1,
        seed: 5,
    };
    let small = ProducerOptions::new().batch_size(20_000);
    java.generate(&what, &small).await.unwrap();
}

/// A cluster and its client.
pub(crate) struct Source {
    pub(crate) cluster: Cluster,
    pub(crate) java: JavaClient,
}

impl Source {
    /// Starts a cluster and fills all of [`TOPICS`].
    pub(crate) async fn start() -> Self {
        let cluster = Cluster::start(ClusterOptions::new().quick_compaction())
            .await
            .unwrap();
        let java = JavaClient::of(&cluster).await.unwrap();
        let source = Self { cluster, java };
        source.orders().await;
        source.strange_header_names().await;
        source.payments().await;
        source.customers().await;
        source.audit().await;
        source.clicks().await;
        let configs = [
            ("retention.ms", "123456789"),
            ("cleanup.policy", "compact,delete"),
            ("min.compaction.lag.ms", "5000"),
        ];
        source
            .java
            .create_topic("nothing-yet", 4, &configs)
            .await
            .unwrap();
        source
    }

    pub(crate) fn bootstrap(&self) -> Vec<String> {
        self.cluster.bootstrap_servers()
    }

    /// Plain records of every shape, in every codec, several to a batch, timestamps out of order.
    async fn orders(&self) {
        // The topic keeps everything for ever: its records are years old.
        self.java
            .create_topic(
                "orders",
                3,
                &[("retention.ms", "-1"), ("max.message.bytes", "2000000")],
            )
            .await
            .unwrap();
        for (round, codec) in Codec::ALL.into_iter().cycle().take(15).enumerate() {
            let batch: Vec<ProduceRecord> = (0..24)
                .map(|n| shape("orders", (n % 3) as i32, round * 24 + n))
                .collect();
            self.java
                .produce_with(&ProducerOptions::new().codec(codec), &[batch])
                .await
                .unwrap();
        }
        let large = ProduceRecord::new("orders", 0)
            .key("large")
            .value(vec![b'x'; 700_000])
            .timestamp(EPOCH + 9);
        self.java
            .produce_with(&ProducerOptions::new().codec(Codec::Lz4), &[vec![large]])
            .await
            .unwrap();
    }

    /// The Java client cannot send header names that are no UTF-8: one of its batches is fetched, its name replaced.
    async fn strange_header_names(&self) {
        self.java
            .create_topic("scratch", 1, &[("retention.ms", "-1")])
            .await
            .unwrap();
        let name = std::str::from_utf8(PLACEHOLDER).unwrap();
        let record = ProduceRecord::new("scratch", 0)
            .key("strange")
            .header(name, "1")
            .header(name, "2")
            .timestamp(EPOCH + 77);
        let plain = ProducerOptions::new().property("enable.idempotence", false);
        self.java
            .produce_with(&plain, &[vec![record.clone(), record]])
            .await
            .unwrap();
        let mut batch = self
            .java
            .fetch_raw("scratch", 0, RawFetch::from(0))
            .await
            .unwrap()
            .records;
        let places: Vec<usize> = (0..batch.len() - PLACEHOLDER.len())
            .filter(|&at| batch[at..].starts_with(PLACEHOLDER))
            .collect();
        assert_eq!(places.len(), 4);
        for at in places {
            batch[at..at + STRANGE_NAME.len()].copy_from_slice(STRANGE_NAME);
        }
        let crc = kafka_wire::batch::crc32c(&batch[21..]);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
        let produced = self.java.produce_raw("orders", 1, &batch).await.unwrap();
        assert_eq!(produced.error_code, 0, "{produced:?}");
    }

    /// Transactions that commit and abort, side by side with plain records.
    async fn payments(&self) {
        self.java
            .create_topic("payments", 2, &[("retention.ms", "-1")])
            .await
            .unwrap();
        for round in 0..12 {
            let end = if round % 3 == 1 {
                TransactionEnd::Abort
            } else {
                TransactionEnd::Commit
            };
            let records: Vec<ProduceRecord> = (0..5)
                .map(|n| shape("payments", (n % 2) as i32, round * 10 + n))
                .collect();
            self.java
                .transaction(&format!("tx-{}", round % 2), &records, end)
                .await
                .unwrap();
            if round % 4 == 0 {
                self.java
                    .produce(&[shape("payments", 0, round * 10 + 9)])
                    .await
                    .unwrap();
            }
        }
    }

    /// Compacted, with gaps that the cleaner has made inside of batches and of whole batches.
    async fn customers(&self) {
        let configs = [
            ("cleanup.policy", "compact"),
            ("segment.ms", "60000"),
            ("min.cleanable.dirty.ratio", "0.0"),
            ("delete.retention.ms", "0"),
        ];
        self.java.create_topic("customers", 1, &configs).await.unwrap();
        let mut batches = Vec::new();
        for round in 0..10i64 {
            let batch: Vec<ProduceRecord> = (0..6i64)
                .map(|n| {
                    let key = format!("customer-{}", if n < 4 { n } else { 10 + round });
                    let record = ProduceRecord::new("customers", 0)
                        .key(key)
                        .timestamp(EPOCH + round * 1000 + n);
                    if (round + n) % 11 == 10 {
                        record
                    } else {
                        record.value(format!("state {round}"))
                    }
                })
                .collect();
            batches.push(batch);
        }
        // A late record ends the segment, so that what is before it can be cleaned.
        batches.push(vec![
            ProduceRecord::new("customers", 0)
                .key("late")
                .value("-")
                .timestamp(EPOCH + 10_000_000),
        ]);
        batches.push(vec![
            ProduceRecord::new("customers", 0)
                .key("later")
                .value("-")
                .timestamp(EPOCH + 20_000_000),
        ]);
        self.java
            .produce_with(&ProducerOptions::new().codec(Codec::Zstd), &batches)
            .await
            .unwrap();
        let before = 10 * 6 + 2;
        for _ in 0..300 {
            if self.java.consume_all("customers", 0).await.unwrap().len() < before - 20 {
                // Once more around, so that nothing changes while it is backed up and compared.
                tokio::time::sleep(Duration::from_secs(2)).await;
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("the cleaner did not clean");
    }

    /// The broker's time instead of the producer's.
    async fn audit(&self) {
        self.java
            .create_topic("audit", 1, &[("message.timestamp.type", "LogAppendTime")])
            .await
            .unwrap();
        for codec in Codec::ALL {
            let batch: Vec<ProduceRecord> = (0..4).map(|n| shape("audit", 0, n)).collect();
            self.java
                .produce_with(&ProducerOptions::new().codec(codec), &[batch])
                .await
                .unwrap();
        }
    }

    /// The log starts behind offset 0: in one partition in the middle of a batch, in the other at its very end.
    async fn clicks(&self) {
        self.java
            .create_topic("clicks", 2, &[("retention.ms", "-1")])
            .await
            .unwrap();
        for round in 0..6 {
            let batch: Vec<ProduceRecord> = (0..10)
                .map(|n| shape("clicks", (n % 2) as i32, round * 10 + n))
                .collect();
            self.java.produce(&batch).await.unwrap();
        }
        self.java.delete_records("clicks", 0, 13).await.unwrap();
        self.java.delete_records("clicks", 1, 30).await.unwrap();
    }
}

/// Record number `n`: a shape that few others have.
fn shape(topic: &str, partition: i32, n: usize) -> ProduceRecord {
    // Timestamps go back and forth.
    let timestamp = EPOCH + (n as i64 * 7919) % 10_007 - 5_000;
    let record = ProduceRecord::new(topic, partition).timestamp(timestamp);
    match n % 8 {
        0 => record.key(format!("key-{n}")).value(format!("{{\"n\":{n}}}")),
        1 => record.value(format!("no key {n}")),
        2 => record.key(format!("no value {n}")),
        3 => record.key("").value(""),
        4 => record,
        5 => record
            .key(format!("{n}"))
            .value("h")
            .header("dup", "1")
            .header("dup", format!("{n}"))
            .null_header("dup")
            .header("", ""),
        6 => record
            .value("own")
            .header("x-original-offset", "999999")
            .header("x-original-timestamp", vec![0, 1, 2]),
        _ => record.key(vec![0, 159, 146, 150]).value(vec![0xff; 300]),
    }
}
