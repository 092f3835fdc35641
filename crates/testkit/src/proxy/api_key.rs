//! Numbers of the protocol's requests, for rules that wait for one of them.

/// Produce.
pub const PRODUCE: i16 = 0;
/// Fetch.
pub const FETCH: i16 = 1;
/// `ListOffsets`.
pub const LIST_OFFSETS: i16 = 2;
/// Metadata.
pub const METADATA: i16 = 3;
/// `OffsetCommit`.
pub const OFFSET_COMMIT: i16 = 8;
/// `OffsetFetch`.
pub const OFFSET_FETCH: i16 = 9;
/// `FindCoordinator`.
pub const FIND_COORDINATOR: i16 = 10;
/// `DescribeGroups`.
pub const DESCRIBE_GROUPS: i16 = 15;
/// `ListGroups`.
pub const LIST_GROUPS: i16 = 16;
/// `SaslHandshake`.
pub const SASL_HANDSHAKE: i16 = 17;
/// `ApiVersions`.
pub const API_VERSIONS: i16 = 18;
/// `CreateTopics`.
pub const CREATE_TOPICS: i16 = 19;
/// `DeleteTopics`.
pub const DELETE_TOPICS: i16 = 20;
/// `DeleteRecords`.
pub const DELETE_RECORDS: i16 = 21;
/// `InitProducerId`.
pub const INIT_PRODUCER_ID: i16 = 22;
/// `OffsetForLeaderEpoch`.
pub const OFFSET_FOR_LEADER_EPOCH: i16 = 23;
/// `WriteTxnMarkers`.
pub const WRITE_TXN_MARKERS: i16 = 27;
/// `DescribeConfigs`.
pub const DESCRIBE_CONFIGS: i16 = 32;
/// `SaslAuthenticate`.
pub const SASL_AUTHENTICATE: i16 = 36;
/// `IncrementalAlterConfigs`.
pub const INCREMENTAL_ALTER_CONFIGS: i16 = 44;
