//! The APIs in use, each with its request, response and the versions that can be spoken.

use std::ops::RangeInclusive;

use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message, StrBytes};

/// A request type, tied to its response.
///
/// `kafka_protocol` has such a trait too, but only when its broker side is compiled in, and its table of valid
/// versions is one too high for three APIs (`OffsetCommit`, `OffsetFetch`, `InitProducerId`): it counts a version
/// that the generated types cannot encode. [`Api::RANGE`] is what both types really support.
pub(crate) trait Api: Message + Encodable + HeaderVersion {
    const KEY: i16;
    const NAME: &'static str;
    type Response: Message + Decodable + HeaderVersion;

    /// Lowest and highest version that both the request and the response type support.
    const RANGE: (i16, i16) = (
        max(
            Self::MIN,
            max(<Self as Message>::VERSIONS.min, Self::Response::VERSIONS.min),
        ),
        min(<Self as Message>::VERSIONS.max, Self::Response::VERSIONS.max),
    );

    /// Lowest version that carries what this crate needs.
    const MIN: i16;

    /// Milliseconds for which the broker wants this connection to be quiet.
    fn throttle_ms(response: &Self::Response) -> i32;

    fn versions() -> RangeInclusive<i16> {
        Self::RANGE.0..=Self::RANGE.1
    }
}

/// Text as the message types want it.
pub(crate) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// A topic name as the message types want it.
pub(crate) fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

/// A group id as the message types want it.
pub(crate) fn group_id(id: &str) -> GroupId {
    GroupId(text(id))
}

const fn max(a: i16, b: i16) -> i16 {
    if a > b { a } else { b }
}

const fn min(a: i16, b: i16) -> i16 {
    if a < b { a } else { b }
}

macro_rules! apis {
    ($($key:literal $name:ident from $min:literal: $request:ident => $response:ident $(, $throttle:ident)?;)*) => {
        $(impl Api for $request {
            const KEY: i16 = $key;
            const NAME: &'static str = stringify!($name);
            const MIN: i16 = $min;
            type Response = $response;

            fn throttle_ms(_response: &$response) -> i32 {
                apis!(@throttle _response $($throttle)?)
            }
        })*

        /// Name of an API for messages.
        pub(crate) fn api_name(key: i16) -> &'static str {
            match key {
                $($key => stringify!($name),)*
                _ => "unknown API",
            }
        }

        /// Key, name and versions of all of them.
        #[cfg(test)]
        pub(super) const TABLE: &[(i16, &str, (i16, i16))] =
            &[$(($key, stringify!($name), <$request as Api>::RANGE)),*];
    };
    (@throttle $response:ident) => { 0 };
    (@throttle $response:ident $field:ident) => { $response.$field };
}

