//! A restore that is killed, and what docs/guide.md says is to be done then.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use testkit::{Cluster, ClusterOptions, Commit, JavaClient, ProduceRecord, RequestFault, Rule, api_key};

use super::configs::{BACKUP, RESTORE, placed};
use super::tools::tools;
use crate::program::{Workplace, files_below, finish};
use crate::source::EPOCH;

/// Our own guide, for what it says about the day on which a restore is killed.
const OPERATORS_GUIDE: &str = include_str!("../../../../../docs/guide.md");

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_restore_is_begun_again_as_the_guide_says() {
    let options = ClusterOptions::new().quick_retention().proxied();
    let cluster = Cluster::start(options).await.unwrap();
    let java = JavaClient::of(&cluster).await.unwrap();
    let own = [("retention.ms", "-1"), ("segment.bytes", "2000000")];
    java.create_topic("orders-eu", 1, &own).await.unwrap();
    let record = |n: i64| {
        ProduceRecord::new("orders-eu", 0)
            .value(format!("{n}"))
            .timestamp(EPOCH + n)
    };
    java.produce(&(0..50).map(record).collect::<Vec<_>>())
        .await
        .unwrap();
    java.commit("order-processor", &[Commit::new("orders-eu", 0, 20)])
        .await
        .unwrap();
    let work = Workplace::new();
    work.config("backup.yaml", &placed(BACKUP, &cluster));
    work.must(&["backup", "--config", "backup.yaml"]).await;
    java.delete_topic("orders-eu").await.unwrap();
    java.delete_group("order-processor").await.unwrap();

    // The target takes the records, its answer never comes, and the restore is killed while it waits.
    let proxy = cluster.proxy(0).unwrap();
    let lost = proxy.add(Rule::request(api_key::PRODUCE, RequestFault::DropResponse).always());
    let yaml =
        placed(RESTORE, &cluster).replace("reset_consumer_offsets: false", "reset_consumer_offsets: true");
    work.config("restore.yaml", &yaml);
    let mut child = work.start(&["restore", "--config", "restore.yaml"]);
    while java.end_offset("orders-eu", 0).await.unwrap_or(0) == 0 && child.try_wait().unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    child.kill().unwrap();
    assert_eq!(
        child.wait().unwrap().code(),
        None,
        "it was killed and did not end"
    );
    lost.remove();
    assert!(java.committed("order-processor").await.unwrap().is_empty());

    // The settings that the guide names are still there, and its command removes them.
    let left: BTreeSet<String> = java
        .topic_configs("orders-eu")
        .await
        .unwrap()
        .into_keys()
        .collect();
    let command = OPERATORS_GUIDE
        .split("```bash\n")
        .find(|block| block.starts_with("kafka-configs.sh"))
        .and_then(|block| block.split("```").next())
        .unwrap();
    let named = command
        .split("--delete-config ")
        .nth(1)
        .unwrap()
        .trim()
        .split(',');
    assert_eq!(left, named.map(str::to_owned).collect());
    for name in &left {
        assert!(
            OPERATORS_GUIDE.contains(&format!("| `{name}`"))
                || name.contains("after")
                || name == "retention.bytes"
        );
    }
    let command = command
        .replace("dr-kafka-1:9092", &cluster.direct_bootstrap_servers()[0])
        .replace("--entity-name orders ", "--entity-name orders-eu ");
    let mut bash = Command::new("bash");
    let path = format!("{}:{}", tools(&work).display(), std::env::var("PATH").unwrap());
    bash.args(["-c", &command]).env("PATH", path);
    let ran = finish(bash).await;
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(
        java.topic_configs("orders-eu").await.unwrap().is_empty(),
        "{ran:#?}"
    );

    // Nothing is written to a topic that has records; on a clean target the same command does all.
    work.run(&["restore", "--config", "restore.yaml"])
        .await
        .failed_saying(&["nothing was written", "orders-eu already holds records"]);
    java.delete_topic("orders-eu").await.unwrap();
    // Its owner wants other settings this time. What the killed restore meant the topic to have is not for this one.
    let wanted = [("retention.ms", "999999999999")];
    java.create_topic("orders-eu", 1, &wanted).await.unwrap();
    let ran = work.run(&["restore", "--config", "restore.yaml"]).await;
    // Two of the guide's groups are not in this backup.
    assert_eq!(ran.code, Some(3), "{ran:#?}");
    assert!(
        ran.stdout.contains("payment-processor: NOT IN THE BACKUP"),
        "{ran:#?}"
    );
    assert_eq!(java.end_offset("orders-eu", 0).await.unwrap(), 50);
    let kept = wanted.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(
        java.topic_configs("orders-eu").await.unwrap(),
        kept.into(),
        "{ran:#?}"
    );
    let shelters = work.backups().join("prod-backup-2024/shelters");
    assert_eq!(files_below(&shelters), [] as [std::path::PathBuf; 0]);
    assert_eq!(java.committed("order-processor").await.unwrap()[0].offset, 20);
}
