//! Brokers that say who leads a partition now, when they are asked and do not (KIP-951): what they say, and that whoever
//! reads or writes goes on there without asking for metadata.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::fetch_request::{FetchPartition as AskedPartition, FetchTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{FetchRequest, ProduceRequest, RequestHeader, ResponseHeader, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use kafka_wire::batch::Codec;
use kafka_wire::{
    Cluster, ClusterConfig, FetchPartition, FetchStream, Producer, ProducerOptions, TopicFilter,
};
use testkit::{ProduceRecord, api_key};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::failover::three;
use crate::support::{Bench, KEEP, batch, holds_exactly_once, in_order, next_batches, options};

/// Moves among which some have to be followed without a question.
const MOST_MOVES: usize = 30;
const SPARED_MOVES: usize = 3;

/// A handle whose requests can be told from others.
async fn connect(bench: &Bench, client_id: &str) -> Cluster {
    let mut config = ClusterConfig::new(bench.kafka.bootstrap_servers());
    config.client_id = client_id.to_owned();
    config.retry_backoff = Duration::from_millis(20);
    config.retry_backoff_max = Duration::from_millis(200);
    Cluster::connect(config).await.unwrap()
}

/// Creates a topic with one partition on all brokers, led by broker 0.
async fn create(bench: &Bench, topic: &str) {
    let java = &bench.java;
    java.create_replicated_topic(topic, 1, 3, KEEP).await.unwrap();
    java.reassign_partition(topic, 0, &[0, 1, 2]).await.unwrap();
    java.end_offset(topic, 0).await.unwrap();
}

/// Moves the partition's leadership on by one broker; all three stay alive, and in sync.
async fn move_on(bench: &Bench, topic: &str, moves: usize) {
    let replicas: Vec<i32> = (0..3).map(|replica| ((moves + 1 + replica) % 3) as i32).collect();
    let moved = bench.java.reassign_partition(topic, 0, &replicas).await;
    moved.unwrap();
}

/// Counts the questions about metadata from now on.
fn start_counting(bench: &Bench) {
    for broker in 0..3 {
        bench
            .kafka
            .proxy(broker)
            .unwrap()
            .start_recording(api_key::METADATA);
    }
}

/// How many questions about metadata this client has sent since.
fn counted(bench: &Bench, client_id: &str) -> usize {
    // Behind length, API key, version and correlation id.
    let named = [&(client_id.len() as u16).to_be_bytes()[..], client_id.as_bytes()].concat();
    (0..3)
        .flat_map(|broker| bench.kafka.proxy(broker).unwrap().stop_recording())
        .filter(|request| request.frame[12..].starts_with(&named))
        .count()
}

/// Sends a request with nothing of ours in between.
async fn ask<R: Request>(bench: &Bench, broker: usize, version: i16, request: &R) -> R::Response {
    let mut socket = TcpStream::connect(bench.kafka.proxy(broker).unwrap().address())
        .await
        .unwrap();
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(7)
        .with_client_id(Some(StrBytes::from_static_str("raw")));
    let mut frame = BytesMut::new();
    header.encode(&mut frame, R::header_version(version)).unwrap();
    request.encode(&mut frame, version).unwrap();
    socket.write_u32(frame.len() as u32).await.unwrap();
    socket.write_all(&frame).await.unwrap();
    let mut answer = vec![0; socket.read_u32().await.unwrap() as usize];
    socket.read_exact(&mut answer).await.unwrap();
    let mut answer = Bytes::from(answer);
    ResponseHeader::decode(&mut answer, R::Response::header_version(version)).unwrap();
    let response = R::Response::decode(&mut answer, version).unwrap();
    assert_eq!(answer.remaining(), 0);
    response
}

fn topic_name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_owned()))
}

/// Topic id and leader epoch of the partition.
async fn known(bench: &Bench, topic: &str) -> ([u8; 16], i32) {
    let cluster = connect(bench, "looking").await;
    let metadata = cluster.metadata(TopicFilter::Names(vec![topic.to_owned()])).await;
    let topic = &metadata.unwrap().topics[topic];
    (
        topic.topic_id.unwrap(),
        topic.partitions[&0].leader_epoch.unwrap(),
    )
}

