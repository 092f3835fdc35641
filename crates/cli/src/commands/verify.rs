//! `kafka-backup verify`

use std::collections::BTreeSet;
use std::sync::Arc;

use indicatif::{HumanBytes, HumanCount};
use offset_mapping::render::{utc, visible};
use restore_engine::verify::{
    self, Depth, GroupPosition, ObjectStatus, PartitionReport, PositionStatus, Verdict, VerifyOptions,
    VerifyReport,
};

use super::{open_storage, print, print_json};
use crate::args::{ReportFormat, VerifyArgs};
use crate::exit::Ended;
use crate::signals::Signals;
use crate::terminal::Terminal;

pub(crate) async fn run(args: &VerifyArgs, signals: &Signals) -> anyhow::Result<Ended> {
    let context = open_storage(&args.backup.storage)?
        .with_observer(Arc::new(Terminal::new()))
        .with_cancel(signals.cancel.clone());
    let options = VerifyOptions {
        depth: if args.shallow { Depth::Shallow } else { Depth::Full },
        sample: args.sample,
        generation: args.generation,
    };
    let report = verify::run(&context, &args.backup.backup_id, &options).await?;
    match args.format {
        ReportFormat::Json => print_json(&report)?,
        ReportFormat::Text => print(&text(&report))?,
    }
    match report.verdict {
        Verdict::Good => Ok(Ended::Done),
        Verdict::Unverified => anyhow::bail!("objects could not be read, so that the backup is not verified"),
        Verdict::Incomplete => Ok(Ended::Found(
            "the backup does not cover all that it wanted to".to_owned(),
        )),
        _ => Ok(Ended::Found("the backup is damaged".to_owned())),
    }
}

fn text(report: &VerifyReport) -> String {
    let mut text = verdict(report);
    text += &checked(report);
    for note in &report.notes {
        text += &format!("  note: {}\n", visible(note));
    }
    lost(report, &mut text);
    section(
        "Partitions with trouble",
        report.partitions.iter().filter_map(trouble),
        &mut text,
    );
    objects(report, &mut text);
    section(
        "Lost at the source before the backup could read it (no damage of the backup)",
        report.partitions.iter().flat_map(gaps),
        &mut text,
    );
    section(
        "Positions of groups whose next record is not there",
        report.groups.iter().map(position),
        &mut text,
    );
    section("What to do", advice(report), &mut text);
    if report.never_complete == Some(true) {
        text += "\nNo run of this backup was ever complete: it has no consumer groups, and topics and records may be missing. A restore \
                 refuses it without `restore.allow_incomplete_backup: true`. Let a run of the backup come to its end.\n";
    }
    text
}

fn verdict(report: &VerifyReport) -> String {
    let (id, place) = (visible(&report.backup_id), visible(&report.place));
    let count = |status| {
        let of_status = report.objects.iter().filter(|finding| finding.status == status);
        of_status
            .map(|finding| &finding.object)
            .collect::<BTreeSet<_>>()
            .len()
    };
    match report.verdict {
        Verdict::Good => {
            format!("GOOD: backup `{id}` in {place}: all that was checked is as it was written.\n")
        }
        Verdict::Incomplete => format!(
            "INCOMPLETE: backup `{id}` in {place} is not damaged, and does not cover all that it wanted to.\n"
        ),
        Verdict::Unverified => format!(
            "NOT VERIFIED: backup `{id}` in {place}: {} object(s) could not be read.\n",
            count(ObjectStatus::Unreadable)
        ),
        _ => format!(
            "DAMAGED: backup `{id}` in {place}: {} object(s) damaged, {} missing, {} not readable.\n",
            count(ObjectStatus::Damaged),
            count(ObjectStatus::Missing),
            count(ObjectStatus::Unreadable),
        ),
    }
}

fn checked(report: &VerifyReport) -> String {
    let mut text = String::new();
    if let (Some(generation), Some(created_at)) = (report.generation, report.created_at) {
        let midst = if report.complete == Some(false) {
            ", committed in the midst of a run"
        } else {
            ""
        };
        text += &format!("  generation {generation} of {}{midst}\n", utc(created_at));
    }
    let depth = match report.depth {
        Depth::Full => format!(
            "{} records in {} batches",
            HumanCount(report.records),
            HumanCount(report.batches)
        ),
        Depth::Shallow => "no records (--shallow)".to_owned(),
    };
    text += &format!(
        "  checked: {} manifest(s), {} of {} segment(s), {}, {depth}\n",
        report.manifests,
        report.segments.checked,
        report.segments.total,
        HumanBytes(report.bytes_read),
    );
    if report.segments.not_in_sample > 0 {
        text += &format!(
            "  of the other {} segment(s) only that they are there, with their sizes\n",
            report.segments.not_in_sample
        );
    }
    text
}

