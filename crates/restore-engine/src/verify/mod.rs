//! Whether a backup is what was written, and what is lost if it is not.
//!
//! A segment is read once, in order: digested, and checked block by block and batch by batch on the worker threads as it
//! comes, several segments side by side under the byte budget. Damage does not end the check: it becomes a [`Finding`],
//! and the findings become what is lost of which partition. Nothing is written, and nothing is repaired.

mod agree;
mod blocks;
mod finding;
mod manifests;
mod report;
mod result;
mod sample;
mod segment;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kafka_wire::ByteBudget;
use segment_format::manifest::Segment;
use segment_format::{BackupSet, layout};

use crate::concurrent::map_bounded;
use crate::context::Context;
use crate::error::Result;
use crate::observe::{Event, Phase};

pub use finding::{Finding, ObjectStatus};
pub use report::{
    Depth, GroupPosition, LostRange, PartitionReport, PartitionStatus, PositionStatus, SegmentCounts,
    Verdict, VerifyReport,
};
pub use sample::{InvalidSample, Sample};

use segment::{Checked, SegmentJob};

/// Segments that are checked side by side.
const PARALLEL: usize = 8;

/// What to check.
#[derive(Debug, Clone, Copy, Default)]
pub struct VerifyOptions {
    /// How much of each segment.
    pub depth: Depth,
    /// Which segments; of the others only that they are there, with their size.
    pub sample: Option<Sample>,
    /// Which generation of the backup set; the newest when not given.
    pub generation: Option<u64>,
}

/// What the checks of all segments share.
#[derive(Debug)]
struct Shared {
    context: Context,
    set: BackupSet,
    depth: Depth,
    /// For stored and decompressed blocks.
    data: ByteBudget,
    /// For indexes, which are held while blocks are waited for: a budget of their own, so that no check can wait for
    /// what another one holds.
    indexes: ByteBudget,
    bytes_read: AtomicU64,
}

impl Shared {
    fn read(&self, bytes: u64) {
        let done = self.bytes_read.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.context
            .observer
            .event(&Event::Progress { done, bytes: done });
    }
}

/// Checks a backup and tells all that is wrong with it.
///
/// # Errors
///
/// When nothing can be said: the backup set or the generation is unknown, the storage cannot be listed, or the context was
/// cancelled. Objects that are damaged, missing or cannot be read are in the report.
pub async fn run(context: &Context, backup_id: &str, options: &VerifyOptions) -> Result<VerifyReport> {
    context
        .unless_cancelled(verify(context, backup_id, options))
        .await?
}

async fn verify(context: &Context, backup_id: &str, options: &VerifyOptions) -> Result<VerifyReport> {
    let loaded = manifests::load(context, backup_id, options.generation).await?;
    let mut report = VerifyReport::new(context, backup_id, options);
    report.manifests = loaded.checked;
    report.notes = loaded.notes;
    report.objects = loaded.findings;
    let Some(set) = loaded.set else {
        report.conclude();
        return Ok(report);
    };
    report.describe(&set);

    let prefix = layout::segments_prefix(backup_id);
    let listed = context.storage.list(&prefix).await?;
    let listed: HashMap<String, u64> = listed.into_iter().map(|o| (o.name, o.bytes)).collect();
    let mut segments = set.segments().to_vec();
    segments.sort_unstable_by_key(|segment| segment.id);
    let jobs = plan(segments, &listed, backup_id, options, &mut report);
    let of_segments = listed.keys().filter_map(|name| layout::parse_segment_name(name));
    let of_segments = of_segments.map(|name| name.generation).max().unwrap_or(0);
    if of_segments > loaded.newest {
        let (lost, note) = manifests::later(context, backup_id, loaded.newest, of_segments).await?;
        report.objects.extend(lost);
        report.notes.extend(note);
    }

    start(context, &set, &jobs, options.depth);
    let (index_bytes, data_bytes) = (context.memory_bytes / 4, context.memory_bytes / 4 * 3);
    let shared = Arc::new(Shared {
        context: context.clone(),
        set,
        depth: options.depth,
        data: ByteBudget::new(data_bytes),
        indexes: ByteBudget::new(index_bytes),
        bytes_read: AtomicU64::new(0),
    });
    let checked = map_bounded(jobs, PARALLEL, |job| segment::check(Arc::clone(&shared), job)).await?;
    context.observer.event(&Event::Finished { phase: Phase::Verify });
    let mut affected = result::Affected::default();
    report.segments.checked = checked.len() as u64;
    for Checked {
        batches,
        records,
        findings,
    } in checked
    {
        report.batches += batches;
        report.records += records;
        report.objects.extend(findings);
    }
    report.bytes_read = shared.bytes_read.load(Ordering::Relaxed);
    affected.collect(&report.objects, &shared.set);
    report.partitions = affected.partitions(&shared.set);
    report.groups = result::positions(&shared.set, &report.partitions);
    report.conclude();
    Ok(report)
}

/// The segments to read. Those that are not there, or are of another size, are told at once.
fn plan(
    segments: Vec<Segment>,
    listed: &HashMap<String, u64>,
    backup_id: &str,
    options: &VerifyOptions,
    report: &mut VerifyReport,
) -> Vec<SegmentJob> {
    let mut jobs = Vec::new();
    report.segments.total = segments.len() as u64;
    for (number, segment) in segments.into_iter().enumerate() {
        let object = segment.id.object(backup_id);
        match listed.get(&object) {
            None => {
                let missing = Finding::missing(object, "the manifest names it, and it is not there");
                report.objects.push(missing.of_segment(&segment));
                report.segments.missing += 1;
            }
            Some(&bytes) if bytes != segment.bytes => {
                let problem = format!("it has {bytes} bytes and was written with {}", segment.bytes);
                let damaged = Finding::damaged(object, Some(bytes.min(segment.bytes)), problem);
                report.objects.push(damaged.of_segment(&segment));
                report.segments.checked += 1;
            }
            Some(_) if options.sample.is_none_or(|sample| sample.has(number as u64)) => {
                jobs.push(SegmentJob { object, segment });
            }
            Some(_) => report.segments.not_in_sample += 1,
        }
    }
    jobs
}

fn start(context: &Context, set: &BackupSet, jobs: &[SegmentJob], depth: Depth) {
    let total = match depth {
        Depth::Full => jobs.iter().map(|job| job.segment.bytes).sum(),
        // Not known before the footers are read.
        Depth::Shallow => 0,
    };
    context.observer.event(&Event::Started {
        phase: Phase::Verify,
        topics: set.incarnations().len(),
        partitions: set.incarnations().map(|(_, topic)| topic.partitions.len()).sum(),
        total,
    });
}
