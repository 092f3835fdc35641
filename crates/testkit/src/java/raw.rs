//! Requests around record bytes that no client looks at.

use serde::{Deserialize, Serialize};

use super::bytes::Base64;
use super::{Isolation, JavaClient};
use crate::error::Result;

/// A broker's answer to a raw produce request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RawProduced {
    /// Protocol error code, 0 for none.
    pub error_code: i16,
    /// What the broker says about the error.
    pub error_message: Option<String>,
    /// Offset of the first record.
    pub base_offset: i64,
    /// The broker's time for a topic with append times, else -1.
    pub log_append_time: i64,
    /// Log start offset.
    pub log_start_offset: i64,
}

/// A raw fetch request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawFetch {
    /// First offset.
    pub offset: i64,
    /// Most bytes to be sent, though one batch is always sent whole.
    pub max_bytes: i32,
    /// Isolation level.
    pub isolation: Isolation,
}

impl RawFetch {
    /// Up to 16 MiB, read uncommitted.
    pub fn from(offset: i64) -> Self {
        Self {
            offset,
            max_bytes: 16 << 20,
            isolation: Isolation::ReadUncommitted,
        }
    }
}

/// A broker's answer to a raw fetch request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawFetched {
    /// Protocol error code, 0 for none.
    pub error_code: i16,
    /// High watermark.
    pub high_watermark: i64,
    /// Last stable offset.
    pub last_stable_offset: i64,
    /// Log start offset.
    pub log_start_offset: i64,
    /// Aborted transactions: producer id and first offset of each.
    pub aborted: Vec<(i64, i64)>,
    /// The batches as the broker sent them; the first may begin before the offset, the last may be cut off.
    pub records: Vec<u8>,
}

impl JavaClient {
    /// Sends record bytes to a partition's leader as they are, with acks=all.
    pub async fn produce_raw(&self, topic: &str, partition: i32, records: &[u8]) -> Result<RawProduced> {
        self.produce_raw_in(topic, partition, records, None).await
    }

    /// Like [`JavaClient::produce_raw`], with a transactional id in the request.
    pub async fn produce_raw_in(
        &self,
        topic: &str,
        partition: i32,
        records: &[u8],
        transactional_id: Option<&str>,
    ) -> Result<RawProduced> {
        #[derive(Serialize)]
        struct Args<'a> {
            topic: &'a str,
            partition: i32,
            records: Base64,
            acks: i16,
            transactional_id: Option<&'a str>,
        }
        let args = Args {
            topic,
            partition,
            records: Base64(records.to_vec()),
            acks: -1,
            transactional_id,
        };
        self.call("raw_produce", &args).await
    }

    /// Fetches record bytes from a partition's leader as they are.
    pub async fn fetch_raw(&self, topic: &str, partition: i32, fetch: RawFetch) -> Result<RawFetched> {
        #[derive(Serialize)]
        struct Args<'a> {
            topic: &'a str,
            partition: i32,
            offset: i64,
            max_bytes: i32,
            isolation: Isolation,
        }
        #[derive(Deserialize)]
        struct Aborted {
            producer_id: i64,
            first_offset: i64,
        }
        #[derive(Deserialize)]
        struct Answer {
            error_code: i16,
            high_watermark: i64,
            last_stable_offset: i64,
            log_start_offset: i64,
            aborted: Vec<Aborted>,
            records: Base64,
        }
        let RawFetch {
            offset,
            max_bytes,
            isolation,
        } = fetch;
        let answer: Answer = self
            .call(
                "raw_fetch",
                &Args {
                    topic,
                    partition,
                    offset,
                    max_bytes,
                    isolation,
                },
            )
            .await?;
        Ok(RawFetched {
            error_code: answer.error_code,
            high_watermark: answer.high_watermark,
            last_stable_offset: answer.last_stable_offset,
            log_start_offset: answer.log_start_offset,
            aborted: answer
                .aborted
                .into_iter()
                .map(|one| (one.producer_id, one.first_offset))
                .collect(),
            records: answer.records.0,
        })
    }
}
