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
use tokio_util::sync::CancellationToken;

pub use execute::{GroupReset, GroupResetOutcome, OffsetResetReport, PartitionFailure};

use crate::error::{Error, Result};

/// Plans and carries out offset resets on one cluster.
#[derive(Debug, Clone)]
pub struct OffsetResetExecutor {
    cluster: Cluster,
    bootstrap_servers: Vec<String>,
    cancel: CancellationToken,
}

impl OffsetResetExecutor {
    /// `bootstrap_servers` only go into the scripts that are made from plans.
    pub fn new(cluster: Cluster, bootstrap_servers: Vec<String>) -> Self {
        Self {
            cluster,
            bootstrap_servers,
            cancel: CancellationToken::new(),
        }
    }

    /// The same with a token that ends an execution between two groups.
    #[must_use]
    pub fn with_cancel(mut self, cancel: CancellationToken) -> Self {
        self.cancel = cancel;
        self
    }

    /// A plan with the positions that it is about to replace as they are now: what an undo starts from.
    pub async fn refresh_plan(&self, plan: &OffsetResetPlan) -> Result<OffsetResetPlan> {
        let mut plan = plan.clone();
        gather::previous_positions(&self.cluster, &mut plan).await?;
        Ok(plan)
    }

    /// The plan for `groups` (all groups of the mapping when empty), with the positions that the groups have on this
    /// cluster now.
    pub async fn generate_plan(
        &self,
        mapping: &OffsetMapping,
        groups: &[impl AsRef<str> + Sync],
        strategy: OffsetResetStrategy,
    ) -> Result<OffsetResetPlan> {
        self.check_cluster(mapping.target_cluster_id.as_deref())?;
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
        self.check_cluster(plan.target_cluster_id.as_deref())?;
        execute::execute(&self.cluster, plan, &self.cancel).await
    }

    /// Offsets of one cluster mean nothing on another one, where they may still lie within the logs.
    fn check_cluster(&self, meant_for: Option<&str>) -> Result<()> {
        match (meant_for, self.cluster.cluster_id()) {
            (Some(meant_for), Some(here)) if meant_for != here => Err(Error::Reset {
                problem: format!(
                    "the offsets are those of cluster {meant_for}, and this is cluster {here}: nothing was changed. \
                     Name the cluster into which the backup was restored"
                ),
            }),
            _ => Ok(()),
        }
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
