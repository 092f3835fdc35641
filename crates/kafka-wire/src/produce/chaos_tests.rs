//! A producer against a broker that loses, delays and refuses at random, as fast as memory allows. It checks sequence
//! numbers as real ones do, and may append a request long after its connection was cut; or it forgets producers at any
//! time, as real ones do when records are old, and then nothing but the producer's own order helps. A connection that the
//! producer has given up it ends only behind the last request on it. Of the markers that fill gaps it appends some of those
//! that it was asked for, and may say that all is well then, or that all failed.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use kafka_protocol::messages::{
    ApiVersionsRequest, BrokerId, FetchRequest, FetchResponse, InitProducerIdRequest, InitProducerIdResponse,
    MetadataRequest, MetadataResponse, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    ProduceRequest, ProduceResponse, ProducerId, TopicName, WriteTxnMarkersRequest, WriteTxnMarkersResponse,
};
use kafka_protocol::protocol::StrBytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::net::TcpListener;

use super::fill::shard;
use super::*;
use crate::batch::{BatchBuilder, BatchHeader, NewRecord, ProducePatch, RawBatch};
use crate::cluster::Cluster;
use crate::config::ClusterConfig;
use crate::connection::fake::{FakeBroker, Reply, Seen, all_versions};

#[path = "limit_tests.rs"]
mod limits;

const TOPIC: &str = "t";
const PARTITIONS: usize = 6;
const BATCHES: usize = 60;
/// How long the producer waits for an answer; it adds as much for the way.
const PATIENCE: Duration = Duration::from_millis(50);

/// The log of one partition, and what its broker remembers of the producer.
#[derive(Default)]
struct Log {
    batches: Vec<Bytes>,
    end: i64,
    epoch: i16,
    /// First sequence, records and offset of the last batches.
    known: VecDeque<(i32, i32, i64)>,
    /// Requests that the broker will find in a socket whose other end is gone.
    late: VecDeque<Bytes>,
    /// What was sent first with an epoch and a sequence number; how often the same came again, and how often something else.
    sent: HashMap<(i16, i32), Bytes>,
    same: usize,
    changed: usize,
}

impl Log {
    /// Compares a batch with what was sent with the same numbers before.
    fn receive(&mut self, batch: &Bytes) {
        let header = BatchHeader::parse(batch).unwrap();
        match self.sent.entry((header.producer_epoch, header.base_sequence)) {
            Entry::Vacant(first) => _ = first.insert(batch.clone()),
            Entry::Occupied(first) if first.get() == batch => self.same += 1,
            Entry::Occupied(_) => self.changed += 1,
        }
    }

    /// What a broker does with a batch (AK `ProducerAppendInfo`, `ProducerStateEntry`).
    fn append(&mut self, batch: &Bytes) -> Result<i64, i16> {
        let header = BatchHeader::parse(batch).unwrap();
        let (sequence, records) = (header.base_sequence, header.record_count);
        if header.producer_epoch < self.epoch {
            return Err(47);
        }
        if header.producer_epoch == self.epoch {
            let again = |(first, count, _): &&(i32, i32, i64)| (*first, *count) == (sequence, records);
            if let Some((.., offset)) = self.known.iter().find(again) {
                return Ok(*offset);
            }
            if self
                .known
                .back()
                .is_some_and(|(first, count, _)| first + count != sequence)
            {
                return Err(45);
            }
        } else if sequence != 0 {
            return Err(45);
        } else {
            self.known.clear();
        }
        self.epoch = header.producer_epoch;
        let offset = self.end;
        self.store(batch);
        self.known.push_back((sequence, records, offset));
        if self.known.len() > 5 {
            self.known.pop_front();
        }
        Ok(offset)
    }

    /// Puts a batch at the end.
    fn store(&mut self, batch: &[u8]) {
        let mut stored = BytesMut::from(batch);
        stored[..8].copy_from_slice(&self.end.to_be_bytes());
        self.batches.push(stored.freeze());
        self.end += i64::from(BatchHeader::parse(batch).unwrap().record_count);
    }

    /// Appends as many markers as there are entries of the request, or fewer.
    fn append_markers(&mut self, request: &WriteTxnMarkersRequest, most: usize) {
        for marker in request.markers.iter().take(most) {
            let mut builder = BatchBuilder::new().control().producer(ProducePatch {
                producer_id: marker.producer_id.0,
                producer_epoch: marker.producer_epoch,
                base_sequence: -1,
            });
            builder.push(&NewRecord::default()).unwrap();
            self.store(&builder.build().unwrap().bytes);
        }
    }
}

