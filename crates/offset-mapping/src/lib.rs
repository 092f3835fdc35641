//! Where the records of a restored Kafka topic went, and where its consumer groups go on.
//!
//! A restore gives records new offsets, so that the offsets which consumer groups had committed point at the
//! wrong records. This crate keeps, for each partition, which source offset became which target offset, and
//! translates committed offsets so that they keep their meaning: *the next record to read is the first one at
//! or after it*.
//!
//! ```
//! use offset_mapping::{
//!     CommittedOffset, Coverage, OffsetMapping, OffsetResetPlan, OffsetResetStrategy, PartitionMap,
//!     Resolution, Run, TopicPartition,
//! };
//!
//! // The backup covers the offsets 0 to 1100. The restore wrote 1001 records from offset 5000 on.
//! let mut orders = PartitionMap::new(Coverage::new(0, 1100), 5000)?;
//! orders.push(Run { source_first: 0, target_first: 5000, length: 600, first_timestamp: None })?;
//! orders.push(Run { source_first: 600, target_first: 5600, length: 401, first_timestamp: None })?;
//! assert_eq!(orders.run_count(), 1);
//! assert_eq!(orders.translate(750).target_offset, 5750);
//!
//! let mut mapping = OffsetMapping::new(1_700_002_000_000);
//! mapping.entries.insert(TopicPartition::new("orders", 0), orders);
//! let committed = CommittedOffset { topic: "orders".into(), offset: Some(1200), ..Default::default() };
//! mapping.add_group("order-processor", [committed]);
//!
//! let plan = OffsetResetPlan::build(&mapping, &["order-processor"], OffsetResetStrategy::DryRun)?;
//! let reset = &plan.groups[0].partitions[0];
//! assert_eq!(reset.target_offset, 6001);
//! assert_eq!(reset.resolution, Resolution::BeyondBackup { lost: 100 });
//! println!("{}", offset_mapping::render::plan_text(&plan));
//! # Ok::<(), offset_mapping::Error>(())
//! ```
//!
//! * [`PartitionMap`] holds runs of records, never a pair of offsets per record: a partition without holes is
//!   one [`Run`] however long it is.
//! * [`OffsetMapping`] is the offset mapping report. It is written and read as JSON, by serde or piece by
//!   piece with [`OffsetMapping::write_json`].
//! * [`OffsetResetPlan`] is what a reset will commit. It is a value: what a dry run shows is what is
//!   executed.
//! * [`render`] shows plans and mappings as text, CSV, JSON and a shell script; [`headers`] are the record
//!   headers that carry a record's origin.
//!
//! # What this crate is not
//!
//! It does no I/O beyond the readers and writers that it is given, reads no clock and no environment, and
//! knows no Kafka client. Reading committed offsets from a backup and committing them to a cluster is the
//! business of whoever has the cluster; a crate that can only compute can be tested against every case of a
//! rule in milliseconds.

pub mod headers;
pub mod render;

mod coverage;
mod error;
mod mapping;
mod partition;
mod plan;
mod report;
mod runs;
mod translate;
mod varint;

pub use coverage::Coverage;
pub use error::{Error, PositionProblem};
pub use mapping::{CommittedOffset, GroupPosition, GroupPositions, OffsetMapping, TopicPartition};
pub use partition::PartitionMap;
pub use plan::{
    GroupResetPlan, OffsetResetPlan, OffsetResetStrategy, PartitionReset, PlanSummary, UnresolvedPosition,
    UnresolvedReason,
};
pub use report::Pairs;
pub use runs::Run;
pub use translate::{Resolution, Translation};