/// Which versions tell, and what. The versions that this crate looks for hints in are taken from here.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_does_not_lead_names_the_leader_in_fetches_from_16_and_produces_from_10_on() {
    let bench = three().await;
    // Followers that are in sync may be read from, so that broker 2 has to be none.
    let java = &bench.java;
    java.create_replicated_topic("hinted", 1, 2, KEEP).await.unwrap();
    for replicas in [[1, 0], [0, 1]] {
        java.reassign_partition("hinted", 0, &replicas).await.unwrap();
    }
    java.end_offset("hinted", 0).await.unwrap();
    let (topic_id, epoch) = known(&bench, "hinted").await;
    let port = i32::from(bench.kafka.proxy(0).unwrap().port());
    let told = |hint| match hint {
        true => ((0, epoch), vec![(0, "127.0.0.1".to_owned(), port)]),
        false => ((-1, -1), Vec::new()),
    };
    // (broker, epoch that is asked for, error code)
    for (broker, asked_epoch, code) in [(2, epoch, 6), (2, -1, 6), (0, epoch - 1, 74), (1, epoch - 1, 74)] {
        for version in 12..=17 {
            let expected = (code, told(version >= 16));
            let request = fetch(topic_id, asked_epoch, version);
            let mut seen = (0, told(false));
            // A broker may have to learn first who leads.
            for _ in 0..100 {
                let response = ask(&bench, broker, version, &request).await;
                let answer = &response.responses[0].partitions[0];
                let leader = &answer.current_leader;
                let nodes = (response.node_endpoints.iter())
                    .map(|node| (node.node_id.0, node.host.to_string(), node.port));
                let leader = (leader.leader_id.0, leader.leader_epoch);
                seen = (answer.error_code, (leader, nodes.collect()));
                if seen == expected {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            assert_eq!(
                seen, expected,
                "Fetch {version} at broker {broker} with epoch {asked_epoch}"
            );
        }
    }
    for version in 9..=13 {
        let response = ask(&bench, 2, version, &produce(topic_id, version)).await;
        let answer = &response.responses[0].partition_responses[0];
        let leader = &answer.current_leader;
        let nodes =
            (response.node_endpoints.iter()).map(|node| (node.node_id.0, node.host.to_string(), node.port));
        let leader = (leader.leader_id.0, leader.leader_epoch);
        let seen = (answer.error_code, (leader, nodes.collect()));
        assert_eq!(seen, (6, told(version >= 10)), "Produce {version}");
    }
}

fn fetch(topic_id: [u8; 16], epoch: i32, version: i16) -> FetchRequest {
    let partition = AskedPartition::default()
        .with_current_leader_epoch(epoch)
        .with_partition_max_bytes(1000);
    let mut topic = FetchTopic::default().with_partitions(vec![partition]);
    if version >= 13 {
        topic.topic_id = uuid(topic_id).parse().unwrap();
    } else {
        topic.topic = topic_name("hinted");
    }
    FetchRequest::default()
        .with_max_wait_ms(100)
        .with_min_bytes(1)
        .with_session_epoch(-1)
        .with_topics(vec![topic])
}

fn produce(topic_id: [u8; 16], version: i16) -> ProduceRequest {
    let records = batch(0, 0, 1, Codec::None).bytes;
    let partition = PartitionProduceData::default().with_records(Some(records));
    let mut topic = TopicProduceData::default().with_partition_data(vec![partition]);
    if version >= 13 {
        topic.topic_id = uuid(topic_id).parse().unwrap();
    } else {
        topic.name = topic_name("hinted");
    }
    ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(1000)
        .with_topic_data(vec![topic])
}

fn uuid(topic_id: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(topic_id))
}

/// Between moves something is read, and nothing else asks for metadata. A new leader that does not know yet that it is one
/// makes the reader ask, even several times; without hints, every move does.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_follows_leaders_that_move_without_asking_for_metadata_each_time() {
    follows_by_reading(&*three().await).await;
}

