//! Plans and mappings for a person who is in a hurry: what is wrong first, then the numbers, then every
//! position.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::quote::visible;
use super::table::{Align, Table};
use super::time::utc;
use super::warnings::{Group, notes, plural, warnings};
use crate::mapping::OffsetMapping;
use crate::partition::PartitionMap;
use crate::plan::{OffsetResetPlan, OffsetResetStrategy, PlanSummary};
use crate::translate::Resolution;

/// The plan as text: warnings, a summary, and the positions of each group in aligned columns.
pub fn plan_text(plan: &OffsetResetPlan) -> String {
    let mut out = String::from("OFFSET RESET PLAN: ");
    out.push_str(match (plan.dry_run, plan.strategy) {
        (true, _) | (_, OffsetResetStrategy::DryRun) => "dry run, nothing is changed\n",
        (_, OffsetResetStrategy::Manual) => "for review, nothing is changed until it is applied\n",
        (_, OffsetResetStrategy::Auto) => "to be applied\n",
    });
    let groups: Vec<Group<'_>> = plan.groups.iter().map(Group::from).collect();
    let mut warnings = warnings(&groups);
    if plan.partition_count() == 0 {
        warnings.insert(0, "the plan resets nothing".to_owned());
    }
    if !plan.is_complete() {
        warnings.insert(
            0,
            "THE PLAN IS INCOMPLETE: some positions will not be reset".to_owned(),
        );
    }
    write_warnings(&mut out, &warnings, &notes(&groups));
    write_heading(
        &mut out,
        &[
            ("Backup", plan.backup_id.as_deref().map(visible)),
            ("Source cluster", plan.source_cluster_id.as_deref().map(visible)),
            ("Target cluster", plan.target_cluster_id.as_deref().map(visible)),
            ("Target brokers", brokers(&plan.target_bootstrap_servers)),
        ],
    );
    write_summary(&mut out, &plan.summary());
    groups.iter().for_each(|group| write_group(&mut out, group));
    out
}

/// The mapping as text: warnings, a summary, the partitions, and the positions of each group.
pub fn mapping_text(mapping: &OffsetMapping) -> String {
    let mut out = String::from("OFFSET MAPPING\n");
    let groups: Vec<Group<'_>> = mapping.consumer_groups.values().map(Group::from).collect();
    let mut warnings = warnings(&groups);
    for (key, map) in &mapping.entries {
        let gaps = &map.coverage().gaps;
        let missing: u64 = gaps.iter().map(|gap| gap.end.abs_diff(gap.start)).sum();
        if missing > 0 {
            let key = visible(&key.to_string());
            let gaps = plural(gaps.len(), "gap");
            warnings.push(format!(
                "{key}: {missing} offsets MISSING inside the backup, in {gaps}"
            ));
        }
    }
    write_warnings(&mut out, &warnings, &notes(&groups));
    write_heading(
        &mut out,
        &[
            ("Backup", mapping.backup_id.as_deref().map(visible)),
            (
                "Source cluster",
                mapping.source_cluster_id.as_deref().map(visible),
            ),
            (
                "Target cluster",
                mapping.target_cluster_id.as_deref().map(visible),
            ),
            ("Target brokers", brokers(&mapping.target_bootstrap_servers)),
            ("Restored", Some(utc(mapping.created_at))),
        ],
    );
    let topics = mapping
        .entries
        .keys()
        .map(|key| &key.topic)
        .collect::<BTreeSet<_>>()
        .len();
    let (partitions, records) = (mapping.entries.len(), mapping.detailed_mapping_count());
    let _ = writeln!(out, "\nSUMMARY");
    let _ = writeln!(out, "  Topics      {topics}");
    let _ = writeln!(out, "  Partitions  {partitions}");
    let _ = writeln!(
        out,
        "  Records     {records} in {}",
        plural(mapping.run_count(), "run")
    );
    let _ = writeln!(out, "  Groups      {}", groups.len());
    write_partitions(&mut out, mapping);
    groups.iter().for_each(|group| write_group(&mut out, group));
    out
}

fn write_warnings(out: &mut String, warnings: &[String], notes: &[String]) {
    if warnings.is_empty() {
        out.push_str("\nNo warnings.\n");
    } else {
        let _ = writeln!(out, "\nWARNINGS");
    }
    for warning in warnings {
        let _ = writeln!(out, "  ! {warning}");
    }
    if !notes.is_empty() {
        let _ = writeln!(out, "\nNOTES");
    }
    for note in notes {
        let _ = writeln!(out, "  - {note}");
    }
}

fn write_heading(out: &mut String, fields: &[(&str, Option<String>)]) {
    out.push('\n');
    for (name, value) in fields {
        if let Some(value) = value {
            let _ = writeln!(out, "{name:<16}{value}");
        }
    }
}

