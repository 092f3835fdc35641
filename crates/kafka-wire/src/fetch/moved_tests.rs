//! Reading from scripted brokers that name another leader instead of an answer: truthfully, in ignorance, and as liars.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_protocol::messages::fetch_response::{
    FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint, PartitionData,
};
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    ApiVersionsRequest, BrokerId, FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse,
    MetadataRequest, MetadataResponse,
};

use super::*;
use crate::budget::ByteBudget;
use crate::config::ClusterConfig;
use crate::connection::fake::{FakeBroker, Reply, Seen, all_versions};
use crate::connection::{Api, text, topic_name};
use crate::fetch::FetchEventKind;
use crate::fetch::cursor::tests::{builder, filled};

#[path = "follower_tests.rs"]
mod followers;

const TOPIC_ID: &str = "07070707-0707-0707-0707-070707070707";
/// Offsets of the log: so many batches of one record.
const END: i64 = 12;

/// A broker and a leader epoch.
type Reign = (i32, i32);

/// Two brokers, 1 and 2, of which one leads `t-0`.
struct World {
    ports: Vec<u16>,
    /// Who leads.
    leader: Reign,
    /// Who is to lead when this offset is asked for.
    election: Option<(i64, Reign)>,
    /// Who leads, as metadata say; `None` for the truth.
    told: Option<Reign>,
    /// Whether metadata name broker 2.
    tells_of_both: bool,
    /// Whom a broker names that does not lead, if anybody, when it is asked for the n-th time.
    names: fn(&World, i32, i32) -> Option<Reign>,
    /// Whether the answer says where the leader listens.
    tells_addresses: bool,
    refusals: i32,
    /// What followers do.
    followers: Option<followers::Script>,
}

struct Pair {
    brokers: Vec<FakeBroker>,
    world: Arc<Mutex<World>>,
}

impl Pair {
    /// Broker 1 leads under epoch 5.
    async fn start(change: impl FnOnce(&mut World)) -> Self {
        let mut world = World {
            ports: Vec::new(),
            leader: (1, 5),
            election: None,
            told: None,
            tells_of_both: true,
            names: |world, _, _| Some(world.leader),
            tells_addresses: true,
            refusals: 0,
            followers: None,
        };
        change(&mut world);
        let world = Arc::new(Mutex::new(world));
        let mut brokers = Vec::new();
        for node in [1, 2] {
            let world = Arc::clone(&world);
            brokers.push(FakeBroker::start(move |seen| world.lock().unwrap().answer(node, seen)).await);
        }
        world.lock().unwrap().ports = brokers.iter().map(|broker| broker.address.port()).collect();
        Self { brokers, world }
    }

    fn config(&self) -> ClusterConfig {
        let mut config = ClusterConfig::new([self.brokers[0].server()]);
        config.retry_backoff = Duration::from_millis(1);
        config.retry_backoff_max = Duration::from_millis(2);
        config.metadata_min_age = Duration::from_millis(1);
        config
    }

    async fn stream(&self) -> FetchStream {
        let cluster = Cluster::connect(self.config()).await.unwrap();
        let asked = FetchPartition::new("t", 0, 0).until(END);
        FetchStream::start(&cluster, [asked], FetchOptions::new(ByteBudget::new(8 << 20)))
    }

    async fn read(&self) {
        read(self.stream().await, Duration::from_secs(20)).await;
    }

    fn count<R: Api>(&self) -> usize {
        self.brokers.iter().map(FakeBroker::count::<R>).sum()
    }
}

