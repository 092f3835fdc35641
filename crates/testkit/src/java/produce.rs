//! Producers: codecs, batches under control, transactions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::groups::Commit;
use super::{Done, JavaClient, Nothing, ProduceRecord, Produced};
use crate::error::Result;

/// Records per line that is sent to the Java process.
const CHUNK: usize = 2_000;

/// What batches are compressed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Nothing.
    None,
    /// gzip.
    Gzip,
    /// Snappy, in the framing of the Java client.
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// Zstandard.
    Zstd,
}

impl Codec {
    /// Every codec.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The name that Kafka's configuration uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// How a producer is to be configured.
///
/// Unless a property says otherwise it is idempotent, waits for all replicas, lingers without end and makes batches of up to
/// 1 MiB, so that what is sent between two flushes makes one batch per partition.
#[derive(Debug, Clone, Default)]
pub struct ProducerOptions {
    properties: BTreeMap<String, String>,
}

impl ProducerOptions {
    /// No compression.
    pub fn new() -> Self {
        Self::default()
    }

    /// Compresses batches.
    #[must_use]
    pub fn codec(self, codec: Codec) -> Self {
        self.property("compression.type", codec.name())
    }

    /// Makes a transactional producer.
    #[must_use]
    pub fn transactional_id(self, id: &str) -> Self {
        self.property("transactional.id", id)
    }

    /// Largest batch before compression, in bytes.
    #[must_use]
    pub fn batch_size(self, bytes: usize) -> Self {
        self.property("batch.size", bytes)
    }

    /// Any property of the Java producer.
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "numbers and strings are passed as literals"
    )]
    pub fn property(mut self, name: &str, value: impl ToString) -> Self {
        self.properties.insert(name.to_owned(), value.to_string());
        self
    }
}

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionEnd {
    /// Its records become visible.
    Commit,
    /// Its records never do.
    Abort,
}

/// Many records, made on the Java side: record `i` of `count` goes to partition `i % partitions`, with key `key-<i>` and a
/// JSON-like value.
#[derive(Debug, Clone, Serialize)]
pub struct Generate {
    /// Topic.
    pub topic: String,
    /// Over how many of its partitions.
    pub partitions: i32,
    /// How many records.
    pub count: u64,
    /// Size of each value.
    pub value_bytes: usize,
    /// Timestamp of the first record.
    pub first_timestamp: i64,
    /// Milliseconds from one record to the next.
    pub timestamp_step: i64,
    /// Other values make other content.
    pub seed: i64,
}

/// A producer that lives in the Java process until it is closed or dropped.
#[derive(Debug)]
pub struct JavaProducer {
    client: JavaClient,
    id: u64,
}

#[derive(Serialize)]
struct ProducerArg {
    producer: u64,
}

#[derive(Serialize)]
struct CloseArgs {
    producer: u64,
    timeout_ms: u64,
}

impl JavaProducer {
    /// Gives records to the producer, in order; nothing is sent before [`JavaProducer::flush`] or a commit.
    pub async fn send(&self, records: &[ProduceRecord]) -> Result<()> {
        #[derive(Serialize)]
        struct Args<'a> {
            producer: u64,
            records: &'a [ProduceRecord],
        }
        for records in records.chunks(CHUNK) {
            self.client
                .run(
                    "producer_send",
                    &Args {
                        producer: self.id,
                        records,
                    },
                )
                .await?;
        }
        Ok(())
    }

    /// Sends what it was given, and tells where the records since the last flush are, in their order.
    pub async fn flush(&self) -> Result<Vec<Produced>> {
        let mut all = Vec::new();
        let args = ProducerArg { producer: self.id };
        let Done {} = self
            .client
            .stream("producer_flush", &args, |part: Vec<Produced>| all.extend(part))
            .await?;
        Ok(all)
    }

    /// Begins a transaction.
    pub async fn begin(&self) -> Result<()> {
        self.client
            .run("producer_begin", &ProducerArg { producer: self.id })
            .await
    }

    /// Commits the transaction.
    pub async fn commit(&self) -> Result<()> {
        self.client
            .run("producer_commit", &ProducerArg { producer: self.id })
            .await
    }

    /// Aborts the transaction. What was not flushed is not even sent: flush first to have aborted records in the log.
    pub async fn abort(&self) -> Result<()> {
        self.client
            .run("producer_abort", &ProducerArg { producer: self.id })
            .await
    }

    /// Commits offsets of a group with the transaction.
    pub async fn send_offsets(&self, group: &str, offsets: &[Commit]) -> Result<()> {
        #[derive(Serialize)]
        struct Args<'a> {
            producer: u64,
            group: &'a str,
            offsets: &'a [Commit],
        }
        self.client
            .run(
                "producer_send_offsets",
                &Args {
                    producer: self.id,
                    group,
                    offsets,
                },
            )
            .await
    }

    /// Closes the producer; what it still holds is sent first, an open transaction is aborted.
    pub async fn close(self) -> Result<()> {
        self.client
            .run(
                "producer_close",
                &CloseArgs {
                    producer: self.id,
                    timeout_ms: 60_000,
                },
            )
            .await
    }
}

