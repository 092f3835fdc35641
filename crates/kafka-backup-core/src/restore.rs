//! Restore and offset reset, as the guide names them.
//!
//! A plan that is reviewed before it is applied:
//!
//! ```no_run
//! use kafka_backup_core::Config;
//! use kafka_backup_core::restore::{OffsetResetStrategy, ThreePhaseRestore};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! // Phase 2: Restore
//! let config = Config::from_file("restore.yaml")?;
//! let orchestrator = ThreePhaseRestore::new(config)?;
//! let restore_report = orchestrator.run_restore_phase().await?;
//!
//! // Generate Phase 3 plan for review
//! let consumer_groups = vec![
//!     "order-processor".to_string(),
//!     "payment-processor".to_string(),
//! ];
//!
//! let reset_plan = orchestrator.generate_offset_reset_plan(
//!     &restore_report.offset_mapping,
//!     &consumer_groups,
//!     OffsetResetStrategy::Manual,
//! ).await?;
//!
//! // Generate shell script for manual execution
//! let script = orchestrator.generate_offset_reset_script(&reset_plan);
//! std::fs::write("/var/kafka-backup/offset-reset.sh", script)?;
//!
//! // After review, apply the plan
//! let reset_report = orchestrator.apply_offset_reset(&reset_plan).await?;
//! assert!(reset_report.is_complete());
//! # Ok(())
//! # }
//! ```
//!
//! Without an orchestrator, from the report that a restore has written:
//!
//! ```no_run
//! use kafka_backup_core::OffsetMapping;
//! use kafka_backup_core::kafka::{ClusterConfig, KafkaClient};
//! use kafka_backup_core::restore::{OffsetResetExecutor, OffsetResetStrategy};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! // Load offset mapping from restore report
//! let offset_mapping: OffsetMapping = serde_json::from_reader(
//!     std::fs::File::open("/var/kafka-backup/offset-mapping.json")?
//! )?;
//!
//! // Create executor; the target of a configuration will do, too: `config.restore()?.target.clone()`
//! let target_config = ClusterConfig::new(["dr-kafka-1:9092"]);
//! let client = KafkaClient::new(target_config);
//! client.connect().await?;
//!
//! let executor = OffsetResetExecutor::new(
//!     client,
//!     vec!["dr-kafka-1:9092".to_string()],
//! );
//!
//! // Generate plan
//! let plan = executor.generate_plan(
//!     &offset_mapping,
//!     &["order-processor", "payment-processor"],
//!     OffsetResetStrategy::DryRun,
//! ).await?;
//!
//! println!("{}", executor.generate_json_report(&plan)?);
//! println!("{}", executor.generate_csv_report(&plan));
//!
//! // Execute if satisfied
//! if !plan.dry_run {
//!     let report = executor.execute_plan(&plan).await?;
//!     println!("Reset complete: {} partitions", report.partitions_reset);
//! }
//! # Ok(())
//! # }
//! ```

pub use offset_mapping::{
    GroupResetPlan, OffsetResetPlan, OffsetResetStrategy, PartitionReset, PlanSummary, Resolution,
    UnresolvedPosition, UnresolvedReason,
};
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
