//! Which partition a block belongs to: topic name, topic id, partition number.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::BufMut;

use crate::checksum::{hex, unhex};
use crate::cursor::Cursor;
use crate::error::{Error, Result};

/// The longest topic name in bytes; Kafka's own limit (`org.apache.kafka.common.internals.Topic`).
pub const MAX_TOPIC_LEN: usize = 249;

/// Bytes of an encoded partition in front of the topic name.
pub(crate) const FIXED_LEN: usize = 22;

/// Kafka's identity of a topic (KIP-516): a topic that is deleted and created again has a new one. All zero for a
/// cluster that has no topic ids.
///
/// Shown and parsed as a hyphenated UUID in lower case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub [u8; 16]);

impl TopicId {
    /// The id of topics of clusters that have no topic ids.
    pub const ZERO: TopicId = TopicId([0; 16]);

    /// Whether the cluster gave no topic id.
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }
}

impl From<[u8; 16]> for TopicId {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (group, bytes) in [
            &self.0[..4],
            &self.0[4..6],
            &self.0[6..8],
            &self.0[8..10],
            &self.0[10..],
        ]
        .iter()
        .enumerate()
        {
            if group > 0 {
                f.write_str("-")?;
            }
            f.write_str(&hex(bytes))?;
        }
        Ok(())
    }
}

impl FromStr for TopicId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let digits: String = text.chars().filter(|&c| c != '-').collect();
        unhex(&digits)
            .map(TopicId)
            .filter(|id| id.to_string() == text)
            .ok_or_else(|| Error::Name {
                value: text.to_owned(),
                expected: "a topic id (a hyphenated UUID in lower case)",
            })
    }
}

impl serde::Serialize for TopicId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for TopicId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A partition of a topic. Cheap to clone.
///
/// Ordered by topic name (as UTF-8 bytes), then by partition number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PartitionRef {
    /// Name of the topic; 1 to [`MAX_TOPIC_LEN`] bytes.
    pub topic: Arc<str>,
    /// Kafka's identity of the topic.
    pub topic_id: TopicId,
    /// Number of the partition, from 0.
    pub partition: i32,
}

impl PartitionRef {
    /// A partition of a topic.
    pub fn new(topic: impl Into<Arc<str>>, topic_id: TopicId, partition: i32) -> Self {
        Self {
            topic: topic.into(),
            topic_id,
            partition,
        }
    }

    /// What `check` says of this partition, if the format cannot hold it.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        if self.topic.is_empty() {
            Some("topic name is empty")
        } else if self.topic.len() > MAX_TOPIC_LEN {
            Some("topic name is longer than 249 bytes")
        } else if self.partition < 0 {
            Some("partition number is negative")
        } else {
            None
        }
    }

    pub(crate) fn encoded_len(&self) -> usize {
        FIXED_LEN + self.topic.len()
    }

    /// Appends topic id, partition number, length of the name, name.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.put_slice(&self.topic_id.0);
        out.put_i32(self.partition);
        // A name has at most 249 bytes (checked by the writer before it gets here).
        out.put_u16(u16::try_from(self.topic.len()).unwrap_or(u16::MAX));
        out.put_slice(self.topic.as_bytes());
    }

    /// Bytes of the topic name of the partition that `cursor` stands before.
    pub(crate) fn peek_name_len(cursor: &mut Cursor<'_>) -> Result<usize> {
        let position = cursor.position();
        cursor.take(FIXED_LEN - 2)?;
        Self::checked_name_len(cursor, position)
    }

    fn checked_name_len(cursor: &mut Cursor<'_>, position: u64) -> Result<usize> {
        match usize::from(cursor.u16()?) {
            length @ 1..=MAX_TOPIC_LEN => Ok(length),
            length => Err(cursor.invalid_at(position, format!("a topic name of {length} bytes"))),
        }
    }

    pub(crate) fn decode(cursor: &mut Cursor<'_>) -> Result<Self> {
        let position = cursor.position();
        let topic_id = TopicId(cursor.array()?);
        let partition = cursor.i32()?;
        let name_len = Self::checked_name_len(cursor, position)?;
        let name = std::str::from_utf8(cursor.take(name_len)?)
            .map_err(|_| cursor.invalid_at(position, "topic name is not UTF-8"))?;
        let decoded = Self::new(name, topic_id, partition);
        match decoded.problem() {
            None => Ok(decoded),
            Some(problem) => Err(cursor.invalid_at(position, problem)),
        }
    }
}

impl fmt::Display for PartitionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_id_is_shown_as_uuid_and_has_one_spelling() {
        let id = TopicId(*b"\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff");
        assert_eq!(id.to_string(), "00112233-4455-6677-8899-aabbccddeeff");
        assert_eq!(id.to_string().parse::<TopicId>().unwrap(), id);
        for other in [
            "00112233-4455-6677-8899-AABBCCDDEEFF",
            "00112233445566778899aabbccddeeff",
            "",
            "0011-2233",
        ] {
            assert!(other.parse::<TopicId>().is_err(), "{other}");
        }
    }
}
