//! The mapping of a finished restore: kept beside the backup, and written where the operator wants it.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::Path;

use offset_mapping::{OffsetMapping, Pairs};
use segment_format::{Manifest, layout};

use super::partition::RestoredPartition;
use crate::context::Context;
use crate::error::{Error, Result};

/// Finds out before the restore, and not after it, whether the report can be written.
pub(super) fn check_writable(path: Option<&Path>) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    let probe = || {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder)?;
        }
        let staged = staged_name(path);
        fs::File::create(&staged)?;
        fs::remove_file(&staged)
    };
    probe().map_err(|source| output_error(path, source))
}

/// Keeps the mapping in the storage, then writes the report. Returns the name of the object.
pub(super) async fn save(
    context: &Context,
    manifest: &Manifest,
    report: Option<&Path>,
    mapping: &OffsetMapping,
) -> Result<String> {
    let mut json = Vec::new();
    let written = mapping.write_json(&mut json, Pairs::Runs);
    written.map_err(|e| Error::Internal(format!("the mapping could not be written as JSON: {e}")))?;
    let name = layout::mapping_name(
        &manifest.backup_id,
        context.now_ms,
        &format!("{:016x}", rand::random::<u64>()),
    );
    if let Some(path) = report {
        write_whole(path, &json)?;
    }
    context.storage.put(&name, json.into()).await?;
    Ok(name)
}

/// A reader of the report sees the old one or the new one, never half of it.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let staged = staged_name(path);
    let write = || {
        let mut file = BufWriter::new(fs::File::create(&staged)?);
        file.write_all(bytes)?;
        file.into_inner().map_err(|e| e.into_error())?.sync_all()?;
        fs::rename(&staged, path)
    };
    write().map_err(|source| output_error(path, source))
}

fn staged_name(path: &Path) -> std::path::PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".staged-{}", std::process::id()));
    path.with_file_name(name)
}

fn output_error(path: &Path, source: std::io::Error) -> Error {
    Error::Output {
        path: path.display().to_string(),
        source,
    }
}

/// Which restored records the broker will delete once retention is back: they are older than their topic keeps them.
pub(super) fn retention_warnings(
    context: &Context,
    manifest: &Manifest,
    restored: &[RestoredPartition],
) -> Vec<String> {
    let mut warnings = Vec::new();
    for topic in &manifest.topics {
        let deletes = topic
            .configs
            .get("cleanup.policy")
            .is_none_or(|policy| policy.contains("delete"));
        let retention = topic
            .configs
            .get("retention.ms")
            .and_then(|ms| ms.parse::<i64>().ok());
        let Some(retention) = retention.filter(|ms| deletes && *ms >= 0) else {
            continue;
        };
        let of_topic = restored.iter().filter(|partition| partition.topic == topic.name);
        let Some(oldest) = of_topic
            .filter_map(|partition| partition.map.first_timestamp())
            .min()
        else {
            continue;
        };
        let age = context.now_ms.saturating_sub(oldest);
        if oldest >= 0 && age > retention {
            warnings.push(format!(
                "{}: its retention.ms is {retention}, and its oldest records are {age} ms old: the target will soon delete \
                 what is older than its retention, as the source would have",
                topic.name
            ));
        }
    }
    warnings
}
