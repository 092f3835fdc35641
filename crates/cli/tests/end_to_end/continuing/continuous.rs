//! `continuous: true`: records that arrive while it runs, a broker that dies, a topic that is deleted, the end by SIGTERM.

use std::time::Duration;

use testkit::{Cluster, ClusterOptions, JavaClient, api_key};

use super::{CLUSTER_AUTHORIZATION_FAILED, commit, covered, end, fill, refused, wait_for};
use crate::program::{Workplace, backup_yaml};
use crate::stored::Stored;

#[tokio::test(flavor = "multi_thread")]
async fn a_continuous_run_follows_the_source_until_it_is_told_to_end() {
    let cluster = Cluster::start(ClusterOptions::new()).await.unwrap();
    let java = JavaClient::of(&cluster).await.unwrap();
    java.create_topic("live", 2, &[]).await.unwrap();
    java.create_topic("doomed", 1, &[]).await.unwrap();
    fill(&java, "live", 0, 0..10).await;
    fill(&java, "doomed", 0, 0..10).await;
    commit(&java, "reader", "live", 3).await;
    let work = Workplace::new();
    let section = "backup:\n  continuous: true\n  segment_max_interval_ms: 200\n";
    let yaml = backup_yaml("live", &cluster.bootstrap_servers(), &["*"]) + section;
    work.config("backup.yaml", &yaml);
    let child = work.start(&["backup", "--config", "backup.yaml"]);
    let folder = work.backups();
    wait_for(&folder, "live", |stored| {
        covered(stored, "live", 0) == 10 && stored.set.facts().complete
    })
    .await;
    let position = |stored: &Stored<'_>| {
        let group = stored.set.group("reader")?;
        Some(group.offsets.first()?.offset)
    };
    assert_eq!(position(&Stored::open(&folder, "live").await.unwrap()), Some(3));

    // Records, partitions, topics and positions that come later.
    for round in 1..4 {
        fill(&java, "live", 1, round * 10..round * 10 + 10).await;
        commit(&java, "reader", "live", round as i64).await;
        wait_for(&folder, "live", |stored| {
            covered(stored, "live", 1) == round as i64 * 10 && position(stored) == Some(round as i64)
        })
        .await;
    }
    java.create_topic("later", 1, &[]).await.unwrap();
    fill(&java, "later", 0, 0..7).await;
    java.add_partitions("live", 3).await.unwrap();
    fill(&java, "live", 2, 0..9).await;
    java.delete_topic("doomed").await.unwrap();
    wait_for(&folder, "live", |stored| {
        covered(stored, "later", 0) == 7 && covered(stored, "live", 2) == 9
    })
    .await;

    // A broker that dies and comes back.
    cluster.kill_broker(0).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    cluster.start_broker(0).await.unwrap();
    fill(&java, "live", 0, 10..30).await;
    wait_for(&folder, "live", |stored| covered(stored, "live", 0) == 30).await;

    let ran = end(child, "TERM").await;
    assert_eq!(ran.code, Some(143), "{ran:#?}");
    assert!(
        ran.stderr
            .contains("cancelled: what was committed is part of the backup"),
        "{ran:#?}"
    );
    assert!(
        ran.stderr.contains("committed generation 2, complete"),
        "{ran:#?}"
    );
    assert!(
        ran.stderr.contains("doomed is no longer on the source"),
        "{ran:#?}"
    );

    let stored = Stored::open(&folder, "live").await.unwrap();
    stored.has_no_orphans();
    for (topic, partition) in [("live", 0), ("live", 1), ("live", 2), ("later", 0)] {
        stored.is_same(&java, topic, partition).await;
    }
    assert_eq!(stored.records("doomed", 0).len(), 10);

    // The same set, once more around: a one-shot run has nothing to add but what was committed meanwhile.
    work.config(
        "backup.yaml",
        &yaml.replace("continuous: true", "continuous: false"),
    );
    let ran = work.must(&["backup", "--config", "backup.yaml"]).await;
    assert!(ran.stdout.contains("nothing new since"), "{ran:#?}");
}

/// What does not pass by itself must not give a run that goes on for ever and saves nothing.
#[tokio::test(flavor = "multi_thread")]
async fn groups_that_may_not_be_listed_any_more_are_told_and_records_are_backed_up() {
    let cluster = Cluster::start(ClusterOptions::new().proxied()).await.unwrap();
    let java = JavaClient::of(&cluster).await.unwrap();
    java.create_topic("rights", 1, &[]).await.unwrap();
    fill(&java, "rights", 0, 0..10).await;
    let work = Workplace::new();
    let section = "backup:\n  continuous: true\n  segment_max_interval_ms: 100\n";
    let yaml = backup_yaml("rights", &cluster.bootstrap_servers(), &["rights"]) + section;
    work.config("backup.yaml", &yaml);
    let child = work.start(&["backup", "--config", "backup.yaml"]);
    let folder = work.backups();
    wait_for(&folder, "rights", |stored| stored.set.facts().complete).await;
    let closed = cluster
        .proxy(0)
        .unwrap()
        .add(refused(api_key::LIST_GROUPS, CLUSTER_AUTHORIZATION_FAILED));
    fill(&java, "rights", 0, 10..20).await;
    wait_for(&folder, "rights", |stored| {
        covered(stored, "rights", 0) == 20 && !stored.set.facts().complete
    })
    .await;
    closed.remove();
    wait_for(&folder, "rights", |stored| stored.set.facts().complete).await;
    let ran = end(child, "TERM").await;
    assert_eq!(ran.code, Some(143), "{ran:#?}");
    assert!(
        ran.stderr
            .contains("consumer groups: listing the consumer groups")
            && ran.stderr.contains("CLUSTER_AUTHORIZATION_FAILED"),
        "{ran:#?}"
    );
    Stored::open(&folder, "rights").await.unwrap().has_no_orphans();
}
