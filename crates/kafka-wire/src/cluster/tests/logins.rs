//! How often a login is tried that a broker refuses: accounts are locked after a few wrong passwords.

use std::sync::atomic::AtomicBool;

use kafka_protocol::messages::SaslAuthenticateRequest;

use super::*;
use crate::config::SaslConfig;
use crate::connection::fake::{Refuses, answer_to_login, refusing};
use crate::secret::Secret;

fn by_password(mut config: ClusterConfig) -> ClusterConfig {
    config.security.sasl = Some(SaslConfig::plain("me", Secret::new("wrong")));
    config
}

/// An address where nobody listens.
async fn nobody() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn a_refused_password_is_tried_once_for_the_whole_list() {
    let mut brokers = Vec::new();
    for _ in 0..3 {
        brokers.push(refusing(Refuses::Password).await);
    }
    let mut servers = vec![nobody().await];
    servers.extend(brokers.iter().map(FakeBroker::server));
    let error = Cluster::connect(by_password(ClusterConfig::new(servers))).await;
    let error = error.map(|_| ()).unwrap_err();
    assert!(error.is_permanent(), "{error:?}");
    let Error::Bootstrap { failures } = error else {
        panic!("{error:?}")
    };
    // What is wrong with the network is no reason to stop.
    assert_eq!(failures.len(), 2, "{failures:?}");
    assert_eq!(failures[1].address, brokers[0].server());
    assert_eq!(brokers[0].count::<SaslAuthenticateRequest>(), 1);
    for broker in &brokers[1..] {
        assert_eq!(broker.seen().len(), 0);
    }
}

/// No password has been sent, and the next server may be configured better.
#[tokio::test]
async fn a_server_that_does_not_take_the_mechanism_is_passed_over() {
    let pair = Pair::start(|_, _, seen| answer_to_login(seen, Refuses::Nothing)).await;
    let unfit = refusing(Refuses::Mechanism).await;
    let mut config = by_password(pair.config());
    config.bootstrap.insert(0, unfit.server());
    Cluster::connect(config).await.unwrap();
    assert_eq!(unfit.count::<SaslAuthenticateRequest>(), 0);

    let error = Cluster::connect(by_password(ClusterConfig::new([unfit.server()]))).await;
    let error = error.map(|_| ()).unwrap_err();
    assert!(error.is_permanent() && !error.is_retriable(), "{error:?}");
}

#[tokio::test]
async fn a_password_that_is_refused_later_is_not_tried_at_every_broker() {
    let changed = Arc::new(AtomicBool::new(false));
    let is_changed = Arc::clone(&changed);
    let pair = Pair::start(move |_, _, seen| match is_changed.load(SeqCst) {
        false => answer_to_login(seen, Refuses::Nothing),
        true if seen.is::<MetadataRequest>() => Some(Reply::HangUp),
        true => answer_to_login(seen, Refuses::Password),
    })
    .await;
    let cluster = Cluster::connect(by_password(pair.config())).await.unwrap();
    let before = pair.count::<SaslAuthenticateRequest>();
    changed.store(true, SeqCst);
    let error = cluster.metadata(TopicFilter::none()).await.unwrap_err();
    assert!(error.is_permanent(), "{error:?}");
    assert_eq!(pair.count::<SaslAuthenticateRequest>(), before + 1, "{error:?}");
}
