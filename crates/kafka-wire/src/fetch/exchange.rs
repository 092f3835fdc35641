//! One Fetch request and its response.

use std::time::Duration;

use bytes::Bytes;

use super::request::{FetchRequest, PartitionRequest, VERSIONS, usable_version};
use super::response::{FetchResponse, PartitionResponse, TopicKey};
use crate::connection::{Link, RawRequest};
use crate::error::{Error, ErrorCode};

pub(super) const API: &str = "Fetch";
const KEY: i16 = 1;

/// The highest version that this broker and this crate know.
pub(super) fn version(link: &Link) -> Result<i16, Error> {
    link.version(KEY, VERSIONS)
}

/// Sends a request; returns the response body and the version to read it in.
///
/// `patience` is how long the broker may take beyond the time that it was told to wait for data.
pub(super) async fn send(
    link: &Link,
    request: &FetchRequest<'_>,
    patience: Duration,
) -> Result<(Bytes, i16), Error> {
    let negotiated = version(link)?;
    let ids = request.partitions.iter().map(|partition| partition.topic_id);
    let version = usable_version(negotiated, ids);
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    let raw = RawRequest {
        api_key: KEY,
        version,
        body: vec![request.encode(version)],
        timeout: patience + wait,
        guard: None,
    };
    let body = link.start_raw(raw)?.await?;
    Ok((body, version))
}

/// Reads the body of a response to a request for so many partitions; tells the link how long the broker wants it to be quiet.
pub(super) fn read(link: &Link, body: Bytes, version: i16, asked: usize) -> Result<FetchResponse, Error> {
    let response = FetchResponse::decode(body, version, asked)
        .map_err(|malformed| link.malformed(API, version, malformed.to_string()))?;
    link.throttle(response.throttle_time_ms);
    match ErrorCode::new(response.error_code) {
        Some(code) => Err(Error::kafka(code, API, link.broker(), "")),
        None => Ok(response),
    }
}

impl TopicKey {
    /// Whether the response means this topic.
    pub(crate) fn is(&self, topic: &str, topic_id: [u8; 16]) -> bool {
        match self {
            Self::Name(name) => name == topic,
            Self::Id(id) => *id == topic_id,
        }
    }

    /// The topic's id, if it is named by that.
    pub(crate) fn id(&self) -> Option<[u8; 16]> {
        match self {
            Self::Name(_) => None,
            Self::Id(id) => Some(*id),
        }
    }
}

/// Reads one partition once.
///
/// # Errors
/// Those of the connection, and the partition's error code.
pub(crate) async fn fetch_one(
    link: &Link,
    partition: PartitionRequest<'_>,
    max_wait_ms: i32,
    patience: Duration,
) -> Result<PartitionResponse, Error> {
    let request = FetchRequest {
        max_wait_ms,
        min_bytes: 1,
        max_bytes: partition.max_bytes,
        read_committed: false,
        rack: "",
        partitions: &[partition],
    };
    let (body, version) = send(link, &request, patience).await?;
    let response = read(link, body, version, request.partitions.len())?;
    let answer = response
        .topics
        .into_iter()
        .filter(|topic| topic.topic.is(partition.topic, partition.topic_id))
        .flat_map(|topic| topic.partitions)
        .find(|answer| answer.partition == partition.partition)
        .ok_or_else(|| link.left_out(&format_args!("{}-{}", partition.topic, partition.partition)))?;
    match ErrorCode::new(answer.error_code) {
        None => Ok(answer),
        Some(code) => Err(Error::kafka(
            code,
            API,
            link.broker(),
            format!("{}-{}", partition.topic, partition.partition),
        )),
    }
}
