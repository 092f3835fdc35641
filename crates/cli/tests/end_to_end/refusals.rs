//! What a restore or a reset must not do, and how it ends when it is interrupted.

use std::time::Duration;

use testkit::{
    Cluster, ClusterOptions, Commit, Generate, GroupProtocol, JavaClient, ProduceRecord, ProducerOptions,
};

use crate::program::{Ran, Workplace, backup_yaml, files_below, restore_yaml};

const RESET: [&str; 2] = [
    "consumer_group_strategy: header-based",
    "reset_consumer_offsets: true",
];

/// One broker is source and target in turn: the topic is deleted in between.
struct Both {
    cluster: Cluster,
    java: JavaClient,
    work: Workplace,
}

impl Both {
    async fn start() -> Self {
        let cluster = Cluster::start(ClusterOptions::new().quick_retention())
            .await
            .unwrap();
        let java = JavaClient::of(&cluster).await.unwrap();
        Self {
            cluster,
            java,
            work: Workplace::new(),
        }
    }

    async fn fill_and_back_up(&self, backup_id: &str) {
        self.java.create_topic("orders", 2, &[]).await.unwrap();
        let batch: Vec<ProduceRecord> = (0..40)
            .map(|n| ProduceRecord::new("orders", n % 2).value(format!("v{n}")))
            .collect();
        self.java.produce(&batch).await.unwrap();
        for group in ["idle", "busy", "other"] {
            let commits = [Commit::new("orders", 0, 7), Commit::new("orders", 1, 20)];
            self.java.commit(group, &commits).await.unwrap();
        }
        self.work.config(
            "backup.yaml",
            &backup_yaml(backup_id, &self.cluster.bootstrap_servers(), &["orders"]),
        );
        self.work.must(&["backup", "--config", "backup.yaml"]).await;
    }

    fn restore_config(&self, backup_id: &str, lines: &[&str]) {
        self.work.config(
            "restore.yaml",
            &restore_yaml(backup_id, &self.cluster.bootstrap_servers(), lines),
        );
    }

    async fn three_phases(&self) -> Ran {
        self.work
            .run(&["three-phase-restore", "--config", "restore.yaml"])
            .await
    }

