//! The documented Rust API of kafka-backup.
//!
//! A facade: the work is done by `restore-engine` and the crates below it, which can be used on their own. Here are the
//! names and shapes of the guide.
//!
//! ```no_run
//! use kafka_backup_core::Config;
//! use kafka_backup_core::restore::ThreePhaseRestore;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::from_file("restore.yaml")?;
//! let orchestrator = ThreePhaseRestore::new(config)?;
//! let report = orchestrator.run_all_phases().await?;
//!
//! println!("Records restored: {}", report.restore_report.records_restored);
//! println!("Offset mappings: {}", report.restore_report.offset_mapping.detailed_mapping_count());
//! if let Some(reset_report) = &report.offset_reset_report {
//!     println!("Consumer groups reset: {}", reset_report.groups_reset.len());
//!     println!("Partitions reset: {}", reset_report.partitions_reset);
//! }
//! # Ok(())
//! # }
//! ```

pub mod kafka;
pub mod restore;

pub use offset_mapping::OffsetMapping;
pub use restore_engine::{Config, ConfigError, Error, Result, config};

/// Phase 1 as a function, for programs that make backups themselves.
pub mod backup {
    pub use restore_engine::backup::{BackupReport, run};
}

/// Where backups lie and how a phase is told of progress, cancellation and time.
pub mod engine {
    pub use restore_engine::{Catalog, Context, Event, NoObserver, Observer, Phase, storage};
}
