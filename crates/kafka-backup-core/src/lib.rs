//! The documented Rust API of kafka-backup: a facade over its crates.
