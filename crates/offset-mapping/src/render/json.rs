//! The plan as JSON.

use serde::Serialize;

use crate::error::Error;
use crate::plan::{OffsetResetPlan, PlanSummary};
use crate::report::pretty;

/// The plan with its counts, indented. Names stand exactly as they are; the plan can be read back from it.
///
/// # Errors
///
/// None are known: a plan can always be written.
pub fn plan_json(plan: &OffsetResetPlan) -> Result<String, Error> {
    #[derive(Serialize)]
    struct Report<'a> {
        complete: bool,
        summary: PlanSummary,
        #[serde(flatten)]
        plan: &'a OffsetResetPlan,
    }

    let report = Report {
        complete: plan.is_complete(),
        summary: plan.summary(),
        plan,
    };
    let mut out = Vec::new();
    // Positions are lists within the list of groups.
    pretty(&mut out, &report, 2).map_err(|error| Error::Json(Box::new(error)))?;
    String::from_utf8(out).map_err(|error| Error::Json(Box::new(error)))
}
