//! Plans and mappings as CSV with a header line.

use std::io::{self, Write};

use super::quote::spreadsheet_field;
use crate::mapping::OffsetMapping;
use crate::plan::OffsetResetPlan;
use crate::report::{Pairs, pairs};
use crate::runs::Run;

const PLAN_HEADER: &str =
    "group,topic,partition,source_offset,target_offset,resolution,skipped,lost,timestamp,metadata";
const MAPPING_HEADER: &str = "topic,partition,source_first_offset,source_last_offset,\
     target_first_offset,target_last_offset,records,first_timestamp";

/// The positions of a plan, one to a line, also those that are left alone: they have no target offset. A
/// group that the backup does not have is one line with the resolution `not-in-backup`.
///
/// It is made to be opened in a spreadsheet: a name that would be taken for a formula has an apostrophe in
/// front, and control characters are escapes. The JSON has the exact names.
pub fn plan_csv(plan: &OffsetResetPlan) -> String {
    let mut out = format!("{PLAN_HEADER}\n");
    for group in &plan.groups {
        let id = spreadsheet_field(&group.group_id);
        let mut rows = Vec::new();
        for reset in &group.partitions {
            let fields = [
                reset.source_offset.to_string(),
                reset.target_offset.to_string(),
                reset.resolution.as_str().to_owned(),
                number(reset.resolution.skipped()),
                number(reset.resolution.lost()),
                number(reset.timestamp),
                spreadsheet_field(&reset.metadata),
            ];
            rows.push((&reset.topic, reset.partition, fields.join(",")));
        }
        for position in &group.unresolved {
            let fields = format!("{},,{},,,,", number(position.source_offset), position.reason);
            rows.push((&position.topic, position.partition, fields));
        }
        rows.sort();
        for (topic, partition, fields) in rows {
            out.push_str(&format!(
                "{id},{},{partition},{fields}\n",
                spreadsheet_field(topic)
            ));
        }
        if group.not_in_backup {
            out.push_str(&format!("{id},,,,,not-in-backup,,,,\n"));
        }
    }
    out
}

/// Writes the runs of a mapping, or its records, one to a line. Give it a buffered writer.
///
/// # Errors
///
/// Those of the writer.
pub fn mapping_csv(mapping: &OffsetMapping, form: Pairs, mut out: impl Write) -> io::Result<()> {
    writeln!(out, "{MAPPING_HEADER}")?;
    for (key, map) in &mapping.entries {
        let start = format!("{},{}", spreadsheet_field(&key.topic), key.partition);
        for run in map.runs() {
            match form {
                Pairs::Runs => write_run(&mut out, &start, &run)?,
                Pairs::All => pairs(run).try_for_each(|pair| write_run(&mut out, &start, &pair))?,
            }
        }
        if map.is_empty() {
            writeln!(out, "{start},,,,,0,")?;
        }
    }
    out.flush()
}

fn write_run(out: &mut impl Write, start: &str, run: &Run) -> io::Result<()> {
    let Run {
        source_first,
        target_first,
        length,
        first_timestamp,
    } = run;
    let (source_last, target_last, timestamp) =
        (run.source_last(), run.target_last(), number(*first_timestamp));
    writeln!(
        out,
        "{start},{source_first},{source_last},{target_first},{target_last},{length},{timestamp}"
    )
}

fn number(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}
