//! Bytes of a session that are changed or cut off on the way: another session does better.

use std::time::Duration;

use kafka_wire::{Cluster, ClusterConfig};
use testkit::Validity;

use crate::relay::Damage;
use crate::support::{Files, read, refused_for_good, says, shared, write};

const RECORDS: usize = 400;

/// Behind the relay; with quick retries.
fn relayed(shared: &crate::support::Shared) -> ClusterConfig {
    let mut config = ClusterConfig::new([format!("127.0.0.1:{}", shared.relay.port())]);
    config.connect_timeout = Duration::from_secs(5);
    config.retry_backoff = Duration::from_millis(20);
    config.retry_backoff_max = Duration::from_millis(200);
    config
}

/// One test, as there is one relay.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_damaged_is_followed_by_another_and_one_that_is_refused_is_not() {
    let (shared, files) = (shared().await, Files::new());
    let mut config = relayed(shared);
    // A refusal comes only after the handshake, as far as the client knows.
    config.security.tls = Some(files.trusting(&shared.authority));
    says(
        &refused_for_good(config.clone()).await,
        &["wants a client certificate"],
    );

    let client = shared.authority.issue(&["client"], Validity::Good).unwrap();
    config.security.tls = Some(files.showing(&shared.authority, &client));
    let cluster = Cluster::connect(config).await.unwrap();
    shared.java.create_topic("damaged", 1, &[]).await.unwrap();
    shared.java.end_offset("damaged", 0).await.unwrap();
    let lengths: Vec<usize> = (0..RECORDS).map(|at| 10_000 + at).collect();
    write(&cluster, "damaged", 0, &lengths).await.unwrap();
    for damage in [Damage::Flip, Damage::Cut] {
        shared.relay.damage(damage, 500_000, 5);
        assert_eq!(
            read(&cluster, "damaged", 0, RECORDS as i64).await,
            lengths,
            "{damage:?}"
        );
        assert_eq!(shared.relay.damaged(), 5, "{damage:?}");
    }
    cluster.close().await;
}
