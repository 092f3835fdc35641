//! Backup, restore and offset reset of Kafka clusters: the only place where Kafka, files and mappings meet.
//!
//! Three phases, each a function from a checked [`config`](config::Config) to a report:
//!
//! 1. [`backup::run`] copies record batches, byte for byte, from a cluster into segments of a [`storage`], with the
//!    committed offsets of the consumer groups; a manifest, written last, makes them a backup.
//! 2. [`restore::run`] writes every record of a backup once into another cluster and returns the exact mapping from
//!    source to target offsets.
//! 3. [`reset`] puts the consumer groups of the target on the records that they would have read next.
//!
//! [`ThreePhaseRestore`] runs the second and third as the documentation describes them. Everything that a phase needs
//! from outside (storage, observer, cancellation, time) comes in a [`Context`].
//!
//! What this crate is not: a Kafka client (`kafka-wire`), a file format (`segment-format`), offset arithmetic
//! (`offset-mapping`). Those know nothing of each other and nothing of this crate.

pub mod backup;
pub mod config;
pub mod describe;
pub mod orphans;
pub mod reset;
pub mod restore;
pub mod storage;
pub mod verify;

mod aws;
mod catalog;
mod concurrent;
mod context;
mod error;
#[cfg(test)]
mod fixture;
mod observe;
pub mod output;
mod selection;
mod three_phase;
mod workers;

pub use catalog::{BackupSummary, Catalog, StoredMapping};
pub use config::{Config, ConfigError};
pub use context::Context;
pub use error::{Error, Result, chain};
pub use observe::{Event, NoObserver, Observer, Phase};
pub use three_phase::{ThreePhaseReport, ThreePhaseRestore};
