//! `kafka-backup orphans`

use indicatif::HumanBytes;
use offset_mapping::render::visible;
use restore_engine::orphans::{self, Deleted, Fate, Orphan, OrphanKind, OrphanPlan};

use super::{open_storage, print, print_json, storage_options};
use crate::args::{OrphansArgs, ReportFormat};
use crate::exit::Ended;
use crate::signals::Signals;

/// What `--format json` writes.
#[derive(Debug, serde::Serialize)]
struct Outcome<'a> {
    #[serde(flatten)]
    plan: &'a OrphanPlan,
    /// None without `--delete`.
    outcome: Option<&'a Deleted>,
}

pub(crate) async fn run(args: &OrphansArgs, signals: &Signals) -> anyhow::Result<Ended> {
    let context = open_storage(&args.backup.storage)?.with_cancel(signals.cancel.clone());
    let plan = orphans::plan(&context, &args.backup.backup_id, args.older_than).await?;
    let deleted = match args.delete {
        true => Some(orphans::delete(&context, &plan).await?),
        false => None,
    };
    match args.format {
        ReportFormat::Json => print_json(&Outcome {
            plan: &plan,
            outcome: deleted.as_ref(),
        })?,
        ReportFormat::Text => print(&text(&plan, deleted.as_ref(), args))?,
    }
    let failed = deleted.map_or(0, |deleted| deleted.failed.len());
    match (&plan.obstacle, failed) {
        (Some(_), _) if args.delete => Ok(Ended::Incomplete("nothing was removed".to_owned())),
        (_, 0) => Ok(Ended::Done),
        (_, failed) => Ok(Ended::Incomplete(format!("{failed} object(s) were not removed"))),
    }
}

fn text(plan: &OrphanPlan, deleted: Option<&Deleted>, args: &OrphansArgs) -> String {
    let (id, place) = (visible(&plan.backup_id), visible(&plan.place));
    if plan.orphans.is_empty() {
        return format!("Backup `{id}` in {place} has no orphans: manifests name all that is there.\n");
    }
    let mut text = format!(
        "Backup `{id}` in {place}: {} object(s) that no manifest names.\n",
        plan.orphans.len()
    );
    for orphan in &plan.orphans {
        text += &line(orphan);
    }
    if plan.orphans.iter().any(|orphan| orphan.fate == Fate::Undecided) {
        let generation = plan.newest_generation.unwrap_or(0) + 1;
        text += &format!(
            "\nundecided: generation {generation} is not committed, so that a run may be writing these now. If none is: run the backup \
             again; once it has committed, nobody can name them any more, and this command removes them. But if a manifest of \
             generation {generation} was there once and was lost, bring it back first: these may be what it names.\n"
        );
    }
    if let Some(obstacle) = &plan.obstacle {
        text += &format!("\nNothing is removed: {}.\n", visible(obstacle));
        return text;
    }
    let (count, bytes) = plan.to_delete().fold((0, 0), |(n, bytes), orphan| {
        (n + 1, bytes + orphan.bytes.unwrap_or(0))
    });
    match deleted {
        None if count > 0 => {
            text += &format!(
                "\n{count} of them can go ({}): kafka-backup orphans --backup-id {id} {} --delete\n",
                HumanBytes(bytes),
                storage_options(&args.backup.storage),
            );
        }
        None => {}
        Some(deleted) => {
            text += &format!(
                "\n{} object(s) removed, {}.\n",
                deleted.deleted.len(),
                HumanBytes(deleted.bytes)
            );
            for (object, problem) in &deleted.failed {
                text += &format!("  not removed: {}: {}\n", visible(object), visible(problem));
            }
        }
    }
    text
}

fn line(orphan: &Orphan) -> String {
    let fate = match orphan.fate {
        Fate::Delete => "delete",
        Fate::Young => "young",
        Fate::Undecided => "undecided",
        _ => "keep",
    };
    let kind = match orphan.kind {
        OrphanKind::Segment => "segment",
        OrphanKind::Unfinished => "unfinished",
        _ => "not ours",
    };
    let size = orphan
        .bytes
        .map_or("?".to_owned(), |bytes| HumanBytes(bytes).to_string());
    let age = orphan.age_ms.map_or("age unknown".to_owned(), age);
    format!(
        "  {fate:9}  {kind:10}  {size:>10}  {age:>11}  {}\n",
        visible(&orphan.object)
    )
}

fn age(milliseconds: u64) -> String {
    match milliseconds / 1000 {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}