fn section(title: &str, lines: impl IntoIterator<Item = String>, text: &mut String) {
    let mut lines = lines.into_iter().peekable();
    if lines.peek().is_some() {
        *text += &format!("\n{title}:\n");
    }
    for line in lines {
        *text += &format!("  {line}\n");
    }
}

fn name(partition: &PartitionReport) -> String {
    format!("{}-{}", visible(&partition.topic), partition.partition)
}

fn lost(report: &VerifyReport, text: &mut String) {
    let ranges = report.partitions.iter().flat_map(|partition| {
        partition.lost.iter().map(move |lost| {
            let status = match lost.status {
                ObjectStatus::Missing => "missing",
                ObjectStatus::Unreadable => "not readable",
                _ => "damaged",
            };
            format!(
                "{} offsets {} to {} (of {} to {}): {status}, {}",
                name(partition),
                lost.from,
                lost.to - 1,
                partition.log_start_offset,
                partition.end_offset - 1,
                visible(&lost.object),
            )
        })
    });
    section("What cannot be restored", ranges, text);
    let none_lost = report
        .partitions
        .iter()
        .all(|partition| partition.lost.is_empty());
    if report.verdict == Verdict::Damaged && report.generation.is_some() && none_lost {
        *text += "\nNo record of this generation is lost: the damage is in what only checks and earlier generations need.\n";
    }
}

fn objects(report: &VerifyReport, text: &mut String) {
    let lines = report.objects.iter().map(|finding| {
        let at = finding
            .position
            .map_or(String::new(), |position| format!(" byte {position}"));
        format!("{}{at}: {}", visible(&finding.object), visible(&finding.problem))
    });
    section("Objects", lines, text);
}

fn trouble(partition: &PartitionReport) -> Option<String> {
    let trouble = visible(partition.trouble.as_ref()?);
    let (name, end) = (name(partition), partition.end_offset);
    Some(match partition.log_start_offset == end {
        true => format!("nothing of {name} is covered: {trouble}"),
        false => format!("{name} is covered up to offset {end}: {trouble}"),
    })
}

fn gaps(partition: &PartitionReport) -> impl Iterator<Item = String> + '_ {
    partition.gaps.iter().map(|gap| {
        let cause = visible(&gap.cause.to_string());
        format!(
            "{} offsets {} to {}: {cause}",
            name(partition),
            gap.from,
            gap.to - 1
        )
    })
}

fn position(position: &GroupPosition) -> String {
    let why = match position.status {
        PositionStatus::BeforeStart => {
            "before the start of the log: a restore goes on with the first record there is"
        }
        PositionStatus::InGap => "in a gap: a restore goes on behind it",
        PositionStatus::BeyondEnd => "beyond the end of the backup: a restore goes on at its end",
        PositionStatus::NotInBackup => "a partition that the backup does not have",
        PositionStatus::Lost => "its record is lost by the damage above",
        _ => "not within what the backup covers",
    };
    format!(
        "group {}, {}-{} at {}: {why}",
        visible(&position.group),
        visible(&position.topic),
        position.partition,
        position.offset
    )
}

fn advice(report: &VerifyReport) -> Vec<String> {
    match report.verdict {
        Verdict::Good => Vec::new(),
        Verdict::Incomplete => vec![
            "Remove the cause of the trouble and run the backup again: it goes on where this one ended."
                .to_owned(),
        ],
        Verdict::Unverified => {
            vec!["Look after the storage (its message is above), then verify again.".to_owned()]
        }
        _ => damage_advice(report),
    }
}

fn damage_advice(report: &VerifyReport) -> Vec<String> {
    let mut advice = vec![
        "1. Change nothing in the storage, and do not run `orphans --delete`.".to_owned(),
        "2. Bring the objects named above back from a copy (a replica, an older version of the bucket, a snapshot), under the same \
         names, and verify again. Objects are never rewritten: any copy of the same name is the right one."
            .to_owned(),
        "3. Without a copy: if the source cluster still has the records, back up into a new backup_id now.".to_owned(),
    ];
    let hit: BTreeSet<&str> = report
        .partitions
        .iter()
        .filter(|partition| !partition.lost.is_empty())
        .map(|partition| partition.topic.as_str())
        .collect();
    if !hit.is_empty() && report.partitions.iter().any(|p| !hit.contains(p.topic.as_str())) {
        let hit: Vec<String> = hit.into_iter().map(visible).collect();
        advice.push(format!(
            "4. The other topics can be restored as they are: `exclude: [{}]` in the restore's configuration.",
            hit.join(", ")
        ));
    }
    advice
}
