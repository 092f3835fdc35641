//! A second run goes on where the first one ended, whatever happened to the topics in between.

use std::collections::BTreeMap;

use testkit::{Cluster, JavaClient};

use super::{backup, commit, covered, fill};
use crate::program::{Workplace, backup_yaml, files_below, restore_yaml};
use crate::stored::Stored;

#[tokio::test(flavor = "multi_thread")]
async fn a_set_goes_on_where_it_ended() {
    let cluster = Cluster::shared().await.unwrap();
    let java = JavaClient::of(cluster).await.unwrap();
    let keep = [("retention.ms", "-1")];
    let topics = [
        ("inc-a", 2),
        ("inc-gone", 1),
        ("inc-anew", 1),
        ("inc-late", 1),
        ("inc-part", 1),
    ];
    for (topic, partitions) in topics {
        java.create_topic(topic, partitions, &keep).await.unwrap();
        fill(&java, topic, 0, 0..20).await;
    }
    commit(&java, "inc-group", "inc-a", 5).await;
    commit(&java, "inc-anew-group", "inc-anew", 7).await;
    let work = Workplace::new();
    let yaml = backup_yaml("inc", &cluster.bootstrap_servers(), &["inc-*"]);
    work.config("backup.yaml", &yaml);
    work.must(&["backup", "--config", "backup.yaml"]).await;
    let folder = work.backups();
    let first = Stored::open(&folder, "inc").await.unwrap();
    assert_eq!(first.set.generation(), 1);
    for topic in ["inc-a", "inc-gone", "inc-anew", "inc-late"] {
        first.is_same(&java, topic, 0).await;
    }
    let old_anew = first.set.topic("inc-anew").unwrap().topic_id;
    let (made_at, old_anew_records) = (first.set.facts().created_at, first.records("inc-anew", 0));

    // Nothing is new: nothing is written.
    let files = files_below(&folder);
    let ran = work.must(&["backup", "--config", "backup.yaml"]).await;
    assert!(ran.stdout.contains("nothing new since generation 1"), "{ran:#?}");
    assert_eq!(files_below(&folder), files);

    // Everything that can happen to topics.
    fill(&java, "inc-a", 0, 20..50).await;
    fill(&java, "inc-a", 1, 0..5).await;
    java.add_partitions("inc-a", 3).await.unwrap();
    fill(&java, "inc-a", 2, 0..3).await;
    java.create_topic("inc-new", 1, &keep).await.unwrap();
    fill(&java, "inc-new", 0, 0..4).await;
    java.delete_topic("inc-gone").await.unwrap();
    java.delete_topic("inc-anew").await.unwrap();
    java.create_topic("inc-anew", 1, &keep).await.unwrap();
    fill(&java, "inc-anew", 0, 100..130).await;
    fill(&java, "inc-late", 0, 20..25).await;
    fill(&java, "inc-late", 0, 25..30).await;
    java.delete_records("inc-late", 0, 25).await.unwrap();
    fill(&java, "inc-part", 0, 20..30).await;
    java.delete_records("inc-part", 0, 25).await.unwrap();
    commit(&java, "inc-group", "inc-a", 44).await;
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    let ran = work.must(&["backup", "--config", "backup.yaml"]).await;
    for told in [
        "inc-gone is no longer on the source",
        "inc-anew was deleted and made anew",
        "inc-late/0: retention removed offsets 20 to 24",
    ] {
        assert!(ran.stderr.contains(told), "{told}: {ran:#?}");
    }

    let second = Stored::open(&folder, "inc").await.unwrap();
    assert_eq!(second.set.generation(), 2);
    second.has_no_orphans();
    for (topic, partitions) in [("inc-a", 3), ("inc-anew", 1), ("inc-new", 1)] {
        assert_eq!(
            second.set.topic(topic).unwrap().partitions.len(),
            partitions as usize
        );
        for partition in 0..partitions {
            second.is_same(&java, topic, partition).await;
        }
    }
    // What is gone from the source is still in the backup.
    assert_eq!(second.records("inc-gone", 0).len(), 20);
    assert_eq!(second.records_of("inc-anew", old_anew, 0), old_anew_records);
    let late: Vec<i64> = second.records("inc-late", 0).iter().map(|r| r.offset).collect();
    assert_eq!(late, (0..20).chain(25..30).collect::<Vec<i64>>());
    assert_eq!(covered(&second, "inc-late", 0), 30);
    let gaps = |topic: &str| second.set.topic(topic).unwrap().partitions[0].gaps.clone();
    assert_eq!((gaps("inc-late")[0].from, gaps("inc-late")[0].to), (20, 25));
    // A batch that begins before the log does comes whole.
    assert_eq!(second.records("inc-part", 0).len(), 30);
    assert_eq!(gaps("inc-part"), []);

    positions_of_both_times(&work, &java, cluster, made_at).await;
}

