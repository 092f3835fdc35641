//! The cluster against scripted brokers: moves, elections and answers that are late, old or missing.

use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::OffsetFetchResponseGroup;
use kafka_protocol::messages::{
    ApiVersionsRequest, BrokerId, CreateTopicsRequest, CreateTopicsResponse, DescribeGroupsRequest,
    FindCoordinatorRequest, FindCoordinatorResponse, ListGroupsRequest, ListGroupsResponse,
    ListOffsetsRequest, ListOffsetsResponse, MetadataRequest, MetadataResponse, OffsetFetchRequest,
    OffsetFetchResponse,
};

mod logins;
mod positions;
mod producers;
mod validating;

use super::*;
use crate::admin::AclFilter;
use crate::connection::fake::{FakeBroker, Reply, Seen, all_versions};
use crate::connection::{group_id, text, topic_name};
use crate::error::ErrorCode;
use crate::offsets::{IsolationLevel, OffsetSpec};
use crate::topics::{ConfigChange, NewTopic};

/// Two scripted brokers, numbers 1 and 2, that share what they know.
struct Pair {
    brokers: Vec<FakeBroker>,
    world: Arc<World>,
}

/// What the brokers know.
struct World {
    ports: Mutex<Vec<u16>>,
    /// Leader and epoch of partition 0 of topic `t`.
    leader: AtomicI32,
    epoch: AtomicI32,
    coordinator: AtomicI32,
    controller: AtomicI32,
    /// Groups are listed only after this many refusals.
    loading: AtomicUsize,
}

type Special = dyn Fn(&World, i32, &Seen) -> Option<Reply> + Send + Sync;

impl Pair {
    /// Starts the brokers; `special` may answer before the ordinary answers are given.
    async fn start(special: impl Fn(&World, i32, &Seen) -> Option<Reply> + Send + Sync + 'static) -> Self {
        let world = Arc::new(World {
            ports: Mutex::default(),
            leader: AtomicI32::new(1),
            epoch: AtomicI32::new(5),
            coordinator: AtomicI32::new(1),
            controller: AtomicI32::new(1),
            loading: AtomicUsize::new(0),
        });
        let special: Arc<Special> = Arc::new(special);
        let mut brokers = Vec::new();
        for node in [1, 2] {
            let (world, special) = (Arc::clone(&world), Arc::clone(&special));
            let broker = FakeBroker::start(move |seen| {
                special(&world, node, seen).unwrap_or_else(|| world.answer(node, seen))
            });
            brokers.push(broker.await);
        }
        *world.ports.lock().unwrap() = brokers.iter().map(|broker| broker.address.port()).collect();
        Self { brokers, world }
    }

    async fn cluster(&self) -> Cluster {
        Cluster::connect(self.config()).await.unwrap()
    }

    fn config(&self) -> ClusterConfig {
        let mut config = ClusterConfig::new([self.brokers[0].server()]);
        config.retry_backoff = Duration::from_millis(5);
        config.retry_backoff_max = Duration::from_millis(20);
        config.retry_timeout = Duration::from_secs(5);
        config.unknown_topic_grace = Duration::from_millis(200);
        config.request_timeout = Duration::from_secs(2);
        config.metadata_min_age = Duration::from_millis(10);
        config
    }

    fn count<R: crate::connection::Api>(&self) -> usize {
        self.brokers.iter().map(FakeBroker::count::<R>).sum()
    }
}

impl World {
    fn answer(&self, node: i32, seen: &Seen) -> Reply {
        if seen.is::<ApiVersionsRequest>() {
            return seen.answer(&all_versions());
        }
        if seen.is::<MetadataRequest>() {
            return seen.answer(&self.metadata(seen));
        }
        if seen.is::<ListOffsetsRequest>() {
            return seen.answer(&self.offsets(node, seen));
        }
        if seen.is::<FindCoordinatorRequest>() {
            return seen.answer(&self.find(seen));
        }
        if seen.is::<OffsetFetchRequest>() {
            let error = if node == self.coordinator.load(SeqCst) {
                0
            } else {
                16
            };
            let group = OffsetFetchResponseGroup::default()
                .with_group_id(group_id("g"))
                .with_error_code(error);
            return seen.answer(&OffsetFetchResponse::default().with_groups(vec![group]));
        }
        if seen.is::<ListGroupsRequest>() {
            return seen.answer(&self.groups(node));
        }
        if seen.is::<CreateTopicsRequest>() {
            let error = if node == self.controller.load(SeqCst) {
                0
            } else {
                41
            };
            let topic = CreatableTopicResult::default()
                .with_name(topic_name("t"))
                .with_error_code(error)
                .with_num_partitions(1);
            return seen.answer(&CreateTopicsResponse::default().with_topics(vec![topic]));
        }
        panic!("not scripted: {seen:?}");
    }

