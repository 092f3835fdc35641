//! The guide's configurations and commands, as they stand there: only addresses, folders and the storage are replaced.
//! The script that comes out is run with Apache Kafka's own tool, and the Java client says what each group reads next.
//!
//! [`every_key`] has the keys that the guide's configurations leave out, [`killed`] the worst day of our own guide.

mod configs;
mod every_key;
mod killed;
mod report;
mod source;
mod tools;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use testkit::{Cluster, ClusterOptions, GroupProtocol, JavaClient, NextRecord};

use crate::positions::Position;
use crate::program::{Ran, Workplace, files_below, finish};
use crate::source::EPOCH;
use configs::{BACKUP, FILES, RESTORE, S3, placed};
use report::the_report_is_as_documented;
use source::{assert_reset, fill, next};
use tools::tools;

#[tokio::test(flavor = "multi_thread")]
async fn the_guide_from_its_first_command_to_its_last() {
    let source = Cluster::start(ClusterOptions::new()).await.unwrap();
    let java = JavaClient::of(&source).await.unwrap();
    fill(&java).await;
    let before = next(&java).await;
    let work = Workplace::new();
    work.config("backup.yaml", &placed(BACKUP, &source));
    let ran = work.must(&["backup", "--config", "backup.yaml"]).await;
    assert!(ran.stdout.contains("3 topic(s), 4 partition(s)"), "{ran:?}");
    assert!(ran.stdout.contains("3 consumer group(s)"), "{ran:?}");
    drop(source);

    let target = Cluster::start(ClusterOptions::new().quick_retention())
        .await
        .unwrap();
    let java = JavaClient::of(&target).await.unwrap();
    work.config("restore.yaml", &placed(RESTORE, &target));
    work.must(&["restore", "--config", "restore.yaml"]).await;
    assert_eq!(
        java.list_topics(false).await.unwrap(),
        ["orders-eu", "orders-us", "payments-card"]
    );
    assert_reset(&java, &before, &[]).await;

    let report = std::fs::read(work.path("var/kafka-backup/offset-mapping.json")).unwrap();
    the_report_is_as_documented(&serde_json::from_slice(&report).unwrap());
    every_format_goes_to_a_file_and_to_stdout(&work).await;
    the_script_resets_the_groups(&work, &java, &before).await;
}

/// `--format shell-script`, `chmod +x`, and run.
async fn the_script_resets_the_groups(
    work: &Workplace,
    java: &JavaClient,
    before: &[(Position, NextRecord)],
) {
    let backups = work.backups().display().to_string();
    let script = work.path("var/kafka-backup/offset-reset.sh");
    let args = [
        "offset-mapping",
        "--backup-id",
        "prod-backup-2024",
        "--storage-path",
        &backups,
        "--format",
        "shell-script",
        "--groups",
        "order-processor,payment-processor",
        "--output",
        script.to_str().unwrap(),
    ];
    let ran = work.must(&args).await;
    assert_eq!(ran.stdout, "", "what goes to a file does not go to stdout");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let tool = tools(work);

    let ran = run_script(&script, &tool, &["--dry-run"]).await;
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(ran.stdout.contains("orders-eu"), "{ran:#?}");
    assert_reset(java, before, &[]).await;

    // Who is at work is not reset, and the script does not claim it.
    let member = java
        .join_group("order-processor", GroupProtocol::Classic, &["orders-eu"])
        .await
        .unwrap();
    let ran = run_script(&script, &tool, &[]).await;
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    assert!(ran.stderr.contains("FAILED: group order-processor"), "{ran:#?}");
    assert_reset(java, before, &["payment-processor"]).await;
    member.leave().await.unwrap();

    let ran = run_script(&script, &tool, &[]).await;
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert_reset(java, before, &["order-processor", "payment-processor"]).await;
    let offsets: Vec<i64> = java
        .committed("order-processor")
        .await
        .unwrap()
        .iter()
        .map(|commit| commit.offset)
        .collect();
    assert_eq!(offsets, [31 - 25, 60, 3]);
}

/// Runs the script as an operator does: the tool is on the path.
async fn run_script(script: &Path, tool: &Path, args: &[&str]) -> Ran {
    let path = format!("{}:{}", tool.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(script);
    command
        .args(args)
        .env("PATH", path)
        .env_remove("BOOTSTRAP_SERVERS")
        .env_remove("KAFKA_CONSUMER_GROUPS")
        .env_remove("COMMAND_CONFIG");
    finish(command).await
}

/// The guide leaves `--storage-path` out here; where the default is not the folder, the environment names it.
async fn every_format_goes_to_a_file_and_to_stdout(work: &Workplace) {
    let mut texts = Vec::new();
    for (format, name) in [
        ("json", "offset-mapping.json"),
        ("csv", "offset-mapping.csv"),
        ("text", "offset-mapping.txt"),
    ] {
        let args = [
            "offset-mapping",
            "--backup-id",
            "prod-backup-2024",
            "--format",
            format,
        ];
        let to_file = [&args[..], &["--output", name]].concat();
        let [shown, written] = [&args[..], &to_file].map(|args| {
            let mut command = work.command(args);
            command.env("KAFKA_BACKUP_STORAGE_PATH", work.backups());
            let ran = Ran::of(command.output().unwrap());
            assert_eq!(ran.code, Some(0), "{ran:#?}");
            ran.stdout
        });
        assert_eq!(written, "");
        assert_eq!(std::fs::read_to_string(work.path(name)).unwrap(), shown);
        texts.push(shown);
    }
    let [json, csv, text] = texts.try_into().unwrap();
    the_report_is_as_documented(&serde_json::from_str(&json).unwrap());
    let mut lines = csv.lines();
    assert_eq!(
        lines.next(),
        Some(
            "topic,partition,source_first_offset,source_last_offset,target_first_offset,target_last_offset,records,first_timestamp"
        )
    );
    assert!(
        csv.contains(&format!("orders-eu,0,25,59,0,34,35,{}", EPOCH + 50)),
        "{csv}"
    );
    assert!(lines.all(|line| line.split(',').count() == 8), "{csv}");
    for part in ["prod-us-east-1", "orders-us", "order-processor", "No warnings."] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

#[tokio::test]
async fn what_is_not_built_in_is_said_before_anything_is_done() {
    let work = Workplace::new();
    // The guide's advice for groups that the mapping does not have.
    for strategy in ["timestamp-based", "cluster-scan"] {
        let yaml = RESTORE.replace(S3, FILES).replace("header-based", strategy);
        work.config("restore.yaml", &yaml);
        work.run(&["restore", "--config", "restore.yaml"])
            .await
            .failed_saying(&[
                "restore.consumer_group_strategy",
                strategy,
                "not built into this version",
            ]);
    }
    assert!(files_below(&work.backups()).is_empty());
}
