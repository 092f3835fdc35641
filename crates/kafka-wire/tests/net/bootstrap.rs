use std::time::Duration;

use kafka_wire::{Cluster, ClusterConfig, ConnectionError, Error, TopicFilter};
use testkit::ClusterOptions;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::support::{config, shared};

/// An address where nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

/// A server that accepts connections, says `greeting`, and nothing more.
async fn server(greeting: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut connections = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(greeting).await.unwrap();
            connections.push(stream);
        }
    });
    address
}

async fn failure(servers: &[String]) -> Error {
    let mut config = ClusterConfig::new(servers);
    config.connect_timeout = Duration::from_millis(300);
    Cluster::connect(config).await.unwrap_err()
}

#[tokio::test]
async fn the_first_server_that_answers_is_enough() {
    let shared = shared().await;
    let mut config = config(&shared.brokers);
    config.bootstrap.insert(0, nobody().await);
    config.bootstrap.insert(1, "no-such-host.invalid:9092".to_owned());
    config.bootstrap.insert(2, server(b"").await);
    config.connect_timeout = Duration::from_secs(2);
    let cluster = Cluster::connect(config).await.unwrap();
    assert_eq!(
        cluster
            .metadata(TopicFilter::Names(vec![]))
            .await
            .unwrap()
            .brokers
            .len(),
        2
    );
}

#[tokio::test]
async fn a_host_with_several_addresses_is_tried_at_each() {
    let shared = shared().await;
    // Often ::1 comes first, where no broker of the tests listens.
    let servers = shared.brokers.bootstrap_servers();
    let by_name = servers
        .iter()
        .map(|server| server.replace("127.0.0.1", "localhost"));
    Cluster::connect(ClusterConfig::new(by_name)).await.unwrap();
}

#[tokio::test]
async fn a_broker_at_an_ipv6_address_is_reached_by_what_it_is_told_and_tells() {
    let options = ClusterOptions::new().listener_at("SIX", "PLAINTEXT", "[::1]");
    let broker = testkit::Cluster::start(options).await.unwrap();
    let servers = broker.listener("SIX");
    let cluster = Cluster::connect(ClusterConfig::new(&servers)).await.unwrap();
    let metadata = cluster.metadata(TopicFilter::Names(vec![])).await.unwrap();
    let told = &metadata.brokers[&0];
    assert_eq!(
        (told.host.as_str(), format!("[::1]:{}", told.port)),
        ("::1", servers[0].clone())
    );
    // This goes to the address that it tells.
    assert!(!cluster.describe_broker_configs(0).await.unwrap().is_empty());
}

#[tokio::test]
async fn every_server_is_listed_with_what_was_wrong_there() {
    let (nobody, silent, http, tls) = (
        nobody().await,
        server(b"").await,
        server(b"HTTP/1.1 400 Bad Request\r\n").await,
        server(b"\x15\x03\x03\0\x02\x02\x28").await,
    );
    let unknown = "no-such-host.invalid:9092".to_owned();
    let servers = [
        nobody.clone(),
        unknown.clone(),
        silent.clone(),
        http.clone(),
        tls.clone(),
    ];
    let error = failure(&servers).await;
    let words = error.to_string();
    let Error::Bootstrap { failures } = error else {
        panic!("{words}")
    };
    assert_eq!(
        failures
            .iter()
            .map(|failure| &failure.address)
            .collect::<Vec<_>>(),
        servers.iter().collect::<Vec<_>>()
    );
    assert!(matches!(failures[0].cause, ConnectionError::Io(_)));
    assert!(matches!(
        failures[1].cause,
        ConnectionError::Resolve(_) | ConnectionError::ConnectTimeout(_)
    ));
    assert!(matches!(failures[2].cause, ConnectionError::NoAnswer(_)));
    for part in [
        nobody,
        "onnection refused".into(),
        unknown,
        silent,
        "no answer".into(),
        http,
        "HTTP".into(),
        tls,
        "TLS".into(),
    ] {
        assert!(words.contains(&part), "{part} is not in: {words}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_up_at_once_is_said_to_want_security() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let words = failure(&[address]).await.to_string();
    assert!(words.contains("TLS or SASL"), "{words}");
}

#[tokio::test]
async fn a_closed_handle_stays_closed() {
    let shared = shared().await;
    let cluster = Cluster::connect(config(&shared.brokers)).await.unwrap();
    let copy = cluster.clone();
    cluster.close().await;
    assert!(matches!(
        copy.metadata(TopicFilter::All).await,
        Err(Error::Closed)
    ));
    assert!(matches!(copy.list_groups().await, Err(Error::Closed)));
}
