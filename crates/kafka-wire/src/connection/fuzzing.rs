//! Entries for the fuzz targets of the repository: decoders that are no part of the API. Feature `fuzzing`, not stable.

use std::fmt::Debug;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{
    AlterShareGroupOffsetsRequest, ApiVersionsRequest, ConsumerGroupDescribeRequest, CreatePartitionsRequest,
    CreateTopicsRequest, DeleteGroupsRequest, DeleteRecordsRequest, DeleteShareGroupOffsetsRequest,
    DeleteTopicsRequest, DescribeAclsRequest, DescribeClientQuotasRequest, DescribeConfigsRequest,
    DescribeGroupsRequest, DescribeProducersRequest, DescribeShareGroupOffsetsRequest,
    DescribeUserScramCredentialsRequest, FetchRequest, FindCoordinatorRequest,
    IncrementalAlterConfigsRequest, InitProducerIdRequest, ListGroupsRequest, ListOffsetsRequest,
    MetadataRequest, OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest,
    OffsetForLeaderEpochRequest, ProduceRequest, SaslAuthenticateRequest, SaslHandshakeRequest,
    ShareGroupDescribeRequest, WriteTxnMarkersRequest,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion};

use super::Api;
use super::buffers::BufferPool;
use super::frame::FrameReader;
use super::guard::decode;
use crate::fetch::response::{
    DivergingEpoch, FIRST_FLEXIBLE, FIRST_WITH_TOPIC_IDS, FetchResponse, PartitionResponse, TopicKey,
    TopicResponse,
};
use crate::hint::{CurrentLeader, NodeEndpoint};
use crate::produce::{request, response::ProduceResponse};
use crate::transactions::AbortedTransaction;

pub use crate::sasl::fuzzing::{lifetime_of_token, login};

/// Reads the frames of `stream`, none longer than `limit`, and shows each to `see`; returns why it ended.
pub fn frames(stream: &[u8], limit: usize, mut see: impl FnMut(&[u8])) -> String {
    let mut reader = FrameReader::new(stream, BufferPool::new(0));
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match pin!(reader.next(limit)).poll(&mut context) {
            Poll::Ready(Ok(frame)) => see(frame.as_ref()),
            Poll::Ready(Err(error)) => return error.to_string(),
            Poll::Pending => unreachable!("bytes in memory need no waiting"),
        }
    }
}

/// Decodes `body` as the response to one of the requests that there are besides Fetch and Produce. What can be decoded, and is
/// written again, must be read as the same message.
///
/// It is read again without our guard: that may refuse what is written, as a tagged field with a number that could be a
/// length then comes last, where few bytes are left.
pub fn response(api: u8, version: i16, body: Bytes) -> bool {
    macro_rules! decode_one {
        ($($request:ident)*) => {{
            let all: &[fn(i16, Bytes) -> bool] = &[$(there_and_back::<$request>),*];
            all[usize::from(api) % all.len()](version, body)
        }};
    }
    decode_one! {
        ApiVersionsRequest ConsumerGroupDescribeRequest CreateTopicsRequest DeleteRecordsRequest
        DescribeConfigsRequest DescribeGroupsRequest FindCoordinatorRequest InitProducerIdRequest
        ListGroupsRequest ListOffsetsRequest MetadataRequest OffsetCommitRequest OffsetFetchRequest
        OffsetForLeaderEpochRequest SaslHandshakeRequest SaslAuthenticateRequest
        DeleteTopicsRequest WriteTxnMarkersRequest DescribeAclsRequest CreatePartitionsRequest
        DeleteGroupsRequest IncrementalAlterConfigsRequest OffsetDeleteRequest DescribeClientQuotasRequest
        DescribeUserScramCredentialsRequest DescribeProducersRequest ShareGroupDescribeRequest
        DescribeShareGroupOffsetsRequest AlterShareGroupOffsetsRequest DeleteShareGroupOffsetsRequest
    }
}

fn there_and_back<R>(version: i16, body: Bytes) -> bool
where
    R: Api + HeaderVersion,
    R::Response: Encodable + Debug + PartialEq,
{
    let versions = R::versions();
    let version = versions.start() + version.rem_euclid(versions.end() - versions.start() + 1);
    let flexible = R::header_version(version) >= 2;
    let Ok(message) = decode::<R::Response>(body, version, flexible) else {
        return false;
    };
    let mut again = BytesMut::new();
    if message.encode(&mut again, version).is_ok() {
        let mut again = again.freeze();
        let read = R::Response::decode(&mut again, version).ok();
        // A quota may be no number, which is not even equal to itself.
        let same = read.as_ref() == Some(&message) || format!("{read:?}") == format!("{:?}", Some(&message));
        assert!(same, "{message:?} is read as {read:?}");
        assert!(again.is_empty(), "more was written than is read");
    }
    true
}

/// Parses `body` as the response to a Fetch request for so many partitions. Returns the slabs of records.
pub fn fetch_response(version: i16, body: Bytes, asked: usize) -> Option<Vec<Bytes>> {
    let ours = FetchResponse::decode(body, fetch_version(version), asked).ok()?;
    let partitions = ours.topics.iter().map(|topic| topic.partitions.len());
    assert!(ours.topics.len() <= asked && partitions.sum::<usize>() <= asked);
    let slabs = |topic: TopicResponse| topic.partitions.into_iter().map(|partition| partition.records);
    Some(ours.topics.into_iter().flat_map(slabs).collect())
}

fn fetch_version(version: i16) -> i16 {
    4 + version.rem_euclid(14)
}

