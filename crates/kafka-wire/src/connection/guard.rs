//! Decoding of response bodies, with array lengths checked before memory is reserved for them.
//!
//! The decoders of `kafka_protocol` reserve room for as many elements as an array announces, before reading the first:
//! a few hostile bytes would make the process ask for hundreds of gigabytes and abort. They read through a trait,
//! though, so a buffer of our own sees every number before they do and can refuse it:
//!
//! * In the flexible encoding each length is an unsigned varint, and nothing that such a varint announces (bytes or
//!   elements) can exceed the bytes that are left. Only the numbers of tagged fields are no lengths; they are small. The
//!   decoders read a boolean as they read a byte of a varint, and any byte is true that is not 0: a varint may begin at
//!   each byte that is read alone, and what would be too much for any of them is refused.
//! * In the older encoding a length is a plain 32-bit integer, as are ids and times, and those may be larger than the
//!   bytes that are left. A number that is larger is therefore shown to the decoder as a negative one, with which no array
//!   can be read. If the message can be read all the same, then no such number was a length, and the message is read again
//!   with the numbers as they are.
//!
//! What remains is bounded: at most some 200 bytes are reserved per byte left in the frame, once for each level of nesting.
//! As that would still be gigabytes for a large frame, there is an absolute limit for lengths, and one for the messages that
//! are read here: bulk data are not.

use bytes::TryGetError;
use bytes::{Buf, Bytes};
use kafka_protocol::protocol::buf::ByteBuf;
use kafka_protocol::protocol::{Decodable, HeaderVersion};

/// Bytes of the largest message: the metadata of half a million partitions.
const LARGEST_BODY: usize = 64 << 20;
/// Largest length that is accepted, whatever the size of the message. What is a list in these messages has fewer elements,
/// and what is text or bytes is shorter.
const LARGEST_LENGTH: usize = 2 << 20;

/// Largest varint that is accepted though fewer bytes are left. Kafka numbers tagged fields from 0.
const SLACK_VARINTS: u64 = 1 << 8;

/// Bytes of the longest varint that a decoder reads.
const LONGEST_VARINT: usize = 5;

/// Decodes a message and requires that it ends where the bytes do.
///
/// # Errors
/// A sentence that says what is wrong, and at which byte.
pub(crate) fn decode<M: Decodable + HeaderVersion>(
    body: Bytes,
    version: i16,
    flexible: bool,
) -> Result<M, String> {
    if body.len() > LARGEST_BODY {
        let length = body.len();
        return Err(format!(
            "it has {length} bytes, and {LARGEST_BODY} are the most for one without records"
        ));
    }
    let mut first = Guarded::new(body.clone(), flexible, Numbers::Capped);
    let message = decode_all(&mut first, version)?;
    if !first.capped {
        return Ok(message);
    }
    drop::<M>(message);
    decode_all(&mut Guarded::new(body, flexible, Numbers::AsTheyAre), version)
}

fn decode_all<M: Decodable>(guarded: &mut Guarded, version: i16) -> Result<M, String> {
    let total = guarded.rest.len();
    let decoded = M::decode(guarded, version);
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

/// How 32-bit integers of the older encoding are shown to the decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Numbers {
    /// Those that are too large for a length are negative.
    Capped,
    /// All lengths are known to be good.
    AsTheyAre,
}

struct Guarded {
    rest: Bytes,
    flexible: bool,
    /// The varints that the last bytes may belong to: `open[k]` is the value so far if it began `k + 1` bytes ago.
    open: [u64; LONGEST_VARINT - 1],
    opened: usize,
    numbers: Numbers,
    /// Whether a number was shown as a negative one.
    capped: bool,
}

impl Guarded {
    fn new(rest: Bytes, flexible: bool, numbers: Numbers) -> Self {
        Self {
            rest,
            flexible,
            open: [0; LONGEST_VARINT - 1],
            opened: 0,
            numbers,
            capped: false,
        }
    }

    /// Refuses by pretending that the buffer ended: the decoder stops before it reserves anything.
    fn refuse(&self, announced: usize) -> TryGetError {
        TryGetError {
            requested: announced,
            available: self.rest.len(),
        }
    }

    /// The largest number that can be a length here.
    fn largest_length(&self) -> usize {
        self.rest.len().min(LARGEST_LENGTH)
    }