struct Broker {
    random: StdRng,
    /// Faults in a hundred requests.
    faults: u32,
    /// Whether it forgets producers.
    forgetful: bool,
    /// Connections on which nothing is answered any more: answers come in order, so none can be left out.
    silent: HashSet<usize>,
    /// Requests that were left lying for a while: the correlation id of the only one on each of these connections.
    left_lying: HashMap<usize, i32>,
    port: u16,
    /// Whether it says of markers that all is well, and writes none.
    lying: bool,
    /// Requests for markers with which something went wrong.
    marker_faults: usize,
    /// How many producer ids it has handed out.
    producer_ids: i64,
    logs: Vec<Log>,
}

impl Broker {
    fn new(seed: u64, faults: u32, forgetful: bool, port: u16) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            faults,
            forgetful,
            silent: HashSet::new(),
            left_lying: HashMap::new(),
            port,
            lying: false,
            marker_faults: 0,
            producer_ids: 0,
            logs: (0..PARTITIONS).map(|_| Log::default()).collect(),
        }
    }

    fn serve(&mut self, seen: &Seen) -> Reply {
        if self.silent.contains(&seen.connection) {
            return Reply::Silence;
        }
        for log in &mut self.logs {
            if self.random.random_bool(0.2)
                && let Some(batch) = log.late.pop_front()
            {
                let _ = log.append(&batch);
            }
            if self.forgetful && self.random.random_bool(0.2) {
                log.known.clear();
            }
        }
        let looks = seen.is::<FetchRequest>() || seen.is::<OffsetForLeaderEpochRequest>();
        if looks && self.random.random_range(0..100) < self.faults {
            return Reply::HangUp;
        }
        if seen.is::<ApiVersionsRequest>() {
            seen.answer(&all_versions())
        } else if seen.is::<MetadataRequest>() {
            seen.answer(&self.metadata())
        } else if seen.is::<InitProducerIdRequest>() {
            self.producer_ids += 1;
            seen.answer(&InitProducerIdResponse::default().with_producer_id(ProducerId(self.producer_ids)))
        } else if seen.is::<OffsetForLeaderEpochRequest>() {
            seen.answer(&self.epoch_ends(&seen.read()))
        } else if seen.is::<FetchRequest>() {
            seen.answer(&self.fetch(&seen.read()))
        } else if seen.is::<ProduceRequest>() {
            self.produce(seen)
        } else if seen.is::<WriteTxnMarkersRequest>() {
            self.write_markers(seen)
        } else {
            Reply::HangUp
        }
    }

    fn metadata(&self) -> MetadataResponse {
        let broker = MetadataResponseBroker::default()
            .with_node_id(BrokerId(1))
            .with_host(StrBytes::from_static_str("127.0.0.1"))
            .with_port(i32::from(self.port));
        let partitions = (0..PARTITIONS as i32).map(|partition| {
            let replicas = vec![BrokerId(1)];
            MetadataResponsePartition::default()
                .with_partition_index(partition)
                .with_leader_id(BrokerId(1))
                .with_leader_epoch(3)
                .with_replica_nodes(replicas.clone())
                .with_isr_nodes(replicas)
        });
        let topic = MetadataResponseTopic::default()
            .with_name(Some(topic_name()))
            .with_partitions(partitions.collect());
        MetadataResponse::default()
            .with_brokers(vec![broker])
            .with_topics(vec![topic])
    }

    fn epoch_ends(&self, request: &OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
        let ends = request.topics[0].partitions.iter().map(|asked| {
            EpochEndOffset::default()
                .with_partition(asked.partition)
                .with_leader_epoch(3)
                .with_end_offset(self.logs[asked.partition as usize].end)
        });
        let topic = OffsetForLeaderTopicResult::default()
            .with_topic(topic_name())
            .with_partitions(ends.collect());
        OffsetForLeaderEpochResponse::default().with_topics(vec![topic])
    }

    fn fetch(&mut self, request: &FetchRequest) -> FetchResponse {
        let answers = request.topics[0].partitions.iter().map(|asked| {
            let log = &self.logs[asked.partition as usize];
            let wanted = log
                .batches
                .iter()
                .filter(|batch| BatchHeader::parse(batch).unwrap().next_offset() > asked.fetch_offset);
            let records: Vec<u8> = wanted.take(2).flat_map(|batch| batch.to_vec()).collect();
            PartitionData::default()
                .with_partition_index(asked.partition)
                .with_high_watermark(log.end)
                .with_records(Some(records.into()))
        });
        let topic = FetchableTopicResponse::default()
            .with_topic(topic_name())
            .with_partitions(answers.collect());
        FetchResponse::default().with_responses(vec![topic])
    }

    fn produce(&mut self, seen: &Seen) -> Reply {
        let request: ProduceRequest = seen.read();
        // What was cut and comes late, or is refused, may be overtaken once the producer is forgotten: no client can help
        // that.
        let fates: &[u32] = if self.forgetful {
            &[0, 4, 5, 6]
        } else {
            &[0, 1, 2, 3, 4, 5, 6]
        };
        let fate = self.fate(seen, fates);
        if fate == LEFT_LYING {
            return Reply::Later(3 * PATIENCE);
        }
        for partition in &request.topic_data[0].partition_data {
            self.logs[partition.index as usize].receive(partition.records.as_ref().unwrap());
        }
        let mut answers = Vec::new();
        for partition in &request.topic_data[0].partition_data {
            let log = &mut self.logs[partition.index as usize];
            let batch = partition.records.clone().unwrap();
            let outcome = match fate {
                0 => return Reply::HangUp,
                1 => {
                    log.late.push_back(batch);
                    continue;
                }
                // Not the leader; a storage error.
                2 => Err(6),
                3 => Err(56),
                _ => log.append(&batch),
            };
            answers.push(
                PartitionProduceResponse::default()
                    .with_index(partition.index)
                    .with_error_code(outcome.err().unwrap_or(0))
                    .with_base_offset(outcome.unwrap_or(-1)),
            );
        }
        let topic = TopicProduceResponse::default()
            .with_name(topic_name())
            .with_partition_responses(answers);
        match fate {
            // Late or appended, and nobody is told.
            1 | 4 => Reply::HangUp,
            5 => {
                self.silent.insert(seen.connection);
                Reply::Silence
            }
            _ => seen.answer(&ProduceResponse::default().with_responses(vec![topic])),
        }
    }
}