/// Reads to the end: every batch has to come once.
async fn read(mut stream: FetchStream, patience: Duration) {
    let mut next_offset = 0;
    loop {
        let event = tokio::time::timeout(patience, stream.next()).await;
        match event.expect("an event").expect("not the end").kind {
            FetchEventKind::Batches(fetched) => {
                assert_eq!((fetched.batches.len(), fetched.next_offset), (1, next_offset + 1));
                next_offset += 1;
            }
            FetchEventKind::Finished { .. } => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(next_offset, END);
}

/// Metadata requests before anything is read: one to connect, which tells the leader as well.
const TO_BEGIN: usize = 1;

impl World {
    fn answer(&mut self, node: i32, seen: &Seen) -> Reply {
        if seen.is::<ApiVersionsRequest>() {
            seen.answer(&all_versions())
        } else if seen.is::<MetadataRequest>() {
            seen.answer(&self.metadata())
        } else if seen.is::<FetchRequest>() {
            seen.answer(&self.fetch(node, &seen.read()))
        } else if seen.is::<ListOffsetsRequest>() {
            seen.answer(&self.list_offsets(node, &seen.read()))
        } else {
            Reply::HangUp
        }
    }

    fn metadata(&self) -> MetadataResponse {
        let brokers = (1..)
            .zip(&self.ports)
            .take(if self.tells_of_both { 2 } else { 1 });
        let brokers = brokers.map(|(node, port)| {
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(node))
                .with_host(text("127.0.0.1"))
                .with_port(i32::from(*port))
        });
        let (leader, epoch) = self.told.unwrap_or(self.leader);
        let partition = MetadataResponsePartition::default()
            .with_leader_id(BrokerId(leader))
            .with_leader_epoch(epoch);
        let topic = MetadataResponseTopic::default()
            .with_name(Some(topic_name("t")))
            .with_topic_id(TOPIC_ID.parse().unwrap())
            .with_partitions(vec![partition]);
        MetadataResponse::default()
            .with_brokers(brokers.collect())
            .with_topics(vec![topic])
    }

    fn fetch(&mut self, node: i32, request: &FetchRequest) -> FetchResponse {
        let asked = &request.topics[0].partitions[0];
        if let Some((_, reign)) = (self.election).take_if(|(offset, _)| *offset == asked.fetch_offset) {
            self.leader = reign;
        }
        let (leader, epoch) = self.leader;
        if let Some(script) = &mut self.followers
            && let Some(answer) = script.fetch(node, request)
        {
            return response(request, answer);
        }
        let mut answer = PartitionData::default()
            .with_high_watermark(END)
            .with_last_stable_offset(END);
        let mut endpoints = Vec::new();
        answer.error_code = match asked.current_leader_epoch {
            _ if node != leader => 6,
            asked if asked < epoch => 74,
            asked if asked > epoch => 75,
            _ => 0,
        };
        if answer.error_code == 0 {
            answer.records = Some(filled(builder(asked.fetch_offset, epoch), 1).bytes);
        } else if let Some((leader, epoch)) = (self.names)(self, node, self.refusals) {
            answer.current_leader = LeaderIdAndEpoch::default()
                .with_leader_id(BrokerId(leader))
                .with_leader_epoch(epoch);
            if self.tells_addresses {
                endpoints.push(
                    NodeEndpoint::default()
                        .with_node_id(BrokerId(leader))
                        .with_host(text("127.0.0.1"))
                        .with_port(i32::from(self.ports[leader as usize - 1])),
                );
            }
        }
        self.refusals += i32::from(answer.error_code != 0);
        response(request, answer).with_node_endpoints(endpoints)
    }

    /// Where the log of a broker starts or ends.
    fn list_offsets(&self, node: i32, request: &ListOffsetsRequest) -> ListOffsetsResponse {
        let asked = &request.topics[0].partitions[0];
        let script = self.followers.as_ref();
        let (start, end) = script.map_or((0, END), |script| script.edges(node));
        let offset = if asked.timestamp == -1 { end } else { start };
        let partition = ListOffsetsPartitionResponse::default().with_offset(offset);
        let topic = ListOffsetsTopicResponse::default()
            .with_name(request.topics[0].name.clone())
            .with_partitions(vec![partition]);
        ListOffsetsResponse::default().with_topics(vec![topic])
    }
}

fn response(request: &FetchRequest, answer: PartitionData) -> FetchResponse {
    let topic = FetchableTopicResponse::default()
        .with_topic_id(request.topics[0].topic_id)
        .with_partitions(vec![answer]);
    FetchResponse::default().with_responses(vec![topic])
}

#[tokio::test]
async fn a_leader_that_is_named_is_asked_without_a_question_about_metadata() {
    let pair = Pair::start(|world| world.election = Some((4, (2, 6)))).await;
    pair.read().await;
    assert_eq!(pair.count::<MetadataRequest>(), TO_BEGIN);
    assert_eq!(pair.count::<FetchRequest>(), END as usize + 1);
    assert_eq!(pair.world.lock().unwrap().refusals, 1);
}

#[tokio::test]
async fn a_leader_that_only_the_answer_knows_is_found_at_the_address_in_it() {
    let pair = Pair::start(|world| {
        world.election = Some((4, (2, 6)));
        world.tells_of_both = false;
    })
    .await;
    pair.read().await;
    assert_eq!(pair.count::<MetadataRequest>(), TO_BEGIN);
}

#[tokio::test]
async fn a_leader_without_an_address_is_asked_where_it_is_known_to_be() {
    let pair = Pair::start(|world| {
        world.election = Some((4, (2, 6)));
        world.tells_addresses = false;
    })
    .await;
    pair.read().await;
    assert_eq!(pair.count::<MetadataRequest>(), TO_BEGIN);
}

#[tokio::test]
async fn the_same_leader_under_a_newer_epoch_is_asked_again_at_once() {
    let pair = Pair::start(|world| world.election = Some((4, (1, 6)))).await;
    pair.read().await;
    assert_eq!(pair.count::<MetadataRequest>(), TO_BEGIN);
    assert_eq!(pair.brokers[0].count::<FetchRequest>(), END as usize + 1);
}

#[tokio::test]
async fn each_move_is_followed_when_something_was_read_between_them() {
    let pair = Pair::start(|world| world.election = Some((2, (2, 6)))).await;
    let world = Arc::clone(&pair.world);
    let mut stream = pair.stream().await;
    let mut read = 0;
    while read < END {
        let event = tokio::time::timeout(Duration::from_secs(20), stream.next()).await;
        if let FetchEventKind::Batches(fetched) = event.expect("an event").unwrap().kind {
            read = fetched.next_offset;
            let mut world = world.lock().unwrap();
            if world.election.is_none() && world.refusals < 3 {
                let (leader, epoch) = world.leader;
                world.leader = (3 - leader, epoch + 1);
            }
        }
    }
    assert!(world.lock().unwrap().refusals >= 3);
    assert_eq!(pair.count::<MetadataRequest>(), TO_BEGIN);
}

/// Each of these is answered by the question about metadata that there was before hints.
#[tokio::test]
async fn what_is_no_news_is_not_followed() {
    let silent: fn(&World, i32, i32) -> Option<Reign> = |_, _, _| None;
    let older: fn(&World, i32, i32) -> Option<Reign> = |_, _, _| Some((2, 4));
    let same: fn(&World, i32, i32) -> Option<Reign> = |_, _, _| Some((2, 5));
    for names in [silent, older, same] {
        let pair = Pair::start(|world| {
            world.election = Some((4, (2, 6)));
            world.names = names;
        })
        .await;
        pair.read().await;
        assert_eq!(pair.count::<MetadataRequest>(), TO_BEGIN + 1);
    }
}

/// Epoch 1000 would keep all metadata out that tell the truth.
#[tokio::test]
async fn a_leader_that_is_none_is_left_for_the_one_that_metadata_name() {
    let pair = Pair::start(|world| {
        // Broker 1 leads all the time, and does not know for a moment.
        world.election = Some((4, (2, 6)));
        world.names = |_, node, _| (node == 1).then_some((2, 1000));
        world.told = Some((1, 5));
    })
    .await;
    let world = Arc::clone(&pair.world);
    let reading = async {
        pair.read().await;
    };
    let back = async {
        while world.lock().unwrap().refusals < 4 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        world.lock().unwrap().leader = (1, 5);
    };
    tokio::join!(reading, back);
    assert!(
        pair.brokers[1].count::<FetchRequest>() >= 1,
        "the hint was followed"
    );
}

#[tokio::test]
async fn brokers_that_name_each_other_are_not_asked_without_a_question_in_between() {
    let pair = Pair::start(|world| {
        // Nobody leads who is asked; each says that the other one does, and always newer.
        world.leader = (3, 2000);
        world.told = Some((1, 5));
        world.names = |_, node, refusals| Some((3 - node, 6 + refusals));
    })
    .await;
    let world = Arc::clone(&pair.world);
    let truth = async {
        while world.lock().unwrap().refusals < 20 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut world = world.lock().unwrap();
        (world.leader, world.told) = ((2, 3000), None);
        let counted = (pair.count::<FetchRequest>(), pair.count::<MetadataRequest>());
        world.refusals = 0;
        counted
    };
    let ((), (fetches, questions)) = tokio::join!(pair.read(), truth);
    // One hint is followed; behind every other refusal there is a pause and a question.
    assert!(
        fetches - 2 <= questions - TO_BEGIN + 1,
        "{fetches} fetches, {questions} questions"
    );
    assert!(questions > 10, "{questions}");
}

#[tokio::test]
async fn a_hint_about_another_topic_of_the_same_name_is_not_followed() {
    let pair = Pair::start(|world| world.election = Some((4, (2, 6)))).await;
    let mut config = ClusterConfig::new([pair.brokers[0].server()]);
    config.retry_backoff = Duration::from_millis(1);
    let cluster = Cluster::connect(config).await.unwrap();
    let name = crate::cluster::TopicPartition::new("t", 0);
    let asked = cluster.leader(&name).await.unwrap();
    let hint = |topic_id| crate::hint::LeaderHint {
        topic_id,
        node: 2,
        epoch: 6,
        address: None,
    };
    assert!(!cluster.take_hint(&name, asked, &hint([8; 16])));
    assert_eq!(cluster.cached_leader(&name), Some(asked));
    assert!(cluster.take_hint(&name, asked, &hint([7; 16])));
    // Whoever asked the old leader hears that a newer one is known by now.
    assert!(cluster.take_hint(&name, asked, &hint([7; 16])));
    assert!(!cluster.take_hint(&name, cluster.cached_leader(&name).unwrap(), &hint([7; 16])));
}
