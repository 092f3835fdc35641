//! The Rust examples of the guide, as they stand there, on real Kafka clusters. The Java client checks what each did.
//!
//! - [`auto_reset`]: the first example, all phases at once
//! - [`manual_review`]: the second, a script and a plan for review, then applied
//! - [`executor`]: the third, a plan from a saved report, shown and then executed
//! - [`documents`]: every configuration in the documentation is one that the program takes
//!
//! [`site`] has the cluster that is backed up and the one that is restored to.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "examples print, and a step of a test that fails ends the test"
)]

mod auto_reset;
mod documents;
mod executor;
mod manual_review;
mod site;
