use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::fetch_response::{
    AbortedTransaction as TheirAborted, EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch,
    NodeEndpoint, PartitionData,
};
use kafka_protocol::messages::{BrokerId, FetchResponse as Theirs, ProducerId, TopicName};
use kafka_protocol::protocol::{Encodable, StrBytes};
use proptest::prelude::*;

use super::super::request::VERSIONS;
use super::*;

fn their_partition(index: i32, version: i16, records: Vec<u8>, aborted: &[(i64, i64)]) -> PartitionData {
    let aborted = aborted
        .iter()
        .map(|&(producer, first)| {
            TheirAborted::default()
                .with_producer_id(ProducerId(producer))
                .with_first_offset(first)
        })
        .collect::<Vec<_>>();
    let mut partition = PartitionData::default()
        .with_partition_index(index)
        .with_error_code(index as i16)
        .with_high_watermark(1 << 33)
        .with_last_stable_offset((1 << 33) - 1)
        .with_aborted_transactions(Some(aborted).filter(|aborted| !aborted.is_empty()))
        .with_records(Some(Bytes::from(records)));
    if version >= 5 {
        partition = partition.with_log_start_offset(17);
    }
    if version >= 11 {
        partition = partition.with_preferred_read_replica(BrokerId(index - 1));
    }
    if version >= 12 {
        partition = partition
            .with_diverging_epoch(EpochEndOffset::default().with_epoch(3).with_end_offset(99))
            .with_current_leader(
                LeaderIdAndEpoch::default()
                    .with_leader_id(BrokerId(2))
                    .with_leader_epoch(8),
            );
    }
    partition
}

fn encoded(version: i16, partitions: Vec<PartitionData>) -> Bytes {
    let mut topic = FetchableTopicResponse::default().with_partitions(partitions);
    if version < FIRST_WITH_TOPIC_IDS {
        topic = topic.with_topic(TopicName(StrBytes::from_static_str("orders")));
    }
    let mut theirs = Theirs::default()
        .with_throttle_time_ms(11)
        .with_responses(vec![topic]);
    if version >= 7 {
        theirs = theirs.with_error_code(70);
    }
    if version >= 16 {
        let node = NodeEndpoint::default()
            .with_node_id(BrokerId(2))
            .with_host(StrBytes::from_static_str("h"))
            .with_port(9);
        theirs = theirs.with_node_endpoints(vec![node]);
    }
    let mut buffer = BytesMut::new();
    theirs.encode(&mut buffer, version).unwrap();
    if version >= FIRST_WITH_TOPIC_IDS {
        // Behind throttle time, error, session and the number of topics.
        buffer[11..27].copy_from_slice(&[5; 16]);
    }
    buffer.freeze()
}

#[test]
fn every_version_reads_as_the_generated_type_wrote_it() {
    for version in VERSIONS {
        let partitions = vec![
            their_partition(0, version, vec![1, 2, 3], &[(9, 4), (8, 2)]),
            their_partition(1, version, Vec::new(), &[]),
            their_partition(2, version, vec![0xaa; 5000], &[]),
        ];
        let response = FetchResponse::decode(encoded(version, partitions), version, 64).unwrap();
        assert_eq!(response.throttle_time_ms, 11);
        assert_eq!(response.error_code, if version >= 7 { 70 } else { 0 });
        let [topic] = &response.topics[..] else {
            panic!("one topic")
        };
        match &topic.topic {
            TopicKey::Name(name) => assert_eq!((&name[..], version < 13), (&b"orders"[..], true)),
            TopicKey::Id(id) => assert_eq!((*id, version >= 13), ([5; 16], true)),
        }
        let [first, second, third] = &topic.partitions[..] else {
            panic!("three partitions")
        };
        assert_eq!((first.partition, first.error_code), (0, 0));
        assert_eq!(
            (first.high_watermark, first.last_stable_offset),
            (1 << 33, (1 << 33) - 1)
        );
        assert_eq!(first.log_start_offset, (version >= 5).then_some(17));
        assert_eq!(first.preferred_read_replica, None);
        assert_eq!(third.preferred_read_replica, (version >= 11).then_some(1));
        assert_eq!(
            first.aborted,
            [
                AbortedTransaction {
                    producer_id: 9,
                    first_offset: 4
                },
                AbortedTransaction {
                    producer_id: 8,
                    first_offset: 2
                }
            ]
        );
        assert_eq!(
            first.diverging_epoch.map(|diverging| diverging.end_offset),
            (version >= 12).then_some(99)
        );
        assert_eq!((&first.records[..], second.records.len()), (&[1, 2, 3][..], 0));
        assert_eq!(third.records[..], [0xaa; 5000]);
        let leader = CurrentLeader { node: 2, epoch: 8 };
        assert_eq!(first.current_leader, Some(leader).filter(|_| version >= 12));
        let endpoints: Vec<_> = (response.endpoints.iter())
            .map(|endpoint| (endpoint.node, endpoint.address.to_string()))
            .collect();
        assert_eq!(
            endpoints,
            match version >= 16 {
                true => vec![(2, "h:9".to_owned())],
                false => Vec::new(),
            }
        );
    }
}

