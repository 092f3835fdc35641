//! Configuration: what was typed (`file`) becomes what the engine runs with.
//!
//! [`Config`] has every default applied and every rule checked, so that nothing behind it asks again. Each error says
//! which file, which key, what is wrong and what to write instead.

mod backup;
mod error;
mod file;
mod security;
mod storage;
mod time;

use std::path::{Path, PathBuf};

pub use backup::{BackupConfig, DEFAULT_SEGMENT_MAX_BYTES, StartFrom};
pub use error::ConfigError;
use file::{ClusterSection, ConfigFile, RestoreSection, Text};
pub use kafka_wire::{Secret, Security};
pub use storage::{S3Checksums, S3Config, S3Credentials, S3Encryption, StorageConfig};

/// A configuration file larger than this is not one of ours.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The longest file name that common file systems take, less room for nothing else: the id is a folder of its own.
const MAX_BACKUP_ID_BYTES: usize = 255;

/// A checked configuration: one backup set, where it lies, and what is to be done with it.
#[derive(Debug, Clone)]
pub struct Config {
    /// Name of the backup set.
    pub backup_id: String,
    /// Where backups lie.
    pub storage: StorageConfig,
    /// What to do.
    pub job: Job,
}

/// `mode:` with the sections that belong to it.
#[derive(Debug, Clone)]
pub enum Job {
    /// `mode: backup`
    Backup(BackupConfig),
    /// `mode: restore`
    Restore(RestoreConfig),
}

/// One Kafka cluster and the topics of it that are meant.
#[derive(Debug, Clone)]
pub struct ClusterTopics {
    /// `host:port`, tried in order.
    pub bootstrap_servers: Vec<String>,
    /// Encryption and login.
    pub security: Security,
    /// Globs of topic names, at least one.
    pub include: Vec<String>,
    /// Globs of topic names to leave out.
    pub exclude: Vec<String>,
}

impl From<ClusterTopics> for kafka_wire::ClusterConfig {
    /// How to reach the cluster.
    fn from(cluster: ClusterTopics) -> Self {
        let mut config = Self::new(cluster.bootstrap_servers);
        config.security = cluster.security;
        config
    }
}

/// What `mode: restore` runs with.
#[derive(Debug, Clone)]
pub struct RestoreConfig {
    /// The cluster that is written.
    pub target: ClusterTopics,
    /// How consumer groups are positioned.
    pub strategy: ConsumerGroupStrategy,
    /// Append `x-original-offset`, `x-original-timestamp` and `x-source-cluster` to every record.
    pub include_original_offset_header: bool,
    /// Where the mapping report goes.
    pub offset_report: Option<PathBuf>,
    /// Groups to reset; empty means all groups of the backup.
    pub consumer_groups: Vec<String>,
    /// Apply the reset, instead of planning it only.
    pub reset_consumer_offsets: bool,
    /// What to do with topics that already hold records.
    pub on_existing_data: OnExistingData,
    /// Take a backup of which no run has come to its end.
    pub allow_incomplete_backup: bool,
    /// Take the groups' positions as they were at this time, in milliseconds since 1970 UTC; the newest when `None`.
    pub consumer_groups_as_of: Option<i64>,
}

/// `restore.consumer_group_strategy`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConsumerGroupStrategy {
    /// No offset handling.
    Skip,
    /// Exact positions from the source offsets kept with the batches.
    HeaderBased,
    /// As [`Self::HeaderBased`], but never applied: the plan and the report only.
    Manual,
}

/// `restore.on_existing_data`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnExistingData {
    /// Refuse before anything is written.
    Refuse,
    /// Write behind what is there.
    Append,
}

