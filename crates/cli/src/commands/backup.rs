//! `kafka-backup backup`

use std::path::Path;

use indicatif::{HumanBytes, HumanCount};

use super::{load, print};
use crate::exit::Ended;
use crate::signals::Signals;

pub(crate) async fn run(config: &Path, signals: &Signals) -> anyhow::Result<Ended> {
    let (config, context) = load(config, signals)?;
    let report = restore_engine::backup::run(&context, &config.backup_id, config.backup()?).await?;
    let mut text = format!(
        "Backup `{}` is complete in {}.\n  {} records of {} topic(s), {} partition(s)\n  {} consumer group(s)\n  {} in {} segment(s)\n",
        report.backup_id,
        context.storage.describe(),
        HumanCount(report.records),
        report.topics,
        report.partitions,
        report.groups,
        HumanBytes(report.bytes),
        report.segments,
    );
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
    print(&text)?;
    Ok(Ended::Done)
}