    fn metadata(&self, seen: &Seen) -> MetadataResponse {
        let request: MetadataRequest = seen.read();
        assert!(!request.allow_auto_topic_creation);
        let ports = self.ports.lock().unwrap();
        let brokers = (1..).zip(ports.iter()).map(|(node, port)| {
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(node))
                .with_host(text("127.0.0.1"))
                .with_port(i32::from(*port))
        });
        let partition = MetadataResponsePartition::default()
            .with_leader_id(BrokerId(self.leader.load(SeqCst)))
            .with_leader_epoch(self.epoch.load(SeqCst));
        let topics = request.topics.unwrap_or_default().into_iter().map(|topic| {
            let topic = MetadataResponseTopic::default().with_name(topic.name);
            match topic.name.as_ref().unwrap().0.as_str() {
                "t" => topic.with_partitions(vec![partition.clone()]),
                _ => topic.with_error_code(3),
            }
        });
        MetadataResponse::default()
            .with_brokers(brokers.collect())
            .with_controller_id(BrokerId(self.controller.load(SeqCst)))
            .with_topics(topics.collect())
    }

    fn offsets(&self, node: i32, seen: &Seen) -> ListOffsetsResponse {
        let request: ListOffsetsRequest = seen.read();
        let epoch = request.topics[0].partitions[0].current_leader_epoch;
        let known = self.epoch.load(SeqCst);
        let error = match node == self.leader.load(SeqCst) {
            false => 6,
            true if epoch < known => 74,
            true if epoch > known => 75,
            true => 0,
        };
        let partition = ListOffsetsPartitionResponse::default()
            .with_error_code(error)
            .with_offset(77);
        let topic = ListOffsetsTopicResponse::default()
            .with_name(topic_name("t"))
            .with_partitions(vec![partition]);
        ListOffsetsResponse::default().with_topics(vec![topic])
    }

    fn find(&self, seen: &Seen) -> FindCoordinatorResponse {
        let request: FindCoordinatorRequest = seen.read();
        let node = self.coordinator.load(SeqCst);
        let coordinator = Coordinator::default().with_key(request.coordinator_keys[0].clone());
        let coordinator = match usize::try_from(node - 1) {
            Ok(at) => coordinator
                .with_node_id(BrokerId(node))
                .with_host(text("127.0.0.1"))
                .with_port(i32::from(self.ports.lock().unwrap()[at])),
            Err(_) => coordinator.with_node_id(BrokerId(-1)).with_error_code(15),
        };
        FindCoordinatorResponse::default().with_coordinators(vec![coordinator])
    }

    fn groups(&self, node: i32) -> ListGroupsResponse {
        if node == 2
            && self
                .loading
                .fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1))
                .is_ok()
        {
            return ListGroupsResponse::default().with_error_code(14);
        }
        let listed = |id: String| {
            ListedGroup::default()
                .with_group_id(group_id(&id))
                .with_group_state(text("Empty"))
        };
        let groups = vec![listed(format!("of {node}")), listed("of both".to_owned())];
        ListGroupsResponse::default().with_groups(groups)
    }
}

fn at() -> [TopicPartition; 1] {
    [TopicPartition::new("t", 0)]
}

async fn offset(cluster: &Cluster) -> Result<i64, Error> {
    let listed = cluster
        .list_offsets(&at(), OffsetSpec::Latest, IsolationLevel::ReadUncommitted)
        .await;
    listed.into_iter().next().unwrap().1.map(|listed| listed.offset)
}

#[tokio::test]
async fn a_leader_is_cached_and_looked_up_again_when_it_moved() {
    let pair = Pair::start(|_, _, _| None).await;
    let cluster = pair.cluster().await;
    for _ in 0..3 {
        assert_eq!(offset(&cluster).await.unwrap(), 77);
    }
    assert_eq!(
        pair.count::<MetadataRequest>(),
        2,
        "one to connect, one for the leader"
    );
    pair.world.leader.store(2, SeqCst);
    pair.world.epoch.store(6, SeqCst);
    assert_eq!(offset(&cluster).await.unwrap(), 77);
    assert_eq!(pair.count::<MetadataRequest>(), 3);
    // Now the epoch alone changes: the same broker was elected again.
    pair.world.epoch.store(7, SeqCst);
    assert_eq!(offset(&cluster).await.unwrap(), 77);
}