fn brokers(servers: &[String]) -> Option<String> {
    let shown: Vec<String> = servers.iter().map(|server| visible(server)).collect();
    (!shown.is_empty()).then(|| shown.join(", "))
}

fn write_summary(out: &mut String, summary: &PlanSummary) {
    let no_note = String::new;
    let mut groups = Vec::new();
    if summary.groups_incomplete > 0 {
        groups.push(format!("{} incomplete", summary.groups_incomplete));
    }
    if summary.groups_not_in_backup > 0 {
        groups.push(format!("{} not in the backup", summary.groups_not_in_backup));
    }
    let left = summary.unmapped + summary.no_commit;
    let lines = [
        ("Groups", summary.groups, groups.join(", ")),
        ("To reset", summary.partitions, "partitions".to_owned()),
        ("  exact", summary.exact, no_note()),
        (
            "  clamped",
            summary.clamped,
            count(summary.skipped, "offsets skipped"),
        ),
        (
            "  beyond backup",
            summary.beyond,
            count(summary.lost, "offsets lost"),
        ),
        ("  approximate", summary.approximate, no_note()),
        ("Left alone", left, "partitions".to_owned()),
        ("  unresolved", summary.unmapped, no_note()),
        ("  no commit", summary.no_commit, no_note()),
    ];
    // Only the kinds that there are.
    let width = lines
        .iter()
        .map(|(_, number, _)| number.to_string().len())
        .max()
        .unwrap_or(0);
    out.push_str("\nSUMMARY\n");
    for (name, number, note) in lines {
        if number == 0 && name.starts_with("  ") {
            continue;
        }
        let line = format!("  {name:<18}{number:>width$}  {note}");
        let _ = writeln!(out, "{}", line.trim_end());
    }
}

fn count(number: u64, what: &str) -> String {
    if number == 0 {
        String::new()
    } else {
        format!("{number} {what}")
    }
}

fn write_group(out: &mut String, group: &Group<'_>) {
    let incomplete = if group.is_incomplete() {
        "  (INCOMPLETE)"
    } else {
        ""
    };
    let _ = writeln!(out, "\nGROUP {}{incomplete}", visible(group.id));
    if group.not_in_backup {
        out.push_str("  not in the backup\n");
        return;
    }
    if group.positions.is_empty() {
        out.push_str("  no positions\n");
        return;
    }
    let replaces = group.positions.iter().any(|position| position.previous.is_some());
    let mut columns = vec![
        ("TOPIC", Align::Left),
        ("PARTITION", Align::Right),
        ("SOURCE", Align::Right),
        ("TARGET", Align::Right),
        ("RESOLUTION", Align::Left),
    ];
    if replaces {
        columns.insert(4, ("REPLACES", Align::Right));
    }
    let mut table = Table::new(&columns);
    for position in &group.positions {
        let mut cells = vec![
            visible(position.topic),
            position.partition.to_string(),
            number(position.source),
            number(position.target),
            resolution(&position.resolution),
        ];
        if replaces {
            cells.insert(4, number(position.previous));
        }
        table.row(cells);
    }
    table.write(out);
}

/// The resolution, with a mark in front of what there is a warning about, so that it is seen in a long list.
fn resolution(resolution: &Resolution) -> String {
    let quiet = resolution.is_exact() || *resolution == Resolution::NoCommit;
    if quiet {
        format!("  {resolution}")
    } else {
        format!("! {resolution}")
    }
}

fn write_partitions(out: &mut String, mapping: &OffsetMapping) {
    if mapping.entries.is_empty() {
        return;
    }
    out.push_str("\nPARTITIONS\n");
    let mut table = Table::new(&[
        ("TOPIC", Align::Left),
        ("PARTITION", Align::Right),
        ("RECORDS", Align::Right),
        ("RUNS", Align::Right),
        ("SOURCE", Align::Left),
        ("TARGET", Align::Left),
        ("BACKUP", Align::Left),
    ]);
    for (key, map) in &mapping.entries {
        let coverage = map.coverage();
        table.row([
            visible(&key.topic),
            key.partition.to_string(),
            map.records().to_string(),
            map.run_count().to_string(),
            span(map.source_first(), map.source_last()),
            target(map),
            format!("{} up to {}", coverage.start, coverage.end),
        ]);
    }
    table.write(out);
}

fn target(map: &PartitionMap) -> String {
    if map.is_empty() {
        return format!("next {}", map.target_next());
    }
    span(map.target_first(), map.target_last())
}

fn span(first: Option<i64>, last: Option<i64>) -> String {
    match (first, last) {
        (Some(first), Some(last)) => format!("{first} - {last}"),
        _ => "empty".to_owned(),
    }
}

fn number(value: Option<i64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}
