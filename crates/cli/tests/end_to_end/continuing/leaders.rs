//! Leaders that move while a backup runs, and partitions that have none.

use std::process::Child;

use segment_format::manifest::Partition;
use testkit::{Cluster, ClusterOptions, JavaClient};

use super::{backup, commit, covered, end, fill, wait_for};
use crate::program::{Ran, Workplace, backup_yaml};
use crate::source::fill_large;
use crate::stored::Stored;

#[tokio::test(flavor = "multi_thread")]
async fn leaders_move_or_are_missing_and_the_other_partitions_are_backed_up() {
    // Each group is with one broker, and with no other when that is away.
    let options = ClusterOptions::new()
        .brokers(3)
        .property("offsets.topic.replication.factor", 1);
    let cluster = Cluster::start(options).await.unwrap();
    let java = JavaClient::of(&cluster).await.unwrap();
    leaders_that_move(&cluster, &java).await;

    for (topic, replicas) in [("alone", &[2][..]), ("sound", &[0, 1])] {
        java.create_replicated_topic(topic, 1, replicas.len() as i16, &[])
            .await
            .unwrap();
        java.end_offset(topic, 0).await.unwrap();
        java.reassign_partition(topic, 0, replicas).await.unwrap();
    }
    // Its log does not start at 0, which nobody can know while it has no leader.
    fill(&java, "alone", 0, 0..5).await;
    fill(&java, "alone", 0, 5..10).await;
    java.delete_records("alone", 0, 5).await.unwrap();
    fill(&java, "sound", 0, 0..10).await;
    one_that_comes_back(&cluster, &java).await;
    one_that_stays_away(&cluster, &java).await;
    one_that_goes_while_it_is_read(&cluster, &java).await;
    one_that_coordinates_groups(&cluster, &java).await;
}