    async fn offset(&self, group: &str) -> Option<i64> {
        self.java
            .committed(group)
            .await
            .unwrap()
            .first()
            .map(|commit| commit.offset)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_left_alone_unless_all_is_as_it_must_be() {
    let both = Both::start().await;
    both.fill_and_back_up("b").await;
    // Ten records are there before the restored ones: every position moves by ten, or five in each partition.
    both.java.delete_topic("orders").await.unwrap();
    both.java
        .create_topic(
            "orders",
            2,
            &[("retention.ms", "999999999"), ("segment.ms", "7777777")],
        )
        .await
        .unwrap();
    let before: Vec<ProduceRecord> = (0..10)
        .map(|n| ProduceRecord::new("orders", n % 2).value("before"))
        .collect();
    both.java.produce(&before).await.unwrap();
    let configs = both.java.topic_configs("orders").await.unwrap();

    // A dry run shows the plan and changes nothing.
    for group in ["idle", "busy", "other"] {
        both.java.delete_group(group).await.unwrap();
    }
    both.restore_config(
        "b",
        &[
            "consumer_group_strategy: header-based",
            "on_existing_data: append",
        ],
    );
    let ran = both.three_phases().await;
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(
        ran.stdout.contains("idle") && ran.stdout.contains("No group was changed"),
        "{ran:#?}"
    );
    assert_eq!(both.offset("idle").await, None);
    assert_eq!(
        both.java.topic_configs("orders").await.unwrap(),
        configs,
        "the topic has its own settings again"
    );
    assert_eq!(both.java.consume_all("orders", 0).await.unwrap().len(), 25);

    // A group with a member is refused and said; the others are reset.
    let member = both
        .java
        .join_group("busy", GroupProtocol::Classic, &["orders"])
        .await
        .unwrap();
    both.restore_config(
        "b",
        &[
            RESET[0],
            RESET[1],
            "on_existing_data: append",
            "consumer_groups: [idle, busy]",
        ],
    );
    let ran = both.three_phases().await;
    assert_eq!(ran.code, Some(3), "{ran:#?}");
    assert!(
        ran.stdout.contains("busy: not changed") && ran.stdout.contains("member"),
        "{ran:#?}"
    );
    assert_eq!(both.offset("idle").await, Some(25 + 7));
    assert_eq!(both.offset("busy").await, None);
    assert_eq!(both.offset("other").await, None, "it was not asked for");
    member.leave().await.unwrap();

    // So is one of the new protocol; and a group that the backup does not know is an incomplete reset.
    let member = both
        .java
        .join_group("busy", GroupProtocol::Consumer, &["orders"])
        .await
        .unwrap();
    both.restore_config(
        "b",
        &[
            RESET[0],
            RESET[1],
            "on_existing_data: append",
            "consumer_groups: [idle, busy, unknown]",
        ],
    );
    let ran = both.three_phases().await;
    assert_eq!(ran.code, Some(3), "{ran:#?}");
    assert!(
        ran.stdout.contains("busy: not changed") && ran.stdout.contains("unknown"),
        "{ran:#?}"
    );
    assert_eq!(both.offset("idle").await, Some(45 + 7));
    member.leave().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_run_is_cancelled_and_counts_as_nothing() {
    let both = Both::start().await;
    let settings = [("retention.ms", "-1")];
    both.java.create_topic("big", 4, &settings).await.unwrap();
    let big = Generate {
        topic: "big".to_owned(),
        partitions: 4,
        count: 300_000,
        value_bytes: 1000,
        first_timestamp: crate::source::EPOCH,
        timestamp_step: 1,
        seed: 1,
    };
    both.java.generate(&big, &ProducerOptions::new()).await.unwrap();
    both.java
        .commit("reader", &[Commit::new("big", 0, 100)])
        .await
        .unwrap();
    let bootstrap = both.cluster.bootstrap_servers();
    both.work
        .config("backup.yaml", &backup_yaml("cut", &bootstrap, &["big"]));

    // Stopped while it writes its first segment: what it had is kept, and no complete backup.
    let segments = || files_below(&both.work.backups()).len();
    let ran = signalled(&both.work, &["backup", "--config", "backup.yaml"], "TERM", || {
        segments() > 0
    })
    .await;
    assert_eq!(ran.code, Some(143), "{ran:#?}");
    assert!(ran.stderr.contains("cancelled"), "{ran:#?}");
    both.restore_config("cut", &[]);
    both.work
        .run(&["restore", "--config", "restore.yaml"])
        .await
        .failed_saying(&["`cut` was never complete", "allow_incomplete_backup"]);
    // The next run goes on.
    both.work.must(&["backup", "--config", "backup.yaml"]).await;

    both.java.delete_topic("big").await.unwrap();
    both.java.delete_group("reader").await.unwrap();
    both.restore_config("cut", &RESET);
    let target = both.java.clone();
    let ran = {
        let mut child = both
            .work
            .start(&["three-phase-restore", "--config", "restore.yaml"]);
        // The first records are there: the restore is in the middle of its work.
        while target.end_offset("big", 0).await.unwrap_or(0) == 0 && child.try_wait().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        kill(child.id(), "INT");
        Ran::of(child.wait_with_output().unwrap())
    };
    assert_eq!(ran.code, Some(130), "{ran:#?}");
    assert!(ran.stderr.contains("cancelled"), "{ran:#?}");
    assert_eq!(
        both.offset("reader").await,
        None,
        "no group is touched after half a restore"
    );
    let configs = both.java.topic_configs("big").await.unwrap();
    let expected = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(configs, expected.into_iter().collect(), "settings are put back");
    both.work
        .run(&["restore", "--config", "restore.yaml"])
        .await
        .failed_saying(&["big already holds records"]);

    both.java.delete_topic("big").await.unwrap();
    let ran = both.three_phases().await;
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert_eq!(both.offset("reader").await, Some(100));
    let restored: i64 = {
        let mut sum = 0;
        for partition in 0..4 {
            sum += both.java.end_offset("big", partition).await.unwrap();
        }
        sum
    };
    assert_eq!(restored, 300_000);
}

/// Killed in the middle: nothing is put back by the run itself. The next one finds what was meant, and does it.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_restore_leaves_is_put_right_by_the_next_one() {
    let both = Both::start().await;
    let settings = [("retention.ms", "888888888888"), ("segment.ms", "7777777")];
    both.java.create_topic("big", 2, &settings).await.unwrap();
    let big = Generate {
        topic: "big".to_owned(),
        partitions: 2,
        count: 200_000,
        value_bytes: 1000,
        first_timestamp: crate::source::EPOCH,
        timestamp_step: 1,
        seed: 2,
    };
    both.java.generate(&big, &ProducerOptions::new()).await.unwrap();
    both.work.config(
        "backup.yaml",
        &backup_yaml("killed", &both.cluster.bootstrap_servers(), &["big"]),
    );
    both.work.must(&["backup", "--config", "backup.yaml"]).await;

    // Into the same topic: its own settings are what must not get lost.
    both.restore_config("killed", &["on_existing_data: append"]);
    let mut child = both.work.start(&["restore", "--config", "restore.yaml"]);
    while both.java.end_offset("big", 0).await.unwrap() <= 100_000 && child.try_wait().unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    kill(child.id(), "KILL");
    assert_eq!(child.wait_with_output().unwrap().status.code(), None);
    let left = both.java.topic_configs("big").await.unwrap();
    assert_eq!(left["retention.ms"], "-1", "{left:?}");

    let ran = both.work.must(&["restore", "--config", "restore.yaml"]).await;
    assert!(
        ran.stderr.contains("an earlier restore did not end") && ran.stderr.contains("big"),
        "{ran:#?}"
    );
    let expected = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(
        both.java.topic_configs("big").await.unwrap(),
        expected.into_iter().collect()
    );
    assert!(
        !files_below(&both.work.backups())
            .iter()
            .any(|path| path.to_str().unwrap().contains("shelters"))
    );
}

/// Somebody else writes to a topic while it is restored: positions would not be exact, so it is no success.
#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_writer_is_found_out() {
    let both = Both::start().await;
    both.java
        .create_topic("big", 1, &[("retention.ms", "-1")])
        .await
        .unwrap();
    let big = Generate {
        topic: "big".to_owned(),
        partitions: 1,
        count: 150_000,
        value_bytes: 1000,
        first_timestamp: crate::source::EPOCH,
        timestamp_step: 1,
        seed: 3,
    };
    both.java.generate(&big, &ProducerOptions::new()).await.unwrap();
    both.java
        .commit("reader", &[Commit::new("big", 0, 100)])
        .await
        .unwrap();
    both.work.config(
        "backup.yaml",
        &backup_yaml("foreign", &both.cluster.bootstrap_servers(), &["big"]),
    );
    both.work.must(&["backup", "--config", "backup.yaml"]).await;
    both.java.delete_topic("big").await.unwrap();
    both.java.delete_group("reader").await.unwrap();

    both.restore_config("foreign", &RESET);
    let mut child = both
        .work
        .start(&["three-phase-restore", "--config", "restore.yaml"]);
    while both.java.end_offset("big", 0).await.unwrap_or(0) == 0 && child.try_wait().unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    both.java
        .produce(&[ProduceRecord::new("big", 0).value("foreign")])
        .await
        .unwrap();
    let ran = Ran::of(child.wait_with_output().unwrap());
    ran.failed_saying(&["big/0", "did not finish", "delete them"]);
    assert_eq!(both.offset("reader").await, None);
}

/// An include entry that names a topic which is not there is a mistake, not an empty wish.
#[tokio::test(flavor = "multi_thread")]
async fn a_named_topic_that_is_not_there_is_no_success() {
    let both = Both::start().await;
    both.fill_and_back_up("b").await;
    both.work.config(
        "backup.yaml",
        &backup_yaml("c", &both.cluster.bootstrap_servers(), &["orders", "paymemts"]),
    );
    both.work
        .run(&["backup", "--config", "backup.yaml"])
        .await
        .failed_saying(&["paymemts", "orders"]);
    both.work.config(
        "backup.yaml",
        &backup_yaml("c", &both.cluster.bootstrap_servers(), &["orders", "pay*"]),
    );
    let ran = both.work.must(&["backup", "--config", "backup.yaml"]).await;
    assert!(
        ran.stderr.contains("warning: `pay*` matches no topic"),
        "{ran:#?}"
    );
}

/// Runs a command and sends it a signal once `when` holds.
async fn signalled(work: &Workplace, args: &[&str], signal: &str, when: impl Fn() -> bool) -> Ran {
    let mut child = work.command(args).spawn().unwrap();
    while !when() && child.try_wait().unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    kill(child.id(), signal);
    Ran::of(child.wait_with_output().unwrap())
}

fn kill(pid: u32, signal: &str) {
    let status = std::process::Command::new("kill")
        .args([format!("-{signal}"), pid.to_string()])
        .status();
    assert!(status.unwrap().success());
}
