//! What becomes of the groups' positions when a run does not see all, or does not come to its end.

use segment_format::BackupSet;
use testkit::{Cluster, ClusterOptions, JavaClient, api_key};

use super::{
    CLUSTER_AUTHORIZATION_FAILED, TOPIC_AUTHORIZATION_FAILED, backup, commit, covered, end, fill, refused,
    wait_for,
};
use crate::program::{Workplace, backup_yaml, restore_yaml};
use crate::source::{create_large, fill_large};
use crate::stored::Stored;

const KEEP: &[(&str, &str)] = &[("retention.ms", "-1")];

/// Topic and offset of every position that a group has in the backup.
fn positions(set: &BackupSet, group: &str) -> Vec<(String, i64)> {
    let offsets = set.group(group).map_or(&[][..], |group| &group.offsets);
    offsets
        .iter()
        .map(|offset| (offset.topic.clone(), offset.offset))
        .collect()
}

fn wanted(wanted: &[(&str, i64)]) -> Vec<(String, i64)> {
    wanted
        .iter()
        .map(|&(topic, offset)| (topic.to_owned(), offset))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_stay_with_the_records_that_the_backup_has() {
    let cluster = Cluster::start(ClusterOptions::new().proxied()).await.unwrap();
    let java = JavaClient::of(&cluster).await.unwrap();
    for topic in ["held-a", "held-b"] {
        java.create_topic(topic, 1, KEEP).await.unwrap();
        fill(&java, topic, 0, 0..10).await;
        commit(&java, "held-both", topic, 5).await;
    }
    commit(&java, "held-first", "held-a", 3).await;
    let work = Workplace::new();
    let servers = cluster.bootstrap_servers();
    work.config("backup.yaml", &backup_yaml("held", &servers, &["held-*"]));
    let folder = work.backups();
    work.must(&["backup", "--config", "backup.yaml"]).await;

    // One topic cannot be described: nothing of it is read, and its positions are those of what was read before.
    for topic in ["held-a", "held-b"] {
        fill(&java, topic, 0, 10..20).await;
        commit(&java, "held-both", topic, 15).await;
    }
    let proxy = cluster.proxy(0).unwrap();
    let hidden = proxy.add(refused(api_key::DESCRIBE_CONFIGS, TOPIC_AUTHORIZATION_FAILED));
    let ran = backup(&work).await;
    assert_eq!(ran.code, Some(3), "{ran:#?}");
    assert!(
        ran.stdout.contains("! held-a: its settings cannot be read") && !ran.stdout.contains("held-b"),
        "{ran:#?}"
    );
    let stored = Stored::open(&folder, "held").await.unwrap();
    assert_eq!(
        (covered(&stored, "held-a", 0), covered(&stored, "held-b", 0)),
        (10, 20)
    );
    assert!(stored.set.facts().complete);
    let trouble = |stored: &Stored<'_>| stored.set.topic("held-a").unwrap().partitions[0].trouble.clone();
    assert!(trouble(&stored).unwrap().contains("its settings cannot be read"));
    let expected = wanted(&[("held-a", 5), ("held-b", 15)]);
    assert_eq!(positions(&stored.set, "held-both"), expected);
    assert_eq!(positions(&stored.set, "held-first"), wanted(&[("held-a", 3)]));
    // It is a change once.
    assert_eq!(backup(&work).await.code, Some(3));
    let again = Stored::open(&folder, "held").await.unwrap();
    assert_eq!(again.set.generation(), stored.set.generation());
    let verified = work
        .run(&["verify", "--backup-id", "held", "--config", "backup.yaml"])
        .await;
    assert!(
        verified.stdout.contains("its settings cannot be read"),
        "{verified:#?}"
    );
    hidden.remove();

    // Groups that cannot be listed are no groups that are gone, and the records are backed up.
    fill(&java, "held-b", 0, 20..30).await;
    let closed = proxy.add(refused(api_key::LIST_GROUPS, CLUSTER_AUTHORIZATION_FAILED));
    let ran = backup(&work).await;
    assert_eq!(ran.code, Some(3), "{ran:#?}");
    assert!(
        ran.stdout.contains("! consumer groups: ") && ran.stderr.contains("keeps what it had"),
        "{ran:#?}"
    );
    let stored = Stored::open(&folder, "held").await.unwrap();
    assert_eq!(
        (covered(&stored, "held-a", 0), covered(&stored, "held-b", 0)),
        (20, 30)
    );
    assert_eq!(trouble(&stored), None);
    assert!(!stored.set.facts().complete);
    assert_eq!(positions(&stored.set, "held-both"), expected);
    closed.remove();

    // A topic that is deleted takes its positions along at the source; the backup has its records, and where groups stood.
    java.delete_topic("held-b").await.unwrap();
    let ran = work.must(&["backup", "--config", "backup.yaml"]).await;
    assert!(
        ran.stderr.contains("held-b is no longer on the source"),
        "{ran:#?}"
    );
    let stored = Stored::open(&folder, "held").await.unwrap();
    assert!(stored.set.facts().complete);
    assert_eq!(
        positions(&stored.set, "held-both"),
        wanted(&[("held-a", 15), ("held-b", 15)])
    );

    // So have topics that are not selected any more.
    java.create_topic("held-c", 1, KEEP).await.unwrap();
    commit(&java, "held-both", "held-a", 18).await;
    work.config("backup.yaml", &backup_yaml("held", &servers, &["held-c"]));
    work.must(&["backup", "--config", "backup.yaml"]).await;
    let stored = Stored::open(&folder, "held").await.unwrap();
    assert_eq!(
        positions(&stored.set, "held-both"),
        wanted(&[("held-a", 15), ("held-b", 15)])
    );
    assert_eq!(positions(&stored.set, "held-first"), wanted(&[("held-a", 3)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_on_a_topic_are_none_on_the_one_that_is_made_anew() {
    let cluster = Cluster::shared().await.unwrap();
    let java = JavaClient::of(cluster).await.unwrap();
    create_large(&java, "remade", 1, 2000).await;
    java.create_topic("remade-not", 1, KEEP).await.unwrap();
    fill(&java, "remade-not", 0, 0..10).await;
    commit(&java, "remade-both", "remade", 1500).await;
    commit(&java, "remade-both", "remade-not", 5).await;
    commit(&java, "remade-only", "remade", 500).await;
    let work = Workplace::new();
    let servers = cluster.bootstrap_servers();
    let section =
        "backup:\n  max_bytes_per_second: 1000000\n  segment_max_interval_ms: 100\n  compression: none\n";
    let yaml = backup_yaml("remade", &servers, &["remade", "remade-not"]) + section;
    work.config("backup.yaml", &yaml);
    let folder = work.backups();
    work.must(&["backup", "--config", "backup.yaml"]).await;
    let first = Stored::open(&folder, "remade").await.unwrap();
    assert_eq!(
        positions(&first.set, "remade-both"),
        wanted(&[("remade", 1500), ("remade-not", 5)])
    );
    let old_id = first.set.topic("remade").unwrap().topic_id;

    // A run that dies after it has committed some of the new topic.
    java.delete_topic("remade").await.unwrap();
    java.create_topic("remade", 1, KEEP).await.unwrap();
    fill_large(&java, "remade", 1, 8000).await;
    let child = work.start(&["backup", "--config", "backup.yaml"]);
    wait_for(&folder, "remade", |stored| {
        let topic = stored.set.topic("remade").unwrap();
        topic.topic_id != old_id && covered(stored, "remade", 0) > 1500
    })
    .await;
    end(child, "KILL").await;
    let stored = Stored::open(&folder, "remade").await.unwrap();
    assert!(!stored.set.facts().complete);
    assert_eq!(
        positions(&stored.set, "remade-both"),
        wanted(&[("remade-not", 5)])
    );
    assert_eq!(positions(&stored.set, "remade-only"), []);

    // The operator is told, and no group is put to where it stood in the other log.
    java.delete_topic("remade").await.unwrap();
    java.delete_topic("remade-not").await.unwrap();
    let lines = [
        "consumer_group_strategy: header-based",
        "reset_consumer_offsets: true",
    ];
    work.config("restore.yaml", &restore_yaml("remade", &servers, &lines));
    let ran = work
        .must(&["three-phase-restore", "--config", "restore.yaml"])
        .await;
    assert!(ran.stderr.contains("came to no complete end"), "{ran:#?}");
    let committed = java.committed("remade-both").await.unwrap();
    let committed: Vec<_> = committed
        .iter()
        .map(|at| (at.topic.as_str(), at.offset))
        .collect();
    assert_eq!(committed, [("remade-not", 5)], "{ran:#?}");
}