impl Config {
    /// Reads and checks a YAML file.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let io = |source| ConfigError::Io {
            path: path.to_owned(),
            source,
        };
        let length = std::fs::metadata(path).map_err(io)?.len();
        if length > MAX_FILE_BYTES {
            return Err(ConfigError::TooLarge {
                path: path.to_owned(),
                bytes: length,
                limit: MAX_FILE_BYTES,
            });
        }
        let text = std::fs::read_to_string(path).map_err(io)?;
        Self::from_yaml(&text, path)
    }

    /// Checks a YAML document; `path` is only named in errors.
    pub fn from_yaml(text: &str, path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let file: ConfigFile =
            serde_yaml::from_str(text).map_err(|e| ConfigError::from_yaml(path, &e.to_string()))?;
        resolve(file).map_err(|problem| ConfigError::Invalid {
            path: path.to_owned(),
            problem,
        })
    }

    /// The `backup` sections, or an error that names the command for the mode that the file has.
    pub fn backup(&self) -> Result<&BackupConfig, ConfigError> {
        match &self.job {
            Job::Backup(backup) => Ok(backup),
            Job::Restore(_) => Err(ConfigError::Mode {
                is: "restore",
                wanted: "backup",
            }),
        }
    }

    /// The `restore` sections, or an error that names the command for the mode that the file has.
    pub fn restore(&self) -> Result<&RestoreConfig, ConfigError> {
        match &self.job {
            Job::Restore(restore) => Ok(restore),
            Job::Backup(_) => Err(ConfigError::Mode {
                is: "backup",
                wanted: "restore",
            }),
        }
    }
}

fn resolve(file: ConfigFile) -> Result<Config, String> {
    let mode = required(file.mode, "mode", "`backup` or `restore`")?;
    let backup_id = required(
        file.backup_id,
        "backup_id",
        "a name for the backup, such as prod-backup-2024",
    )?;
    check_backup_id(&backup_id)?;
    let storage = file
        .storage
        .ok_or("`storage:` is missing: say where the backups lie, e.g. backend: filesystem")?;
    let storage = storage::resolve(storage)?;
    let job = match mode.as_str() {
        "backup" => {
            forbid(file.target.is_some(), "target", "backup", "source")?;
            forbid(file.restore.is_some(), "restore", "backup", "backup")?;
            Job::Backup(backup::resolve(file.source, file.backup.unwrap_or_default())?)
        }
        "restore" => {
            forbid(file.source.is_some(), "source", "restore", "target")?;
            forbid(file.backup.is_some(), "backup", "restore", "restore")?;
            Job::Restore(resolve_restore(file.target, file.restore.unwrap_or_default())?)
        }
        other => return Err(error::not_one_of("mode", other, &["backup", "restore"])),
    };
    if let (StorageConfig::S3(_), Job::Backup(backup)) = (&storage, &job)
        && backup.segment_max_bytes > storage::MAX_S3_SEGMENT_BYTES
    {
        return Err(format!(
            "backup.segment_max_bytes: {} is more than the {} that an object of S3 takes in parts of 8 MiB",
            backup.segment_max_bytes,
            storage::MAX_S3_SEGMENT_BYTES
        ));
    }
    Ok(Config {
        backup_id,
        storage,
        job,
    })
}

/// Any text names a folder once it is encoded, but folder names have a length.
fn check_backup_id(backup_id: &str) -> Result<(), String> {
    let encoded = segment_format::layout::backup_prefix(backup_id).len() - 1;
    if encoded > MAX_BACKUP_ID_BYTES || backup_id.chars().any(char::is_control) {
        return Err(format!(
            "backup_id: `{}` does not make a folder name: use at most {MAX_BACKUP_ID_BYTES} letters, digits, `-`, `_`, `.`",
            backup_id.escape_debug()
        ));
    }
    Ok(())
}

/// A section that the mode does not use would be a wish silently ignored.
fn forbid(present: bool, section: &str, mode: &str, instead: &str) -> Result<(), String> {
    if present {
        return Err(format!(
            "`{section}:` has no meaning with `mode: {mode}` (which uses `{instead}:`): remove it"
        ));
    }
    Ok(())
}

fn required(text: Option<Text>, key: &str, what: &str) -> Result<String, String> {
    match text {
        Some(Text(text)) if !text.trim().is_empty() => Ok(text),
        _ => Err(format!("`{key}` is missing: give {what}")),
    }
}

