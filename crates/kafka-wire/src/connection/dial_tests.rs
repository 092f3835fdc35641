//! A host with several addresses: each is tried, in order, until one works.

use kafka_protocol::messages::GroupId;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::metadata_response::MetadataResponseBroker;
use kafka_protocol::messages::{
    ApiVersionsRequest, BrokerId, ListGroupsRequest, ListGroupsResponse, MetadataRequest, MetadataResponse,
    SaslAuthenticateRequest,
};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::*;
use crate::cluster::{Cluster, TopicFilter};
use crate::config::SaslConfig;
use crate::connection::fake::{FakeBroker, Refuses, Reply, all_versions, refusing};
use crate::connection::text;
use crate::secret::Secret;

fn dialer() -> Dialer {
    let mut config = ClusterConfig::new(["many.example:9092"]);
    config.connect_timeout = Duration::from_millis(300);
    Dialer::new(&config, Secured::default())
}

/// A broker that offers its versions.
async fn broker() -> FakeBroker {
    FakeBroker::start(|seen| seen.answer(&all_versions())).await
}

/// An address where nobody listens.
async fn nobody(address: &str) -> SocketAddr {
    let listener = TcpListener::bind((address, 0)).await.unwrap();
    listener.local_addr().unwrap()
}

/// A listener that accepts a connection and never says anything.
async fn silent(address: &str) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((address, 0)).await.unwrap();
    let at = listener.local_addr().unwrap();
    (listener, at)
}

fn host() -> BrokerAddress {
    "many.example:9092".parse().unwrap()
}

#[tokio::test]
async fn addresses_that_do_not_work_are_passed_over() {
    let (broker, hangs_up) = (broker().await, FakeBroker::start(|_| Reply::HangUp).await);
    let (_silent, hangs) = silent("127.0.0.2").await;
    let resolved = [
        nobody("127.0.0.3").await,
        hangs,
        hangs_up.address,
        nobody("::1").await,
        broker.address,
    ];
    let link = dialer().dial_each(&resolved, &host(), &"a broker".into()).await;
    assert!(link.unwrap().is_open());
    assert_eq!(broker.count::<ApiVersionsRequest>(), 1);
}

#[tokio::test]
async fn the_first_address_that_works_is_the_last_that_is_tried() {
    let (first, second) = (broker().await, broker().await);
    let resolved = [first.address, second.address];
    let link = dialer().dial_each(&resolved, &host(), &"a broker".into()).await;
    assert!(link.is_ok());
    assert_eq!((first.seen().len(), second.seen().len()), (1, 0));
}

#[tokio::test]
async fn when_none_works_each_is_listed_with_its_cause() {
    let (_silent, hangs) = silent("127.0.0.2").await;
    let refused = nobody("127.0.0.3").await;
    let outcome = dialer()
        .dial_each(&[refused, hangs], &host(), &"a broker".into())
        .await;
    let failures = outcome.map(|_| ()).unwrap_err();
    let addresses: Vec<&str> = failures.iter().map(|failure| failure.address.as_str()).collect();
    assert_eq!(
        addresses,
        [
            format!("many.example:9092 ({refused})"),
            format!("many.example:9092 ({hangs})")
        ]
    );
    assert!(
        matches!(failures[0].cause, ConnectionError::Io(_)),
        "{:?}",
        failures[0]
    );
    assert!(
        matches!(failures[1].cause, ConnectionError::NoAnswer(_)),
        "{:?}",
        failures[1]
    );
}