/// Nobody restarts: only what clients have to ask changes, in the midst of a run, again and again.
async fn leaders_that_move(cluster: &Cluster, java: &JavaClient) {
    java.create_replicated_topic("moved", 2, 3, &[("retention.ms", "-1")])
        .await
        .unwrap();
    fill_large(java, "moved", 2, 12_000).await;
    let work = Workplace::new();
    let section =
        "backup:\n  max_bytes_per_second: 2000000\n  segment_max_interval_ms: 100\n  compression: none\n";
    let yaml = backup_yaml("moved", &cluster.bootstrap_servers(), &["moved"]) + section;
    work.config("backup.yaml", &yaml);
    let mut child = work.start(&["backup", "--config", "backup.yaml"]);
    let folder = work.backups();
    wait_for(&folder, "moved", |stored| covered(stored, "moved", 0) > 0).await;
    let mut moves = 0;
    while child.try_wait().unwrap().is_none() {
        for partition in 0..2 {
            let replicas = [(moves + 1) % 3, (moves + 2) % 3, moves % 3];
            java.reassign_partition("moved", partition, &replicas)
                .await
                .unwrap();
        }
        moves += 1;
    }
    assert!(moves > 1, "the run was over before a leader had moved");
    let ran = Ran::of(child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let stored = Stored::open(&folder, "moved").await.unwrap();
    stored.has_no_orphans();
    for partition in 0..2 {
        stored.is_same(java, "moved", partition).await;
    }
}

/// A one-shot run waits for it. What the others have is in the backup by then.
async fn one_that_comes_back(cluster: &Cluster, java: &JavaClient) {
    // In an orderly way: a broker that is killed forgets where logs start.
    cluster.stop_broker(2).await.unwrap();
    wait_until_leaderless(java).await;
    let work = Workplace::new();
    let servers = &cluster.bootstrap_servers()[..2];
    work.config("backup.yaml", &backup_yaml("late", servers, &["alone", "sound"]));
    let child = work.start(&["backup", "--config", "backup.yaml"]);
    let folder = work.backups();
    wait_for(&folder, "late", |stored| covered(stored, "sound", 0) == 10).await;
    let early = Stored::open(&folder, "late").await.unwrap();
    assert!(!early.set.facts().complete, "it waits for the other one");
    cluster.start_broker(2).await.unwrap();
    let ran = end(child, "CONT").await;
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let stored = Stored::open(&folder, "late").await.unwrap();
    assert!(stored.set.facts().complete);
    assert_eq!(
        stored.set.topic("alone").unwrap().partitions[0].log_start_offset,
        5
    );
    for topic in ["alone", "sound"] {
        stored.is_same(java, topic, 0).await;
    }
}

/// A continuous run does not wait for it at all, and does not commit again and again that it is away.
async fn one_that_stays_away(cluster: &Cluster, java: &JavaClient) {
    cluster.stop_broker(2).await.unwrap();
    wait_until_leaderless(java).await;
    let work = Workplace::new();
    let section = "backup:\n  continuous: true\n  segment_max_interval_ms: 100\n";
    let servers = &cluster.bootstrap_servers()[..2];
    let yaml = backup_yaml("away", servers, &["alone", "sound"]) + section;
    work.config("backup.yaml", &yaml);
    let child = work.start(&["backup", "--config", "backup.yaml"]);
    let folder = work.backups();
    for round in 1..6 {
        fill(java, "sound", 0, round * 10..round * 10 + 10).await;
        wait_for(&folder, "away", |stored| {
            covered(stored, "sound", 0) == round as i64 * 10 + 10
        })
        .await;
    }
    wait_for(&folder, "away", |stored| stored.set.facts().complete).await;
    let stored = Stored::open(&folder, "away").await.unwrap();
    let state = &stored.set.topic("alone").unwrap().partitions[0];
    let trouble = &state.trouble;
    assert!(trouble.as_ref().unwrap().contains("no leader"), "{trouble:?}");
    assert!(state.start_unknown, "{state:?}");
    for (command, says) in [
        ("describe", "partition 0: nothing yet, its start is not known"),
        ("verify", "nothing of alone-0 is covered: it has no leader"),
    ] {
        let ran = work
            .run(&[command, "--backup-id", "away", "--config", "backup.yaml"])
            .await;
        assert!(ran.stdout.contains(says), "{ran:#?}");
    }
    // Many cycles with nothing new.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let later = Stored::open(&folder, "away").await.unwrap();
    assert_eq!(later.set.generation(), stored.set.generation());
    let late = only_what_is_new(cluster, java).await;

    cluster.start_broker(2).await.unwrap();
    wait_for(&folder, "away", |stored| covered(stored, "alone", 0) == 10).await;
    let ran = end(child, "TERM").await;
    assert_eq!(ran.code, Some(143), "{ran:#?}");
    assert_eq!(
        ran.stderr.matches("alone/0: it has no leader").count(),
        1,
        "{ran:#?}"
    );
    let stored = Stored::open(&folder, "away").await.unwrap();
    let state = &stored.set.topic("alone").unwrap().partitions[0];
    assert_eq!((&state.trouble, state.log_start_offset), (&None, 5));
    assert!(!state.start_unknown && state.gaps.is_empty(), "{state:?}");
    stored.is_same(java, "alone", 0).await;
    what_is_new_is_there(java, late).await;
}

/// With `start_from: latest`, beside the other run: one partition is there and has nothing new, the other one is away.
async fn only_what_is_new(cluster: &Cluster, java: &JavaClient) -> (Workplace, Child) {
    let work = Workplace::new();
    let section = "backup:\n  continuous: true\n  segment_max_interval_ms: 100\n  start_from: latest\n";
    let servers = &cluster.bootstrap_servers()[..2];
    let yaml = backup_yaml("late", servers, &["alone", "sound"]) + section;
    work.config("backup.yaml", &yaml);
    let child = work.start(&["backup", "--config", "backup.yaml"]);
    let folder = work.backups();
    wait_for(&folder, "late", |stored| stored.set.facts().complete).await;
    let stored = Stored::open(&folder, "late").await.unwrap();
    let state = |topic: &str| stored.set.topic(topic).unwrap().partitions[0].clone();
    assert!(state("alone").start_unknown, "{:?}", state("alone"));
    assert_eq!(state("sound"), Partition::empty(0, 60));
    // A start that is known stays, also while nothing is there: it does not move to what is the latest by now.
    fill(java, "sound", 0, 60..65).await;
    wait_for(&folder, "late", |stored| covered(stored, "sound", 0) == 65).await;
    (work, child)
}

async fn what_is_new_is_there(java: &JavaClient, (work, child): (Workplace, Child)) {
    let folder = work.backups();
    wait_for(&folder, "late", |stored| covered(stored, "alone", 0) == 10).await;
    fill(java, "alone", 0, 10..13).await;
    wait_for(&folder, "late", |stored| covered(stored, "alone", 0) == 13).await;
    let ran = end(child, "TERM").await;
    assert_eq!(ran.code, Some(143), "{ran:#?}");
    let stored = Stored::open(&folder, "late").await.unwrap();
    for (topic, start, records) in [("alone", 10, 3), ("sound", 60, 5)] {
        let state = &stored.set.topic(topic).unwrap().partitions[0];
        assert_eq!(
            (state.log_start_offset, state.records, state.gaps.len()),
            (start, records, 0),
            "{state:?}"
        );
    }
}

/// Nobody lists the groups of a coordinator that is away. They are not taken for deleted ones.
async fn one_that_coordinates_groups(cluster: &Cluster, java: &JavaClient) {
    let groups: Vec<String> = (0..12).map(|n| format!("spread-{n}")).collect();
    for group in &groups {
        commit(java, group, "sound", 10).await;
    }
    let work = Workplace::new();
    let servers = &cluster.bootstrap_servers()[..2];
    work.config("backup.yaml", &backup_yaml("spread", servers, &["sound"]));
    work.must(&["backup", "--config", "backup.yaml"]).await;
    let folder = work.backups();
    let stored = Stored::open(&folder, "spread").await.unwrap();
    assert_eq!(stored.set.groups().len(), groups.len());

    cluster.stop_broker(2).await.unwrap();
    wait_until_leaderless(java).await;
    let end = covered(&stored, "sound", 0);
    fill(java, "sound", 0, 0..10).await;
    let ran = backup(&work).await;
    assert_eq!(ran.code, Some(3), "{ran:#?}");
    assert!(
        ran.stdout.contains("! consumer groups: ")
            && ran.stdout.contains("__consumer_offsets have no leader"),
        "{ran:#?}"
    );
    let stored = Stored::open(&folder, "spread").await.unwrap();
    assert_eq!(covered(&stored, "sound", 0), end + 10);
    assert_eq!(stored.set.groups().len(), groups.len());
    assert!(!stored.set.facts().complete);
}

/// A continuous run leaves it to the next cycle while a single run would wait on: the others have to be read, too.
async fn one_that_goes_while_it_is_read(cluster: &Cluster, java: &JavaClient) {
    java.create_topic("going", 1, &[("retention.ms", "-1")])
        .await
        .unwrap();
    java.end_offset("going", 0).await.unwrap();
    java.reassign_partition("going", 0, &[2]).await.unwrap();
    fill_large(java, "going", 1, 12_000).await;
    let before = java.end_offset("sound", 0).await.unwrap();
    let work = Workplace::new();
    let section = "backup:\n  continuous: true\n  max_bytes_per_second: 2000000\n  segment_max_interval_ms: 100\n  \
                   compression: none\n";
    let servers = &cluster.bootstrap_servers()[..2];
    let yaml = backup_yaml("going", servers, &["going", "sound"]) + section;
    work.config("backup.yaml", &yaml);
    let child = work.start(&["backup", "--config", "backup.yaml"]);
    let folder = work.backups();
    wait_for(&folder, "going", |stored| covered(stored, "going", 0) > 0).await;
    cluster.kill_broker(2).await.unwrap();
    // In the midst of the cycle, so that only the next one has them.
    fill(java, "sound", 0, 1000..1010).await;
    let trouble = |stored: &Stored<'_>| stored.set.topic("going").unwrap().partitions[0].trouble.clone();
    wait_for(&folder, "going", |stored| trouble(stored).is_some()).await;
    wait_for(&folder, "going", |stored| {
        covered(stored, "sound", 0) == before + 10
    })
    .await;
    let stored = Stored::open(&folder, "going").await.unwrap();
    assert!(
        covered(&stored, "going", 0) < 12_000,
        "it was read to its end before its leader had gone"
    );

    cluster.start_broker(2).await.unwrap();
    wait_for(&folder, "going", |stored| {
        covered(stored, "going", 0) == 12_000 && trouble(stored).is_none()
    })
    .await;
    let ran = end(child, "TERM").await;
    assert_eq!(ran.code, Some(143), "{ran:#?}");
    let stored = Stored::open(&folder, "going").await.unwrap();
    stored.has_no_orphans();
    for topic in ["going", "sound"] {
        stored.is_same(java, topic, 0).await;
    }
}

async fn wait_until_leaderless(java: &JavaClient) {
    for _ in 0..1200 {
        let topic = java.describe_topic("alone").await.unwrap();
        if topic.partitions[0].leader.is_none() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the partition still has a leader");
}
