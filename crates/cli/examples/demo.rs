//! The main job as a demonstration: two real Kafka clusters, one of which is lost.
//!
//! Fills a source cluster with orders, payments in transactions and a compacted topic, lets consumer groups read half
//! of it, backs it up, stops it, restores into a second cluster, resets the groups, and shows what each group reads next
//! on both sides. Run by `scripts/demo`; everything lies in a temporary folder and is gone at the end.
#![expect(clippy::print_stdout, reason = "a demonstration speaks to whoever watches it")]

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use testkit::{
    Cluster, ClusterOptions, Codec, GroupProtocol, GroupRead, JavaClient, NextRecord, ProduceRecord,
    ProducerOptions, TransactionEnd,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const GROUPS: [(&str, &str, GroupProtocol, u64); 3] = [
    ("order-processor", "orders", GroupProtocol::Classic, 150),
    ("payment-processor", "payments", GroupProtocol::Consumer, 30),
    ("customer-view", "customers", GroupProtocol::Classic, 12),
];

/// Three days ago: old enough that a restore which forgot about retention by record time would lose it.
const AGE_MS: i64 = 3 * 24 * 3600 * 1000;

#[tokio::main]
async fn main() -> Result<()> {
    let began = Instant::now();
    let folder = tempfile::tempdir()?;
    step("Two Kafka clusters start: a source and a target for the day it is lost");
    let (source, target) = tokio::join!(
        Cluster::start(ClusterOptions::new().quick_compaction()),
        Cluster::start(ClusterOptions::new().quick_retention())
    );
    let (source, target) = (source?, target?);
    println!(
        "source {}   target {}",
        source.bootstrap_servers().join(","),
        target.bootstrap_servers().join(",")
    );
    let java = JavaClient::of(&source).await?;

    step("Orders, payments in transactions (some aborted), and a compacted topic of customers");
    fill(&java).await?;
    step("Three consumer groups read half way, and stop");
    let before = read_half_way(&java).await?;

    step("Phase 1: backup");
    write_configs(folder.path(), &source, &target)?;
    run(folder.path(), &["backup", "--config", "backup.yaml"])?;
    step("The source is lost");
    drop(java);
    drop(source);
    println!("stopped.");

    step("Phases 2 and 3: restore into the target, and reset the groups");
    run(
        folder.path(),
        &["three-phase-restore", "--config", "restore.yaml"],
    )?;

    step("What each group reads next, as the Java consumer sees it");
    let java = JavaClient::of(&target).await?;
    let after = next_records(&java).await?;
    let equal = compare(&before, &after);
    drop(java);
    drop(target);
    println!(
        "\nDone in {:.0} s; the clusters are stopped and their files removed.",
        began.elapsed().as_secs_f64()
    );
    if equal {
        Ok(())
    } else {
        Err("a group reads another record than it would have".into())
    }
}

fn step(text: &str) {
    println!("\n== {text}");
}

fn now_ms() -> Result<i64> {
    Ok(i64::try_from(
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)?
            .as_millis(),
    )?)
}

async fn fill(java: &JavaClient) -> Result<()> {
    let start = now_ms()? - AGE_MS;
    let time = |n: i64| start + n * 250;
    java.create_topic("orders", 3, &[("retention.ms", "604800000")])
        .await?;
    let orders: Vec<Vec<ProduceRecord>> = (0..20)
        .map(|batch| {
            (0..15)
                .map(|n| order(batch * 15 + n, time(batch * 15 + n)))
                .collect()
        })
        .collect();
    java.produce_with(&ProducerOptions::new().codec(Codec::Zstd), &orders)
        .await?;
    println!("orders:    300 records in 3 partitions, zstd");

    java.create_topic("payments", 2, &[]).await?;
    for n in 0..20i64 {
        let end = if n % 4 == 3 {
            TransactionEnd::Abort
        } else {
            TransactionEnd::Commit
        };
        let of = |k| payment(n * 4 + k, time(n * 4 + k));
        java.transaction("payments", &[of(0), of(1), of(2), of(3)], end)
            .await?;
    }
    println!("payments:  15 transactions committed, 5 aborted, 4 records each, 2 partitions");

    let configs = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "10000"),
        ("min.cleanable.dirty.ratio", "0.0"),
    ];
    java.create_topic("customers", 1, &configs).await?;
    let versions: Vec<Vec<ProduceRecord>> = (0..12)
        .map(|version| {
            (0..6)
                .map(|n| customer(n, version, time(version * 60 + n)))
                .collect()
        })
        .collect();
    java.produce(&versions.concat()).await?;
    java.produce(&[customer(90, 0, time(90_000))]).await?;
    java.produce(&[customer(91, 0, time(190_000))]).await?;
    for _ in 0..100 {
        if java.consume_all("customers", 0).await?.len() < 40 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // What is left stays: the comparison at the end is with what the groups see now.
    java.alter_topic_configs("customers", &[("min.compaction.lag.ms", Some("9000000000000"))])
        .await?;
    let left = java.consume_all("customers", 0).await?.len();
    println!("customers: 74 records, {left} left after compaction");
    Ok(())
}

