//! Negotiation with brokers that are older, stranger, or no brokers.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse, OffsetCommitRequest};
use kafka_protocol::protocol::Encodable;
use tokio::net::TcpListener;

use super::dial::Dialer;
use super::fake::{FakeBroker, Reply, Seen, all_versions};
use super::link::Link;
use super::{Api, BrokerAddress, Secured};
use crate::config::ClusterConfig;
use crate::error::{ConnectFailure, ConnectionError, Error, ErrorCode};

fn dialer() -> Dialer {
    let mut config = ClusterConfig::new(["unused:1"]);
    config.connect_timeout = Duration::from_secs(2);
    Dialer::new(&config, Secured::default())
}

async fn dial(broker: &FakeBroker) -> Result<Link, Vec<ConnectFailure>> {
    let address: BrokerAddress = broker.server().parse().unwrap();
    // The connections outlive the dialer only here.
    let dialer = Box::leak(Box::new(dialer()));
    dialer.dial(&address, &Arc::from("a broker")).await
}

fn in_version(version: i16, response: &ApiVersionsResponse) -> Reply {
    let mut body = BytesMut::new();
    response.encode(&mut body, version).unwrap();
    Reply::Body(body.freeze())
}

fn refusal(offered: &[(i16, i16)]) -> Reply {
    let api = |(lowest, highest): &(i16, i16)| {
        ApiVersion::default()
            .with_api_key(ApiVersionsRequest::KEY)
            .with_min_version(*lowest)
            .with_max_version(*highest)
    };
    let response = ApiVersionsResponse::default()
        .with_error_code(35)
        .with_api_keys(offered.iter().map(api).collect());
    in_version(0, &response)
}

fn versions_asked(broker: &FakeBroker) -> Vec<i16> {
    broker
        .seen()
        .iter()
        .filter(|seen| seen.is::<ApiVersionsRequest>())
        .map(|seen| seen.version)
        .collect()
}

#[tokio::test]
async fn the_client_tells_its_name_and_learns_the_versions() {
    let broker = FakeBroker::start(|seen| seen.answer(&all_versions())).await;
    let link = dial(&broker).await.unwrap();
    let request: ApiVersionsRequest = broker.seen()[0].read();
    assert_eq!(request.client_software_name.as_str(), "kafka-backup");
    assert!(!request.client_software_version.is_empty());
    assert_eq!(link.version_of::<OffsetCommitRequest>().unwrap(), 9);
}

#[tokio::test]
async fn a_broker_that_refuses_the_version_is_asked_in_the_one_it_names() {
    let broker = FakeBroker::start(|seen| match seen.version {
        3.. => refusal(&[(0, 2)]),
        2 => seen.answer(&all_versions()),
        other => panic!("{other}"),
    })
    .await;
    let link = dial(&broker).await.unwrap();
    assert_eq!(versions_asked(&broker), [3, 2]);
    assert!(link.version_of::<OffsetCommitRequest>().is_ok());
}

#[tokio::test]
async fn a_refusal_that_names_nothing_lower_ends_at_version_0() {
    for offered in [&[][..], &[(0, 7)], &[(-3, -1)]] {
        let broker = FakeBroker::start(move |seen| match seen.version {
            0 => seen.answer(&all_versions()),
            _ => refusal(offered),
        })
        .await;
        dial(&broker).await.unwrap();
        assert_eq!(versions_asked(&broker).last(), Some(&0));
        assert!(versions_asked(&broker).len() <= 4);
    }
    let broker = FakeBroker::start(|_| refusal(&[(0, 3)])).await;
    let failures = dial(&broker).await.unwrap_err();
    let refused = &failures[0].cause;
    assert!(
        matches!(refused, ConnectionError::Refused(ErrorCode::UNSUPPORTED_VERSION)),
        "{refused}"
    );
}

#[tokio::test]
async fn a_broker_that_hangs_up_on_a_version_it_does_not_know_is_asked_again_in_version_0() {
    let broker = FakeBroker::start(|seen| match seen.version {
        0 => seen.answer(&all_versions()),
        _ => Reply::HangUp,
    })
    .await;
    dial(&broker).await.unwrap();
    assert_eq!(versions_asked(&broker), [3, 0]);
    let connections: Vec<_> = broker.seen().iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [0, 1]);
}

