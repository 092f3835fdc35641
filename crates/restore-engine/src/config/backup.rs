//! `backup:`, resolved.

use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::time::Duration;

use kafka_wire::IsolationLevel;
use segment_format::Compression;

use super::file::{BackupSection, ClusterSection, Scalar, Text};
use super::time::parse_time;
use super::{ClusterTopics, error, resolve_cluster};

/// Default of `backup.segment_max_bytes`: 128 MiB.
pub const DEFAULT_SEGMENT_MAX_BYTES: u64 = 128 * 1024 * 1024;

/// Default of `backup.segment_max_interval_ms`: a minute.
const DEFAULT_INTERVAL_MS: u64 = 60_000;

/// Below it, responses of brokers would be cut small, and a single large batch would fill the budget.
const LEAST_MEMORY: u64 = 16 * 1024 * 1024;

/// What one request for memory can name.
const MOST_MEMORY: u64 = u32::MAX as u64;

/// Connections to one broker. More do not make it faster.
const MOST_PARALLELISM: u64 = 64;

/// What `mode: backup` runs with.
#[derive(Debug, Clone)]
pub struct BackupConfig {
    /// The cluster that is read.
    pub source: ClusterTopics,
    /// Recorded in the manifest. Offsets are kept in any case: batches are stored whole.
    pub include_offset_headers: bool,
    /// The operator's name of the source cluster, for headers and reports.
    pub source_cluster_id: Option<String>,
    /// For blocks of batches that the producer left uncompressed.
    pub compression: Compression,
    /// A segment is closed when it has reached this many bytes.
    pub segment_max_bytes: u64,
    /// Go on for ever, and not only to the ends of the logs at the start.
    pub continuous: bool,
    /// What was read is committed after this time, also when segments are not full.
    pub segment_max_interval: Duration,
    /// Bytes read from the source in a second; as many as there are when `None`.
    pub max_bytes_per_second: Option<NonZeroU64>,
    /// Connections for each broker, and threads that compress; by the machine's cores when `None`.
    pub parallelism: Option<usize>,
    /// Bytes of records in memory; those of the context when `None`.
    pub memory_limit_bytes: Option<usize>,
    /// What of transactions is read.
    pub isolation_level: IsolationLevel,
    /// Where reading begins in partitions of which the backup has nothing yet.
    pub start_from: StartFrom,
}

/// `backup.start_from`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StartFrom {
    /// The first record that is there.
    #[default]
    Earliest,
    /// The first record that is written from now on.
    Latest,
    /// The first record with a timestamp not before this, in milliseconds since 1970 UTC.
    Time(i64),
}

pub(super) fn resolve(
    source: Option<ClusterSection>,
    section: BackupSection,
) -> Result<BackupConfig, String> {
    let compression = match section.compression {
        None => Compression::Zstd,
        Some(Text(name)) => name
            .parse()
            .map_err(|_| error::not_one_of("backup.compression", &name, &["none", "lz4", "zstd"]))?,
    };
    let segment_max_bytes = section
        .segment_max_bytes
        .map_or(DEFAULT_SEGMENT_MAX_BYTES, |n| n.0);
    if segment_max_bytes < 1024 * 1024 {
        return Err(format!(
            "backup.segment_max_bytes: {segment_max_bytes} is less than 1 MiB (1048576)"
        ));
    }
    let within = |key: &str, value: Option<Scalar<u64>>, range: RangeInclusive<u64>| match value {
        Some(Scalar(n)) if !range.contains(&n) => Err(format!(
            "backup.{key}: {n} is not between {} and {}",
            range.start(),
            range.end()
        )),
        value => Ok(value.map(|n| n.0)),
    };
    let interval = within(
        "segment_max_interval_ms",
        section.segment_max_interval_ms,
        100..=24 * 3600 * 1000,
    )?;
    let rate = within("max_bytes_per_second", section.max_bytes_per_second, 1..=u64::MAX)?;
    let parallelism = within("parallelism", section.parallelism, 1..=MOST_PARALLELISM)?;
    let memory = within(
        "memory_limit_bytes",
        section.memory_limit_bytes,
        LEAST_MEMORY..=MOST_MEMORY,
    )?;
    Ok(BackupConfig {
        source: resolve_cluster(source, "source")?,
        include_offset_headers: section.include_offset_headers.is_none_or(|b| b.0),
        source_cluster_id: section.source_cluster_id.map(|t| t.0),
        compression,
        segment_max_bytes,
        continuous: section.continuous.is_some_and(|b| b.0),
        segment_max_interval: Duration::from_millis(interval.unwrap_or(DEFAULT_INTERVAL_MS)),
        max_bytes_per_second: rate.and_then(NonZeroU64::new),
        parallelism: parallelism.and_then(|n| usize::try_from(n).ok()),
        memory_limit_bytes: memory.and_then(|n| usize::try_from(n).ok()),
        isolation_level: isolation_level(section.isolation_level.as_ref())?,
        start_from: start_from(section.start_from.as_ref())?,
    })
}

fn isolation_level(section: Option<&Text>) -> Result<IsolationLevel, String> {
    match section.map_or("read_committed", |t| t.0.as_str()) {
        "read_committed" => Ok(IsolationLevel::ReadCommitted),
        "read_uncommitted" => Ok(IsolationLevel::ReadUncommitted),
        other => Err(error::not_one_of(
            "backup.isolation_level",
            other,
            &["read_committed", "read_uncommitted"],
        )),
    }
}

fn start_from(section: Option<&Text>) -> Result<StartFrom, String> {
    match section.map_or("earliest", |t| t.0.as_str()) {
        "earliest" => Ok(StartFrom::Earliest),
        "latest" => Ok(StartFrom::Latest),
        time if time.starts_with(|c: char| c.is_ascii_digit()) => {
            parse_time("backup.start_from", time).map(StartFrom::Time)
        }
        other => Err(format!(
            "{}, and not a time such as 2024-05-01T12:00:00Z",
            error::not_one_of("backup.start_from", other, &["earliest", "latest"])
        )),
    }
}
