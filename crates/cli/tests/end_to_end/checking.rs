//! A backup of a real cluster, looked at, damaged, and checked: what is hit is told in topics, partitions and offsets.

use testkit::{Cluster, ClusterOptions, Commit, JavaClient, ProduceRecord, ProducerOptions};

use crate::program::{Ran, Workplace, backup_yaml, files_below};

struct Site {
    work: Workplace,
    _cluster: Cluster,
}

impl Site {
    /// Two topics, of which `orders` has records in two partitions; the log of `orders-1` begins at offset 20.
    async fn start() -> Self {
        let cluster = Cluster::start(ClusterOptions::new()).await.unwrap();
        let java = JavaClient::of(&cluster).await.unwrap();
        java.create_topic("orders", 2, &[]).await.unwrap();
        java.create_topic("empty", 1, &[]).await.unwrap();
        let records: Vec<ProduceRecord> = (0..40)
            .map(|n| ProduceRecord::new("orders", n % 2).value(format!("value {n}")))
            .collect();
        for codec in [testkit::Codec::None, testkit::Codec::Zstd] {
            let options = ProducerOptions::new().codec(codec);
            java.produce_with(&options, std::slice::from_ref(&records))
                .await
                .unwrap();
        }
        java.delete_records("orders", 1, 20).await.unwrap();
        java.commit("billing", &[Commit::new("orders", 0, 7)])
            .await
            .unwrap();
        let work = Workplace::new();
        let yaml = backup_yaml("nightly", &cluster.bootstrap_servers(), &["*"]);
        work.config("backup.yaml", &yaml);
        work.must(&["backup", "--config", "backup.yaml"]).await;
        Self {
            work,
            _cluster: cluster,
        }
    }

    async fn on_backup(&self, command: &str, options: &[&str]) -> Ran {
        let backups = self.work.backups().display().to_string();
        let fixed = [command, "--backup-id", "nightly", "--storage-path", &backups];
        self.work.run(&[&fixed, options].concat()).await
    }

    fn segment(&self) -> std::path::PathBuf {
        let files = files_below(&self.work.backups());
        let mut segments = files
            .into_iter()
            .filter(|path| path.extension() == Some("segment".as_ref()));
        segments.next().unwrap()
    }
}

fn json(ran: &Ran) -> serde_json::Value {
    serde_json::from_str(&ran.stdout).unwrap()
}

#[tokio::test]
async fn a_backup_is_described_checked_damaged_and_checked_again() {
    let site = Site::start().await;

    let listed = site.work.must(&["list", "--config", "backup.yaml"]).await;
    assert!(
        listed.stdout.contains("nightly") && listed.stdout.contains("complete"),
        "{listed:?}"
    );
    let listed = json(
        &site
            .work
            .must(&["list", "--config", "backup.yaml", "--format", "json"])
            .await,
    );
    assert_eq!(listed[0]["newest"]["records"], 60);

    let described = site.on_backup("describe", &[]).await;
    assert!(
        described
            .stdout
            .contains("partition 1: offsets 20 to 39, 20 records"),
        "{described:?}"
    );
    assert!(described.stdout.contains("orders-0: 7"), "{described:?}");

    let good = site.on_backup("verify", &[]).await;
    assert_eq!(good.code, Some(0), "{good:?}");
    assert!(
        good.stdout.starts_with("GOOD: ") && !good.stdout.contains("ever complete"),
        "{good:?}"
    );
    let good = site.on_backup("verify", &["--format", "json"]).await;
    assert_eq!(json(&good)["verdict"], "good");
    assert_eq!(json(&good)["partitions"].as_array().unwrap().len(), 3);

    let segment = site.segment();
    let whole = std::fs::read(&segment).unwrap();
    let name = format!(
        "nightly/segments/{}",
        segment.file_name().unwrap().to_str().unwrap()
    );

    // The last byte in front of the index belongs to the last block.
    let footer = whole.len() - 40;
    let index_at = u64::from_be_bytes(whole[footer..footer + 8].try_into().unwrap());
    let mut damaged = whole.clone();
    damaged[index_at as usize - 1] ^= 1;
    std::fs::write(&segment, damaged).unwrap();
    let found = site.on_backup("verify", &["--format", "json"]).await;
    assert_eq!(found.code, Some(3), "{found:?}");
    let report = json(&found);
    assert_eq!(report["verdict"], "damaged");
    assert_eq!(report["objects"][0]["object"], name);
    assert!(report["objects"][0]["position"].as_u64().unwrap() < index_at);
    let partitions = report["partitions"].as_array().unwrap();
    let hit: Vec<_> = partitions.iter().filter(|p| p["status"] == "damaged").collect();
    assert_eq!(hit.len(), 1, "{report:#}");
    assert_eq!(hit[0]["topic"], "orders");
    assert_eq!(hit[0]["lost"][0]["to"], 40, "{report:#}");
    let told = site.on_backup("verify", &[]).await;
    assert!(
        told.stdout.starts_with("DAMAGED: ") && told.stdout.contains("What cannot be restored"),
        "{told:?}"
    );
    // No record is read.
    assert_eq!(site.on_backup("verify", &["--shallow"]).await.code, Some(0));

    std::fs::remove_file(&segment).unwrap();
    let missing = site.on_backup("verify", &["--shallow"]).await;
    assert_eq!(missing.code, Some(3), "{missing:?}");
    assert!(
        missing
            .stdout
            .contains("orders-1 offsets 20 to 39 (of 20 to 39): missing"),
        "{missing:?}"
    );

    std::fs::write(&segment, whole).unwrap();
    assert_eq!(site.on_backup("verify", &["--sample", "1/1"]).await.code, Some(0));
    site.on_backup("verify", &["--generation", "9"])
        .await
        .failed_saying(&["no generation 9"]);
    assert_eq!(site.on_backup("verify", &["--sample", "3/2"]).await.code, Some(2));
}

#[tokio::test]
async fn orphans_are_listed_and_removed_and_nothing_else() {
    let site = Site::start().await;
    let none = site.on_backup("orphans", &["--delete"]).await;
    assert_eq!(none.code, Some(0), "{none:?}");
    assert!(none.stdout.contains("no orphans"), "{none:?}");

    // What a run that lost to another one, and a run that is writing now, leave.
    let segment = site.segment();
    let lost = segment.with_file_name("0000000000000001-0000000000000009-00000000000000aa.segment");
    let writing = segment.with_file_name("0000000000000002-0000000000000001-00000000000000bb.segment");
    std::fs::copy(&segment, &lost).unwrap();
    std::fs::copy(&segment, &writing).unwrap();
    let young = site.on_backup("orphans", &["--delete"]).await;
    assert!(
        young.stdout.contains("young") && young.stdout.contains("undecided"),
        "{young:?}"
    );
    assert!(lost.exists() && writing.exists());

    let listed = site.on_backup("orphans", &["--older-than", "0s"]).await;
    assert!(
        listed.stdout.contains("1 of them can go") && lost.exists(),
        "{listed:?}"
    );
    let deleted = site
        .on_backup("orphans", &["--older-than", "0s", "--delete", "--format", "json"])
        .await;
    assert_eq!(json(&deleted)["outcome"]["deleted"].as_array().unwrap().len(), 1);
    assert!(!lost.exists() && writing.exists());
    assert_eq!(site.on_backup("verify", &[]).await.code, Some(0));
}