#[tokio::test]
async fn a_partition_without_leader_is_waited_for() {
    let pair = Pair::start(|_, _, _| None).await;
    let cluster = pair.cluster().await;
    pair.world.leader.store(-1, SeqCst);
    let world = Arc::clone(&pair.world);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        world.leader.store(2, SeqCst);
    });
    assert_eq!(offset(&cluster).await.unwrap(), 77);
}

#[tokio::test]
async fn an_older_leader_epoch_from_a_lagging_broker_is_not_believed() {
    let pair = Pair::start(|_, _, _| None).await;
    let cluster = pair.cluster().await;
    pair.world.leader.store(2, SeqCst);
    pair.world.epoch.store(6, SeqCst);
    let [at] = at();
    assert_eq!(cluster.leader(&at).await.unwrap().node, 2);
    pair.world.leader.store(1, SeqCst);
    pair.world.epoch.store(5, SeqCst);
    cluster.refresh_leaders([&at.topic]).await.unwrap();
    let leader = cluster.cached_leader(&at).unwrap();
    assert_eq!((leader.node, leader.epoch), (2, Some(6)));
}

#[tokio::test]
async fn many_look_ups_at_once_share_few_requests() {
    let pair = Pair::start(|_, _, _| None).await;
    let cluster = pair.cluster().await;
    let before = pair.count::<MetadataRequest>();
    let [at] = at();
    let leaders = join_all((0..100).map(|_| cluster.leader(&at)).collect()).await;
    assert!(
        leaders
            .iter()
            .all(|leader| leader.as_ref().is_ok_and(|leader| leader.node == 1))
    );
    assert_eq!(pair.count::<MetadataRequest>(), before + 1);
}

#[tokio::test]
async fn an_unknown_topic_fails_after_its_grace_with_the_brokers_answer() {
    let pair = Pair::start(|_, _, _| None).await;
    let cluster = pair.cluster().await;
    let asked = [TopicPartition::new("other", 0)];
    let listed = cluster
        .list_offsets(&asked, OffsetSpec::Latest, IsolationLevel::ReadUncommitted)
        .await;
    let error = listed[0].1.as_ref().unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
    assert!(pair.count::<MetadataRequest>() > 3);
}

#[tokio::test]
async fn a_coordinator_is_cached_and_found_again_when_it_moved() {
    let pair = Pair::start(|_, _, _| None).await;
    let cluster = pair.cluster().await;
    for _ in 0..3 {
        cluster.fetch_offsets("g").await.unwrap();
    }
    assert_eq!(pair.count::<FindCoordinatorRequest>(), 1);
    pair.world.coordinator.store(2, SeqCst);
    cluster.fetch_offsets("g").await.unwrap();
    assert_eq!(pair.count::<FindCoordinatorRequest>(), 2);
    assert_eq!(pair.brokers[1].count::<OffsetFetchRequest>(), 1);
    // For a while there is none.
    pair.world.coordinator.store(0, SeqCst);
    let world = Arc::clone(&pair.world);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(200)).await;
        world.coordinator.store(1, SeqCst);
    });
    cluster.fetch_offsets("g").await.unwrap();
}

#[tokio::test]
async fn a_coordinator_that_stays_away_is_reported_with_the_last_answer() {
    let pair = Pair::start(|_, _, seen| seen.is::<DescribeGroupsRequest>().then_some(Reply::HangUp)).await;
    pair.world.coordinator.store(0, SeqCst);
    let mut config = pair.cluster().await.config().clone();
    config.retry_timeout = Duration::from_millis(300);
    let cluster = Cluster::connect(config).await.unwrap();
    let error = cluster.fetch_offsets("g").await.unwrap_err();
    assert!(matches!(error, Error::Deadline { .. }));
    assert_eq!(error.code(), Some(ErrorCode::COORDINATOR_NOT_AVAILABLE));
}

#[tokio::test]
async fn groups_are_listed_by_every_broker_once_each_has_loaded_them() {
    let pair = Pair::start(|_, _, _| None).await;
    pair.world.loading.store(3, SeqCst);
    let cluster = pair.cluster().await;
    let groups = cluster.list_groups().await.unwrap();
    let ids: Vec<_> = groups.iter().map(|group| group.group_id.as_str()).collect();
    assert_eq!(ids, ["of 1", "of 2", "of both"]);
}

#[tokio::test]
async fn a_topic_is_created_by_the_controller_wherever_it_went() {
    let pair = Pair::start(|_, _, _| None).await;
    let cluster = pair.cluster().await;
    pair.world.controller.store(2, SeqCst);
    let results = cluster.create_topics(&[NewTopic::new("t", 1)]).await;
    assert!(results[0].1.is_ok(), "{results:?}");
    assert_eq!(
        pair.brokers[0].count::<CreateTopicsRequest>(),
        1,
        "it says that it is none"
    );
    assert_eq!(pair.brokers[1].count::<CreateTopicsRequest>(), 1);
}