    fn follow_varint(&mut self, byte: u8) -> Result<(), TryGetError> {
        let bits = u64::from(byte & 0x7f);
        let mut values = [bits; LONGEST_VARINT];
        for (index, open) in self.open.iter().take(self.opened).enumerate() {
            values[index + 1] = open | bits << (7 * (index + 1));
        }
        let count = self.opened + 1;
        // The decoder stops after five bytes, whatever the last one says.
        let goes_on = byte >= 0x80;
        let ended = if goes_on {
            LONGEST_VARINT - 1..count
        } else {
            0..count
        };
        self.open.copy_from_slice(&values[..LONGEST_VARINT - 1]);
        self.opened = if goes_on { count.min(LONGEST_VARINT - 1) } else { 0 };
        let largest = values.get(ended).and_then(|ended| ended.iter().max());
        match largest {
            // Lengths are sent as one more than they are.
            Some(&value) if value > SLACK_VARINTS && value - 1 > self.largest_length() as u64 => {
                Err(self.refuse(usize::try_from(value).unwrap_or(usize::MAX)))
            }
            _ => Ok(()),
        }
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
        self.opened = 0;
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
        self.opened = 0;
        if self.flexible || self.numbers == Numbers::AsTheyAre {
            return Ok(value);
        }
        if usize::try_from(value).is_ok_and(|length| length > self.largest_length()) {
            self.capped = true;
            return Ok(i32::MIN);
        }
        Ok(value)
    }
}

impl ByteBuf for Guarded {
    fn peek_bytes(&mut self, range: std::ops::Range<usize>) -> Bytes {
        self.rest.slice(range)
    }

    fn get_bytes(&mut self, size: usize) -> Bytes {
        self.opened = 0;
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
                    // A boolean that could be the first byte of the length behind it.
                    &[0x80, 0x80, 0x80, 0x80, 0x80, 0xaa],
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
        assert!(error.contains("of 11"), "{error}");
        let compact = Bytes::from_static(&[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2, 3]);
        let error = decode::<MetadataResponse>(compact, 12, true).unwrap_err();
        assert!(error.contains("at byte 9 of 12"), "{error}");
    }

    /// The bytes are there, and room for as many elements would be gigabytes.
    #[test]
    fn a_large_message_does_not_make_a_large_length_a_good_one() {
        let announced = LARGEST_LENGTH as u32 + 1;
        let mut plain = vec![0; LARGEST_BODY];
        plain[4..8].copy_from_slice(&announced.to_be_bytes());
        let error = decode::<MetadataResponse>(Bytes::from(plain), 8, false).unwrap_err();
        assert!(error.contains("at byte 8 of"), "{error}");
        let mut compact = vec![0; LARGEST_BODY];
        let mut rest = announced + 1;
        for byte in &mut compact[4..] {
            *byte = rest as u8 | 0x80;
            rest >>= 7;
            if rest == 0 {
                *byte &= 0x7f;
                break;
            }
        }
        let error = decode::<MetadataResponse>(Bytes::from(compact), 12, true).unwrap_err();
        assert!(error.contains("at byte 8 of"), "{error}");
        let error = decode::<MetadataResponse>(Bytes::from(vec![0; LARGEST_BODY + 1]), 12, true);
        assert!(error.unwrap_err().contains("are the most"));
    }

    /// A group whose members are said to be 2^20: room for them would be 250 MB.
    #[test]
    fn a_length_that_could_be_an_id_reserves_nothing() {
        use kafka_protocol::messages::DescribeGroupsResponse;
        // Found by a fuzzer: groups without a name, then one whose members begin with the number 2^20.
        let found = "00000300000300000000000000000000000000001000000000000000000000000000000000000000\
                     0000000000000000000000008000000000000000000000000000";
        let byte = |at| u8::from_str_radix(&found[at..at + 2], 16).unwrap();
        let bytes: Vec<u8> = (0..found.len()).step_by(2).map(byte).collect();
        for at in 0..bytes.len() - 4 {
            let mut hostile = vec![0; bytes.len()];
            hostile[7] = 1;
            hostile[at..at + 4].copy_from_slice(&[0, 0x10, 0, 0]);
            let mut guarded = Guarded::new(Bytes::from(hostile.clone()), false, Numbers::Capped);
            while let Ok(number) = guarded.try_get_i32() {
                assert!(number <= guarded.rest.len() as i32, "{number} at {at}");
            }
            let _ = decode::<DescribeGroupsResponse>(Bytes::from(hostile), 4, false);
        }
        assert!(decode::<DescribeGroupsResponse>(Bytes::from(bytes), 4, false).is_err());
    }

    #[test]
    fn ids_and_times_of_any_size_are_read_in_the_older_encoding() {
        let broker = MetadataResponseBroker::default()
            .with_node_id(BrokerId(i32::MAX))
            .with_host(text("host"))
            .with_port(65_535);
        let response = MetadataResponse::default()
            .with_throttle_time_ms(i32::MAX - 1)
            .with_brokers(vec![broker])
            .with_controller_id(BrokerId(1_234_567));
        for version in 4..=8 {
            let mut bytes = BytesMut::new();
            response.encode(&mut bytes, version).unwrap();
            let read = decode::<MetadataResponse>(bytes.freeze(), version, false);
            assert_eq!(read.as_ref(), Ok(&response));
        }
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
        let bytes = Bytes::from(vec![1, 0x80, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 5]);
        let mut guarded = Guarded::new(bytes, true, Numbers::Capped);
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