fn resolve_cluster(section: Option<ClusterSection>, name: &str) -> Result<ClusterTopics, String> {
    let section =
        section.ok_or_else(|| format!("`{name}:` is missing: give its bootstrap_servers and topics"))?;
    let bootstrap_servers: Vec<String> = section.bootstrap_servers.into_iter().map(|t| t.0).collect();
    if bootstrap_servers.is_empty() {
        return Err(format!(
            "{name}.bootstrap_servers is missing: give a list such as [kafka-1:9092]"
        ));
    }
    for server in &bootstrap_servers {
        let port = server
            .rsplit_once(':')
            .filter(|(host, _)| !host.is_empty())
            .map(|(_, port)| port.parse::<u16>());
        if !matches!(port, Some(Ok(1..))) {
            return Err(format!("{name}.bootstrap_servers: `{server}` is not host:port"));
        }
    }
    let topics = section.topics.unwrap_or_default();
    let include: Vec<String> = topics.include.into_iter().map(|t| t.0).collect();
    if include.is_empty() {
        return Err(format!(
            "{name}.topics.include is missing: give globs such as [\"orders-*\"], or [\"*\"] for all"
        ));
    }
    let exclude: Vec<String> = topics.exclude.into_iter().map(|t| t.0).collect();
    for (key, globs) in [("include", &include), ("exclude", &exclude)] {
        for glob in globs {
            globset::Glob::new(glob).map_err(|e| format!("{name}.topics.{key}: {e}"))?;
        }
    }
    let cluster = ClusterTopics {
        bootstrap_servers,
        security: security::resolve(section.security, name)?,
        include,
        exclude,
    };
    // What the client would refuse later is said with the rest.
    let client = kafka_wire::ClusterConfig::from(cluster.clone());
    client.validate().map_err(|error| match error {
        kafka_wire::Error::InvalidConfig {
            setting: "bootstrap",
            reason,
        } => format!("{name}.bootstrap_servers: {reason}"),
        kafka_wire::Error::InvalidConfig { setting, reason } => format!("{name}.{setting}: {reason}"),
        other => format!("{name}: {other}"),
    })?;
    Ok(cluster)
}

fn resolve_restore(target: Option<ClusterSection>, section: RestoreSection) -> Result<RestoreConfig, String> {
    let strategy = match section
        .consumer_group_strategy
        .as_ref()
        .map_or("skip", |t| t.0.as_str())
    {
        "skip" => ConsumerGroupStrategy::Skip,
        "header-based" => ConsumerGroupStrategy::HeaderBased,
        "manual" => ConsumerGroupStrategy::Manual,
        name @ ("timestamp-based" | "cluster-scan") => {
            return Err(format!(
                "restore.consumer_group_strategy: `{name}` is not built into this version; `header-based` gives exact \
                 positions for every group that the backup holds"
            ));
        }
        other => {
            let known = [
                "skip",
                "header-based",
                "timestamp-based",
                "cluster-scan",
                "manual",
            ];
            return Err(error::not_one_of(
                "restore.consumer_group_strategy",
                other,
                &known,
            ));
        }
    };
    let on_existing_data = match section
        .on_existing_data
        .as_ref()
        .map_or("refuse", |t| t.0.as_str())
    {
        "refuse" => OnExistingData::Refuse,
        "append" => OnExistingData::Append,
        other => {
            return Err(error::not_one_of(
                "restore.on_existing_data",
                other,
                &["refuse", "append"],
            ));
        }
    };
    let reset_consumer_offsets = section.reset_consumer_offsets.is_some_and(|b| b.0);
    if reset_consumer_offsets && strategy != ConsumerGroupStrategy::HeaderBased {
        return Err("restore.reset_consumer_offsets: true needs `consumer_group_strategy: header-based` (skip does not \
                    look at groups, manual never applies)"
            .into());
    }
    Ok(RestoreConfig {
        target: resolve_cluster(target, "target")?,
        strategy,
        include_original_offset_header: section.include_original_offset_header.is_some_and(|b| b.0),
        offset_report: section.offset_report.map(|t| PathBuf::from(t.0)),
        consumer_groups: section.consumer_groups.into_iter().map(|t| t.0).collect(),
        reset_consumer_offsets,
        on_existing_data,
        allow_incomplete_backup: section.allow_incomplete_backup.is_some_and(|b| b.0),
        consumer_groups_as_of: section
            .consumer_groups_as_of
            .map(|Text(text)| time::parse_time("restore.consumer_groups_as_of", &text))
            .transpose()?,
    })
}

#[cfg(test)]
mod tests;
