use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{BrokerId, ProduceResponse as Theirs, TopicName};
use kafka_protocol::protocol::{Encodable, StrBytes};
use proptest::prelude::*;

use super::super::request::VERSIONS;
use super::*;

fn encoded(version: i16, record_errors: i32) -> Bytes {
    let accepted = PartitionProduceResponse::default()
        .with_index(3)
        .with_base_offset(1 << 35)
        .with_log_append_time_ms(-1);
    let mut rejected = PartitionProduceResponse::default()
        .with_index(4)
        .with_error_code(87)
        .with_base_offset(-1);
    if version >= 8 {
        let errors = (0..record_errors).map(|index| {
            BatchIndexAndErrorMessage::default()
                .with_batch_index(index)
                .with_batch_index_error_message(Some(StrBytes::from_static_str("null key")))
        });
        rejected = rejected
            .with_record_errors(errors.collect())
            .with_error_message(Some(StrBytes::from_static_str(
                "one or more records have been rejected",
            )));
    }
    if version >= 10 {
        rejected = rejected.with_current_leader(
            LeaderIdAndEpoch::default()
                .with_leader_id(BrokerId(2))
                .with_leader_epoch(8),
        );
    }
    let mut topic = TopicProduceResponse::default().with_partition_responses(vec![accepted, rejected]);
    if version < FIRST_WITH_TOPIC_IDS {
        topic = topic.with_name(TopicName(StrBytes::from_static_str("orders")));
    }
    let mut theirs = Theirs::default()
        .with_responses(vec![topic])
        .with_throttle_time_ms(12);
    if version >= 10 {
        let node = |node| {
            NodeEndpoint::default()
                .with_node_id(BrokerId(node))
                .with_host(StrBytes::from_static_str("h"))
                .with_port(9)
        };
        theirs = theirs.with_node_endpoints((2..100).map(node).collect());
    }
    let mut buffer = BytesMut::new();
    theirs.encode(&mut buffer, version).unwrap();
    buffer.freeze()
}

#[test]
fn every_version_reads_as_the_generated_type_wrote_it() {
    for version in VERSIONS {
        let response = ProduceResponse::decode(encoded(version, 5), version).unwrap();
        assert_eq!(response.throttle_time_ms, 12);
        let [accepted, rejected] = &response.partitions[..] else {
            panic!("two partitions")
        };
        assert_eq!((accepted.partition, accepted.error_code), (3, 0));
        assert_eq!(
            (accepted.base_offset, accepted.log_append_time),
            (Some(1 << 35), None)
        );
        assert_eq!(
            (rejected.partition, rejected.error_code, rejected.base_offset),
            (4, 87, None)
        );
        if version < FIRST_WITH_TOPIC_IDS {
            assert_eq!(rejected.topic, TopicKey::Name(Bytes::from_static(b"orders")));
        }
        let text = "one or more records have been rejected; record 0: null key; record 1: null key; \
                    record 2: null key; 2 more records";
        assert_eq!(rejected.error_text.as_deref(), (version >= 8).then_some(text));
        let leader = CurrentLeader { node: 2, epoch: 8 };
        assert_eq!(accepted.current_leader, None);
        assert_eq!(rejected.current_leader, Some(leader).filter(|_| version >= 10));
        // As many as there are partitions, whatever there is.
        let endpoints: Vec<_> = (response.endpoints.iter())
            .map(|endpoint| (endpoint.node, endpoint.address.to_string()))
            .collect();
        assert_eq!(
            endpoints,
            match version >= 10 {
                true => vec![(2, "h:9".to_owned()), (3, "h:9".to_owned())],
                false => Vec::new(),
            }
        );
    }
}

#[test]
fn every_truncation_is_an_error() {
    for version in VERSIONS {
        let whole = encoded(version, 2);
        for length in 0..whole.len() {
            assert!(ProduceResponse::decode(whole.slice(..length), version).is_err());
        }
    }
}

proptest! {
    #[test]
    fn random_and_damaged_bytes_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        position in any::<prop::sample::Index>(),
        bits in any::<u8>(),
        version in VERSIONS,
    ) {
        let _ = ProduceResponse::decode(Bytes::from(bytes), version);
        let mut damaged = encoded(version, 2).to_vec();
        let position = position.index(damaged.len());
        damaged[position] ^= bits;
        let _ = ProduceResponse::decode(Bytes::from(damaged), version);
    }
}
