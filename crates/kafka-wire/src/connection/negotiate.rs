//! Agreeing on versions: `ApiVersions` is the first request on every connection.
//!
//! Per connection, not per cluster: during a rolling upgrade brokers differ, and the same broker differs from before.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use kafka_protocol::protocol::{Encodable, StrBytes};

use super::api::Api;
use super::guard::decode;
use super::link::{Link, RawRequest};
use crate::error::{ConnectionError, Error, ErrorCode};

/// The version to begin with. Newer ones say nothing that is needed here, and some brokers that are not Apache's drop
/// the connection when they see one that they do not know.
pub(super) const FIRST: i16 = 3;

/// Lowest and highest version per API key.
pub(super) type Versions = BTreeMap<i16, (i16, i16)>;

/// Asks the broker for its versions, beginning with `first` and going down as the broker demands.
///
/// # Errors
/// [`ConnectionError::Rejected`] when the broker hangs up, which an older broker may do instead of answering: a new
/// connection may try again with version 0.
pub(super) async fn negotiate(
    link: &Link,
    first: i16,
    timeout: Duration,
) -> Result<Versions, ConnectionError> {
    let mut version = first;
    loop {
        let body = ask(link, version, timeout).await?;
        let code = body.first_chunk::<2>().map(|bytes| i16::from_be_bytes(*bytes));
        match ErrorCode::new(code.unwrap_or_default()) {
            None => {
                let response = read(body, version)?;
                link.throttle(response.throttle_time_ms);
                let versions = versions(response);
                if !versions.is_empty() || version == 0 {
                    return Ok(versions);
                }
                // A peer that says yes and names nothing knows this version by hearsay only.
                version = 0;
            }
            Some(ErrorCode::UNSUPPORTED_VERSION) if version > 0 => {
                // Whatever the request's version, this answer has the layout of version 0 (KIP-511).
                let offered = versions(read(body, 0)?);
                version = lower(version, offered.get(&ApiVersionsRequest::KEY).copied());
            }
            Some(code) => return Err(ConnectionError::Refused(code)),
        }
    }
}

/// The version to go on with. Always a lower one, so that this ends.
fn lower(refused: i16, offered: Option<(i16, i16)>) -> i16 {
    offered.map_or(0, |(_, highest)| highest.clamp(0, refused - 1))
}

async fn ask(link: &Link, version: i16, timeout: Duration) -> Result<Bytes, ConnectionError> {
    let mut request = ApiVersionsRequest::default();
    if version >= 3 {
        request.client_software_name = StrBytes::from_static_str("kafka-backup");
        request.client_software_version = StrBytes::from_static_str(env!("CARGO_PKG_VERSION"));
    }
    let mut body = BytesMut::new();
    request
        .encode(&mut body, version)
        .map_err(|error| ConnectionError::Protocol(format!("ApiVersions v{version}: {error}")))?;
    let body = vec![body.freeze()];
    let request = RawRequest {
        api_key: ApiVersionsRequest::KEY,
        version,
        body,
        timeout,
        guard: None,
    };
    let answer = match link.start_raw(request) {
        Ok(pending) => pending.await,
        Err(error) => Err(error),
    };
    answer.map_err(|error| match error {
        Error::InDoubt { source, .. } | Error::NotSent { source, .. } => match source {
            source if source.is_hang_up() => ConnectionError::Rejected,
            source => source,
        },
        other => ConnectionError::Protocol(other.to_string()),
    })
}

fn read(body: Bytes, version: i16) -> Result<ApiVersionsResponse, ConnectionError> {
    decode(body, version, version >= 3)
        .map_err(|reason| ConnectionError::Protocol(format!("ApiVersions v{version}: {reason}")))
}

fn versions(response: ApiVersionsResponse) -> Versions {
    response
        .api_keys
        .into_iter()
        .map(|api| (api.api_key, (api.min_version, api.max_version)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_version_is_always_lower() {
        for (refused, offered, next) in [
            (3, Some((0, 2)), 2),
            (3, Some((0, 9)), 2),
            (3, Some((0, -7)), 0),
            (3, None, 0),
            (1, Some((0, 1)), 0),
        ] {
            assert_eq!(lower(refused, offered), next);
        }
    }
}