#[test]
fn an_answer_that_names_no_leader_has_none() {
    for version in VERSIONS {
        let mut partition = their_partition(0, version, Vec::new(), &[]);
        partition.current_leader = LeaderIdAndEpoch::default();
        let topic = FetchableTopicResponse::default().with_partitions(vec![partition]);
        let mut buffer = BytesMut::new();
        let theirs = Theirs::default().with_responses(vec![topic]);
        theirs.encode(&mut buffer, version).unwrap();
        let response = FetchResponse::decode(buffer.freeze(), version, 64).unwrap();
        assert_eq!(response.topics[0].partitions[0].current_leader, None);
        assert!(response.endpoints.is_empty());
    }
}

/// A frame can hold many more endpoints than there are brokers, and they take more memory than bytes.
#[test]
fn no_more_endpoints_are_kept_than_partitions_were_answered() {
    let node = |node| {
        NodeEndpoint::default()
            .with_node_id(BrokerId(node))
            .with_host(StrBytes::from_static_str("h"))
            .with_port(9)
    };
    let topic = FetchableTopicResponse::default().with_partitions(vec![
        their_partition(0, 16, Vec::new(), &[]),
        their_partition(1, 16, Vec::new(), &[]),
    ]);
    let theirs = Theirs::default()
        .with_responses(vec![topic])
        .with_node_endpoints((0..1000).map(node).collect());
    let mut buffer = BytesMut::new();
    theirs.encode(&mut buffer, 16).unwrap();
    let response = FetchResponse::decode(buffer.freeze(), 16, 64).unwrap();
    assert_eq!(response.endpoints.len(), 2);
}

/// Found by a fuzzer: the generated type reads a tagged field that it knows as far as it goes, whatever its size says.
#[test]
fn a_tagged_field_ends_where_its_size_says() {
    let body = encoded(12, vec![their_partition(0, 12, vec![1, 2, 3], &[])]);
    let field = [&[0, 13][..], &3i32.to_be_bytes(), &99i64.to_be_bytes(), &[0]].concat();
    let at = body
        .windows(field.len())
        .position(|window| window == field)
        .unwrap();
    for size in 0..=13u8 {
        let mut changed = body.to_vec();
        changed[at + 1] = size;
        let read = FetchResponse::decode(Bytes::from(changed), 12, 64);
        assert_eq!(read.is_ok(), size == 13, "{size}: {read:?}");
    }
}

#[test]
fn records_share_the_memory_of_the_frame() {
    let body = encoded(12, vec![their_partition(0, 12, vec![7; 100_000], &[])]);
    let frame = body.as_ptr_range();
    let response = FetchResponse::decode(body, 12, 64).unwrap();
    assert!(frame.contains(&response.topics[0].partitions[0].records.as_ptr()));
}

#[test]
fn a_null_record_set_is_an_empty_one() {
    for version in VERSIONS {
        let partition = their_partition(0, version, Vec::new(), &[]).with_records(None);
        let response = FetchResponse::decode(encoded(version, vec![partition]), version, 64).unwrap();
        assert!(response.topics[0].partitions[0].records.is_empty());
    }
}

#[test]
fn every_truncation_is_an_error_that_names_a_position() {
    for version in [4, 7, 12, 17] {
        let whole = encoded(version, vec![their_partition(0, version, vec![1; 40], &[(1, 2)])]);
        for length in 0..whole.len() {
            let error = FetchResponse::decode(whole.slice(..length), version, 64).unwrap_err();
            assert!(error.position <= length);
        }
    }
}

/// A topic takes three bytes on the wire, and much more in memory.
#[test]
fn no_more_than_was_asked_for_is_read() {
    for version in [4, 12, 17] {
        let partitions = (0..3)
            .map(|index| their_partition(index, version, vec![1], &[]))
            .collect();
        let body = encoded(version, partitions);
        for asked in 0..5 {
            let read = FetchResponse::decode(body.clone(), version, asked);
            assert_eq!(read.is_ok(), asked >= 3, "{asked}");
        }
    }
    // Throttle time, error, session; topics without a name and without partitions.
    let mut body = vec![0; 10];
    body.push(1 + 100);
    body.extend([1, 1, 0].repeat(100));
    body.push(0);
    let body = Bytes::from(body);
    assert_eq!(
        FetchResponse::decode(body.clone(), 12, 100).unwrap().topics.len(),
        100
    );
    assert!(FetchResponse::decode(body, 12, 99).is_err());
}

#[test]
fn a_claim_of_two_billion_elements_allocates_nothing() {
    for version in [4i16, 12] {
        let mut body = BytesMut::new();
        body.extend_from_slice(&0i32.to_be_bytes());
        if version >= 7 {
            body.extend_from_slice(&[0; 6]);
            body.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0x07]);
        } else {
            body.extend_from_slice(&i32::MAX.to_be_bytes());
        }
        assert!(FetchResponse::decode(body.freeze(), version, 64).is_err());
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), version in VERSIONS) {
        let _ = FetchResponse::decode(Bytes::from(bytes), version, 64);
    }

    #[test]
    fn damaged_responses_never_panic_nor_hand_out_more_than_they_hold(
        version in VERSIONS,
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let partitions = (0..3).map(|p| their_partition(p, version, vec![p as u8; 64], &[(1, 2), (3, 4)])).collect();
        let mut body = encoded(version, partitions).to_vec();
        for (index, bits) in flips {
            let position = index.index(body.len());
            body[position] ^= bits;
        }
        let length = body.len();
        if let Ok(response) = FetchResponse::decode(Bytes::from(body), version, 64) {
            let records: usize =
                response.topics.iter().flat_map(|topic| &topic.partitions).map(|p| p.records.len()).sum();
            prop_assert!(records <= length);
        }
    }
}