#[tokio::test]
async fn a_refused_login_is_not_tried_at_the_other_addresses() {
    for (refuses, next_is_tried) in [(Refuses::Password, false), (Refuses::Mechanism, true)] {
        let (first, second) = (refusing(refuses).await, refusing(refuses).await);
        let mut config = ClusterConfig::new(["many.example:9092"]);
        config.security.sasl = Some(SaslConfig::plain("me", Secret::new("wrong")));
        let secured = Secured::load(&config.security).await.unwrap();
        let dialer = Dialer::new(&config, secured);
        // What is wrong with the network is no reason to stop.
        let resolved = [nobody("127.0.0.3").await, first.address, second.address];
        let outcome = dialer.dial_each(&resolved, &host(), &"a broker".into()).await;
        let failures = outcome.map(|_| ()).unwrap_err();
        assert_eq!(failures.len(), 2 + usize::from(next_is_tried), "{failures:?}");
        assert!(matches!(failures[0].cause, ConnectionError::Io(_)));
        for failure in &failures[1..] {
            assert_eq!(failure.cause.is_refused_login(), !next_is_tried, "{failure:?}");
        }
        let logins = usize::from(!next_is_tried);
        assert_eq!(first.count::<SaslAuthenticateRequest>(), logins);
        assert_eq!(second.count::<SaslAuthenticateRequest>(), 0);
        assert_eq!(second.seen().is_empty(), !next_is_tried);
    }
}

/// Whoever it is, it is not yet known to be a broker.
#[tokio::test]
async fn a_huge_first_answer_is_refused_before_there_is_room_for_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_u32(100 << 20).await.unwrap();
            kept.push(stream);
        }
    });
    let outcome = dialer().dial_each(&[address], &host(), &"a broker".into()).await;
    let failures = outcome.map(|_| ()).unwrap_err();
    let words = failures[0].cause.to_string();
    assert!(
        words.contains("104857600 bytes") && words.contains("before the login"),
        "{words}"
    );
}

/// The answer to the first question after that may be as large as any.
#[tokio::test]
async fn a_large_answer_is_taken_from_who_is_known() {
    let groups = || {
        let name = "g".repeat(200);
        let group = ListedGroup::default().with_group_id(GroupId(text(&name)));
        ListGroupsResponse::default().with_groups(vec![group; 10_000])
    };
    let broker = FakeBroker::start(move |seen| match seen.is::<ListGroupsRequest>() {
        true => seen.answer(&groups()),
        false => seen.answer(&all_versions()),
    })
    .await;
    let dialer = dialer();
    let link = dialer
        .dial_each(&[broker.address], &host(), &"a broker".into())
        .await
        .unwrap();
    let patience = Duration::from_secs(20);
    let listed = link.call(&ListGroupsRequest::default(), patience).await.unwrap();
    assert_eq!(listed.groups.len(), 10_000);
}

#[tokio::test]
async fn brokers_with_ipv6_addresses_are_found_and_used() {
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let broker = FakeBroker::serve(listener, move |seen| {
        if seen.is::<MetadataRequest>() {
            // Brokers announce IPv6 addresses without brackets.
            let broker = MetadataResponseBroker::default()
                .with_node_id(BrokerId(1))
                .with_host(text("::1"))
                .with_port(i32::from(port));
            seen.answer(&MetadataResponse::default().with_brokers(vec![broker]))
        } else if seen.is::<ListGroupsRequest>() {
            seen.answer(&ListGroupsResponse::default())
        } else {
            seen.answer(&all_versions())
        }
    });
    let mut config = ClusterConfig::new([format!("[::1]:{port}")]);
    config.retry_timeout = Duration::from_millis(300);
    let cluster = Cluster::connect(config).await.unwrap();
    let metadata = cluster.metadata(TopicFilter::none()).await.unwrap();
    assert_eq!(metadata.brokers[&1].host, "::1");
    assert!(cluster.list_groups().await.unwrap().is_empty());
    // The bootstrap server, and the broker under the address that it announced.
    let connections: std::collections::BTreeSet<usize> =
        broker.seen().iter().map(|seen| seen.connection).collect();
    assert!(connections.len() >= 2, "{connections:?}");
    drop(broker);
    let error = cluster.list_groups().await.unwrap_err();
    assert!(
        format!("{error:?}").contains(&format!("[::1]:{port}")),
        "{error:?}"
    );
}
