//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use restore_engine::verify::Sample;

/// Back up Kafka topics, restore them into another cluster, and put every consumer group on exactly the record that it
/// would have read next.
#[derive(Debug, Parser)]
#[command(name = "kafka-backup", version, after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// Log what is being done to stderr; twice for every request (RUST_LOG works, too)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Exit status: 0 all done; 1 failed; 2 wrong usage; 3 done in part (see the report), for verify: \
                          damage found; 130 or 143 cancelled by Ctrl-C or SIGTERM.";

const VERIFY_CODES: &str = "Exit status: 0 all that was checked is good (offsets that the source had lost to retention are told, \
                            and good); 1 it could not be verified: there is no such backup, the storage failed, objects could not \
                            be read; 2 wrong usage; 3 objects are damaged or missing, or partitions are not covered as far as \
                            the backup wanted to; 130 or 143 cancelled by Ctrl-C or SIGTERM.";

const ORPHANS_RULE: &str = "A segment is removed when the manifest of its generation is there, and neither this nor any other \
                            manifest names it: then nobody ever will. Segments of a generation that is not committed yet are \
                            listed and stay: a run may be writing them. Unfinished objects are removed by their age.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Phase 1: back up topics and consumer groups, as a configuration with `mode: backup` says
    Backup(ConfigArgs),
    /// Phase 2: restore a backup into another cluster, as a configuration with `mode: restore` says (and phase 3, if it
    /// says `reset_consumer_offsets: true`)
    Restore(ConfigArgs),
    /// Phases 2 and 3: restore, show the plan for the consumer groups, and apply it if `reset_consumer_offsets: true`
    ThreePhaseRestore(ConfigArgs),
    /// Show the offset mapping of the latest restore of a backup, or make a script from it that resets groups
    OffsetMapping(OffsetMappingArgs),
    /// List the backups of a storage
    List(ListArgs),
    /// Show what a backup holds: topics, offsets, gaps, groups
    Describe(DescribeArgs),
    /// Check a backup: every digest, checksum, offset and count
    Verify(VerifyArgs),
    /// List what no manifest of a backup names, and remove it with --delete
    Orphans(OrphansArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct ConfigArgs {
    /// The YAML configuration
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: PathBuf,
}

/// Where backups lie.
#[derive(Debug, clap::Args)]
pub(crate) struct StorageArgs {
    /// Folder that holds the backups
    #[arg(
        long,
        value_name = "DIR",
        env = "KAFKA_BACKUP_STORAGE_PATH",
        default_value = "/backups"
    )]
    pub(crate) storage_path: PathBuf,
    /// Take the storage from this configuration instead
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// One of the backups that lie there.
#[derive(Debug, clap::Args)]
pub(crate) struct BackupArgs {
    /// Name of the backup
    #[arg(long, value_name = "ID")]
    pub(crate) backup_id: String,
    #[command(flatten)]
    pub(crate) storage: StorageArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// For people
    Text,
    /// For programs
    Json,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) storage: StorageArgs,
    /// How to write it
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) format: ReportFormat,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DescribeArgs {
    #[command(flatten)]
    pub(crate) backup: BackupArgs,
    /// An earlier generation instead of the newest
    #[arg(long, value_name = "N")]
    pub(crate) generation: Option<u64>,
    /// How to write it
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) format: ReportFormat,
}

#[derive(Debug, clap::Args)]
#[command(after_help = VERIFY_CODES)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) backup: BackupArgs,
    /// Look at manifests, sizes, headers and indexes only, and read no records
    #[arg(long)]
    pub(crate) shallow: bool,
    /// Look into every M-th segment, beginning with the N-th: 1/7 to 7/7 on seven days read everything once
    #[arg(long, value_name = "N/M")]
    pub(crate) sample: Option<Sample>,
    /// An earlier generation instead of the newest
    #[arg(long, value_name = "N")]
    pub(crate) generation: Option<u64>,
    /// How to write it
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) format: ReportFormat,
}

#[derive(Debug, clap::Args)]
#[command(after_help = ORPHANS_RULE)]
pub(crate) struct OrphansArgs {
    #[command(flatten)]
    pub(crate) backup: BackupArgs,
    /// Remove what is listed as `delete`
    #[arg(long)]
    pub(crate) delete: bool,
    /// Keep what is younger than this: a number and s, m, h or d
    #[arg(long, value_name = "AGE", default_value = "24h", value_parser = parse_age)]
    pub(crate) older_than: u64,
    /// How to write it
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) format: ReportFormat,
}

/// Milliseconds of an age like `90m`.
fn parse_age(text: &str) -> Result<u64, String> {
    const UNITS: [(char, u64); 4] = [('s', 1000), ('m', 60_000), ('h', 3_600_000), ('d', 86_400_000)];
    let parsed = UNITS.into_iter().find_map(|(unit, milliseconds)| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(milliseconds)
    });
    parsed.ok_or_else(|| "it is a number and s, m, h or d, as in 24h".to_owned())
}

#[derive(Debug, clap::Args)]
pub(crate) struct OffsetMappingArgs {
    #[command(flatten)]
    pub(crate) backup: BackupArgs,
    /// What to write
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// Write every pair of offsets, and not runs of them (json and csv)
    #[arg(long)]
    pub(crate) pairs: bool,
    /// Only these consumer groups; all when not given
    #[arg(long, value_delimiter = ',', value_name = "GROUP,...")]
    pub(crate) groups: Vec<String>,
    /// Where to write it; stdout when not given
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// The report, as a restore writes it to `offset_report`
    Json,
    /// A line per run of offsets, and per group and partition
    Csv,
    /// A summary to read
    Text,
    /// A script that resets the groups with Kafka's own tools
    ShellScript,
}
