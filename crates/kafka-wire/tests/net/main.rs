//! Against real brokers: finding them, asking them, changing things, and what happens when they go away.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod admin;
mod bootstrap;
mod faults;
mod groups;
mod metadata;
mod offsets;
mod partitions;
mod producers;
mod share;
mod support;
mod topics;
mod versions;
