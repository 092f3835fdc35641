//! Produce requests, versions 3 to 13: the envelope is written by hand so that the records go from where they are to the
//! socket without being copied.
//!
//! Layout (flexible from version 9 on):
//!
//! ```text
//! transactional_id nullable string, acks i16, timeout_ms i32,
//! topics [ name string (..=12) | topic_id uuid (13), partitions [ partition i32, records nullable bytes ] ]
//! ```

use std::sync::Arc;

use bytes::{BufMut, Bytes};

use crate::wire::Writer;

/// The versions that are spoken. 3 is the first with record batches of the present format.
pub(crate) const VERSIONS: std::ops::RangeInclusive<i16> = 3..=13;
/// The first version that may carry batches compressed with zstd.
pub(crate) const FIRST_WITH_ZSTD: i16 = 7;
/// The first version that names topics by their id.
pub(crate) const FIRST_WITH_TOPIC_IDS: i16 = 13;
/// The first flexible version.
pub(crate) const FIRST_FLEXIBLE: i16 = 9;

/// Bytes of a record batch's header.
pub(crate) const BATCH_HEADER: usize = 61;

/// One batch for one partition. A request must not name a partition twice.
#[derive(Debug, Clone)]
pub(crate) struct ProduceEntry {
    pub(crate) topic: Arc<str>,
    pub(crate) topic_id: [u8; 16],
    pub(crate) partition: i32,
    /// The batch's header, as rewritten for this producer.
    pub(crate) header: [u8; BATCH_HEADER],
    /// What follows the header, as it was given.
    pub(crate) records: Bytes,
}

impl ProduceEntry {
    /// Which topic: a name may be that of several, one after the other.
    pub(super) fn topic_key(&self) -> (&str, [u8; 16]) {
        (&self.topic, self.topic_id)
    }
}

/// Encodes a request that asks for the acknowledgement of all in-sync replicas. Entries of the same topic must be
/// neighbours. The result is one buffer for the envelope up to and with a batch's header, one for its records, and so on.
pub(crate) fn encode(entries: &[ProduceEntry], timeout_ms: i32, version: i16) -> Vec<Bytes> {
    let names: usize = entries.iter().map(|entry| entry.topic.len()).sum();
    let capacity = 64 + names + entries.len() * (BATCH_HEADER + 32);
    let mut writer = Writer::new(capacity, version >= FIRST_FLEXIBLE);
    let mut pieces = Vec::with_capacity(entries.len() * 2 + 1);
    writer.null_string();
    writer.buffer.put_i16(-1);
    writer.buffer.put_i32(timeout_ms);
    let topics = || entries.chunk_by(|a, b| a.topic_key() == b.topic_key());
    writer.length(topics().count());
    for topic in topics() {
        if version >= FIRST_WITH_TOPIC_IDS {
            writer.buffer.put_slice(&topic[0].topic_id);
        } else {
            writer.string(&topic[0].topic);
        }
        writer.length(topic.len());
        for entry in topic {
            writer.buffer.put_i32(entry.partition);
            writer.length(BATCH_HEADER + entry.records.len());
            writer.buffer.put_slice(&entry.header);
            pieces.push(writer.take());
            pieces.push(entry.records.clone());
            writer.no_tagged_fields();
        }
        writer.no_tagged_fields();
    }
    writer.no_tagged_fields();
    pieces.push(writer.take());
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::ProduceRequest as Theirs;
    use kafka_protocol::protocol::Decodable;

    use super::*;

    fn entry(topic: &str, partition: i32, records: &'static [u8]) -> ProduceEntry {
        ProduceEntry {
            topic: topic.into(),
            topic_id: [topic.len() as u8; 16],
            partition,
            header: [partition as u8; BATCH_HEADER],
            records: Bytes::from_static(records),
        }
    }

    #[test]
    fn the_generated_type_reads_every_version() {
        let entries = [
            entry("a", 0, b"first"),
            entry("a", 7, &[9; 20_000]),
            entry("topic", 1, b""),
        ];
        for version in VERSIONS {
            let mut body = Bytes::from(encode(&entries, 30_000, version).concat());
            let theirs = Theirs::decode(&mut body, version).unwrap();
            assert!(body.is_empty(), "version {version} leaves {} bytes", body.len());
            assert_eq!((theirs.acks, theirs.timeout_ms), (-1, 30_000));
            assert!(theirs.transactional_id.is_none());
            let [a, topic] = &theirs.topic_data[..] else {
                panic!("two topics")
            };
            if version >= FIRST_WITH_TOPIC_IDS {
                assert_eq!(
                    (a.topic_id.into_bytes(), topic.topic_id.into_bytes()),
                    ([1; 16], [5; 16])
                );
            } else {
                assert_eq!((&**a.name, &**topic.name), ("a", "topic"));
            }
            let theirs = a.partition_data.iter().chain(&topic.partition_data);
            for (theirs, ours) in theirs.zip(&entries) {
                assert_eq!(theirs.index, ours.partition);
                let records = theirs.records.as_ref().unwrap();
                assert_eq!(records[..BATCH_HEADER], ours.header);
                assert_eq!(records[BATCH_HEADER..], ours.records);
            }
        }
    }

    /// Else what was written for the one would be appended to the other.
    #[test]
    fn a_topic_and_the_one_that_replaced_it_are_named_apart() {
        let mut entries = [
            entry("a", 0, b"old"),
            entry("a", 0, b"new"),
            entry("a", 1, b"new"),
        ];
        entries[1].topic_id = [9; 16];
        entries[2].topic_id = [9; 16];
        let mut body = Bytes::from(encode(&entries, 1, FIRST_WITH_TOPIC_IDS).concat());
        let theirs = Theirs::decode(&mut body, FIRST_WITH_TOPIC_IDS).unwrap();
        let named: Vec<_> = (theirs.topic_data.iter())
            .map(|topic| (topic.topic_id.into_bytes(), topic.partition_data.len()))
            .collect();
        assert_eq!(named, [([1; 16], 1), ([9; 16], 2)]);
    }

    #[test]
    fn records_are_not_copied() {
        let entries = [entry("a", 0, &[9; 20_000])];
        let pieces = encode(&entries, 1, 9);
        assert!(
            pieces
                .iter()
                .any(|piece| piece.as_ptr() == entries[0].records.as_ptr())
        );
    }
}
