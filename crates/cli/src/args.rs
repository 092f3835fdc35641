//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

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

const EXIT_CODES: &str = "Exit status: 0 all done; 1 failed; 2 wrong usage; 3 done in part (see the report); \
                          130 or 143 cancelled by Ctrl-C or SIGTERM.";

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
}

#[derive(Debug, clap::Args)]
pub(crate) struct ConfigArgs {
    /// The YAML configuration
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(crate) struct OffsetMappingArgs {
    /// Name of the backup
    #[arg(long, value_name = "ID")]
    pub(crate) backup_id: String,
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
