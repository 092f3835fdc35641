//! Fetch requests, versions 4 to 17, without a session.
//!
//! Layout (flexible from version 12 on):
//!
//! ```text
//! replica_id i32 (..=14), max_wait_ms i32, min_bytes i32, max_bytes i32, isolation_level i8,
//! session_id i32 (7+), session_epoch i32 (7+),
//! topics [ name string (..=12) | topic_id uuid (13+),
//!   partitions [ partition i32, current_leader_epoch i32 (9+), fetch_offset i64, last_fetched_epoch i32 (12+),
//!     log_start_offset i64 (5+), partition_max_bytes i32 ] ],
//! forgotten_topics [] (7+), rack_id string (11+)
//! ```
//!
//! A session would save naming partitions that did not change since the last request. A bulk reader moves every
//! partition with every response, so a session would save nothing, and only one request could be outstanding in it.

use bytes::{BufMut, Bytes};

use super::response::{FIRST_FLEXIBLE, FIRST_WITH_TOPIC_IDS};
use crate::wire::Writer;

/// The versions that are spoken: 4 is the first with record batches, 18 differs for replicas only.
pub(crate) const VERSIONS: std::ops::RangeInclusive<i16> = 4..=17;

/// The first version with the epoch of the batch before the offset, by which the broker compares histories.
pub(crate) const FIRST_WITH_LAST_EPOCH: i16 = 12;

/// One request. Order matters: the broker fills the response in it, and the first partition that has data gets at least
/// one whole batch whatever the limits are.
#[derive(Debug, Clone)]
pub(crate) struct FetchRequest<'a> {
    pub(crate) max_wait_ms: i32,
    pub(crate) min_bytes: i32,
    pub(crate) max_bytes: i32,
    pub(crate) read_committed: bool,
    pub(crate) rack: &'a str,
    pub(crate) partitions: &'a [PartitionRequest<'a>],
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct PartitionRequest<'a> {
    pub(crate) topic: &'a str,
    pub(crate) topic_id: [u8; 16],
    pub(crate) partition: i32,
    /// The epoch in which the broker asked is believed to lead; -1 when unknown.
    pub(crate) leader_epoch: i32,
    pub(crate) offset: i64,
    /// The epoch of the batch before `offset`; -1 when unknown. The broker compares histories by it.
    pub(crate) last_epoch: i32,
    pub(crate) max_bytes: i32,
}

/// The version to use when a broker supports up to `negotiated`: topic ids can be sent only when all are known.
pub(crate) fn usable_version(negotiated: i16, mut topic_ids: impl Iterator<Item = [u8; 16]>) -> i16 {
    if negotiated >= FIRST_WITH_TOPIC_IDS && topic_ids.any(|id| id == [0; 16]) {
        FIRST_WITH_TOPIC_IDS - 1
    } else {
        negotiated
    }
}

impl FetchRequest<'_> {
    pub(crate) fn encode(&self, version: i16) -> Bytes {
        let capacity = 64 + self.rack.len() + self.partitions.len() * 48;
        let mut writer = Writer::new(capacity, version >= FIRST_FLEXIBLE);
        if version <= 14 {
            writer.buffer.put_i32(-1);
        }
        writer.buffer.put_i32(self.max_wait_ms);
        writer.buffer.put_i32(self.min_bytes);
        writer.buffer.put_i32(self.max_bytes);
        writer.buffer.put_i8(i8::from(self.read_committed));
        if version >= 7 {
            writer.buffer.put_i32(0);
            writer.buffer.put_i32(-1);
        }
        self.encode_topics(&mut writer, version);
        if version >= 7 {
            writer.length(0);
        }
        if version >= 11 {
            writer.string(self.rack);
        }
        writer.no_tagged_fields();
        writer.take()
    }

    /// Neighbours of the same topic share an entry; a topic may come again later, as the order is the caller's.
    fn encode_topics(&self, writer: &mut Writer, version: i16) {
        let topics = || {
            self.partitions
                .chunk_by(|a, b| (a.topic, a.topic_id) == (b.topic, b.topic_id))
        };
        writer.length(topics().count());
        for partitions in topics() {
            if version >= FIRST_WITH_TOPIC_IDS {
                writer.buffer.put_slice(&partitions[0].topic_id);
            } else {
                writer.string(partitions[0].topic);
            }
            writer.length(partitions.len());
            for partition in partitions {
                partition.encode(writer, version);
            }
            writer.no_tagged_fields();
        }
    }
}

