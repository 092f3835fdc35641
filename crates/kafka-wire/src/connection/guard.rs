//! Decoding of response bodies, with array lengths checked before memory is reserved for them.
//!
//! The decoders of `kafka_protocol` reserve room for as many elements as an array announces, before reading the first:
//! a few hostile bytes would make the process ask for hundreds of gigabytes and abort. They read through a trait,
//! though, so a buffer of our own sees every number before they do and can refuse it:
//!
//! * In the flexible encoding each length is an unsigned varint, and nothing that such a varint announces (bytes or
//!   elements) can exceed the bytes that are left. Only the numbers of tagged fields are no lengths; they are small.
//! * In the older encoding a length is a plain 32-bit integer, as are ids and times. It may be as large as the bytes
//!   that are left, or [`SLACK_INTS`]. The brokers in question (before 2.4) number themselves from 0.
//!
//! What remains is bounded by the size of the frame: at most some 200 bytes are reserved per byte left in it.

use bytes::TryGetError;
use bytes::{Buf, Bytes};
use kafka_protocol::protocol::buf::ByteBuf;
use kafka_protocol::protocol::{Decodable, HeaderVersion};

/// Largest varint that is accepted though fewer bytes are left.
const SLACK_VARINTS: u64 = 1 << 14;
/// Largest 32-bit integer that is accepted though fewer bytes are left, in the older encoding.
const SLACK_INTS: usize = 1 << 20;

/// Decodes a message and requires that it ends where the bytes do.
///
/// # Errors
/// A sentence that says what is wrong, and at which byte.
pub(crate) fn decode<M: Decodable + HeaderVersion>(
    body: Bytes,
    version: i16,
    flexible: bool,
) -> Result<M, String> {
    let total = body.len();
    let mut guarded = Guarded {
        rest: body,
        flexible,
        varint: 0,
        shift: 0,
    };
    let decoded = M::decode(&mut guarded, version);
    let at = total - guarded.rest.len();
    match decoded {
        Ok(_) if !guarded.rest.is_empty() => Err(format!(
            "{} bytes follow after the end, at byte {at} of {total}",
            guarded.rest.len()
        )),
        Ok(message) => Ok(message),
        Err(error) => Err(format!(
            "{} at byte {at} of {total}",
            error.to_string().trim_end()
        )),
    }
}

struct Guarded {
    rest: Bytes,
    flexible: bool,
    /// The bits of a varint whose bytes are being read one by one.
    varint: u64,
    shift: u32,
}

impl Guarded {
    /// Refuses by pretending that the buffer ended: the decoder stops before it reserves anything.
    fn refuse(&self, announced: usize) -> TryGetError {
        TryGetError {
            requested: announced,
            available: self.rest.len(),
        }
    }

    fn follow_varint(&mut self, byte: u8) -> Result<(), TryGetError> {
        self.varint |= u64::from(byte & 0x7f) << self.shift;
        self.shift += 7;
        // The decoder stops after five bytes, whatever the last one says.
        if byte >= 0x80 && self.shift < 35 {
            return Ok(());
        }
        let value = std::mem::take(&mut self.varint);
        self.shift = 0;
        // Lengths are sent as one more than they are.
        if value > SLACK_VARINTS && value - 1 > self.rest.len() as u64 {
            return Err(self.refuse(usize::try_from(value).unwrap_or(usize::MAX)));
        }
        Ok(())
    }
}

impl Buf for Guarded {
    fn remaining(&self) -> usize {
        self.rest.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.rest
    }

    fn advance(&mut self, count: usize) {
        self.rest.advance(count);
    }

    fn try_get_u8(&mut self) -> Result<u8, TryGetError> {
        let byte = self.rest.try_get_u8()?;
        if self.flexible {
            self.follow_varint(byte)?;
        }
        Ok(byte)
    }

    fn try_get_i32(&mut self) -> Result<i32, TryGetError> {
        let value = self.rest.try_get_i32()?;
        if !self.flexible
            && let Ok(announced) = usize::try_from(value)
            && announced > self.rest.len().max(SLACK_INTS)
        {
            return Err(self.refuse(announced));
        }
        Ok(value)
    }
}

impl ByteBuf for Guarded {
    fn peek_bytes(&mut self, range: std::ops::Range<usize>) -> Bytes {
        self.rest.slice(range)
    }

