//! Groups of the new protocol (KIP-848), followed from generation to generation.

use segment_format::manifest::GroupKind;
use testkit::{Cluster, GroupProtocol, GroupRead, JavaClient};

use super::{backup, fill};
use crate::program::{Workplace, backup_yaml, restore_yaml};
use crate::stored::Stored;

const GROUP: &str = "next-gen";

async fn read(java: &JavaClient, topic: &str, count: u64) {
    let read = GroupRead::new(GROUP, GroupProtocol::Consumer, topic, count);
    assert_eq!(java.group_read(&read).await.unwrap().len() as u64, count);
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_of_the_new_protocol_are_restored_as_of_each_generation() {
    let cluster = Cluster::shared().await.unwrap();
    let java = JavaClient::of(cluster).await.unwrap();
    java.create_topic("next-gen-topic", 1, &[("retention.ms", "-1")])
        .await
        .unwrap();
    fill(&java, "next-gen-topic", 0, 0..30).await;
    let work = Workplace::new();
    let topics = ["next-gen-topic"];
    work.config(
        "backup.yaml",
        &backup_yaml("next-gen", &cluster.bootstrap_servers(), &topics),
    );
    let folder = work.backups();
    // A member that is there while the backup runs, and positions that move between the runs.
    let mut history = Vec::new();
    let mut position = 0;
    for count in [5, 9, 11] {
        read(&java, topics[0], count).await;
        position += count as i64;
        let member = java
            .join_group(GROUP, GroupProtocol::Consumer, &topics)
            .await
            .unwrap();
        let ran = backup(&work).await;
        assert_eq!(ran.code, Some(0), "{ran:#?}");
        member.leave().await.unwrap();
        let stored = Stored::open(&folder, "next-gen").await.unwrap();
        let group = stored.set.group(GROUP).unwrap();
        assert_eq!(group.kind, GroupKind::Consumer);
        assert_eq!(group.state, "Stable");
        assert_eq!(group.offsets[0].offset, position);
        history.push((stored.set.facts().created_at, position));
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(
        Stored::open(&folder, "next-gen").await.unwrap().set.generation(),
        3
    );

    for (made_at, position) in history {
        java.delete_topic(topics[0]).await.unwrap();
        java.delete_group(GROUP).await.unwrap();
        let as_of = format!("consumer_groups_as_of: {made_at}");
        let lines = [
            "consumer_group_strategy: header-based",
            "reset_consumer_offsets: true",
            "consumer_groups: [next-gen]",
            as_of.as_str(),
        ];
        work.config(
            "restore.yaml",
            &restore_yaml("next-gen", &cluster.bootstrap_servers(), &lines),
        );
        let ran = work
            .must(&["three-phase-restore", "--config", "restore.yaml"])
            .await;
        let committed = java.committed(GROUP).await.unwrap();
        assert_eq!(committed.len(), 1, "{ran:#?}");
        assert_eq!(committed[0].offset, position, "{ran:#?}");
        // A member of the new protocol goes on from there.
        let more = GroupRead::new(GROUP, GroupProtocol::Consumer, topics[0], 1);
        let next = java.group_read(&more).await.unwrap();
        assert_eq!(
            next[0].value.as_deref(),
            Some(format!("{} {position}", topics[0]).as_bytes())
        );
    }
}
