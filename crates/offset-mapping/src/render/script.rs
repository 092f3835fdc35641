//! The plan as a bash script for Kafka's own tool, to be read and then run where the tool is.

use std::fmt::Write;

use super::quote::{all_plain, csv_field, shell_word, visible};
use super::warnings::{Group, plural, warnings};
use crate::plan::{GroupResetPlan, OffsetResetPlan, PartitionReset};

/// The part of the script that does not depend on the plan.
const PRELUDE: &str = include_str!("prelude.sh");

/// The plan as a bash script that resets each group with `kafka-consumer-groups.sh --reset-offsets
/// --from-file`.
///
/// It takes `--dry-run`, and `BOOTSTRAP_SERVERS` (otherwise `bootstrap_servers`, or those of the plan when
/// that is empty), `KAFKA_CONSUMER_GROUPS` (the tool) and `COMMAND_CONFIG` (its configuration file) from the
/// environment. It ends with status 0 when all is reset, 1 when a group failed, 2 when it was called wrongly,
/// 3 when what the plan has is reset but the plan is incomplete. The tool cannot keep the metadata strings of
/// commits.
pub fn reset_script(plan: &OffsetResetPlan, bootstrap_servers: &[String]) -> String {
    let servers = if bootstrap_servers.is_empty() {
        &plan.target_bootstrap_servers
    } else {
        bootstrap_servers
    };
    let mut out = String::from("#!/usr/bin/env bash\n");
    write_about(&mut out, plan);
    // A server list with a NUL is no server list; the script then asks for one.
    let servers = shell_word(&servers.join(",")).unwrap_or_else(|| "''".to_owned());
    let _ = writeln!(out, "\nset -euo pipefail\n\ndefault_bootstrap_servers={servers}");
    out.push_str(PRELUDE);
    plan.groups.iter().for_each(|group| write_group(&mut out, group));
    if plan.is_complete() {
        out.push_str("\nfinish complete\n");
    } else {
        out.push_str("\nfinish incomplete\n");
    }
    out
}

fn write_about(out: &mut String, plan: &OffsetResetPlan) {
    let summary = plan.summary();
    out.push_str(
        "#\n# Resets consumer groups to where they had got, in the offsets of the restored topics.\n",
    );
    let fields = [
        ("backup", &plan.backup_id),
        ("source cluster", &plan.source_cluster_id),
        ("target cluster", &plan.target_cluster_id),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            let _ = writeln!(out, "#   {:<16}{}", format!("{name}:"), visible(value));
        }
    }
    let _ = writeln!(out, "#   {:<16}{}", "groups:", summary.groups);
    let _ = writeln!(out, "#   {:<16}{}", "partitions:", summary.partitions);
    out.push_str(
        "#\n# Usage: [BOOTSTRAP_SERVERS=host:port,...] [KAFKA_CONSUMER_GROUPS=path] [COMMAND_CONFIG=file] ",
    );
    out.push_str("bash <this file> [--dry-run]\n");
    out.push_str("# Stop the consumers first. When a group fails, the others are still reset.\n");
    if plan
        .groups
        .iter()
        .flat_map(|group| &group.partitions)
        .any(|reset| !reset.metadata.is_empty())
    {
        out.push_str("#\n# NOTE: some commits have a metadata string. kafka-consumer-groups.sh drops it.\n");
    }
    let groups: Vec<Group<'_>> = plan.groups.iter().map(Group::from).collect();
    let warnings = warnings(&groups);
    if !plan.is_complete() {
        out.push_str("#\n# WARNING: THE PLAN IS INCOMPLETE. Some positions are not reset by this script.\n");
    }
    if !warnings.is_empty() {
        out.push_str("#\n# Warnings:\n");
    }
    for warning in warnings {
        let _ = writeln!(out, "#   ! {warning}");
    }
}

fn write_group(out: &mut String, group: &GroupResetPlan) {
    let _ = writeln!(out, "\n# Group {}", visible(&group.group_id));
    for reset in &group.partitions {
        let PartitionReset {
            partition,
            source_offset,
            target_offset,
            resolution,
            ..
        } = reset;
        let topic = visible(&reset.topic);
        let _ = writeln!(
            out,
            "#   {topic}/{partition}: {source_offset} -> {target_offset} ({resolution})"
        );
    }
    for position in &group.unresolved {
        let topic = visible(&position.topic);
        let source = position
            .source_offset
            .map_or_else(|| "none".to_owned(), |offset| offset.to_string());
        let _ = writeln!(
            out,
            "#   {topic}/{}: {source} -> not reset ({})",
            position.partition, position.reason
        );
    }
    let shown = visible(&group.group_id);
    if group.not_in_backup {
        write_message(
            out,
            "warn",
            &format!("group {shown}: not in the backup, nothing is reset"),
        );
    }
    let unmapped = group.unmapped().count();
    if unmapped > 0 {
        write_message(
            out,
            "warn",
            &format!(
                "group {shown}: {} not resolved and not reset",
                plural(unmapped, "partition")
            ),
        );
    }
    if group.partitions.is_empty() {
        return;
    }
    let rows: Vec<String> = group.partitions.iter().map(row).collect();
    match (
        shell_word(&group.group_id),
        rows.iter().all(|row| !row.contains('\0')),
    ) {
        (Some(id), true) => write_call(out, &id, &rows),
        _ => write_message(
            out,
            "fail",
            &format!("group {shown}: no command can be given a name with a NUL"),
        ),
    }
}

/// A call of `warn` or `fail` with a message, which must not have a NUL.
fn write_message(out: &mut String, function: &str, message: &str) {
    let _ = writeln!(out, "{function} {}", shell_word(message).unwrap_or_default());
}

/// A line of the file that the tool reads: the exact topic.
fn row(reset: &PartitionReset) -> String {
    format!(
        "{},{},{}",
        csv_field(&reset.topic),
        reset.partition,
        reset.target_offset
    )
}

/// The call with the rows as its input. A here-document shows them best. Its end cannot be forged: rows end
/// in two numbers, and rows with anything but plain characters, which might break lines, are quoted words
/// instead.
fn write_call(out: &mut String, id: &str, rows: &[String]) {
    if rows.iter().all(|row| all_plain(row)) {
        let _ = writeln!(out, "reset_group {id} <<'OFFSETS'\n{}\nOFFSETS", rows.join("\n"));
        return;
    }
    let words: Vec<String> = rows.iter().filter_map(|row| shell_word(row)).collect();
    // Not a pipe: it would run the function in a shell of its own, and its failures would be forgotten.
    let _ = writeln!(
        out,
        "reset_group {id} < <(printf '%s\\n' \\\n  {})",
        words.join(" \\\n  ")
    );
}
