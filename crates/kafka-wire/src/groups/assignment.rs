//! What the members of a group are assigned.
//!
//! Classic groups keep it as bytes that only their members have to understand. Those of consumers are the
//! `ConsumerProtocolAssignment` of Kafka's own clients:
//!
//! ```text
//! version i16, topics [ name string, partitions [ i32 ] ], user data
//! ```
//!
//! Every version so far begins like this, and later ones only add to the end.

use std::sync::Arc;

use bytes::Bytes;

use crate::cluster::TopicPartition;
use crate::wire::{Malformed, Reader};

/// The least bytes of a topic: an empty name, no partitions.
const MIN_TOPIC: usize = 2 + 4;
const MIN_PARTITION: usize = 4;

/// The partitions of a member of a classic group of consumers, sorted. `None` for bytes that are something else.
pub(super) fn of_classic(assignment: &Bytes) -> Option<Vec<TopicPartition>> {
    // A member has nothing yet while the group is rebalanced.
    if assignment.is_empty() {
        return Some(Vec::new());
    }
    let assigned = read(assignment.clone()).ok()?;
    Some(sorted(assigned))
}

/// The partitions that a coordinator lists by topic, sorted.
pub(super) fn of_topics<'a>(topics: impl Iterator<Item = (&'a str, &'a [i32])>) -> Vec<TopicPartition> {
    let partitions = topics.flat_map(|(topic, partitions)| {
        let topic: Arc<str> = topic.into();
        partitions
            .iter()
            .map(move |&partition| TopicPartition::new(Arc::clone(&topic), partition))
    });
    sorted(partitions.collect())
}

fn sorted(mut partitions: Vec<TopicPartition>) -> Vec<TopicPartition> {
    partitions.sort();
    partitions
}

fn read(assignment: Bytes) -> Result<Vec<TopicPartition>, Malformed> {
    let mut reader = Reader::new(assignment, false);
    if reader.i16()? < 0 {
        return Err(reader.malformed("negative version"));
    }
    let mut assigned = Vec::new();
    for _ in 0..reader.count(MIN_TOPIC)? {
        let name = reader.nullable_string()?.unwrap_or_default();
        let name = std::str::from_utf8(&name).map_err(|_| reader.malformed("the topic is no text"))?;
        let topic: Arc<str> = name.into();
        for _ in 0..reader.count(MIN_PARTITION)? {
            let partition = reader.i32()?;
            if partition < 0 || topic.is_empty() {
                return Err(reader.malformed("no partition"));
            }
            assigned.push(TopicPartition::new(Arc::clone(&topic), partition));
        }
    }
    Ok(assigned)
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use kafka_protocol::messages::ConsumerProtocolAssignment;
    use kafka_protocol::messages::consumer_protocol_assignment::TopicPartition as Topic;
    use kafka_protocol::protocol::Encodable;
    use proptest::prelude::*;

    use super::*;
    use crate::connection::topic_name;

    fn encoded(version: i16, topics: &[(&str, &[i32])]) -> Bytes {
        let topics = topics.iter().map(|(topic, partitions)| {
            Topic::default()
                .with_topic(topic_name(topic))
                .with_partitions(partitions.to_vec())
        });
        let mut bytes = BytesMut::new();
        bytes.extend_from_slice(&version.to_be_bytes());
        ConsumerProtocolAssignment::default()
            .with_assigned_partitions(topics.collect())
            .with_user_data(Some(Bytes::from_static(b"of the assignor")))
            .encode(&mut bytes, version)
            .unwrap();
        bytes.freeze()
    }

    #[test]
    fn every_version_is_read_and_sorted() {
        let at = |topic: &str, partition| TopicPartition::new(topic, partition);
        for version in 0..=3 {
            let bytes = encoded(version, &[("b", &[3, 1]), ("a", &[0])]);
            let expected = vec![at("a", 0), at("b", 1), at("b", 3)];
            assert_eq!(of_classic(&bytes), Some(expected), "version {version}");
            assert_eq!(of_classic(&encoded(version, &[])), Some(Vec::new()));
        }
        assert_eq!(of_classic(&Bytes::new()), Some(Vec::new()));
    }

    #[test]
    fn what_is_no_assignment_is_unknown() {
        let good = encoded(1, &[("orders", &[0, 1])]);
        // Everything that is cut before its user data.
        for end in 1..2 + 4 + 2 + 6 + 4 + 8 {
            assert_eq!(of_classic(&good.slice(..end)), None, "{end} bytes");
        }
        let hostile: &[&[u8]] = &[
            // A negative version; 2^31 - 1 topics; 2^31 - 1 partitions; a topic that is no text; a negative partition.
            &[0xff, 0xff, 0, 0, 0, 0],
            &[0, 0, 0x7f, 0xff, 0xff, 0xff],
            &[0, 0, 0, 0, 0, 1, 0, 1, b'a', 0x7f, 0xff, 0xff, 0xff],
            &[0, 0, 0, 0, 0, 1, 0, 1, 0xff, 0, 0, 0, 1, 0, 0, 0, 0],
            &[0, 0, 0, 0, 0, 1, 0, 1, b'a', 0, 0, 0, 1, 0xff, 0, 0, 0],
        ];
        for bytes in hostile {
            assert_eq!(of_classic(&Bytes::copy_from_slice(bytes)), None, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_do_any_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let found = of_classic(&Bytes::from(bytes.clone())).unwrap_or_default();
            prop_assert!(found.len() * MIN_PARTITION <= bytes.len());
        }
    }
}
