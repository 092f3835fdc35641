//! What people get wrong. Each mistake is refused at once, with an error that says what to do; nothing is written.

use std::fs;

use testkit::{Cluster, ClusterOptions, JavaClient, ProduceRecord};

use crate::program::{Workplace, backup_yaml, files_below, restore_yaml};

const NOWHERE: &str = "127.0.0.1:1";

#[tokio::test]
async fn configurations_that_cannot_be_used() {
    let work = Workplace::new();
    let nowhere = [NOWHERE.to_owned()];
    work.run(&["backup", "--config", "missing.yaml"])
        .await
        .failed_saying(&["missing.yaml", "No such file"]);

    let yaml = backup_yaml("b", &nowhere, &["*"]).replace("bootstrap_servers", "bootstrap_server");
    work.config("typo.yaml", &yaml);
    let ran = work.run(&["backup", "--config", "typo.yaml"]).await;
    ran.failed_saying(&[
        "typo.yaml",
        "unknown key `bootstrap_server`",
        "did you mean `bootstrap_servers`",
    ]);

    work.config("restore.yaml", &restore_yaml("b", &nowhere, &[]));
    work.run(&["backup", "--config", "restore.yaml"])
        .await
        .failed_saying(&["mode: restore", "mode: backup"]);

    let s3 = backup_yaml("b", &nowhere, &["*"]).replace("filesystem", "s3");
    work.config("s3.yaml", &s3);
    work.run(&["backup", "--config", "s3.yaml"])
        .await
        .failed_saying(&["storage.path", "`bucket`"]);
    assert!(files_below(&work.backups()).is_empty());
}

#[tokio::test]
async fn a_cluster_that_cannot_be_reached() {
    let work = Workplace::new();
    work.config("backup.yaml", &backup_yaml("b", &[NOWHERE.to_owned()], &["*"]));
    work.run(&["backup", "--config", "backup.yaml"])
        .await
        .failed_saying(&["source cluster", NOWHERE]);
    assert!(files_below(&work.backups()).is_empty());
}

#[tokio::test]
async fn backups_that_are_not_there() {
    let work = Workplace::new();
    work.config(
        "restore.yaml",
        &restore_yaml("no-such", &[NOWHERE.to_owned()], &[]),
    );
    work.run(&["restore", "--config", "restore.yaml"])
        .await
        .failed_saying(&["no-such", "backups; the folder does not exist"]);
    let backups = work.backups().display().to_string();
    // A path that is misspelt is no storage without backups.
    let list = ["list", "--storage-path", &backups];
    work.run(&list)
        .await
        .failed_saying(&[&backups, "does not exist", "--storage-path"]);
    std::fs::create_dir(work.backups()).unwrap();
    let listed = work.must(&list).await;
    assert!(listed.stdout.contains("There is no backup in"), "{listed:?}");
    work.run(&["restore", "--config", "restore.yaml"])
        .await
        .failed_saying(&["no-such", "there are no backups"]);
    let args = [
        "offset-mapping",
        "--backup-id",
        "no-such",
        "--storage-path",
        &backups,
    ];
    work.run(&args).await.failed_saying(&["no-such", &backups]);
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_and_targets_that_do_not_fit() {
    let cluster = Cluster::start(ClusterOptions::new()).await.unwrap();
    let java = JavaClient::of(&cluster).await.unwrap();
    java.create_topic("orders", 2, &[]).await.unwrap();
    let batch: Vec<ProduceRecord> = (0..50)
        .map(|n| ProduceRecord::new("orders", n % 2).value(format!("v{n}")))
        .collect();
    java.produce(&batch).await.unwrap();

    let work = Workplace::new();
    let bootstrap = cluster.bootstrap_servers();
    work.config("none.yaml", &backup_yaml("first", &bootstrap, &["payments-*"]));
    work.run(&["backup", "--config", "none.yaml"])
        .await
        .failed_saying(&["payments-*", "the topics are: orders"]);
    assert!(files_below(&work.backups()).is_empty());

    work.config("backup.yaml", &backup_yaml("first", &bootstrap, &["*"]));
    work.must(&["backup", "--config", "backup.yaml"]).await;
    work.config("other.yaml", &restore_yaml("second", &bootstrap, &[]));
    work.run(&["restore", "--config", "other.yaml"])
        .await
        .failed_saying(&["no backup `second`", "first"]);

    // The topic is there and holds records; with too few partitions it would not fit in any case.
    work.config("restore.yaml", &restore_yaml("first", &bootstrap, &[]));
    let ran = work.run(&["restore", "--config", "restore.yaml"]).await;
    ran.failed_saying(&[
        "nothing was written",
        "orders already holds records",
        "on_existing_data: append",
    ]);
    java.delete_topic("orders").await.unwrap();
    java.create_topic("orders", 1, &[]).await.unwrap();
    let ran = work.run(&["restore", "--config", "restore.yaml"]).await;
    ran.failed_saying(&["nothing was written", "has 1 partition(s)", "the backup has 2"]);
    assert_eq!(java.end_offset("orders", 0).await.unwrap(), 0);
    java.delete_topic("orders").await.unwrap();

    damaged_objects_are_named(&work, &java).await;
}

/// Bytes flipped in a segment and in the manifest: found before or while restoring, and named.
async fn damaged_objects_are_named(work: &Workplace, java: &JavaClient) {
    let files = files_below(&work.backups());
    let of = |end: &str| {
        files
            .iter()
            .find(|path| path.to_str().unwrap().ends_with(end))
            .unwrap()
    };
    for (end, from_end) in [
        (".manifest", 40),
        (".segment", 10),
        (".segment", 60),
        (".segment", 300),
    ] {
        let path = of(end);
        let good = fs::read(path).unwrap();
        let mut bad = good.clone();
        let at = bad.len() - from_end;
        bad[at] ^= 0x20;
        fs::write(path, &bad).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let ran = work.run(&["restore", "--config", "restore.yaml"]).await;
        ran.failed_saying(&[name, "damaged"]);
        fs::write(path, &good).unwrap();
        if java
            .list_topics(false)
            .await
            .unwrap()
            .contains(&"orders".to_owned())
        {
            java.delete_topic("orders").await.unwrap();
        }
    }
    work.must(&["restore", "--config", "restore.yaml"]).await;
}
