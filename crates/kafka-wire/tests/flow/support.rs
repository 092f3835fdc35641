//! Clusters that tests share, and reading with the crate under test.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::RequestHeader;
use kafka_protocol::protocol::{Decodable, HeaderVersion};
use kafka_wire::batch::{BatchBuilder, BatchIter, Codec, LogEntry, NewRecord, RawBatch};
use kafka_wire::codec::Decompressor;
use kafka_wire::{
    ByteBudget, Cluster, ClusterConfig, Error, FetchEvent, FetchEventKind, FetchOptions, FetchPartition,
    FetchStream, FetchedBatches, IsolationLevel, OffsetSpec, Producer, TopicPartition,
};
use testkit::{JavaClient, Record, RecordedRequest};
use tokio::sync::OnceCell;

/// Records of long ago are not to be removed by retention.
pub(crate) const KEEP: &[(&str, &str)] = &[("retention.ms", "-1")];

/// A real cluster, the Java client beside it, and this crate's handle.
pub(crate) struct Bench {
    pub(crate) kafka: testkit::Cluster,
    pub(crate) java: JavaClient,
}

impl Bench {
    pub(crate) async fn start(options: testkit::ClusterOptions) -> Self {
        let kafka = testkit::Cluster::start(options).await.unwrap();
        let java = JavaClient::of(&kafka).await.unwrap();
        Self { kafka, java }
    }

    /// Creates a topic whose records stay, on as many brokers as there may be replicas, and waits until its leaders lead.
    ///
    /// Without the wait the Java producer may stall for ever: when a leader that does not know yet that it is one refuses
    /// the first batch and takes the second, the sequence numbers never fit again.
    pub(crate) async fn create(&self, topic: &str, partitions: i32) {
        let replicas = self.kafka.broker_count().min(3) as i16;
        self.java
            .create_replicated_topic(topic, partitions, replicas, KEEP)
            .await
            .unwrap();
        for partition in 0..partitions {
            self.java.end_offset(topic, partition).await.unwrap();
        }
    }

    /// A handle with short pauses, so that tests do not wait for politeness.
    pub(crate) async fn connect(&self) -> Cluster {
        self.connect_with(Duration::from_secs(30)).await
    }

    /// A handle that waits only so long for an answer.
    pub(crate) async fn connect_with(&self, request_timeout: Duration) -> Cluster {
        let mut config = ClusterConfig::new(self.kafka.bootstrap_servers());
        config.retry_backoff = Duration::from_millis(20);
        config.retry_backoff_max = Duration::from_millis(200);
        config.request_timeout = request_timeout;
        Cluster::connect(config).await.unwrap()
    }
}

/// One broker for all tests that break nothing.
pub(crate) async fn shared() -> &'static Bench {
    static BENCH: OnceCell<Bench> = OnceCell::const_new();
    BENCH
        .get_or_init(|| Bench::start(testkit::ClusterOptions::new().quick_compaction()))
        .await
}

/// A record as this crate read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

impl From<&Record> for Seen {
    fn from(record: &Record) -> Self {
        Self {
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key.clone(),
            value: record.value.clone(),
            headers: record.headers.clone(),
        }
    }
}

pub(crate) fn seen(records: &[Record]) -> Vec<Seen> {
    records.iter().map(Seen::from).collect()
}

/// All that was read of a partition.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) batches: Vec<RawBatch>,
    pub(crate) records: Vec<Seen>,
    pub(crate) aborted_records: u64,
    pub(crate) control_batches: u64,
    /// Offsets of batches without records, as compaction leaves them, and the offsets behind them.
    pub(crate) emptied: Vec<(i64, i64)>,
    pub(crate) next_offset: i64,
    pub(crate) log_start_offset: Option<i64>,
}