/// The groups as they are in the newest generation, and as of the time of the first one.
async fn positions_of_both_times(work: &Workplace, java: &JavaClient, cluster: &Cluster, made_at: i64) {
    let as_of = format!("consumer_groups_as_of: {made_at}");
    let too_early = format!("consumer_groups_as_of: {}", made_at - 3_600_000);
    let strategy = "consumer_group_strategy: header-based";
    for topic in ["inc-a", "inc-anew", "inc-late", "inc-new", "inc-part"] {
        java.delete_topic(topic).await.unwrap();
    }
    work.config(
        "early.yaml",
        &restore_yaml("inc", &cluster.bootstrap_servers(), &[strategy, &too_early]),
    );
    work.run(&["three-phase-restore", "--config", "early.yaml"])
        .await
        .failed_saying(&[
            "no positions of groups as of",
            "the first that it has were read at",
        ]);
    let mut found = BTreeMap::new();
    for (name, lines) in [("now", vec![strategy]), ("then", vec![strategy, as_of.as_str()])] {
        work.config(
            "restore.yaml",
            &restore_yaml("inc", &cluster.bootstrap_servers(), &lines),
        );
        let ran = work
            .must(&["three-phase-restore", "--config", "restore.yaml"])
            .await;
        assert_eq!(java.consume_all("inc-a", 0).await.unwrap().len(), 50, "{ran:#?}");
        for topic in ["inc-a", "inc-anew", "inc-gone", "inc-late", "inc-new", "inc-part"] {
            java.delete_topic(topic).await.unwrap();
        }
        let mapping = work
            .must(&[
                "offset-mapping",
                "--backup-id",
                "inc",
                "--config",
                "restore.yaml",
                "--format",
                "json",
            ])
            .await;
        let mapping: serde_json::Value = serde_json::from_str(&mapping.stdout).unwrap();
        let groups = mapping["consumer_groups"].clone();
        let position = groups["inc-group"]["offsets"]["inc-a"]["0"]["source_offset"].as_i64();
        found.insert(name, (position, ran.stderr, groups));
    }
    assert_eq!(found["now"].0, Some(44), "{found:#?}");
    assert_eq!(found["then"].0, Some(5), "{found:#?}");
    // That position was one in a topic that is another now.
    assert!(
        found["then"]
            .1
            .contains("inc-anew-group: 1 position(s) are left out"),
        "{found:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_cluster_is_refused() {
    let cluster = Cluster::shared().await.unwrap();
    let java = JavaClient::of(cluster).await.unwrap();
    java.create_topic("other-a", 1, &[]).await.unwrap();
    fill(&java, "other-a", 0, 0..5).await;
    let work = Workplace::new();
    work.config(
        "backup.yaml",
        &backup_yaml("other", &cluster.bootstrap_servers(), &["other-*"]),
    );
    work.must(&["backup", "--config", "backup.yaml"]).await;
    let files = files_below(&work.backups());

    let elsewhere = Cluster::start(testkit::ClusterOptions::new()).await.unwrap();
    work.config(
        "backup.yaml",
        &backup_yaml("other", &elsewhere.bootstrap_servers(), &["*"]),
    );
    backup(&work)
        .await
        .failed_saying(&["`other` is of the cluster", "another backup_id"]);
    assert_eq!(files_below(&work.backups()), files);

    // Nor is anything added behind a manifest that does not open.
    let manifest = files
        .iter()
        .find(|path| path.to_str().unwrap().ends_with(".manifest"))
        .unwrap();
    let mut bytes = std::fs::read(manifest).unwrap();
    let at = bytes.len() - 20;
    bytes[at] ^= 1;
    std::fs::write(manifest, bytes).unwrap();
    work.config(
        "backup.yaml",
        &backup_yaml("other", &cluster.bootstrap_servers(), &["other-*"]),
    );
    backup(&work).await.failed_saying(&[".manifest", "damaged"]);
    assert_eq!(files_below(&work.backups()), files);
}
