//! How fast, how heavy: `backup` and `restore` of the built program against real brokers, beside the fastest that a
//! client could do there.
//!
//! For each kind of producer, a topic is filled, and then, in several rounds:
//!
//! * fetch floor: a blocking socket fetches every byte of the topic and forgets it (`fetch_floor`);
//! * the client of the program does the same (`client_fetch`);
//! * `kafka-backup backup`, as a child process whose time, CPU and memory are measured (`measure`);
//! * what its work takes by itself: zstd in memory, digesting its files, and writing them with one fsync each (`alone`);
//! * produce floor: the same batches, from memory, over four blocking sockets (`produce_floor`);
//! * `kafka-backup restore` into the same, emptied cluster, with exact offset mapping and report.
//!
//! Run by `scripts/bench`. Everything lies in a temporary folder and is gone at the end.
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

mod alone;
mod client_fetch;
mod clusters;
mod fetch_floor;
mod measure;
mod produce_floor;
mod program;
mod table;
mod wire;

use std::error::Error;
use std::num::NonZeroUsize;
use std::thread::available_parallelism;

use clap::Parser;
use testkit::Codec;

use clusters::{Clusters, Topic};
use table::Table;

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// What is measured.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Args {
    /// Millions of bytes of records (of 1 KiB each); it takes about as much memory, and six times as much disk
    #[arg(long, default_value_t = 2048, value_name = "MB")]
    size: u64,
    /// How often everything is measured; the fastest counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// `backup.compression`, for what the producer left uncompressed
    #[arg(long, default_value = "zstd")]
    compression: String,
    /// `backup.parallelism`, and the threads of zstd alone [default: the machine's cores]
    #[arg(long)]
    parallelism: Option<NonZeroUsize>,
    /// Measure with this producer only
    #[arg(long, value_parser = ["none", "zstd"])]
    producer: Option<String>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    // Both ends drop the clusters and folders.
    tokio::select! {
        result = run(&args) => result,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    }
}

async fn run(args: &Args) -> Result<()> {
    println!("{}", measure::machine());
    let clusters = Clusters::start().await?;
    for codec in [Codec::None, Codec::Zstd] {
        if args.producer.as_deref().is_some_and(|only| only != codec.name()) {
            continue;
        }
        let topic = clusters.fill(codec, args.size).await?;
        let table = rounds(args, &clusters, &topic).await?;
        println!("\n{}", table.render(&topic));
        clusters.forget(&topic).await?;
    }
    println!("{}", measure::machine());
    Ok(())
}

async fn rounds(args: &Args, clusters: &Clusters, topic: &Topic) -> Result<Table> {
    let mut table = Table::default();
    for round in 0..args.rounds.max(1) {
        let folder = tempfile::tempdir()?;
        let (source, target) = (&clusters.source, &clusters.target);
        table.fetch_floor(fetch_floor::measure(source, topic).await?);
        let program = program::Program::configure(folder.path(), clusters, topic, args)?;
        let parallelism = args.parallelism.map_or_else(available_parallelism, Ok)?.get();
        table.client_fetch(client_fetch::measure(source, topic, parallelism).await?);
        if topic.codec == Codec::None && args.compression == "zstd" {
            table.zstd_alone(alone::zstd(source, topic, parallelism).await?);
        }
        table.backup(program.backup(source).await?, program.backup_bytes()?);
        let copy = folder.path().join("copy");
        table.digest_alone(alone::digest(source, &program.backups()).await?);
        table.write_alone(alone::write(source, &program.backups(), copy).await?);

        table.produce_floor(produce_floor::measure(clusters, topic, round).await?);
        let restored = program.restore(target).await?;
        clusters.check_restored(topic).await?;
        table.restore(restored, program.report_bytes()?);
        clusters.target_java.delete_topic(&topic.name).await?;
    }
    Ok(table)
}
