//! Fetch responses, versions 4 to 17: our own parser, whose records are slices of the frame.
//!
//! Layout (flexible from version 12 on, `?` marks tagged fields):
//!
//! ```text
//! throttle_time_ms i32, error_code i16 (7+), session_id i32 (7+),
//! topics [ name string (..=12) | topic_id uuid (13+),
//!   partitions [ partition i32, error_code i16, high_watermark i64, last_stable_offset i64, log_start_offset i64 (5+),
//!     aborted [ producer_id i64, first_offset i64 ] or null, preferred_read_replica i32 (11+), records bytes or null,
//!     ?0 diverging_epoch { epoch i32, end_offset i64 } (12+), ?1 current_leader { id i32, epoch i32 } (12+) ] ],
//! ?0 node_endpoints [ node_id i32, host string, port i32, rack nullable string ] (16+)
//! ```

use bytes::Bytes;

use crate::hint::{self, CurrentLeader, NodeEndpoint};
use crate::transactions::AbortedTransaction;
use crate::wire::{Malformed, Reader};

/// The first flexible version.
pub(crate) const FIRST_FLEXIBLE: i16 = 12;
/// The first version that names topics by their id.
pub(crate) const FIRST_WITH_TOPIC_IDS: i16 = 13;

/// One response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FetchResponse {
    pub(crate) throttle_time_ms: i32,
    /// An error that concerns the whole request.
    pub(crate) error_code: i16,
    pub(crate) topics: Vec<TopicResponse>,
    /// Where the brokers listen that are named as leaders.
    pub(crate) endpoints: Vec<NodeEndpoint>,
}

/// How the response names a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TopicKey {
    Name(Bytes),
    Id([u8; 16]),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicResponse {
    pub(crate) topic: TopicKey,
    pub(crate) partitions: Vec<PartitionResponse>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartitionResponse {
    pub(crate) partition: i32,
    pub(crate) error_code: i16,
    pub(crate) high_watermark: i64,
    pub(crate) last_stable_offset: i64,
    /// Unknown before version 5 and on most errors.
    pub(crate) log_start_offset: Option<i64>,
    pub(crate) aborted: Vec<AbortedTransaction>,
    /// The broker that the leader wants to be asked instead; then there are no records.
    pub(crate) preferred_read_replica: Option<i32>,
    /// A slab of the log: whole batches, the last one possibly cut anywhere.
    pub(crate) records: Bytes,
    /// Where the history that the reader knows ends, when it is not the leader's.
    pub(crate) diverging_epoch: Option<DivergingEpoch>,
    /// Who leads the partition, when the broker refuses it.
    pub(crate) current_leader: Option<CurrentLeader>,
}

/// The leader's last offset of the newest epoch that is not newer than the reader's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DivergingEpoch {
    pub(crate) epoch: i32,
    pub(crate) end_offset: i64,
}

impl FetchResponse {
    /// Whether the broker keeps the whole answer back because the client is over its quota: there is no partition in it, and
    /// the data will come when the time is over (AK `FetchContext.getThrottledResponse`).
    pub(crate) fn is_withheld(&self) -> bool {
        self.throttle_time_ms > 0 && self.error_code == 0 && self.topics.is_empty()
    }

    /// Parses the body of a response to a request that named so many partitions. Nothing is allocated for more of them, or
    /// for more elements than the body can hold.
    pub(crate) fn decode(body: Bytes, version: i16, mut asked: usize) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body, version >= FIRST_FLEXIBLE);
        let throttle_time_ms = reader.i32()?;
        let error_code = if version >= 7 { reader.i16()? } else { 0 };
        if version >= 7 {
            let _session_id = reader.i32()?;
        }
        let count = reader.count(MIN_TOPIC)?;
        if count > asked {
            return Err(reader.malformed("more topics than partitions were asked for"));
        }
        let mut topics = Vec::new();
        for _ in 0..count {
            topics.push(topic(&mut reader, version, &mut asked)?);
        }
        let most = topics.iter().map(|topic| topic.partitions.len()).sum();
        let mut endpoints = Vec::new();
        reader.tagged_fields(|tag, field| {
            if tag == 0 && version >= hint::FIRST_FETCH {
                endpoints = NodeEndpoint::read_all(field, most)?;
            }
            Ok(())
        })?;
        Ok(Self {
            throttle_time_ms,
            error_code,
            topics,
            endpoints,
        })
    }
}

// The fewest bytes that each element can take in any version: an empty name and an empty list; a partition of version 4.
const MIN_TOPIC: usize = 2;
const MIN_PARTITION: usize = 4 + 2 + 8 + 8 + 1 + 1;
const MIN_ABORTED: usize = 8 + 8;

fn topic(reader: &mut Reader, version: i16, asked: &mut usize) -> Result<TopicResponse, Malformed> {
    let topic = if version >= FIRST_WITH_TOPIC_IDS {
        TopicKey::Id(reader.uuid()?)
    } else {
        TopicKey::Name(reader.nullable_string()?.unwrap_or_default())
    };
    let count = reader.count(MIN_PARTITION)?;
    *asked =
        (asked.checked_sub(count)).ok_or_else(|| reader.malformed("more partitions than were asked for"))?;
    let mut partitions = Vec::new();
    for _ in 0..count {
        partitions.push(partition(reader, version)?);
    }
    reader.skip_tagged_fields()?;
    Ok(TopicResponse { topic, partitions })
}

fn partition(reader: &mut Reader, version: i16) -> Result<PartitionResponse, Malformed> {
    let mut response = PartitionResponse {
        partition: reader.i32()?,
        error_code: reader.i16()?,
        high_watermark: reader.i64()?,
        last_stable_offset: reader.i64()?,
        log_start_offset: None,
        aborted: Vec::new(),
        preferred_read_replica: None,
        records: Bytes::new(),
        diverging_epoch: None,
        current_leader: None,
    };
    if version >= 5 {
        response.log_start_offset = Some(reader.i64()?).filter(|&offset| offset >= 0);
    }
    for _ in 0..reader.count(MIN_ABORTED)? {
        response.aborted.push(AbortedTransaction {
            producer_id: reader.i64()?,
            first_offset: reader.i64()?,
        });
        reader.skip_tagged_fields()?;
    }
    if version >= 11 {
        response.preferred_read_replica = Some(reader.i32()?).filter(|&replica| replica >= 0);
    }
    response.records = reader.nullable_bytes()?.unwrap_or_default();
    let (diverging, leader) = (&mut response.diverging_epoch, &mut response.current_leader);
    reader.tagged_fields(|tag, field| {
        match tag {
            0 => {
                *diverging = Some(DivergingEpoch {
                    epoch: field.i32()?,
                    end_offset: field.i64()?,
                });
            }
            1 => *leader = CurrentLeader::read(field)?,
            _ => {}
        }
        Ok(())
    })?;
    response.diverging_epoch = response
        .diverging_epoch
        .filter(|diverging| diverging.end_offset >= 0);
    Ok(response)
}

#[cfg(test)]
#[path = "response_tests.rs"]
mod tests;
