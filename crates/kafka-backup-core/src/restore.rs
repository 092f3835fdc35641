//! Restore and offset reset, as the guide names them.

pub use offset_mapping::{GroupResetPlan, OffsetResetPlan, OffsetResetStrategy, PartitionReset};
pub use restore_engine::reset::{GroupReset, GroupResetOutcome, OffsetResetReport, PartitionFailure};
pub use restore_engine::restore::RestoreReport;
pub use restore_engine::{ThreePhaseReport, ThreePhaseRestore};

use offset_mapping::OffsetMapping;
use restore_engine::{Result, reset};

use crate::kafka::KafkaClient;

/// Plans and applies offset resets on one cluster.
#[derive(Debug, Clone)]
pub struct OffsetResetExecutor {
    client: KafkaClient,
    bootstrap_servers: Vec<String>,
}

impl OffsetResetExecutor {
    /// `bootstrap_servers` go into the shell scripts that are made from plans.
    pub fn new(client: KafkaClient, bootstrap_servers: Vec<String>) -> Self {
        Self {
            client,
            bootstrap_servers,
        }
    }

    /// The plan for `groups`; all groups of the mapping when empty. Changes nothing.
    ///
    /// # Errors
    ///
    /// When the cluster cannot be reached, or does not tell the groups' present positions.
    pub async fn generate_plan(
        &self,
        mapping: &OffsetMapping,
        groups: &[impl AsRef<str> + Sync],
        strategy: OffsetResetStrategy,
    ) -> Result<OffsetResetPlan> {
        self.executor()
            .await?
            .generate_plan(mapping, groups, strategy)
            .await
    }

    /// Applies a plan that is not a dry run: a result for each group and partition.
    ///
    /// # Errors
    ///
    /// For a dry run, and when the cluster cannot be reached. What fails for one group is in the report.
    pub async fn execute_plan(&self, plan: &OffsetResetPlan) -> Result<OffsetResetReport> {
        self.executor().await?.execute_plan(plan).await
    }

    /// The plan as JSON.
    ///
    /// # Errors
    ///
    /// When it cannot be written as JSON.
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

    async fn executor(&self) -> Result<reset::OffsetResetExecutor> {
        Ok(reset::OffsetResetExecutor::new(
            self.client.cluster().await?,
            self.bootstrap_servers.clone(),
        ))
    }
}
