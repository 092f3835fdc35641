//! `kafka-backup three-phase-restore`

use std::path::Path;

use offset_mapping::render::visible;
use restore_engine::ThreePhaseRestore;
use restore_engine::reset::{GroupResetOutcome, OffsetResetReport};

use super::{load, print, restore};
use crate::exit::Ended;
use crate::signals::Signals;

pub(crate) async fn run(config_path: &Path, signals: &Signals) -> anyhow::Result<Ended> {
    let (config, context) = load(config_path, signals)?;
    let wanted = config.restore()?.clone();
    let phases = ThreePhaseRestore::with_context(config, context)?;
    let report = phases.run_all_phases().await?;
    print(&restore::summary(
        &report.restore_report,
        config_path,
        wanted.offset_report.as_deref(),
    ))?;

    let Some(plan) = &report.offset_reset_plan else {
        print("Consumer groups were not looked at (consumer_group_strategy: skip).\n")?;
        return Ok(Ended::Done);
    };
    print(&format!("\n{}", offset_mapping::render::plan_text(plan)))?;
    let Some(reset) = &report.offset_reset_report else {
        print(
            "\nNo group was changed. To apply this plan: `reset_consumer_offsets: true`, or a script from\n  kafka-backup \
               offset-mapping --format shell-script\n",
        )?;
        return Ok(Ended::Done);
    };
    print(&format!("\n{}", outcome(reset)))?;
    let not_reset = reset.groups.len() - reset.groups_reset.len();
    match (reset.is_complete(), plan.is_complete()) {
        (true, true) => Ok(Ended::Done),
        (false, _) => Ok(Ended::Incomplete(format!(
            "{not_reset} group(s) were not, or not fully, reset"
        ))),
        (true, false) => Ok(Ended::Incomplete(
            "the plan leaves positions unresolved".to_owned(),
        )),
    }
}

fn outcome(report: &OffsetResetReport) -> String {
    let mut text = format!(
        "{} group(s) reset, {} position(s), each read back.\n",
        report.groups_reset.len(),
        report.partitions_reset
    );
    for group in &report.groups {
        match &group.outcome {
            GroupResetOutcome::Refused(why) => {
                text += &format!("  {}: not changed: {}\n", visible(&group.group_id), visible(why));
            }
            GroupResetOutcome::Partial(failures) => {
                let group = visible(&group.group_id);
                text += &format!("  {group}: changed in part; these positions were not set:\n");
                for failure in failures {
                    text += &format!("    {}: {}\n", failure.partition, visible(&failure.problem));
                }
            }
            _ => {}
        }
    }
    text
}
