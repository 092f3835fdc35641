//! A source that loses what it had acknowledged.

use testkit::{Cluster, ClusterOptions, JavaClient};

use super::{backup, covered, fill};
use crate::program::{Workplace, backup_yaml};
use crate::stored::Stored;

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_cut_is_refused_and_the_others_go_on() {
    let cluster = Cluster::start(ClusterOptions::new().brokers(3)).await.unwrap();
    let java = JavaClient::of(&cluster).await.unwrap();
    let unclean = [
        ("unclean.leader.election.enable", "true"),
        ("min.insync.replicas", "1"),
        ("retention.ms", "-1"),
    ];
    java.create_replicated_topic("cut", 1, 2, &unclean).await.unwrap();
    java.reassign_partition("cut", 0, &[0, 1]).await.unwrap();
    java.create_replicated_topic("sound", 1, 3, &[]).await.unwrap();
    fill(&java, "cut", 0, 0..100).await;
    fill(&java, "sound", 0, 0..10).await;
    // What only the leader has is backed up, and then lost with it.
    cluster.kill_broker(1).await.unwrap();
    fill(&java, "cut", 0, 100..200).await;
    let work = Workplace::new();
    let yaml = backup_yaml("cut", &cluster.bootstrap_servers(), &["cut", "sound"]);
    work.config("backup.yaml", &yaml);
    let ran = backup(&work).await;
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let folder = work.backups();
    let before = Stored::open(&folder, "cut").await.unwrap();
    let held = before.records("cut", 0);
    assert_eq!(held.len(), 200);

    cluster.kill_broker(0).await.unwrap();
    cluster.start_broker(1).await.unwrap();
    // Longer than what the backup has: the offsets say nothing, only the epochs do.
    fill(&java, "cut", 0, 1000..1300).await;
    fill(&java, "sound", 0, 10..20).await;
    for _ in 0..2 {
        let ran = backup(&work).await;
        assert_eq!(ran.code, Some(3), "{ran:#?}");
        assert!(
            ran.stdout.contains("done in part") && ran.stdout.contains("! cut/0: the source lost records"),
            "{ran:#?}"
        );
        let after = Stored::open(&folder, "cut").await.unwrap();
        assert_eq!(
            after.records("cut", 0),
            held,
            "nothing is added to another history"
        );
        assert_eq!(covered(&after, "cut", 0), 200);
        let trouble = &after.set.topic("cut").unwrap().partitions[0].trouble;
        assert!(trouble.as_ref().unwrap().contains("unclean"), "{trouble:?}");
        after.is_same(&java, "sound", 0).await;
    }
}