/// Moves the leadership of a partition until a reader has followed it some times without a question.
pub(crate) async fn follows_by_reading(bench: &Bench) {
    const CLIENT: &str = "follows-by-reading";
    create(bench, "read-on-the-move").await;
    let cluster = connect(bench, CLIENT).await;
    let asked = FetchPartition::new("read-on-the-move", 0, 0);
    let mut stream = FetchStream::start(&cluster, [asked], options());
    let (mut next, mut moves, mut spared) = (0, 0, 0);
    while spared < SPARED_MOVES {
        assert!(moves < MOST_MOVES, "{spared} of {moves} moves without a question");
        let records: Vec<_> = (0..10)
            .map(|record| ProduceRecord::new("read-on-the-move", 0).value(format!("{moves}/{record}")))
            .collect();
        bench.java.produce(&records).await.unwrap();
        let end = next + 10;
        while next < end {
            let fetched = next_batches(&mut stream, Duration::from_secs(60)).await;
            in_order(&fetched, &mut next);
        }
        // What it took to begin, and then to get here from the last move.
        let asked = counted(bench, CLIENT);
        spared += usize::from(moves > 0 && asked == 0);
        start_counting(bench);
        move_on(bench, "read-on-the-move", moves).await;
        moves += 1;
    }
}

/// At each move the old leader and the new one know of it before the next batch comes.
#[tokio::test(flavor = "multi_thread")]
async fn a_writer_follows_leaders_that_have_moved_without_asking_for_metadata_each_time() {
    const CLIENT: &str = "follows-by-writing";
    let bench = three().await;
    create(&bench, "written-after-moves").await;
    let cluster = connect(&bench, CLIENT).await;
    let producer = Producer::start(&cluster, ProducerOptions::default())
        .await
        .unwrap();
    let mut writer = producer.partition("written-after-moves", 0, 0).await.unwrap();
    writer.append(batch(0, 0, 10, Codec::None)).await.unwrap();
    writer.flush().await.unwrap();
    let (mut moves, mut spared) = (0, 0);
    while spared < SPARED_MOVES {
        assert!(moves < MOST_MOVES, "{spared} of {moves} moves without a question");
        move_on(&bench, "written-after-moves", moves).await;
        moves += 1;
        bench.java.end_offset("written-after-moves", 0).await.unwrap();
        start_counting(&bench);
        writer.append(batch(0, moves, 10, Codec::None)).await.unwrap();
        writer.flush().await.unwrap();
        spared += usize::from(counted(&bench, CLIENT) == 0);
    }
    holds_exactly_once(&bench, "written-after-moves", 0, (moves + 1) * 10).await;
}

/// Several batches are in flight at each move: what the old leader has taken is known before the new one gets anything.
#[tokio::test(flavor = "multi_thread")]
async fn leaders_that_move_while_batches_are_in_flight_get_each_of_them_once() {
    let bench = three().await;
    create(&bench, "written-on-the-move").await;
    let cluster = connect(&bench, "writes-on-the-move").await;
    let producer = Producer::start(&cluster, ProducerOptions::default())
        .await
        .unwrap();
    let mut writer = producer.partition("written-on-the-move", 0, 0).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let writing = tokio::spawn(async move {
        for index in 0..1_000_000 {
            if stopped.load(Ordering::Relaxed) {
                break;
            }
            writer.append(batch(0, index, 10, Codec::None)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        writer.flush().await.unwrap()
    });
    for moves in 0..9 {
        move_on(&bench, "written-on-the-move", moves).await;
    }
    assert!(!writing.is_finished(), "the writing ended before the moves");
    stop.store(true, Ordering::Relaxed);
    let written = tokio::time::timeout(Duration::from_secs(120), writing).await;
    let written = written.expect("an end").unwrap();
    assert!(written > 0);
    holds_exactly_once(&bench, "written-on-the-move", 0, written as usize).await;
}
