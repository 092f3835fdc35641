//! What brokers do, as far as this crate and those above it rely on it: each test is a fact, seen on real brokers with
//! requests that no check of ours has touched.
//!
//! [`versions`] sees on older releases those that may differ between releases.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod appending;
mod commits;
mod endings;
mod idempotence;
mod leaders;
mod logs;
mod markers;
mod negotiation;
mod raw;
mod support;
mod versions;
