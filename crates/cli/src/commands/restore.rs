//! `kafka-backup restore`

use std::path::Path;

use indicatif::HumanCount;
use restore_engine::ThreePhaseRestore;
use restore_engine::restore::RestoreReport;

use super::{load, print, three_phase};
use crate::exit::Ended;
use crate::signals::Signals;

pub(crate) async fn run(path: &Path, signals: &Signals) -> anyhow::Result<Ended> {
    let (config, context) = load(path, signals)?;
    let wanted = config.restore()?.clone();
    if wanted.reset_consumer_offsets {
        return three_phase::run(path, signals).await;
    }
    let report = ThreePhaseRestore::with_context(config, context)?
        .run_restore_phase()
        .await?;
    print(&summary(&report, path, wanted.offset_report.as_deref()))?;
    Ok(Ended::Done)
}

/// What a finished restore has to say.
pub(super) fn summary(report: &RestoreReport, config: &Path, offset_report: Option<&Path>) -> String {
    let mut text = format!(
        "Backup `{}` is restored: {} records into {} topic(s), {} partition(s).\n",
        report.backup_id,
        HumanCount(report.records_restored),
        report.topics,
        report.partitions,
    );
    if let Some(path) = offset_report {
        text += &format!("  The offset mapping is in {}\n", path.display());
    }
    text += &format!(
        "  and with the backup: kafka-backup offset-mapping --backup-id {} --config {}\n",
        report.backup_id,
        config.display()
    );
    text
}