#[tokio::test]
async fn what_a_broker_leaves_out_of_an_answer_is_an_error() {
    let pair = Pair::start(|_, _, seen| {
        seen.is::<ListOffsetsRequest>()
            .then(|| seen.answer(&ListOffsetsResponse::default()))
    })
    .await;
    let error = offset(&pair.cluster().await).await.unwrap_err();
    assert!(matches!(error, Error::LeftOut { .. }), "{error}");
    assert!(error.to_string().contains("topic t partition 0"), "{error}");
}

#[tokio::test]
async fn when_every_known_broker_is_gone_the_bootstrap_list_is_tried_again() {
    let pair = Pair::start(|_, _, _| None).await;
    let cluster = pair.cluster().await;
    assert_eq!(offset(&cluster).await.unwrap(), 77);
    // The brokers move to other ports; only the first bootstrap address stays.
    let moved = Pair::start(|_, _, _| None).await;
    let address = pair.brokers[0].address;
    let Pair { brokers, .. } = pair;
    drop(brokers);
    let listener = loop {
        match tokio::net::TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    let world = Arc::clone(&moved.world);
    let _first = FakeBroker::serve(listener, move |seen| world.answer(1, seen));
    assert_eq!(offset(&cluster).await.unwrap(), 77);
}

#[tokio::test]
async fn a_broker_that_has_just_started_is_waited_for() {
    let calls = AtomicUsize::new(0);
    let pair = Pair::start(move |_, _, seen| {
        let early = seen.is::<MetadataRequest>() && calls.fetch_add(1, SeqCst) < 3;
        early.then(|| seen.answer(&MetadataResponse::default()))
    })
    .await;
    assert_eq!(pair.cluster().await.nodes(), [1, 2]);
}

#[tokio::test]
async fn a_client_that_is_told_to_start_again_goes_back_to_the_bootstrap_list() {
    // The brokers that the metadata names are those of another cluster by now.
    let pair = Pair::start(|_, _, seen| {
        let stale = MetadataResponse::default().with_error_code(129);
        seen.is::<MetadataRequest>().then(|| seen.answer(&stale))
    })
    .await;
    let world = Arc::clone(&pair.world);
    let server = FakeBroker::start(move |seen| world.answer(0, seen)).await;
    let mut config = ClusterConfig::new([server.server()]);
    config.retry_timeout = Duration::from_secs(2);
    let cluster = Cluster::connect(config).await.unwrap();
    for _ in 0..3 {
        assert!(cluster.metadata(TopicFilter::All).await.is_ok());
    }
    assert_eq!(pair.count::<MetadataRequest>(), 3);
    assert_eq!(server.count::<MetadataRequest>(), 4);
}

#[tokio::test]
async fn a_bootstrap_server_that_says_to_start_again_is_not_the_next_one_to_be_asked() {
    let stale = FakeBroker::start(|seen| {
        let stale = MetadataResponse::default().with_error_code(129);
        match seen.is::<MetadataRequest>() {
            true => seen.answer(&stale),
            false => seen.answer(&all_versions()),
        }
    })
    .await;
    let pair = Pair::start(|_, _, _| None).await;
    let mut config = pair.config();
    config.bootstrap.insert(0, stale.server());
    let cluster = Cluster::connect(config).await.unwrap();
    assert_eq!(cluster.nodes(), [1, 2]);
    assert_eq!(stale.count::<MetadataRequest>(), 1);
}

/// Whatever a caller may want to spawn has to be `Send`; this is checked when it compiles.
#[tokio::test]
async fn public_futures_can_be_spawned() {
    fn can_be_spawned<F: Future + Send>(future: F) {
        drop(future);
    }
    let pair = Pair::start(|_, _, _| None).await;
    let cluster = pair.cluster().await;
    let (partitions, read) = (at(), IsolationLevel::ReadUncommitted);
    can_be_spawned(Cluster::connect(cluster.config().clone()));
    can_be_spawned(cluster.metadata(TopicFilter::All));
    can_be_spawned(cluster.close());
    can_be_spawned(cluster.link(1, Role::Fetch, 0));
    can_be_spawned(cluster.leader(&partitions[0]));
    can_be_spawned(cluster.refresh_leaders([&partitions[0].topic]));
    can_be_spawned(cluster.list_offsets(&partitions, OffsetSpec::Latest, read));
    can_be_spawned(cluster.offsets_for_times(&[], read));
    can_be_spawned(cluster.leader_epoch_ends(&[]));
    can_be_spawned(cluster.create_topics(&[]));
    can_be_spawned(cluster.validate_new_topics(&[]));
    can_be_spawned(cluster.delete_topics(&["t"]));
    can_be_spawned(cluster.describe_topic_configs(&["t"]));
    can_be_spawned(cluster.describe_broker_configs(1));
    can_be_spawned(cluster.alter_topic_configs(&[]));
    can_be_spawned(cluster.delete_records(&[]));
    can_be_spawned(cluster.list_groups());
    can_be_spawned(cluster.describe_groups(&["g"]));
    can_be_spawned(cluster.fetch_offsets("g"));
    can_be_spawned(cluster.fetch_offsets_of("g", &partitions));
    can_be_spawned(cluster.commit_offsets("g", &[]));
    can_be_spawned(cluster.delete_offsets("g", &partitions));
    can_be_spawned(cluster.delete_group("g"));
    can_be_spawned(cluster.delete_groups(&["g"]));
    can_be_spawned(cluster.fetch_offsets_of_groups(&["g"]));
    can_be_spawned(cluster.fetch_share_offsets("g"));
    can_be_spawned(cluster.fetch_share_offsets_of("g", &partitions));
    can_be_spawned(cluster.alter_share_offsets("g", &[]));
    can_be_spawned(cluster.delete_share_offsets("g", &["t"]));
    can_be_spawned(cluster.create_partitions(&[]));
    can_be_spawned(cluster.validate_topic_configs(&[]));
    can_be_spawned(cluster.alter_broker_configs(None, &ConfigChange::new()));
    can_be_spawned(cluster.offsets_of_max_timestamps(&partitions));
    can_be_spawned(cluster.describe_acls(&AclFilter::all()));
    can_be_spawned(cluster.describe_client_quotas());
    can_be_spawned(cluster.describe_scram_users(None));
}

#[tokio::test]
async fn connections_are_made_once_per_role_and_shard() {
    let pair = Pair::start(|_, _, _| None).await;
    let cluster = pair.cluster().await;
    let links = join_all((0..20).map(|at| cluster.link(2, Role::Fetch, at % 2)).collect()).await;
    assert!(links.iter().all(Result::is_ok));
    let connections = pair.brokers[1]
        .seen()
        .iter()
        .map(|seen| seen.connection)
        .max()
        .unwrap()
        + 1;
    assert_eq!(connections, 2);
    assert!(matches!(
        cluster.link(9, Role::Fetch, 0).await,
        Err(Error::UnknownBroker { node: 9 })
    ));
}

#[tokio::test]
async fn a_broker_that_moved_is_connected_to_where_it_is_now() {
    let pair = Pair::start(|_, _, _| None).await;
    let cluster = pair.cluster().await;
    let hello = |broker: &FakeBroker| broker.count::<ApiVersionsRequest>();
    let before = cluster.link(2, Role::Fetch, 0).await.unwrap();
    let stays = cluster.link(1, Role::Fetch, 0).await.unwrap();
    // The one that metadata is asked for on.
    cluster.link(1, Role::Control, 0).await.unwrap();
    let connections = hello(&pair.brokers[0]);
    let world = Arc::clone(&pair.world);
    let moved = FakeBroker::start(move |seen| world.answer(2, seen)).await;
    pair.world.ports.lock().unwrap()[1] = moved.address.port();
    cluster.metadata(TopicFilter::All).await.unwrap();
    // Whoever listens at the old place now need not be this broker, however alive the connection looks.
    assert!(before.is_open());
    cluster.link(2, Role::Fetch, 0).await.unwrap();
    assert_eq!(hello(&moved), 1);
    assert!(stays.is_open());
    cluster.link(1, Role::Fetch, 0).await.unwrap();
    assert_eq!(hello(&pair.brokers[0]), connections);
}

#[tokio::test]
async fn waiting_for_one_connection_that_fails_fails_all_who_wait() {
    let pair =
        Pair::start(|_, node, seen| (node == 2 && seen.is::<ApiVersionsRequest>()).then_some(Reply::Silence))
            .await;
    let mut config = pair.cluster().await.config().clone();
    config.connect_timeout = Duration::from_millis(200);
    let cluster = Cluster::connect(config).await.unwrap();
    let links = join_all((0..20).map(|_| cluster.link(2, Role::Fetch, 0)).collect()).await;
    assert!(
        links
            .iter()
            .all(|link| matches!(link, Err(Error::Unreachable { .. })))
    );
    // One after the other they would have waited as many times.
    assert_eq!(pair.brokers[1].count::<ApiVersionsRequest>(), 1);
}
