//! A native Kafka client for bulk reading and writing of logs: record batches travel as bytes.

pub mod batch;
pub mod codec;

mod budget;
mod cluster;
mod config;
mod connection;
mod error;
mod fetch;
mod groups;
mod offsets;
mod produce;
mod retry;
mod topics;
mod transactions;
mod wire;
