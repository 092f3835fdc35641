//! The program as its users have it, on real Kafka clusters; what goes in and comes out is checked by the Java client.
//!
//! - [`bad_input`]: every mistake gets an error that says what to do
//! - [`checking`]: a backup that is listed, described, verified, damaged and verified again; orphans
//! - [`guide`]: the guide's configurations and commands word for word, its script run with Kafka's own tool
//! - [`three_phases`]: a cluster backed up, stopped, restored elsewhere; every record and every position compared
//! - [`continuing`]: backups that go on where the last run ended, run without end, or are cut short
//! - [`killed`]: backups that are killed again and again, and restored elsewhere
//! - [`s3`]: the guide's configurations, with their bucket
//! - [`secured`]: a cluster that wants TLS and a login
//! - [`signed`]: a cluster that takes logins by credentials of AWS
//! - [`rights`]: a cluster that grants rights to its users
//! - [`refusals`]: what a restore or a reset must not do, and how it ends when it is interrupted
//!
//! [`source`] fills a cluster with every kind of record, [`positions`] commits on every kind of edge, [`stored`] reads a
//! backup without a restore, [`program`] runs the binary.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a step of a test that fails ends the test"
)]

mod bad_input;
mod checking;
mod continuing;
mod guide;
mod killed;
mod positions;
mod program;
mod refusals;
mod rights;
mod s3;
mod secured;
mod signed;
mod source;
mod stored;
mod three_phases;
