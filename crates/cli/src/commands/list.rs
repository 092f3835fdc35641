//! `kafka-backup list`

use indicatif::{HumanBytes, HumanCount};
use offset_mapping::render::{utc, visible};
use restore_engine::describe::{self, BackupEntry};

use super::{open_storage, print, print_json};
use crate::args::{ListArgs, ReportFormat};
use crate::exit::Ended;
use crate::signals::Signals;

pub(crate) async fn run(args: &ListArgs, signals: &Signals) -> anyhow::Result<Ended> {
    let context = open_storage(&args.storage)?.with_cancel(signals.cancel.clone());
    let backups = describe::list(&context).await?;
    match args.format {
        ReportFormat::Json => print_json(&backups)?,
        ReportFormat::Text if backups.is_empty() => {
            print(&format!(
                "There is no backup in {}.\n",
                context.storage.describe()
            ))?;
        }
        ReportFormat::Text => print(&text(&backups))?,
    }
    match backups.iter().filter(|backup| backup.problem.is_some()).count() {
        0 => Ok(Ended::Done),
        n => Ok(Ended::Incomplete(format!("{n} backup(s) do not open"))),
    }
}

fn text(backups: &[BackupEntry]) -> String {
    let width = backups
        .iter()
        .map(|b| visible(&b.backup_id).chars().count())
        .max();
    let width = width.unwrap_or(0).max("BACKUP".len());
    let mut text = format!(
        "{:width$}  {:23}  {:>10}  {:>6}  {:>15}  {:>11}  STATE\n",
        "BACKUP", "NEWEST", "GENERATION", "TOPICS", "RECORDS", "SIZE"
    );
    for backup in backups {
        let id = visible(&backup.backup_id);
        match (&backup.newest, &backup.problem) {
            (Some(newest), _) => {
                text += &format!(
                    "{id:width$}  {:23}  {:>10}  {:>6}  {:>15}  {:>11}  {}\n",
                    utc(newest.created_at),
                    newest.generation,
                    newest.topics,
                    HumanCount(newest.records).to_string(),
                    HumanBytes(newest.bytes).to_string(),
                    state(newest.complete, newest.partitions_with_trouble),
                );
            }
            (None, problem) => {
                let problem = visible(problem.as_deref().unwrap_or("it does not open"));
                text += &format!("{id:width$}  does not open: {problem}\n");
            }
        }
    }
    text
}

/// What the last commit says of its run.
pub(super) fn state(complete: bool, trouble: usize) -> String {
    match (complete, trouble) {
        (_, trouble) if trouble > 0 => format!("trouble with {trouble} partition(s)"),
        (true, _) => "complete".to_owned(),
        (false, _) => "in the midst of a run".to_owned(),
    }
}
