//! `kafka-backup backup`

use std::path::Path;

use indicatif::{HumanBytes, HumanCount};
use restore_engine::backup::BackupReport;
use restore_engine::{Context, Error};

use super::{load, print};
use crate::exit::Ended;
use crate::signals::Signals;

pub(crate) async fn run(config: &Path, signals: &Signals) -> anyhow::Result<Ended> {
    let (config, context) = load(config, signals)?;
    let report = match restore_engine::backup::run(&context, &config.backup_id, config.backup()?).await {
        Ok(report) => report,
        Err(Error::Cancelled) => {
            return Ok(Ended::Cancelled {
                signal: signals.received(),
                left: "what was committed is part of the backup, and the next run goes on from there",
            });
        }
        Err(error) => return Err(error.into()),
    };
    print(&summary(&report, &context))?;
    Ok(match unfinished(&report) {
        None => Ended::Done,
        Some(what) => Ended::Incomplete(format!("{what}; the next run tries again")),
    })
}

/// What is missing, in a few words.
fn unfinished(report: &BackupReport) -> Option<String> {
    let unread = report
        .troubles
        .iter()
        .filter(|trouble| trouble.topic.is_some())
        .count();
    let mut missing = Vec::new();
    if unread > 0 {
        missing.push(format!(
            "{unread} topic(s) or partition(s) could not be read to their ends"
        ));
    }
    if unread < report.troubles.len() {
        missing.push(
            "where the consumer groups stand could not be read, and the backup keeps what it had of them before".to_owned(),
        );
    }
    (!missing.is_empty()).then(|| missing.join("; "))
}

fn summary(report: &BackupReport, context: &Context) -> String {
    let state = if report.troubles.is_empty() {
        "complete"
    } else {
        "done in part"
    };
    let mut text = format!(
        "Backup `{}` is {state} in {}.\n  {} records of {} topic(s), {} partition(s)\n  {} consumer group(s)\n  {} in {} segment(s)\n",
        report.backup_id,
        context.storage.describe(),
        HumanCount(report.records),
        report.topics,
        report.partitions,
        report.groups,
        HumanBytes(report.bytes),
        report.segments,
    );
    text += &match report.added.generations {
        0 => format!("  nothing new since generation {}\n", report.generation),
        _ => format!(
            "  {} records, {} in {} segment(s) are new in generation {}\n",
            HumanCount(report.added.records),
            HumanBytes(report.added.bytes),
            report.added.segments,
            report.generation,
        ),
    };
    if report.aborted_records > 0 {
        text += &format!(
            "  {} records of aborted transactions were left out\n",
            HumanCount(report.aborted_records)
        );
    }
    if report.lost_offsets > 0 {
        text += &format!(
            "  {} offsets were lost to retention before they could be read\n",
            HumanCount(report.lost_offsets)
        );
    }
    if !report.held_back.is_zero() {
        text += &format!(
            "  held back for {:.1} s by max_bytes_per_second\n",
            report.held_back.as_secs_f64()
        );
    }
    for undecided in &report.undecided {
        let mark = if undecided.needs_attention() { "!" } else { "-" };
        text += &format!("  {mark} {undecided}\n");
    }
    for trouble in &report.troubles {
        text += &format!("  ! {trouble}\n");
    }
    text
}