#[tokio::test]
async fn an_answer_that_names_no_api_is_asked_for_again_in_version_0() {
    let broker = FakeBroker::start(|seen| match seen.version {
        0 => seen.answer(&all_versions()),
        _ => seen.answer(&ApiVersionsResponse::default()),
    })
    .await;
    let link = dial(&broker).await.unwrap();
    assert_eq!(versions_asked(&broker), [3, 0]);
    assert!(link.version_of::<OffsetCommitRequest>().is_ok());
    // A peer that never names any is believed: each API is reported as missing when it is needed.
    let broker = FakeBroker::start(|seen| seen.answer(&ApiVersionsResponse::default())).await;
    let link = dial(&broker).await.unwrap();
    assert_eq!(versions_asked(&broker), [3, 0]);
    assert!(link.version_of::<OffsetCommitRequest>().is_err());
}

#[tokio::test]
async fn a_broker_that_always_hangs_up_is_tried_twice() {
    let broker = FakeBroker::start(|_| Reply::HangUp).await;
    let failures = dial(&broker).await.unwrap_err();
    assert!(matches!(failures[0].cause, ConnectionError::Rejected));
    assert_eq!(versions_asked(&broker), [3, 0]);
}

#[tokio::test]
async fn another_error_and_nonsense_are_reported() {
    let broker =
        FakeBroker::start(|seen| seen.answer(&ApiVersionsResponse::default().with_error_code(31))).await;
    let failures = dial(&broker).await.unwrap_err();
    assert!(matches!(
        failures[0].cause,
        ConnectionError::Refused(ErrorCode::CLUSTER_AUTHORIZATION_FAILED)
    ));
    for nonsense in [&b"\0"[..], b"\0\0", b"\0\0\xff\xff\xff\xff\x0f", b"\0\x23"] {
        let broker = FakeBroker::start(move |_| Reply::Body(Bytes::from_static(nonsense))).await;
        let failures = dial(&broker).await.unwrap_err();
        assert!(
            matches!(failures[0].cause, ConnectionError::Protocol(_)),
            "{:?}",
            failures[0].cause
        );
    }
}

#[tokio::test]
async fn versions_are_an_intersection_and_not_a_minimum() {
    let offering = |lowest, highest| {
        move |seen: &Seen| {
            let api = ApiVersion::default()
                .with_api_key(OffsetCommitRequest::KEY)
                .with_min_version(lowest)
                .with_max_version(highest);
            seen.answer(&ApiVersionsResponse::default().with_api_keys(vec![api]))
        }
    };
    // We speak 2 to 9.
    for (lowest, highest, agreed) in [
        (0, 3, Some(3)),
        (5, 10, Some(9)),
        (9, 12, Some(9)),
        (10, 12, None),
        (0, 1, None),
        (5, 4, None),
    ] {
        let broker = FakeBroker::start(offering(lowest, highest)).await;
        let link = dial(&broker).await.unwrap();
        let version = link.version_of::<OffsetCommitRequest>();
        assert_eq!(
            version.as_ref().ok().copied(),
            agreed,
            "{lowest} to {highest}: {version:?}"
        );
        if let Err(error) = version {
            let words = format!(
                "OffsetCommit in a version that is needed (it offers {lowest} to {highest}, needed is 2 to 9)"
            );
            assert!(error.to_string().contains(&words), "{error}");
        }
    }
    let broker = FakeBroker::start(offering(0, 9)).await;
    let link = dial(&broker).await.unwrap();
    let unknown = link
        .call(
            &kafka_protocol::messages::ListGroupsRequest::default(),
            Duration::from_secs(1),
        )
        .await;
    assert!(
        matches!(unknown, Err(Error::UnsupportedApi { offered: None, .. })),
        "{unknown:?}"
    );
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_said_to_refuse() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: BrokerAddress = listener.local_addr().unwrap().to_string().parse().unwrap();
    drop(listener);
    let failures = dialer().dial(&address, &Arc::from("a broker")).await.unwrap_err();
    assert_eq!(failures[0].address, address.to_string());
    let ConnectionError::Io(error) = &failures[0].cause else {
        panic!("{:?}", failures[0].cause)
    };
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn an_ipv6_address_is_connected_to() {
    let listener = TcpListener::bind("[::1]:0")
        .await
        .expect("a loopback address of IPv6");
    let broker = FakeBroker::serve(listener, |seen| seen.answer(&all_versions()));
    assert!(broker.server().starts_with("[::1]:"));
    dial(&broker).await.unwrap();
}
