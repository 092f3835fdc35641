//! Produce responses, versions 3 to 13.
//!
//! Layout (flexible from version 9 on, `?` marks tagged fields):
//!
//! ```text
//! topics [ name string (..=12) | topic_id uuid (13),
//!   partitions [ partition i32, error_code i16, base_offset i64, log_append_time_ms i64, log_start_offset i64 (5+),
//!     record_errors [ batch_index i32, message nullable string ] (8+), error_message nullable string (8+),
//!     ?0 current_leader { id i32, epoch i32 } (10+) ] ],
//! throttle_time_ms i32, ?0 node_endpoints [ node_id i32, host string, port i32, rack nullable string ] (10+)
//! ```

use bytes::Bytes;

use super::request::{FIRST_FLEXIBLE, FIRST_WITH_TOPIC_IDS};
use crate::fetch::response::TopicKey;
use crate::hint::{self, CurrentLeader, NodeEndpoint};
use crate::wire::{Malformed, Reader};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProduceResponse {
    pub(crate) throttle_time_ms: i32,
    pub(crate) partitions: Vec<PartitionAnswer>,
    /// Where the brokers listen that are named as leaders.
    pub(crate) endpoints: Vec<NodeEndpoint>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartitionAnswer {
    pub(crate) topic: TopicKey,
    pub(crate) partition: i32,
    pub(crate) error_code: i16,
    /// The offset given to the batch's first record; absent on errors.
    pub(crate) base_offset: Option<i64>,
    /// When the broker stamped the batch; absent when the topic keeps the producer's times.
    pub(crate) log_append_time: Option<i64>,
    /// What the broker says about the batch, and about each record that it names, as one line.
    pub(crate) error_text: Option<String>,
    /// Who leads the partition, when the broker refuses it.
    pub(crate) current_leader: Option<CurrentLeader>,
}

/// How many record errors are quoted. The broker may name every record of the batch.
const QUOTED_RECORD_ERRORS: usize = 3;

const MIN_TOPIC: usize = 2;
const MIN_PARTITION: usize = 4 + 2 + 8 + 8;
const MIN_RECORD_ERROR: usize = 4 + 1;

impl ProduceResponse {
    /// Parses a response body. Nothing is allocated for more elements than the body can hold.
    pub(crate) fn decode(body: Bytes, version: i16) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body, version >= FIRST_FLEXIBLE);
        let mut partitions = Vec::new();
        for _ in 0..reader.count(MIN_TOPIC)? {
            let topic = if version >= FIRST_WITH_TOPIC_IDS {
                TopicKey::Id(reader.uuid()?)
            } else {
                TopicKey::Name(reader.nullable_string()?.unwrap_or_default())
            };
            for _ in 0..reader.count(MIN_PARTITION)? {
                partitions.push(partition(&mut reader, topic.clone(), version)?);
            }
            reader.skip_tagged_fields()?;
        }
        let throttle_time_ms = reader.i32()?;
        let mut endpoints = Vec::new();
        reader.tagged_fields(|tag, field| {
            if tag == 0 && version >= hint::FIRST_PRODUCE {
                endpoints = NodeEndpoint::read_all(field, partitions.len())?;
            }
            Ok(())
        })?;
        Ok(Self {
            throttle_time_ms,
            partitions,
            endpoints,
        })
    }
}

fn partition(reader: &mut Reader, topic: TopicKey, version: i16) -> Result<PartitionAnswer, Malformed> {
    let partition = reader.i32()?;
    let error_code = reader.i16()?;
    let base_offset = Some(reader.i64()?).filter(|&offset| offset >= 0 && error_code == 0);
    let log_append_time = Some(reader.i64()?).filter(|&time| time >= 0);
    if version >= 5 {
        let _log_start_offset = reader.i64()?;
    }
    let error_text = if version >= 8 { error_text(reader)? } else { None };
    let mut current_leader = None;
    reader.tagged_fields(|tag, field| {
        if tag == 0 && version >= hint::FIRST_PRODUCE {
            current_leader = CurrentLeader::read(field)?;
        }
        Ok(())
    })?;
    Ok(PartitionAnswer {
        topic,
        partition,
        error_code,
        base_offset,
        log_append_time,
        error_text,
        current_leader,
    })
}

fn error_text(reader: &mut Reader) -> Result<Option<String>, Malformed> {
    let mut parts = Vec::new();
    let record_errors = reader.count(MIN_RECORD_ERROR)?;
    for index in 0..record_errors {
        let record = reader.i32()?;
        let message = reader.nullable_string()?;
        reader.skip_tagged_fields()?;
        if index < QUOTED_RECORD_ERRORS {
            let message = message
                .as_deref()
                .map_or("rejected".into(), String::from_utf8_lossy);
            parts.push(format!("record {record}: {message}"));
        }
    }
    if record_errors > QUOTED_RECORD_ERRORS {
        parts.push(format!("{} more records", record_errors - QUOTED_RECORD_ERRORS));
    }
    if let Some(message) = reader.nullable_string()? {
        parts.insert(0, String::from_utf8_lossy(&message).into_owned());
    }
    Ok(if parts.is_empty() {
        None
    } else {
        Some(parts.join("; "))
    })
}

#[cfg(test)]
#[path = "response_tests.rs"]
mod tests;