/// What becomes of a request that is left lying for a while; and of one that nothing is wrong with.
const LEFT_LYING: u32 = 6;
const WELL: u32 = 100;

impl Broker {
    /// Chooses what goes wrong with a request, if anything does.
    fn fate(&mut self, seen: &Seen, fates: &[u32]) -> u32 {
        let lay = self.left_lying.get(&seen.connection) == Some(&seen.correlation_id);
        if lay || self.random.random_range(0..100) >= self.faults {
            return WELL;
        }
        match fates[self.random.random_range(0..fates.len())] {
            LEFT_LYING if self.left_lying.contains_key(&seen.connection) => WELL,
            LEFT_LYING => {
                self.left_lying.insert(seen.connection, seen.correlation_id);
                LEFT_LYING
            }
            fate => fate,
        }
    }

    fn write_markers(&mut self, seen: &Seen) -> Reply {
        let request: WriteTxnMarkersRequest = seen.read();
        let fate = self.fate(seen, &[0, 1, 2, 3, 4, 5, LEFT_LYING]);
        self.marker_faults += usize::from(fate != WELL);
        let partition = request.markers[0].topics[0].partition_indexes[0];
        let log = &mut self.logs[partition as usize];
        let (appended, code) = match fate {
            _ if self.lying => (0, 0),
            0 => return Reply::HangUp,
            LEFT_LYING => return Reply::Later(3 * PATIENCE),
            // Not the leader, after some of them or before the first.
            1 => (request.markers.len() / 2, 6),
            2 => (0, 6),
            // Some were not appended, and the last one's success is told.
            3 => (request.markers.len().div_ceil(2), 0),
            _ => (request.markers.len(), 0),
        };
        log.append_markers(&request, appended);
        match fate {
            4 => Reply::HangUp,
            5 => {
                self.silent.insert(seen.connection);
                Reply::Silence
            }
            _ => seen.answer(&marker_answer(&request, partition, code)),
        }
    }
}

fn marker_answer(request: &WriteTxnMarkersRequest, partition: i32, code: i16) -> WriteTxnMarkersResponse {
    let outcome = WritableTxnMarkerPartitionResult::default()
        .with_partition_index(partition)
        .with_error_code(code);
    let topic = WritableTxnMarkerTopicResult::default()
        .with_name(topic_name())
        .with_partitions(vec![outcome]);
    let result = WritableTxnMarkerResult::default()
        .with_producer_id(request.markers[0].producer_id)
        .with_topics(vec![topic]);
    WriteTxnMarkersResponse::default().with_markers(vec![result])
}

/// Offsets that are left out before a batch.
fn gap(index: usize) -> i64 {
    if index % 6 == 5 { index as i64 } else { 0 }
}

fn topic_name() -> TopicName {
    TopicName(StrBytes::from_static_str(TOPIC))
}

fn batch(partition: usize, index: usize) -> RawBatch {
    let mut builder = BatchBuilder::new();
    for record in 0..=index % 4 {
        let value = format!("{partition}/{index}/{record}");
        builder
            .push(&NewRecord {
                timestamp: 1,
                value: Some(value.as_bytes()),
                ..NewRecord::default()
            })
            .unwrap();
    }
    builder.build().unwrap()
}

