//! Phase 3: the consumer groups of the target onto the records that they would have read next.
//!
//! A reset is a plan and its execution. The plan is a value ([`OffsetResetPlan`], made without Kafka from the mapping);
//! here it is completed by what the target says now (the positions that will be replaced) and carried out: groups with
//! members are refused, positions outside the target's logs are refused, every commit is read back, and each
//! partition has its own result.

mod execute;
mod gather;

use kafka_wire::Cluster;
use offset_mapping::{OffsetMapping, OffsetResetPlan, OffsetResetStrategy};

pub use execute::{GroupReset, GroupResetOutcome, OffsetResetReport, PartitionFailure};

use crate::error::{Error, Result};

/// Plans and carries out offset resets on one cluster.
#[derive(Debug, Clone)]
pub struct OffsetResetExecutor {
    cluster: Cluster,
    bootstrap_servers: Vec<String>,
}

impl OffsetResetExecutor {
    /// `bootstrap_servers` only go into the scripts that are made from plans.
    pub fn new(cluster: Cluster, bootstrap_servers: Vec<String>) -> Self {
        Self {
            cluster,
            bootstrap_servers,
        }
    }

    /// The plan for `groups` (all groups of the mapping when empty), with the positions that the groups have on this
    /// cluster now.
    pub async fn generate_plan(
        &self,
        mapping: &OffsetMapping,
        groups: &[impl AsRef<str> + Sync],
        strategy: OffsetResetStrategy,
    ) -> Result<OffsetResetPlan> {
        let mut plan = OffsetResetPlan::build(mapping, groups, strategy)?;
        gather::previous_positions(&self.cluster, &mut plan).await?;
        Ok(plan)
    }

    /// Carries out a plan, group by group. A dry run is refused: it was made to be looked at.
    pub async fn execute_plan(&self, plan: &OffsetResetPlan) -> Result<OffsetResetReport> {
        if plan.dry_run {
            let problem = "this plan is a dry run; make one with another strategy to apply it".to_owned();
            return Err(Error::Reset { problem });
        }
        execute::execute(&self.cluster, plan).await
    }

    /// The plan as JSON.
    pub fn generate_json_report(&self, plan: &OffsetResetPlan) -> Result<String> {
        Ok(offset_mapping::render::plan_json(plan)?)
    }

    /// The plan as CSV, a line per partition.
    pub fn generate_csv_report(&self, plan: &OffsetResetPlan) -> String {
        offset_mapping::render::plan_csv(plan)
    }

    /// The plan as a shell script for Kafka's own tools.
    pub fn generate_shell_script(&self, plan: &OffsetResetPlan) -> String {
        offset_mapping::render::reset_script(plan, &self.bootstrap_servers)
    }
}
