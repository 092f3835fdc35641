//! Tests of the public interface.

/// The report's JSON: the documented example, both forms, what contradicts itself.
#[path = "it/report.rs"]
mod report;