// The lowest versions: Fetch 4 and Produce 3 are the first with record batches of the current format. Metadata 4
// can forbid automatic topic creation, without which asking for a topic may create it. ListOffsets 2 knows
// isolation levels. The group APIs start where the fields that are relied on do.
apis! {
    0 Produce from 3: ProduceRequest => ProduceResponse, throttle_time_ms;
    1 Fetch from 4: FetchRequest => FetchResponse, throttle_time_ms;
    2 ListOffsets from 2: ListOffsetsRequest => ListOffsetsResponse, throttle_time_ms;
    3 Metadata from 4: MetadataRequest => MetadataResponse, throttle_time_ms;
    8 OffsetCommit from 2: OffsetCommitRequest => OffsetCommitResponse, throttle_time_ms;
    9 OffsetFetch from 2: OffsetFetchRequest => OffsetFetchResponse, throttle_time_ms;
    10 FindCoordinator from 1: FindCoordinatorRequest => FindCoordinatorResponse, throttle_time_ms;
    15 DescribeGroups from 0: DescribeGroupsRequest => DescribeGroupsResponse, throttle_time_ms;
    16 ListGroups from 0: ListGroupsRequest => ListGroupsResponse, throttle_time_ms;
    17 SaslHandshake from 1: SaslHandshakeRequest => SaslHandshakeResponse;
    18 ApiVersions from 0: ApiVersionsRequest => ApiVersionsResponse, throttle_time_ms;
    19 CreateTopics from 2: CreateTopicsRequest => CreateTopicsResponse, throttle_time_ms;
    20 DeleteTopics from 1: DeleteTopicsRequest => DeleteTopicsResponse, throttle_time_ms;
    21 DeleteRecords from 0: DeleteRecordsRequest => DeleteRecordsResponse, throttle_time_ms;
    22 InitProducerId from 0: InitProducerIdRequest => InitProducerIdResponse, throttle_time_ms;
    23 OffsetForLeaderEpoch from 2: OffsetForLeaderEpochRequest => OffsetForLeaderEpochResponse, throttle_time_ms;
    27 WriteTxnMarkers from 0: WriteTxnMarkersRequest => WriteTxnMarkersResponse;
    29 DescribeAcls from 1: DescribeAclsRequest => DescribeAclsResponse, throttle_time_ms;
    32 DescribeConfigs from 1: DescribeConfigsRequest => DescribeConfigsResponse, throttle_time_ms;
    36 SaslAuthenticate from 0: SaslAuthenticateRequest => SaslAuthenticateResponse;
    37 CreatePartitions from 0: CreatePartitionsRequest => CreatePartitionsResponse, throttle_time_ms;
    42 DeleteGroups from 0: DeleteGroupsRequest => DeleteGroupsResponse, throttle_time_ms;
    44 IncrementalAlterConfigs from 0: IncrementalAlterConfigsRequest => IncrementalAlterConfigsResponse, throttle_time_ms;
    47 OffsetDelete from 0: OffsetDeleteRequest => OffsetDeleteResponse, throttle_time_ms;
    48 DescribeClientQuotas from 0: DescribeClientQuotasRequest => DescribeClientQuotasResponse, throttle_time_ms;
    50 DescribeUserScramCredentials from 0: DescribeUserScramCredentialsRequest => DescribeUserScramCredentialsResponse, throttle_time_ms;
    61 DescribeProducers from 0: DescribeProducersRequest => DescribeProducersResponse, throttle_time_ms;
    69 ConsumerGroupDescribe from 0: ConsumerGroupDescribeRequest => ConsumerGroupDescribeResponse, throttle_time_ms;
    77 ShareGroupDescribe from 1: ShareGroupDescribeRequest => ShareGroupDescribeResponse, throttle_time_ms;
    90 DescribeShareGroupOffsets from 0: DescribeShareGroupOffsetsRequest => DescribeShareGroupOffsetsResponse, throttle_time_ms;
    91 AlterShareGroupOffsets from 0: AlterShareGroupOffsetsRequest => AlterShareGroupOffsetsResponse, throttle_time_ms;
    92 DeleteShareGroupOffsets from 0: DeleteShareGroupOffsetsRequest => DeleteShareGroupOffsetsResponse, throttle_time_ms;
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use kafka_protocol::messages::ApiKey;

    use super::*;
    use crate::connection::guard::decode;

    macro_rules! encode_every_version {
        ($($request:ident)*) => {$(
            for version in $request::versions() {
                let mut request = BytesMut::new();
                $request::default().encode(&mut request, version).expect("an encodable request");
                let mut response = BytesMut::new();
                <$request as Api>::Response::default().encode(&mut response, version).expect("a response");
                let flexible = $request::header_version(version) >= 2;
                let decoded = decode::<<$request as Api>::Response>(response.freeze(), version, flexible);
                assert_eq!(decoded, Ok(<$request as Api>::Response::default()), "{} v{version}", $request::NAME);
            }
        )*};
    }

    #[test]
    fn every_version_that_is_offered_to_brokers_can_be_written_and_read() {
        encode_every_version! {
            ListOffsetsRequest MetadataRequest OffsetCommitRequest FindCoordinatorRequest DescribeGroupsRequest
            ListGroupsRequest ApiVersionsRequest CreateTopicsRequest DeleteTopicsRequest DeleteRecordsRequest
            InitProducerIdRequest OffsetForLeaderEpochRequest WriteTxnMarkersRequest DescribeConfigsRequest
            DeleteGroupsRequest IncrementalAlterConfigsRequest OffsetDeleteRequest DescribeProducersRequest
            ConsumerGroupDescribeRequest OffsetFetchRequest FetchRequest ProduceRequest
            DescribeAclsRequest CreatePartitionsRequest DescribeClientQuotasRequest
            DescribeUserScramCredentialsRequest ShareGroupDescribeRequest DescribeShareGroupOffsetsRequest
            AlterShareGroupOffsetsRequest DeleteShareGroupOffsetsRequest
            SaslHandshakeRequest SaslAuthenticateRequest
        }
    }

    #[test]
    fn the_librarys_own_table_is_too_high_for_three_apis_and_right_for_the_others() {
        for (key, name, (lowest, highest)) in TABLE {
            let claimed = ApiKey::try_from(*key).unwrap().valid_versions();
            let excess = i16::from(["OffsetCommit", "OffsetFetch", "InitProducerId"].contains(name));
            assert_eq!(claimed.max - excess, *highest, "{name}");
            assert!(lowest >= &claimed.min && lowest <= highest, "{name}");
        }
    }

    #[test]
    fn names_match_the_protocols() {
        for (key, name, _) in TABLE {
            assert_eq!(format!("{:?}", ApiKey::try_from(*key).unwrap()), *name);
        }
    }
}
