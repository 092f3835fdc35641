//! A broker, and batches of every kind.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use kafka_wire::batch::{
    BatchBuilder, BatchHeader, BatchIter, CRC_START, HEADER_LEN, LogEntry, NewRecord, ProducePatch, RawBatch,
    crc32c,
};
use kafka_wire::{Cluster, ClusterConfig, TopicPartition};
use testkit::{ClusterOptions, JavaClient, RawFetch, RawProduced};
use tokio::sync::OnceCell;

/// Records of any age stay.
pub(crate) const KEEP: &[(&str, &str)] = &[("retention.ms", "-1")];

/// How long a batch's producer is remembered, by the time of its records.
pub(crate) const PRODUCER_EXPIRY_MS: i64 = 600_000;

pub(crate) struct Broker {
    pub(crate) kafka: testkit::Cluster,
    pub(crate) java: JavaClient,
    pub(crate) cluster: Cluster,
}

/// The broker of the newest release that the tests share.
pub(crate) async fn shared() -> &'static Broker {
    static SHARED: OnceCell<Broker> = OnceCell::const_new();
    SHARED
        .get_or_init(|| async {
            let options = forgetting(ClusterOptions::new());
            Broker::start(options).await
        })
        .await
}

/// Retention is quick, and so is the forgetting of producers.
pub(crate) fn forgetting(options: ClusterOptions) -> ClusterOptions {
    options
        .quick_retention()
        .property("producer.id.expiration.ms", PRODUCER_EXPIRY_MS)
        .property("producer.id.expiration.check.interval.ms", 500)
}

impl Broker {
    pub(crate) async fn start(options: ClusterOptions) -> Self {
        let kafka = testkit::Cluster::start(options).await.unwrap();
        let java = JavaClient::of(&kafka).await.unwrap();
        let cluster = Cluster::connect(ClusterConfig::new(kafka.bootstrap_servers()))
            .await
            .unwrap();
        Self { kafka, java, cluster }
    }

    /// A topic of one partition that is there when this returns.
    pub(crate) async fn create(&self, topic: &str, configs: &[(&str, &str)]) {
        self.java.create_topic(topic, 1, configs).await.unwrap();
        self.java.end_offset(topic, 0).await.unwrap();
    }

    /// Sends bytes to partition 0 as they are.
    pub(crate) async fn send(&self, topic: &str, bytes: &[u8]) -> RawProduced {
        self.java.produce_raw(topic, 0, bytes).await.unwrap()
    }

    /// Sends a batch that has to be accepted; gives its base offset.
    pub(crate) async fn append(&self, topic: &str, batch: &RawBatch) -> i64 {
        let produced = self.send(topic, &batch.bytes).await;
        assert_eq!(produced.error_code, 0, "{:?}", produced.error_message);
        produced.base_offset
    }

    /// The error code that a batch is refused with; nothing of it may be in the log.
    pub(crate) async fn refusal(&self, topic: &str, bytes: &[u8]) -> i16 {
        let before = self.java.end_offset(topic, 0).await.unwrap();
        let produced = self.send(topic, bytes).await;
        assert_eq!(
            self.java.end_offset(topic, 0).await.unwrap(),
            before,
            "it was appended"
        );
        produced.error_code
    }

    /// The batches that one fetch from this offset returns.
    pub(crate) async fn fetch(&self, topic: &str, offset: i64) -> Vec<RawBatch> {
        let fetched = self
            .java
            .fetch_raw(topic, 0, RawFetch::from(offset))
            .await
            .unwrap();
        assert_eq!(fetched.error_code, 0);
        let entries = BatchIter::new(Bytes::from(fetched.records));
        let batches = entries.map(|entry| match entry.unwrap() {
            LogEntry::Batch(batch) => batch,
            LogEntry::Legacy(_) => panic!("an old format"),
        });
        batches.collect()
    }

    /// The first batch of a topic, its CRC checked.
    pub(crate) async fn first(&self, topic: &str) -> RawBatch {
        let batch = self.fetch(topic, 0).await.remove(0);
        batch.verify_crc().unwrap();
        batch
    }
}

pub(crate) fn tp(topic: &str) -> TopicPartition {
    TopicPartition::new(topic, 0)
}

/// Milliseconds since 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

/// Some values at some times.
pub(crate) fn records(builder: BatchBuilder, timestamps: &[i64]) -> BatchBuilder {
    let mut builder = builder;
    for timestamp in timestamps {
        let record = NewRecord {
            timestamp: *timestamp,
            key: Some(b"key"),
            value: Some(b"value"),
            ..NewRecord::default()
        };
        builder.push(&record).unwrap();
    }
    builder
}

/// A plain batch.
pub(crate) fn batch(timestamps: &[i64]) -> RawBatch {
    records(BatchBuilder::new(), timestamps).build().unwrap()
}

/// A batch of one record of an idempotent producer.
pub(crate) fn sequenced(producer: ProducePatch, sequence: i32, timestamp: i64) -> RawBatch {
    let producer = ProducePatch {
        base_sequence: sequence,
        ..producer
    };
    records(BatchBuilder::new().producer(producer), &[timestamp])
        .build()
        .unwrap()
}

/// The batch with another header, and a CRC that fits it.
pub(crate) fn with_header(batch: &RawBatch, change: impl FnOnce(&mut BatchHeader)) -> RawBatch {
    let mut header = batch.header;
    change(&mut header);
    let mut bytes = header.encode().to_vec();
    bytes.extend_from_slice(&batch.bytes[HEADER_LEN..]);
    header.crc = crc32c(&bytes[CRC_START..]);
    bytes[..HEADER_LEN].copy_from_slice(&header.encode());
    RawBatch {
        header,
        bytes: bytes.into(),
    }
}

/// The part of a batch that its CRC covers, and that travels unchanged.
pub(crate) fn covered(batch: &RawBatch) -> &[u8] {
    &batch.bytes[CRC_START..]
}

/// Waits for something that the broker does on its own.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, check: impl Fn() -> F) {
    for _ in 0..600 {
        if check().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("never: {what}");
}