/// Parses `body` as a Fetch response, and compares with what the generated message type makes of it.
///
/// The generated type does not look at the sizes of tagged fields that it knows, and we do. Only what it writes again as
/// it was read has the right sizes and is compared.
pub fn fetch_response_is_read_as_it_was_written(version: i16, body: Bytes) {
    let version = fetch_version(version);
    let ours = FetchResponse::decode(body.clone(), version, usize::MAX);
    let theirs = decode::<<FetchRequest as Api>::Response>(body.clone(), version, version >= FIRST_FLEXIBLE);
    let mut again = BytesMut::new();
    if let Ok(theirs) = theirs
        && theirs.encode(&mut again, version).is_ok()
        && again == body
    {
        let topics = theirs.responses.into_iter().map(|topic| TopicResponse {
            topic: if version >= FIRST_WITH_TOPIC_IDS {
                TopicKey::Id(*topic.topic_id.as_bytes())
            } else {
                TopicKey::Name(topic.topic.0.into_bytes())
            },
            partitions: topic
                .partitions
                .into_iter()
                .map(|partition| PartitionResponse {
                    partition: partition.partition_index,
                    error_code: partition.error_code,
                    high_watermark: partition.high_watermark,
                    last_stable_offset: partition.last_stable_offset,
                    log_start_offset: Some(partition.log_start_offset).filter(|offset| *offset >= 0),
                    aborted: partition
                        .aborted_transactions
                        .into_iter()
                        .flatten()
                        .map(|aborted| AbortedTransaction {
                            producer_id: aborted.producer_id.0,
                            first_offset: aborted.first_offset,
                        })
                        .collect(),
                    preferred_read_replica: Some(partition.preferred_read_replica.0)
                        .filter(|replica| *replica >= 0),
                    records: partition.records.unwrap_or_default(),
                    diverging_epoch: Some(DivergingEpoch {
                        epoch: partition.diverging_epoch.epoch,
                        end_offset: partition.diverging_epoch.end_offset,
                    })
                    .filter(|diverging| diverging.end_offset >= 0),
                    current_leader: current_leader(
                        partition.current_leader.leader_id.0,
                        partition.current_leader.leader_epoch,
                    ),
                })
                .collect(),
        });
        let topics: Vec<_> = topics.collect();
        let most = topics.iter().map(|topic| topic.partitions.len()).sum();
        let endpoints = (theirs.node_endpoints.iter().take(most)).filter_map(|endpoint| {
            NodeEndpoint::new(endpoint.node_id.0, endpoint.host.as_bytes(), endpoint.port)
        });
        let expected = FetchResponse {
            throttle_time_ms: theirs.throttle_time_ms,
            error_code: theirs.error_code,
            endpoints: endpoints.collect(),
            topics,
        };
        assert_eq!(ours.as_ref(), Ok(&expected));
    }
}

/// The leader that a tagged field names.
fn current_leader(node: i32, epoch: i32) -> Option<CurrentLeader> {
    (node >= 0 && epoch >= 0).then_some(CurrentLeader { node, epoch })
}

/// Parses `body` as a Produce response; whether it is one.
pub fn produce_response(version: i16, body: Bytes) -> bool {
    ProduceResponse::decode(body, produce_version(version)).is_ok()
}

fn produce_version(version: i16) -> i16 {
    let versions = <ProduceRequest as Api>::versions();
    versions.start() + version.rem_euclid(versions.end() - versions.start() + 1)
}

/// Parses `body` as a Produce response, and compares with what the generated message type makes of it, as with Fetch
/// responses.
pub fn produce_response_is_read_as_it_was_written(version: i16, body: Bytes) {
    let version = produce_version(version);
    let ours = ProduceResponse::decode(body.clone(), version);
    let theirs = decode::<<ProduceRequest as Api>::Response>(
        body.clone(),
        version,
        version >= request::FIRST_FLEXIBLE,
    );
    let mut again = BytesMut::new();
    let Ok(theirs) = theirs else { return };
    if theirs.encode(&mut again, version).is_err() || again != body {
        return;
    }
    let topics = theirs.responses.into_iter().flat_map(|topic| {
        let key = if version >= request::FIRST_WITH_TOPIC_IDS {
            TopicKey::Id(*topic.topic_id.as_bytes())
        } else {
            TopicKey::Name(topic.name.0.into_bytes())
        };
        topic.partition_responses.into_iter().map(move |partition| {
            let has_text = partition.error_message.is_some() || !partition.record_errors.is_empty();
            (
                key.clone(),
                (partition.index, partition.error_code),
                Some(partition.base_offset).filter(|&offset| offset >= 0 && partition.error_code == 0),
                Some(partition.log_append_time_ms).filter(|&time| time >= 0),
                has_text,
                current_leader(
                    partition.current_leader.leader_id.0,
                    partition.current_leader.leader_epoch,
                ),
            )
        })
    });
    let ours = ours.map(|ours| {
        let partitions = ours.partitions.into_iter().map(|partition| {
            (
                partition.topic,
                (partition.partition, partition.error_code),
                partition.base_offset,
                partition.log_append_time,
                partition.error_text.is_some(),
                partition.current_leader,
            )
        });
        (
            ours.throttle_time_ms,
            partitions.collect::<Vec<_>>(),
            ours.endpoints,
        )
    });
    let topics: Vec<_> = topics.collect();
    let endpoints = (theirs.node_endpoints.iter().take(topics.len()))
        .filter_map(|endpoint| NodeEndpoint::new(endpoint.node_id.0, endpoint.host.as_bytes(), endpoint.port))
        .collect::<Vec<_>>();
    assert_eq!(ours, Ok((theirs.throttle_time_ms, topics, endpoints)));
}
