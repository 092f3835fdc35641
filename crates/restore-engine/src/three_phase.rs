//! The documented orchestrator: restore, then plan, then reset.

use kafka_wire::{Cluster, ClusterConfig};
use offset_mapping::{OffsetMapping, OffsetResetPlan, OffsetResetStrategy};
use segment_format::layout;

use crate::config::{Config, ConsumerGroupStrategy, RestoreConfig};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::reset::{OffsetResetExecutor, OffsetResetReport};
use crate::restore::{self, RestoreReport};
use crate::storage;

/// Restores a backup and positions the consumer groups of the target, as one configuration says.
#[derive(Debug, Clone)]
pub struct ThreePhaseRestore {
    backup_id: String,
    config: RestoreConfig,
    context: Context,
}

/// What the phases have done.
#[derive(Debug)]
#[non_exhaustive]
pub struct ThreePhaseReport {
    /// Phase 2.
    pub restore_report: RestoreReport,
    /// The plan of phase 3; none with `consumer_group_strategy: skip`.
    pub offset_reset_plan: Option<OffsetResetPlan>,
    /// Phase 3; none unless `reset_consumer_offsets: true`.
    pub offset_reset_report: Option<OffsetResetReport>,
}

impl ThreePhaseRestore {
    /// An orchestrator that takes storage from the configuration and time from the system.
    pub fn new(config: Config) -> Result<Self> {
        let storage = storage::open(&config.storage);
        let since_epoch = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        let context = Context::new(
            storage,
            i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX),
        );
        Self::with_context(config, context)
    }

    /// An orchestrator in a given context.
    pub fn with_context(config: Config, context: Context) -> Result<Self> {
        let restore = config.restore()?.clone();
        Ok(Self {
            backup_id: config.backup_id,
            config: restore,
            context,
        })
    }

    /// Phase 2, the plan of phase 3, and phase 3 itself when the configuration asks for it.
    ///
    /// The groups are touched only after a complete restore.
    pub async fn run_all_phases(&self) -> Result<ThreePhaseReport> {
        let restore_report = self.run_restore_phase().await?;
        let strategy = match (self.config.strategy, self.config.reset_consumer_offsets) {
            (ConsumerGroupStrategy::Skip, _) => {
                return Ok(ThreePhaseReport {
                    restore_report,
                    offset_reset_plan: None,
                    offset_reset_report: None,
                });
            }
            (ConsumerGroupStrategy::Manual, _) => OffsetResetStrategy::Manual,
            (ConsumerGroupStrategy::HeaderBased, true) => OffsetResetStrategy::Auto,
            (ConsumerGroupStrategy::HeaderBased, false) => OffsetResetStrategy::DryRun,
        };
        match self.reset_phase(&restore_report.offset_mapping, strategy).await {
            Ok((plan, report)) => Ok(ThreePhaseReport {
                restore_report,
                offset_reset_plan: Some(plan),
                offset_reset_report: report,
            }),
            Err(error) => Err(Error::AfterRestore {
                restored: format!(
                    "All {} records are restored, and their mapping is kept: the groups can be reset with a script from \
                     `kafka-backup offset-mapping --backup-id {} --format shell-script`.",
                    restore_report.records_restored, self.backup_id
                ),
                source: Box::new(error),
            }),
        }
    }

    async fn reset_phase(
        &self,
        mapping: &OffsetMapping,
        strategy: OffsetResetStrategy,
    ) -> Result<(OffsetResetPlan, Option<OffsetResetReport>)> {
        let plan = self
            .generate_offset_reset_plan(mapping, &self.config.consumer_groups, strategy)
            .await?;
        let report = match strategy {
            OffsetResetStrategy::Auto => Some(self.apply_offset_reset(&plan).await?),
            _ => None,
        };
        Ok((plan, report))
    }

    /// Phase 2.
    pub async fn run_restore_phase(&self) -> Result<RestoreReport> {
        restore::run(&self.context, &self.backup_id, &self.config).await
    }

    /// The plan of phase 3 for `groups`; all groups of the backup when empty. Changes nothing.
    pub async fn generate_offset_reset_plan(
        &self,
        mapping: &OffsetMapping,
        groups: &[impl AsRef<str> + Sync],
        strategy: OffsetResetStrategy,
    ) -> Result<OffsetResetPlan> {
        let cluster = self.connect().await?;
        let plan = self
            .executor(&cluster)
            .generate_plan(mapping, groups, strategy)
            .await;
        cluster.close().await;
        plan
    }

    /// The plan as a shell script for Kafka's own tools.
    pub fn generate_offset_reset_script(&self, plan: &OffsetResetPlan) -> String {
        offset_mapping::render::reset_script(plan, &self.config.target.bootstrap_servers)
    }

    /// Applies a reviewed plan. Before the first commit, the plan, with the positions that it replaces, is kept beside
    /// the backup: that is the audit trail, and what a reset can be undone from.
    pub async fn apply_offset_reset(&self, plan: &OffsetResetPlan) -> Result<OffsetResetReport> {
        if self.context.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let cluster = self.connect().await?;
        let executor = self.executor(&cluster);
        let result = async {
            if plan.dry_run {
                return executor.execute_plan(plan).await;
            }
            let plan = executor.refresh_plan(plan).await?;
            let name = layout::reset_name(
                &self.backup_id,
                self.context.now_ms,
                &format!("{:016x}", rand::random::<u64>()),
            );
            let json = executor.generate_json_report(&plan)?;
            self.context.storage.put(&name, json.into()).await?;
            executor.execute_plan(&plan).await
        };
        let result = result.await;
        cluster.close().await;
        result
    }

    fn executor(&self, cluster: &Cluster) -> OffsetResetExecutor {
        OffsetResetExecutor::new(cluster.clone(), self.config.target.bootstrap_servers.clone())
            .with_cancel(self.context.cancel.clone())
    }

    async fn connect(&self) -> Result<Cluster> {
        let config = ClusterConfig::from(self.config.target.clone());
        Cluster::connect(config)
            .await
            .map_err(Error::kafka("connecting to the target cluster"))
    }
}
