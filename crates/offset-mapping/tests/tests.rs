//! Tests of the public interface.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail as tests do"
)]

/// A small restore that has something of everything, and golden files.
#[path = "it/sample.rs"]
mod sample;

/// The report's JSON: the documented example, both forms of pairs, large mappings.
#[path = "it/report.rs"]
mod report;

/// Reports that are damaged, contradict themselves, or were made to do harm.
#[path = "it/hostile.rs"]
mod hostile;

/// Groups and plans: which positions are reset, which are not, and what counts as complete.
#[path = "it/plan.rs"]
mod plan;

/// Each rendering of the sample, byte by byte, and names that try to break out of one.
#[path = "it/render.rs"]
mod render;

/// The shell script, executed by bash with a tool that notes what it is given.
#[path = "it/script.rs"]
mod script;
