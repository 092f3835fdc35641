//! Objects of a backup set that no manifest names: segments of runs that were killed, or that lost to another writer, and
//! objects that were begun and never ended.
//!
//! What proves that nobody will ever name a segment? A segment's name says the generation whose commit is the only one that
//! may name it. A generation is committed once, by creating its manifest, which is never changed. So once the manifest of a
//! generation is there and does not name a segment of that generation, no manifest ever will: its writer has lost. Time
//! proves nothing of the kind, as a one-shot run may write for days before it commits. Segments of generations that are
//! yet to be committed are listed, therefore, and never removed; the next commit of any run decides about them.
//!
//! All manifests count, not the newest only, so that older generations stay readable. When one of them cannot be read or is
//! missing, what it names is not known, and nothing is removed. A newest manifest that was lost shows only when there are
//! segments of the generation after the one that it was of; otherwise what it named looks like what a run is writing now, and is
//! undecided, until another run commits that generation anew.

mod find;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use segment_format::layout;
use serde::Serialize;

use crate::context::Context;
use crate::error::{Result, chain};
use crate::storage::Unfinished;

/// What no manifest names, and what is to become of it. What is listed is what [`delete`] removes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct OrphanPlan {
    /// The backup set.
    pub backup_id: String,
    /// The storage, in words.
    pub place: String,
    /// The newest generation that is committed; none when there is no manifest.
    pub newest_generation: Option<u64>,
    /// What is younger than this stays, in milliseconds.
    pub older_than_ms: u64,
    /// What was found, by name.
    pub orphans: Vec<Orphan>,
    /// Why nothing at all is removed.
    pub obstacle: Option<String>,
}

/// An object that no manifest names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Orphan {
    /// Its name or, for a file that was not finished, that of the temporary file.
    pub object: String,
    /// What it is.
    pub kind: OrphanKind,
    /// Its size, where the storage says it.
    pub bytes: Option<u64>,
    /// How long ago it was begun, in milliseconds; none when that cannot be told.
    pub age_ms: Option<u64>,
    /// What is to become of it.
    pub fate: Fate,
    #[serde(skip)]
    unfinished: Option<Unfinished>,
}

/// What an orphan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum OrphanKind {
    /// A whole segment.
    Segment,
    /// An upload, or a temporary file, that was begun and not ended.
    Unfinished,
    /// An object whose name is none of ours.
    Foreign,
}

/// What is to become of an orphan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Fate {
    /// Nobody will ever name it: it can go.
    Delete,
    /// It could go, and is younger than what was asked for, or of unknown age.
    Young,
    /// Its generation is not committed: a run that is writing now may name it.
    Undecided,
    /// It is not ours to remove.
    Keep,
}

/// What [`delete`] has done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Deleted {
    /// Objects that are gone.
    pub deleted: Vec<String>,
    /// Bytes of those, as far as their sizes are known.
    pub bytes: u64,
    /// Objects that are there still, and why.
    pub failed: Vec<(String, String)>,
}

impl OrphanPlan {
    /// What [`delete`] will remove.
    pub fn to_delete(&self) -> impl Iterator<Item = &Orphan> {
        let all = self.orphans.iter().filter(|orphan| orphan.fate == Fate::Delete);
        all.take(if self.obstacle.is_some() { 0 } else { usize::MAX })
    }
}

/// Finds what no manifest names. Only lists, and reads manifests and the headers of orphans.
///
/// # Errors
///
/// When there is no such backup, neither manifest nor segment, or the storage fails.
pub async fn plan(context: &Context, backup_id: &str, older_than_ms: u64) -> Result<OrphanPlan> {
    context
        .unless_cancelled(find::plan(context, backup_id, older_than_ms))
        .await?
}

/// Removes what the plan says. The manifests are read once more right before: what one of them names by then stays, and
/// when one cannot be read nothing is removed.
///
/// # Errors
///
/// When the manifests cannot be listed, or the context was cancelled. Objects that could not be removed are in the report.
pub async fn delete(context: &Context, plan: &OrphanPlan) -> Result<Deleted> {
    let named = find::named(context, &plan.backup_id).await?;
    let mut report = Deleted::default();
    for orphan in plan.to_delete() {
        if context.cancel.is_cancelled() {
            return Err(crate::Error::Cancelled);
        }
        let removed = match (&orphan.unfinished, &named.obstacle) {
            (_, Some(obstacle)) => Err(obstacle.clone()),
            (Some(unfinished), None) => {
                let aborted = context.storage.abort_unfinished(unfinished).await;
                aborted.map_err(|error| chain(&error))
            }
            (None, None) => remove(context, &orphan.object, &named.segments).await,
        };
        match removed {
            Ok(()) => {
                report.bytes += orphan.bytes.unwrap_or(0);
                report.deleted.push(orphan.object.clone());
            }
            Err(problem) => report.failed.push((orphan.object.clone(), problem)),
        }
    }
    Ok(report)
}

async fn remove(context: &Context, object: &str, named: &HashSet<String>) -> std::result::Result<(), String> {
    if layout::parse_segment_name(object).is_none() || named.contains(object) {
        return Err("a manifest names it now".to_owned());
    }
    let deleted = context.storage.delete(object).await;
    deleted.map_err(|error| chain(&error))
}