impl Drop for JavaProducer {
    fn drop(&mut self) {
        // After an orderly close there is no such producer, and this does nothing.
        self.client.driver.tell(
            "producer_close",
            &CloseArgs {
                producer: self.id,
                timeout_ms: 0,
            },
        );
    }
}

impl JavaClient {
    /// Opens a producer; with a transactional id, its transactions are initialised.
    pub async fn producer(&self, options: &ProducerOptions) -> Result<JavaProducer> {
        #[derive(Serialize)]
        struct Args<'a> {
            properties: &'a BTreeMap<String, String>,
        }
        #[derive(Deserialize)]
        struct Answer {
            producer: u64,
        }
        let answer: Answer = self
            .call(
                "producer_open",
                &Args {
                    properties: &options.properties,
                },
            )
            .await?;
        Ok(JavaProducer {
            client: self.clone(),
            id: answer.producer,
        })
    }

    /// Writes records uncompressed, one batch per partition (of at most 1 MiB).
    pub async fn produce(&self, records: &[ProduceRecord]) -> Result<Vec<Produced>> {
        self.produce_with(&ProducerOptions::new(), &[records]).await
    }

    /// Writes groups of records, each group as one batch per partition; tells where the records are, in their order.
    pub async fn produce_with<G: AsRef<[ProduceRecord]>>(
        &self,
        options: &ProducerOptions,
        groups: &[G],
    ) -> Result<Vec<Produced>> {
        let producer = self.producer(options).await?;
        let mut all = Vec::new();
        for group in groups {
            producer.send(group.as_ref()).await?;
            all.extend(producer.flush().await?);
        }
        producer.close().await?;
        Ok(all)
    }

    /// Writes records in a transaction of a producer of its own, and ends it.
    pub async fn transaction(
        &self,
        transactional_id: &str,
        records: &[ProduceRecord],
        end: TransactionEnd,
    ) -> Result<Vec<Produced>> {
        let producer = self
            .producer(&ProducerOptions::new().transactional_id(transactional_id))
            .await?;
        producer.begin().await?;
        producer.send(records).await?;
        let written = producer.flush().await?;
        match end {
            TransactionEnd::Commit => producer.commit().await?,
            TransactionEnd::Abort => producer.abort().await?,
        }
        producer.close().await?;
        Ok(written)
    }

    /// Writes many records that are made on the Java side; the producer batches them as it likes.
    pub async fn generate(&self, what: &Generate, options: &ProducerOptions) -> Result<()> {
        #[derive(Serialize)]
        struct Args<'a> {
            #[serde(flatten)]
            what: &'a Generate,
            properties: &'a BTreeMap<String, String>,
        }
        self.run(
            "generate",
            &Args {
                what,
                properties: &options.properties,
            },
        )
        .await
    }

    /// Checks that the Java process answers.
    pub async fn ping(&self) -> Result<()> {
        self.run("ping", &Nothing {}).await
    }
}