    fn get_bytes(&mut self, size: usize) -> Bytes {
        self.rest.split_to(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use kafka_protocol::messages::metadata_response::{
        MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
    };
    use kafka_protocol::messages::{BrokerId, ListGroupsResponse, MetadataResponse};
    use kafka_protocol::protocol::Encodable;

    use crate::connection::{text, topic_name};

    /// Of every kind of field something.
    fn metadata() -> MetadataResponse {
        let nodes = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect();
        let partition = MetadataResponsePartition::default()
            .with_leader_id(BrokerId(1001))
            .with_replica_nodes(nodes(&[1001, 2, 3]))
            .with_isr_nodes(nodes(&[1001, 2]));
        let topic = MetadataResponseTopic::default()
            .with_name(Some(topic_name("a topic")))
            .with_partitions(vec![partition; 5]);
        let broker = MetadataResponseBroker::default()
            .with_node_id(BrokerId(1001))
            .with_host(text("host"))
            .with_port(9092);
        MetadataResponse::default()
            .with_brokers(vec![broker; 3])
            .with_cluster_id(Some(text("cluster")))
            .with_topics(vec![topic; 4])
    }

    #[test]
    fn a_huge_length_anywhere_in_a_message_is_survived() {
        for version in 4..=13 {
            let flexible = version >= 9;
            let mut bytes = BytesMut::new();
            metadata().encode(&mut bytes, version).unwrap();
            let whole = bytes.freeze();
            let read = decode::<MetadataResponse>(whole.clone(), version, flexible).unwrap();
            assert_eq!(read.topics[3].partitions[4].replica_nodes[0], BrokerId(1001));
            for at in 0..whole.len() {
                for huge in [
                    &[0x7f, 0xff, 0xff, 0xff][..],
                    &[0xff, 0xff, 0xff, 0xff, 0x0f],
                    &[0x80],
                    &[0],
                ] {
                    let mut hostile = whole.to_vec();
                    let end = (at + huge.len()).min(hostile.len());
                    hostile[at..end].copy_from_slice(&huge[..end - at]);
                    // It may still be readable: what counts is that this returns.
                    let _ = decode::<MetadataResponse>(Bytes::from(hostile), version, flexible);
                }
            }
        }
    }

    #[test]
    fn a_hostile_array_length_is_refused_in_both_encodings() {
        // throttle time, then an array of 2^31 - 1 brokers.
        let plain = Bytes::from_static(&[0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 1, 2, 3]);
        let error = decode::<MetadataResponse>(plain, 8, false).unwrap_err();
        assert!(error.contains("at byte 8 of 11"), "{error}");
        let compact = Bytes::from_static(&[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2, 3]);
        let error = decode::<MetadataResponse>(compact, 12, true).unwrap_err();
        assert!(error.contains("at byte 9 of 12"), "{error}");
    }

    #[test]
    fn every_truncation_is_an_error_and_trailing_bytes_are_too() {
        // throttle time, no error, one group "g" of type "consumer" in state "Stable", no tags.
        let mut whole = vec![0, 0, 0, 0, 0, 0, 2, 2, b'g', 9];
        whole.extend_from_slice(b"consumer\x07Stable\x08classic\0\0");
        let message = decode::<ListGroupsResponse>(Bytes::from(whole.clone()), 5, true).unwrap();
        assert_eq!(message.groups[0].group_type.as_str(), "classic");
        for cut in 0..whole.len() {
            assert!(
                decode::<ListGroupsResponse>(Bytes::from(whole[..cut].to_vec()), 5, true).is_err(),
                "{cut}"
            );
        }
        whole.push(0);
        let error = decode::<ListGroupsResponse>(Bytes::from(whole), 5, true).unwrap_err();
        assert!(error.contains("1 bytes follow"), "{error}");
    }

    #[test]
    fn a_varint_may_be_split_from_what_it_is_not() {
        let mut guarded = Guarded {
            rest: Bytes::from(vec![1, 0x80, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 5]),
            flexible: true,
            varint: 0,
            shift: 0,
        };
        // A boolean, a two-byte varint of 128, then five bytes that announce 34359738367.
        assert_eq!(guarded.try_get_u8().unwrap(), 1);
        assert_eq!(guarded.try_get_u8().unwrap(), 0x80);
        assert_eq!(guarded.try_get_u8().unwrap(), 1);
        for _ in 0..4 {
            guarded.try_get_u8().unwrap();
        }
        assert!(guarded.try_get_u8().is_err());
    }
}
