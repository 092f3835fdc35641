//! How a connection ends on which something is in doubt: against a scripted peer, and against a broker that hangs.

use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::{CreateTopicsRequest, TopicName};
use testkit::{Authority, ClusterOptions, Validity};
use tokio::io::AsyncReadExt;

use super::*;
use crate::cluster::{Cluster, TopicFilter};
use crate::config::{ClusterConfig, TlsConfig};
use crate::connection::{Role, text};

/// Waits until a request is given up; the answer to it is still due.
async fn given_up(bench: &mut Bench) -> Seen {
    let pending = bench.start(b"a");
    let seen = bench.read().await;
    assert!(matches!(in_doubt(pending.await), ConnectionError::NoAnswer(_)));
    seen
}

#[tokio::test(start_paused = true)]
async fn a_connection_with_a_request_in_doubt_is_gone_when_the_broker_has_ended_it() {
    let mut bench = bench(1024);
    let seen = given_up(&mut bench).await;
    let mut byte = [0];
    assert_eq!(bench.peer.read(&mut byte).await.unwrap(), 0, "our side is shut");
    assert!(timeout(100 * PATIENCE, bench.link.gone()).await.is_err());
    // More than the pipe holds, so somebody takes it.
    bench.answer(&seen, &[7; 5000]).await;
    bench.peer.write_all(&[0, 0]).await.unwrap();
    drop(bench.peer);
    assert!(bench.link.gone().await);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_the_broker_does_not_end_is_let_go_of_when_nobody_asks_any_more() {
    let mut bench = bench(1024);
    given_up(&mut bench).await;
    // More than the pipe holds, as somebody reads it.
    bench.peer.write_all(&[0; 2000]).await.unwrap();
    drop(bench.link);
    for _ in 0..100 {
        if bench.peer.write_all(&[0; 2000]).await.is_err() {
            return;
        }
        sleep(Duration::from_secs(1)).await;
    }
    panic!("somebody still reads");
}

#[tokio::test(start_paused = true)]
async fn nobody_who_closes_the_client_has_to_wait_for_a_broker() {
    let mut bench = bench(1024);
    given_up(&mut bench).await;
    let begun = Instant::now();
    bench.closed.cancel();
    assert!(!bench.link.gone().await);
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn a_broker_that_hangs_up_is_gone_at_once() {
    let mut bench = bench(1024);
    let pending = bench.start(b"a");
    let _ = bench.read().await;
    drop(bench.peer);
    in_doubt(pending.await);
    assert!(bench.link.gone().await);
}

#[test]
fn an_error_of_the_network_says_nothing_about_the_broker() {
    use std::io::{Error, ErrorKind};
    let io = |kind| ConnectionError::io(Error::from(kind));
    for (cause, leftover) in [
        (ConnectionError::NoAnswer(PATIENCE), Leftover::Doubt),
        (ConnectionError::Protocol(String::new()), Leftover::Doubt),
        (ConnectionError::Authentication(String::new()), Leftover::Doubt),
        (ConnectionError::ClosedByBroker, Leftover::Nothing),
        (io(ErrorKind::ConnectionReset), Leftover::Nothing),
        (io(ErrorKind::TimedOut), Leftover::Unknowable),
        (io(ErrorKind::HostUnreachable), Leftover::Unknowable),
    ] {
        assert_eq!(Leftover::of(&cause, true), leftover, "{cause:?}");
        assert_eq!(Leftover::of(&cause, false), Leftover::Nothing, "{cause:?}");
    }
}

/// The broker comes to a request long after it was given up; its end of the connection comes behind that.
async fn is_done_when_gone(kafka: &testkit::Cluster, config: ClusterConfig, name: &str) {
    let cluster = Cluster::connect(config).await.unwrap();
    cluster.metadata(TopicFilter::All).await.unwrap();
    let link = cluster.link(cluster.nodes()[0], Role::Produce, 0).await.unwrap();
    let topic = CreatableTopic::default()
        .with_name(TopicName(text(name)))
        .with_num_partitions(1)
        .with_replication_factor(1);
    let request = CreateTopicsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(10_000);
    kafka.pause_broker(0).await.unwrap();
    let outcome = link.call(&request, Duration::from_millis(500)).await;
    assert!(matches!(outcome, Err(Error::InDoubt { .. })), "{outcome:?}");
    let waiting = {
        let link = link.clone();
        tokio::spawn(async move { link.gone().await })
    };
    sleep(Duration::from_secs(1)).await;
    assert!(!waiting.is_finished());
    kafka.resume_broker(0).await.unwrap();
    assert!(waiting.await.unwrap());
    let topics = cluster.metadata(TopicFilter::All).await.unwrap().topics;
    assert!(topics.contains_key(name), "{:?}", topics.keys());
    cluster.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_broker_ends_a_connection_behind_the_last_request_on_it_also_over_tls() {
    let authority = Authority::new("the authority").unwrap();
    let identity = authority
        .issue(&["localhost", "127.0.0.1"], Validity::Good)
        .unwrap();
    let options = ClusterOptions::new()
        .listener("TLS", "SSL")
        .tls("TLS", &identity, None);
    let kafka = testkit::Cluster::start(options).await.unwrap();
    let plain = ClusterConfig::new(kafka.bootstrap_servers());
    is_done_when_gone(&kafka, plain, "in-the-clear").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, authority.certificate()).unwrap();
    let mut secured = ClusterConfig::new(kafka.listener("TLS"));
    secured.security.tls = Some(TlsConfig::new().ca_file(file));
    is_done_when_gone(&kafka, secured, "over-tls").await;
}
