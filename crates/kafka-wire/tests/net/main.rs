//! Against real brokers: finding them, asking them, changing things, and what happens when they go away.

mod bootstrap;
mod faults;
mod groups;
mod metadata;
mod offsets;
mod support;
mod topics;
mod versions;
