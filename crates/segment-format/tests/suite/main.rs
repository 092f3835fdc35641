//! What the format promises, from the outside.
//!
//! * `support`: batches, segments and manifests to test with, and an encoder of forged segments written from the
//!   format document.
//! * `segment`: what a segment holds comes back; a writer refuses what the format cannot hold.
//! * `damage`: a flipped bit, a missing or an additional byte is detected, and the error says where.
//! * `hostile`: bytes that no writer wrote never panic, and never get memory that they do not pay for.
//! * `manifest`: manifests come back; one that contradicts itself is refused.
//! * `chain`: generations follow each other: what may, what may not, and that every layer is needed as it was written.
//! * `layers`: lists of layers that no writer makes are refused.
//! * `model`: any sequence of commits gives what a naive model says, in few layers and with few bytes.
//! * `layout`: object names come back, sort as promised, and stay in their folder.
//! * `golden`: files of earlier versions are still read, and written to the same bytes.
//! * `document`: the worked example in docs/FORMAT.md is what this crate writes.
//! * `python`: a reader written from docs/FORMAT.md alone agrees with this crate.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail like tests"
)]

mod chain;
mod damage;
mod document;
mod golden;
mod hostile;
mod layers;
mod layout;
mod manifest;
mod model;
mod python;
mod segment;
mod support;
