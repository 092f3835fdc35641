//! Records as the Java client takes and gives them.

use serde::{Deserialize, Serialize};

use super::bytes::{headers, optional};

/// A record to be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProduceRecord {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Key.
    #[serde(with = "optional")]
    pub key: Option<Vec<u8>>,
    /// Value.
    #[serde(with = "optional")]
    pub value: Option<Vec<u8>>,
    /// Headers in order; names may repeat.
    #[serde(with = "headers")]
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// Create time in milliseconds since 1970; the client's clock when there is none.
    pub timestamp: Option<i64>,
}

impl ProduceRecord {
    /// A record without key, value and headers.
    pub fn new(topic: impl Into<String>, partition: i32) -> Self {
        Self {
            topic: topic.into(),
            partition,
            key: None,
            value: None,
            headers: Vec::new(),
            timestamp: None,
        }
    }

    /// Sets the key.
    #[must_use]
    pub fn key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets the value.
    #[must_use]
    pub fn value(mut self, value: impl Into<Vec<u8>>) -> Self {
        self.value = Some(value.into());
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.into(), Some(value.into())));
        self
    }

    /// Adds a header whose value is null.
    #[must_use]
    pub fn null_header(mut self, name: impl Into<String>) -> Self {
        self.headers.push((name.into(), None));
        self
    }

    /// Sets the create time, in milliseconds since 1970.
    #[must_use]
    pub fn timestamp(mut self, timestamp: i64) -> Self {
        self.timestamp = Some(timestamp);
        self
    }
}

/// Where a record was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Produced {
    /// Its offset, -1 when the producer waits for no acknowledgement.
    pub offset: i64,
    /// Its timestamp: of the record, or of the broker on a topic with append times.
    pub timestamp: i64,
}

/// What a record's timestamp means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub enum TimestampType {
    /// Formats before 0.10 have no timestamps.
    #[serde(rename = "NoTimestampType")]
    None,
    /// The producer's time.
    CreateTime,
    /// The broker's time.
    LogAppendTime,
}

/// A record as the Java consumer sees it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Record {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// Milliseconds since 1970, -1 when there is none.
    pub timestamp: i64,
    /// What the timestamp means.
    pub timestamp_type: TimestampType,
    /// Key.
    #[serde(with = "optional")]
    pub key: Option<Vec<u8>>,
    /// Value.
    #[serde(with = "optional")]
    pub value: Option<Vec<u8>>,
    /// Headers in order. The client decodes names as UTF-8 and replaces what is not.
    #[serde(with = "headers")]
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// Leader epoch of the batch, when the broker told it.
    pub leader_epoch: Option<i32>,
}

/// What a restore has to preserve of a record: everything but its position and the kind of its timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Content<'a> {
    /// Key.
    pub key: Option<&'a [u8]>,
    /// Value.
    pub value: Option<&'a [u8]>,
    /// Headers in order.
    pub headers: &'a [(String, Option<Vec<u8>>)],
    /// Milliseconds since 1970.
    pub timestamp: i64,
}

impl Record {
    /// What a restore has to preserve.
    pub fn content(&self) -> Content<'_> {
        Content {
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: &self.headers,
            timestamp: self.timestamp,
        }
    }
}