fn order(n: i64, timestamp: i64) -> ProduceRecord {
    let value = format!(
        "{{\"order\":{n},\"customer\":\"c-{}\",\"items\":{},\"total\":{}.{:02}}}",
        n % 17,
        n % 5 + 1,
        10 + n * 7 % 90,
        n % 100
    );
    ProduceRecord::new("orders", (n % 3) as i32)
        .key(format!("o-{n}"))
        .value(value)
        .header("trace", format!("{n:08x}"))
        .timestamp(timestamp)
}

fn payment(n: i64, timestamp: i64) -> ProduceRecord {
    let value = format!("{{\"payment\":{n},\"order\":{n},\"state\":\"captured\"}}");
    ProduceRecord::new("payments", (n % 2) as i32)
        .key(format!("p-{n}"))
        .value(value)
        .timestamp(timestamp)
}

fn customer(n: i64, version: i64, timestamp: i64) -> ProduceRecord {
    let key = if n < 4 {
        format!("c-{n}")
    } else {
        format!("c-{n}-{version}")
    };
    ProduceRecord::new("customers", 0)
        .key(key)
        .value(format!("{{\"tier\":{version}}}"))
        .timestamp(timestamp)
}

async fn read_half_way(java: &JavaClient) -> Result<Vec<NextRecord>> {
    for (group, topic, protocol, count) in GROUPS {
        let read = java
            .group_read(&GroupRead::new(group, protocol, topic, count))
            .await?;
        println!(
            "{group}: {} records of {topic} ({protocol:?} protocol)",
            read.len()
        );
    }
    next_records(java).await
}

async fn next_records(java: &JavaClient) -> Result<Vec<NextRecord>> {
    let mut positions = Vec::new();
    for (group, topic, _, _) in GROUPS {
        let partitions = i32::try_from(java.describe_topic(topic).await?.partitions.len())?;
        positions.extend((0..partitions).map(|partition| (group, topic, partition)));
    }
    Ok(java.next_records(&positions).await?)
}

fn write_configs(folder: &Path, source: &Cluster, target: &Cluster) -> Result<()> {
    let backup = format!(
        "mode: backup\nbackup_id: demo\nsource:\n  bootstrap_servers: {:?}\n  topics:\n    include: [\"orders\", \
         \"payments\", \"customers\"]\nstorage:\n  backend: filesystem\n  path: backups\nbackup:\n  source_cluster_id: \
         prod-us-east-1\n  compression: zstd\n",
        source.bootstrap_servers()
    );
    let restore = format!(
        "mode: restore\nbackup_id: demo\ntarget:\n  bootstrap_servers: {:?}\n  topics:\n    include: [\"*\"]\nstorage:\n  \
         backend: filesystem\n  path: backups\nrestore:\n  consumer_group_strategy: header-based\n  \
         include_original_offset_header: true\n  offset_report: offset-mapping.json\n  reset_consumer_offsets: true\n",
        target.bootstrap_servers()
    );
    std::fs::write(folder.join("backup.yaml"), backup)?;
    std::fs::write(folder.join("restore.yaml"), restore)?;
    Ok(())
}

/// Runs the program that was built beside this one.
fn run(folder: &Path, args: &[&str]) -> Result<()> {
    let here = std::env::current_exe()?;
    let program = here
        .parent()
        .and_then(Path::parent)
        .ok_or("no build folder")?
        .join("kafka-backup");
    println!("$ kafka-backup {}", args.join(" "));
    let status = Command::new(program).args(args).current_dir(folder).status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("kafka-backup {args:?}: {status}").into())
    }
}

/// Prints both sides; true when every group reads the same record on both.
fn compare(before: &[NextRecord], after: &[NextRecord]) -> bool {
    let mut equal = true;
    println!(
        "{:<18} {:<12} {:>8} {:>8}  next record",
        "group", "partition", "source", "target"
    );
    for (index, (old, new)) in before.iter().zip(after).enumerate() {
        let group = GROUPS
            .iter()
            .find(|(_, topic, _, _)| *topic == old.topic)
            .map_or("", |(group, _, _, _)| group);
        let key = |next: &NextRecord| {
            next.record
                .as_ref()
                .map(|r| String::from_utf8_lossy(r.key.as_deref().unwrap_or_default()).into_owned())
        };
        let same = match (&old.record, &new.record) {
            (Some(old), Some(new)) => {
                old.key == new.key && old.value == new.value && old.timestamp == new.timestamp
            }
            (None, None) => true,
            _ => false,
        };
        equal &= same && after.len() == before.len();
        let offset = |committed: Option<i64>| committed.map_or("-".to_owned(), |offset| offset.to_string());
        println!(
            "{:<18} {:<12} {:>8} {:>8}  {} {}",
            group,
            format!("{}/{}", old.topic, old.partition),
            offset(old.committed),
            offset(new.committed),
            key(old).unwrap_or_else(|| "(end)".to_owned()),
            if same {
                "= the same on both sides".to_owned()
            } else {
                format!("!= {:?} on the target (line {index})", key(new))
            },
        );
    }
    equal
}