impl PartitionRequest<'_> {
    fn encode(&self, writer: &mut Writer, version: i16) {
        writer.buffer.put_i32(self.partition);
        if version >= 9 {
            writer.buffer.put_i32(self.leader_epoch);
        }
        writer.buffer.put_i64(self.offset);
        if version >= FIRST_WITH_LAST_EPOCH {
            writer.buffer.put_i32(self.last_epoch);
        }
        if version >= 5 {
            writer.buffer.put_i64(-1);
        }
        writer.buffer.put_i32(self.max_bytes);
        writer.no_tagged_fields();
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::FetchRequest as Theirs;
    use kafka_protocol::protocol::Decodable;

    use super::*;

    fn partition(topic: &str, partition: i32) -> PartitionRequest<'_> {
        PartitionRequest {
            topic,
            topic_id: [topic.len() as u8; 16],
            partition,
            leader_epoch: 7,
            offset: 1 << 40,
            last_epoch: 6,
            max_bytes: 1 << 20,
        }
    }

    #[test]
    fn the_generated_type_reads_every_version() {
        let partitions = [
            partition("a", 0),
            partition("a", 3),
            partition("bc", 1),
            partition("a", 4),
        ];
        let request = FetchRequest {
            max_wait_ms: 500,
            min_bytes: 1,
            max_bytes: 8 << 20,
            read_committed: true,
            rack: "r1",
            partitions: &partitions,
        };
        for version in VERSIONS {
            let mut body = request.encode(version);
            let theirs = Theirs::decode(&mut body, version).unwrap();
            assert!(body.is_empty(), "version {version} leaves {} bytes", body.len());
            assert_eq!(
                (theirs.max_wait_ms, theirs.min_bytes, theirs.max_bytes),
                (500, 1, 8 << 20)
            );
            assert_eq!(theirs.isolation_level, 1);
            let asked = theirs.topics.iter().flat_map(|topic| {
                topic
                    .partitions
                    .iter()
                    .map(move |p| (topic.topic.to_string(), topic.topic_id, p.clone()))
            });
            for ((name, id, theirs), ours) in asked.zip(&partitions) {
                if version >= FIRST_WITH_TOPIC_IDS {
                    assert_eq!(id.into_bytes(), ours.topic_id);
                } else {
                    assert_eq!(name, ours.topic);
                }
                assert_eq!(theirs.partition, ours.partition);
                assert_eq!(
                    (theirs.fetch_offset, theirs.partition_max_bytes),
                    (ours.offset, ours.max_bytes)
                );
                assert_eq!(theirs.current_leader_epoch, if version >= 9 { 7 } else { -1 });
                assert_eq!(theirs.last_fetched_epoch, if version >= 12 { 6 } else { -1 });
            }
            assert_eq!(theirs.topics.len(), 3);
        }
    }

    #[test]
    fn a_topic_and_the_one_that_replaced_it_are_named_apart() {
        let mut partitions = [partition("a", 0), partition("a", 0)];
        partitions[1].topic_id = [9; 16];
        let request = FetchRequest {
            max_wait_ms: 1,
            min_bytes: 1,
            max_bytes: 1,
            read_committed: true,
            rack: "",
            partitions: &partitions,
        };
        let theirs = Theirs::decode(&mut request.encode(17), 17).unwrap();
        let named: Vec<_> = theirs
            .topics
            .iter()
            .map(|topic| topic.topic_id.into_bytes())
            .collect();
        assert_eq!(named, [[1; 16], [9; 16]]);
    }

    #[test]
    fn an_unknown_topic_id_takes_the_request_back_to_names() {
        assert_eq!(usable_version(17, [[1; 16], [0; 16]].into_iter()), 12);
        assert_eq!(usable_version(17, [[1; 16]].into_iter()), 17);
        assert_eq!(usable_version(11, [[0; 16]].into_iter()), 11);
    }
}