impl Read {
    pub(crate) fn take(&mut self, fetched: FetchedBatches, decompressor: &mut Decompressor) {
        assert!(
            fetched.next_offset > self.next_offset,
            "an event that passes no offset"
        );
        self.next_offset = fetched.next_offset;
        self.aborted_records += fetched.aborted_records;
        self.control_batches += fetched.control_batches;
        self.log_start_offset = fetched.log_start_offset;
        for entry in BatchIter::new(fetched.slab) {
            if let Ok(LogEntry::Batch(batch)) = entry
                && batch.header.record_count == 0
            {
                let header = &batch.header;
                self.emptied.push((header.base_offset, header.next_offset()));
            }
        }
        for entry in fetched.batches {
            let LogEntry::Batch(batch) = entry else {
                panic!("an old format")
            };
            let mut scratch = Vec::new();
            for record in decompressor.records(&batch, 64 << 20, &mut scratch).unwrap() {
                let record = record.unwrap();
                let headers = record.headers.iter().map(|header| {
                    let header = header.unwrap();
                    let name = String::from_utf8_lossy(header.name).into_owned();
                    (name, header.value.map(<[u8]>::to_vec))
                });
                self.records.push(Seen {
                    offset: batch.header.base_offset + i64::from(record.offset_delta),
                    timestamp: batch.header.timestamp(record.timestamp_delta),
                    key: record.key.map(<[u8]>::to_vec),
                    value: record.value.map(<[u8]>::to_vec),
                    headers: headers.collect(),
                });
            }
            self.batches.push(batch);
        }
    }
}

pub(crate) fn options() -> FetchOptions {
    let mut options = FetchOptions::new(ByteBudget::new(32 << 20));
    options.max_wait = Duration::from_millis(200);
    options
}