/// A producer against such a broker.
async fn start(seed: u64, faults: u32, forgetful: bool) -> (Arc<Mutex<Broker>>, FakeBroker, Producer) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let broker = Arc::new(Mutex::new(Broker::new(seed, faults, forgetful, port)));
    let serving = Arc::clone(&broker);
    let fake = FakeBroker::serve(listener, move |seen| serving.lock().unwrap().serve(seen));

    let mut config = ClusterConfig::new([fake.server()]);
    config.retry_backoff = Duration::from_millis(1);
    config.retry_backoff_max = Duration::from_millis(5);
    config.metadata_min_age = Duration::from_millis(1);
    let cluster = Cluster::connect(config).await.unwrap();
    let options = ProducerOptions {
        connections_per_broker: 2,
        request_timeout: PATIENCE,
        max_request_bytes: 400,
        ..ProducerOptions::default()
    };
    let producer = Producer::start(&cluster, options).await.unwrap();
    (broker, fake, producer)
}

/// Returns how many batches were sent again, and with how many requests for markers something went wrong.
async fn run(seed: u64, faults: u32, forgetful: bool) -> (usize, usize) {
    let (broker, _fake, producer) = start(seed, faults, forgetful).await;
    let mut writers = tokio::task::JoinSet::new();
    for partition in 0..PARTITIONS {
        let producer = producer.clone();
        writers.spawn(async move {
            let mut writer = producer.partition(TOPIC, partition as i32, 0).await.unwrap();
            for index in 0..BATCHES {
                writer.fill_to(writer.next_offset() + gap(index)).await.unwrap();
                writer.append(batch(partition, index)).await.unwrap();
            }
            writer.flush().await.unwrap();
        });
    }
    while let Some(written) = writers.join_next().await {
        written.unwrap();
    }
    let broker = broker.lock().unwrap();
    for (partition, log) in broker.logs.iter().enumerate() {
        let stored = (log.batches.iter())
            .map(|batch| (BatchHeader::parse(batch).unwrap(), &batch[61..]))
            .filter(|(header, _)| !header.is_control())
            .map(|(header, records)| (header.base_offset, Bytes::copy_from_slice(records)));
        let mut next = 0;
        let expected = (0..BATCHES).map(|index| {
            let batch = batch(partition, index);
            let offset = next + gap(index);
            next = offset + i64::from(batch.header.record_count);
            (offset, batch.stored_records_bytes())
        });
        assert!(stored.eq(expected), "seed {seed}, partition {partition}");
        assert_eq!(log.end, next, "seed {seed}, partition {partition}");
        assert_eq!(log.changed, 0, "seed {seed}, partition {partition}");
    }
    (broker.logs.iter().map(|log| log.same).sum(), broker.marker_faults)
}

/// Twelve runs, with so many faults in turn.
async fn runs(faults: [u32; 4], forgetful: bool) {
    let (mut sent_again, mut marker_faults) = (0, 0);
    for (seed, faults) in (0..12).zip(faults.into_iter().cycle()) {
        let run = tokio::time::timeout(Duration::from_secs(60), run(seed, faults, forgetful)).await;
        let (again, of_markers) = run.expect("an end");
        sent_again += again;
        marker_faults += of_markers;
    }
    assert!(
        sent_again > 0 && marker_faults > 0,
        "{sent_again} {marker_faults}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_fails_at_random_ends_up_with_every_batch_once() {
    runs([0, 5, 15, 30], false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_forgets_producers_ends_up_with_every_batch_once() {
    runs([5, 15, 30, 15], true).await;
}

#[tokio::test]
async fn a_broker_that_says_that_there_are_markers_is_asked_some_times() {
    let (broker, fake, producer) = start(0, 0, false).await;
    broker.lock().unwrap().lying = true;
    let mut writer = producer.partition(TOPIC, 0, 0).await.unwrap();
    writer.fill_to(3).await.unwrap();
    let error = writer.flush().await.unwrap_err().to_string();
    assert!(error.contains("offset 0 holds none"), "{error}");
    let asked = fake.count::<WriteTxnMarkersRequest>();
    assert!((2..20).contains(&asked), "{asked}");
}

#[tokio::test]
async fn a_writer_that_is_dropped_before_it_is_its_turn_writes_no_markers() {
    let (broker, fake, producer) = start(0, 0, false).await;
    let mut first = producer.partition(TOPIC, 0, 0).await.unwrap();
    let turn = producer.turns().take(1, shard(first.partition())).await;
    first.fill_to(3).await.unwrap();
    // It is the next in the line.
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(first);
    let mut second = producer.partition(TOPIC, 0, 0).await.unwrap();
    second.fill_to(2).await.unwrap();
    drop(turn);
    assert_eq!(second.flush().await.unwrap(), 2);
    assert_eq!(fake.count::<WriteTxnMarkersRequest>(), 1);
    assert_eq!(broker.lock().unwrap().logs[0].end, 2);
}
