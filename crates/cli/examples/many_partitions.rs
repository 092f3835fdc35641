//! What many partitions with little in them cost a backup: time, CPU, memory, and objects.
//!
//! Run by `scripts/many-partitions`. Real broker, the built program as a child process, everything in a temporary folder.
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

use std::error::Error;
use std::path::{Path, PathBuf};

use clap::Parser;
use testkit::{Cluster, ClusterOptions, JavaClient, ProduceRecord, Tuning};

#[path = "bench/measure.rs"]
mod measure;

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// Partitions of each topic.
const PER_TOPIC: usize = 100;

/// What is measured.
#[derive(Debug, Parser)]
#[command(name = "many_partitions")]
struct Args {
    /// Partitions without a record
    #[arg(long, default_value_t = 10_000)]
    empty: usize,
    /// Partitions with ten records each
    #[arg(long, default_value_t = 5_000)]
    small: usize,
    /// How many of those get ten more before the last run
    #[arg(long, default_value_t = 50)]
    busy: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    // Both ends drop the cluster and the folder.
    tokio::select! {
        result = run(&args) => result,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    }
}

async fn run(args: &Args) -> Result<()> {
    println!("{}", measure::machine());
    // Thousands of logs on one small broker: without room for large indexes.
    let options = ClusterOptions::new()
        .tuning(Tuning::Throughput)
        .property("log.index.size.max.bytes", 4096);
    let cluster = Cluster::start(options).await?;
    let java = JavaClient::of(&cluster).await?;
    let folder = tempfile::tempdir()?;
    println!(
        "{:<44} {:>7} {:>7} {:>9} {:>8} {:>12}",
        "run", "time s", "CPU s", "broker s", "peak MiB", "new objects"
    );
    create(&java, "empty", args.empty).await?;
    one(
        &cluster,
        folder.path(),
        "empty",
        &format!("{} empty partitions", args.empty),
    )
    .await?;
    one(&cluster, folder.path(), "empty", "the same again").await?;
    create(&java, "small", args.small).await?;
    fill(&java, args.small).await?;
    let what = format!("{} partitions of ten records", args.small);
    one(&cluster, folder.path(), "small", &what).await?;
    fill(&java, args.busy).await?;
    let what = format!("the same, {} of them with ten more", args.busy);
    one(&cluster, folder.path(), "small", &what).await?;
    println!("{}", measure::machine());
    Ok(())
}

async fn create(java: &JavaClient, name: &str, partitions: usize) -> Result<()> {
    for topic in 0..partitions.div_ceil(PER_TOPIC) {
        let count = (partitions - topic * PER_TOPIC).min(PER_TOPIC);
        java.create_topic(&format!("{name}-{topic}"), i32::try_from(count)?, &[])
            .await?;
    }
    Ok(())
}

/// Ten records into each of the first `partitions`.
async fn fill(java: &JavaClient, partitions: usize) -> Result<()> {
    let all: Vec<usize> = (0..partitions).collect();
    for some in all.chunks(500) {
        let mut records = Vec::new();
        for &partition in some {
            let (topic, number) = (partition / PER_TOPIC, partition % PER_TOPIC);
            for n in 0..10 {
                let record = ProduceRecord::new(format!("small-{topic}"), i32::try_from(number)?);
                records.push(record.value(format!("{{\"partition\":{partition},\"n\":{n}}}")));
            }
        }
        java.produce(&records).await?;
    }
    Ok(())
}

/// Runs a backup and prints its line.
async fn one(cluster: &Cluster, folder: &Path, topics: &str, what: &str) -> Result<()> {
    let yaml = format!(
        "mode: backup\nbackup_id: {topics}\nsource:\n  bootstrap_servers: {:?}\n  topics:\n    include: [\"{topics}-*\"]\n\
         storage:\n  backend: filesystem\n  path: backups\n",
        cluster.bootstrap_servers(),
    );
    std::fs::write(folder.join("backup.yaml"), yaml)?;
    let backup = folder.join("backups").join(topics);
    let before = files_below(&backup)?;
    // Built beside this one.
    let here = std::env::current_exe()?;
    let builds = here.parent().and_then(Path::parent).ok_or("no build folder")?;
    let program: PathBuf = builds.join("kafka-backup");
    let cost = measure::child(&program, &["backup", "--config", "backup.yaml"], folder, cluster).await?;
    let objects = files_below(&backup)? - before;
    println!(
        "{what:<44} {:>7.2} {:>7.2} {:>9.2} {:>8.0} {objects:>12}",
        cost.wall,
        cost.cpu,
        cost.broker_cpu,
        cost.peak_mib.unwrap_or_default(),
    );
    Ok(())
}

fn files_below(folder: &Path) -> Result<usize> {
    if !folder.exists() {
        return Ok(0);
    }
    let mut files = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        files += if entry.file_type()?.is_dir() {
            files_below(&entry.path())?
        } else {
            1
        };
    }
    Ok(files)
}