/// Reads partitions to their ends; each has to finish.
pub(crate) async fn read(
    cluster: &Cluster,
    partitions: impl IntoIterator<Item = FetchPartition>,
    options: FetchOptions,
) -> BTreeMap<TopicPartition, Read> {
    let budget = options.budget.clone();
    let mut stream = FetchStream::start(cluster, partitions, options);
    let all = read_all(&mut stream).await;
    drop(stream);
    for _ in 0..100 {
        if budget.available() == budget.total() {
            return all;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!(
        "{} bytes of the budget were lost",
        budget.total() - budget.available()
    );
}

/// The next event of a reader, or its end; a reader that hangs fails.
pub(crate) async fn next_event(stream: &mut FetchStream) -> Option<FetchEvent> {
    let event = tokio::time::timeout(Duration::from_secs(60), stream.next()).await;
    event.expect("no event for a minute")
}

/// Reads a stream to its end; every partition has to finish.
pub(crate) async fn read_all(stream: &mut FetchStream) -> BTreeMap<TopicPartition, Read> {
    let mut all: BTreeMap<TopicPartition, Read> = BTreeMap::new();
    let mut decompressor = Decompressor::new();
    while let Some(event) = next_event(stream).await {
        let read = all
            .entry(TopicPartition::new(event.topic, event.partition))
            .or_default();
        match event.kind {
            FetchEventKind::Batches(mut fetched) => {
                // What is kept must not keep the memory of responses, or the budget runs dry.
                for entry in &mut fetched.batches {
                    if let LogEntry::Batch(batch) = entry {
                        batch.bytes = batch.bytes.to_vec().into();
                    }
                }
                read.take(fetched, &mut decompressor);
            }
            FetchEventKind::Finished { next_offset } => read.next_offset = next_offset,
            other => panic!("{other:?}"),
        }
    }
    all
}

/// The end of what a consumer of committed data can read.
pub(crate) async fn end(cluster: &Cluster, partition: &TopicPartition) -> i64 {
    let asked = [partition.clone()];
    let listed = cluster
        .list_offsets(&asked, OffsetSpec::Latest, IsolationLevel::ReadCommitted)
        .await;
    listed[0].1.as_ref().unwrap().offset
}

/// Reads one partition from an offset to its present end.
pub(crate) async fn read_one(cluster: &Cluster, topic: &str, partition: i32, from: i64) -> Read {
    let name = TopicPartition::new(topic, partition);
    let end = end(cluster, &name).await;
    let asked = FetchPartition::new(topic, partition, from).until(end);
    read(cluster, [asked], options())
        .await
        .remove(&name)
        .unwrap_or_default()
}

/// A batch for a partition: record `i` has the value `<partition>/<i>` and some filling.
pub(crate) fn batch(partition: i32, index: usize, records: usize, codec: Codec) -> RawBatch {
    let mut builder = BatchBuilder::new().compression(codec, None);
    for i in index * records..(index + 1) * records {
        let value = format!("{}:{}", label(partition, i), "x".repeat(i % 300));
        let timestamp = 1_600_000_000_000 + i as i64;
        builder
            .push(&NewRecord {
                timestamp,
                value: Some(value.as_bytes()),
                ..NewRecord::default()
            })
            .unwrap();
    }
    builder.build().unwrap()
}

/// The first batches for a partition.
pub(crate) fn batches(partition: i32, count: usize, records: usize, codec: Codec) -> Vec<RawBatch> {
    (0..count)
        .map(|index| batch(partition, index, records, codec))
        .collect()
}

fn label(partition: i32, record: usize) -> String {
    format!("{partition}/{record}")
}

/// Writes batches through a writer of their own, and flushes.
pub(crate) async fn write(
    producer: &Producer,
    topic: &str,
    partition: i32,
    batches: Vec<RawBatch>,
) -> Result<i64, Error> {
    let mut writer = producer.partition(topic, partition, 0).await?;
    for batch in batches {
        writer.append(batch).await?;
    }
    writer.flush().await
}

/// Writes to all partitions of a topic at the same time.
pub(crate) async fn write_all(
    producer: &Producer,
    topic: &str,
    partitions: i32,
    count: usize,
    records: usize,
) -> Vec<Result<i64, Error>> {
    let mut tasks = Vec::new();
    for partition in 0..partitions {
        let (producer, topic) = (producer.clone(), topic.to_owned());
        let codec = [Codec::None, Codec::Zstd, Codec::Lz4][partition as usize % 3];
        let batches = batches(partition, count, records, codec);
        tasks.push(tokio::spawn(async move {
            write(&producer, &topic, partition, batches).await
        }));
    }
    let mut results = Vec::new();
    for task in tasks {
        let patience = Duration::from_secs(120);
        results.push(
            tokio::time::timeout(patience, task)
                .await
                .expect("written in two minutes")
                .unwrap(),
        );
    }
    results
}

/// Checks with the Java consumer that a partition holds each of the records once, in order, without a gap.
pub(crate) async fn holds_exactly_once(bench: &Bench, topic: &str, partition: i32, records: usize) {
    let java = bench.java.consume_all(topic, partition).await.unwrap();
    for (index, record) in java.iter().enumerate() {
        let value = String::from_utf8(record.value.clone().unwrap()).unwrap();
        let found = value.split(':').next().unwrap();
        assert_eq!(
            (record.offset, found),
            (index as i64, label(partition, index).as_str())
        );
    }
    assert_eq!(java.len(), records, "{topic}-{partition}");
}

/// The next event of a reader, which has to bring batches.
pub(crate) async fn next_batches(stream: &mut FetchStream, patience: Duration) -> FetchedBatches {
    let event = tokio::time::timeout(patience, stream.next()).await;
    let event = event.expect("an event").expect("not the end");
    match event.kind {
        FetchEventKind::Batches(fetched) => fetched,
        other => panic!("{other:?}"),
    }
}

/// Every batch has to begin where the one before it ended; `next` is where the first one has to.
#[track_caller]
pub(crate) fn in_order(fetched: &FetchedBatches, next: &mut i64) {
    for entry in &fetched.batches {
        let LogEntry::Batch(batch) = entry else { panic!() };
        assert_eq!(batch.header.base_offset, *next);
        *next = batch.header.next_offset();
    }
}

/// What a request was before it became bytes.
pub(crate) fn decoded<R: Decodable + HeaderVersion>(request: &RecordedRequest) -> R {
    let mut frame = Bytes::copy_from_slice(&request.frame[4..]);
    let version = i16::from_be_bytes([frame[2], frame[3]]);
    RequestHeader::decode(&mut frame, R::header_version(version)).unwrap();
    R::decode(&mut frame, version).unwrap()
}
