//! Reading objects and ranges of them: exactly what was asked for, or an error.

use std::ops::Range;
use std::time::Duration;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use bytes::{Bytes, BytesMut};

use super::S3Storage;
use super::failure::{Failure, chain};
use crate::storage::{Storage, StorageError};

/// Attempts at a body that breaks off. (The SDK repeats what fails before the first byte of a body.)
const ATTEMPTS: u32 = 4;

/// Room made for a body before its first byte: a length that a server only claims takes no more.
const FIRST_ROOM: u64 = 16 * 1024 * 1024;

impl S3Storage {
    pub(super) async fn read_whole(&self, name: &str, limit: u64) -> Result<Bytes, StorageError> {
        let too_large = |bytes| StorageError::TooLarge {
            name: name.to_owned(),
            place: self.place(),
            bytes,
            limit,
        };
        self.read(name, None, |found| {
            let bytes = length(found);
            match bytes {
                Some(bytes) if bytes > limit => Err(too_large(bytes)),
                Some(bytes) => Ok(bytes),
                None => Err(self.refused("read", name, "the server does not say its size".into())),
            }
        })
        .await
    }

    pub(super) async fn read_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        let length_wanted = range.end.checked_sub(range.start);
        // What no request can say, or no server may understand: the size decides.
        if length_wanted.is_none_or(|n| n == 0) || i64::try_from(range.end).is_err() {
            let bytes = self.head(name).await?;
            return match length_wanted {
                Some(0) if range.end <= bytes => Ok(Bytes::new()),
                _ => Err(self.short(name, range.end)),
            };
        }
        let wanted = range.end - range.start;
        let header = format!("bytes={}-{}", range.start, range.end - 1);
        let expected = format!("bytes {}-", range.start);
        self.read(name, Some((header, range.end)), |found| {
            if !found.content_range().is_some_and(|r| r.starts_with(&expected)) {
                let problem =
                    format!("the server does not give the range that was asked for ({expected}...)");
                return Err(self.refused("read", name, problem));
            }
            match length(found) {
                Some(bytes) if bytes == wanted => Ok(bytes),
                Some(bytes) if bytes < wanted => Err(self.short(name, range.end)),
                _ => Err(self.refused(
                    "read",
                    name,
                    "the server gives another range than it was asked for".into(),
                )),
            }
        })
        .await
    }

    /// Gets an object, or a range of it with its end; `check` says how many bytes the body must have.
    async fn read(
        &self,
        name: &str,
        range: Option<(String, u64)>,
        check: impl Fn(&GetObjectOutput) -> Result<u64, StorageError>,
    ) -> Result<Bytes, StorageError> {
        let (header, end) = range.unzip();
        let mut attempt = 1;
        loop {
            let request = self.client().await?.get_object().bucket(self.bucket());
            let found = request.key(self.key(name)).set_range(header.clone()).send().await;
            let found = found.map_err(Failure::from).map_err(|failure| match end {
                Some(end) if failure.is_invalid_range() => self.short(name, end),
                _ => self.failed("read", name, &failure),
            })?;
            let bytes = check(&found)?;
            match collect(found.body, bytes, self.shared.config.request_timeout).await {
                Ok(body) => return Ok(body),
                Err(problem) if attempt == ATTEMPTS => {
                    return Err(self.failed("read", name, &Failure::of_body(problem)));
                }
                Err(problem) => tracing::debug!("reading {name} again: {problem}"),
            }
            tokio::time::sleep(Duration::from_millis(100 << attempt)).await;
            attempt += 1;
        }
    }
}

fn length(found: &GetObjectOutput) -> Option<u64> {
    found.content_length().and_then(|n| u64::try_from(n).ok())
}

/// The body, which must have `bytes` bytes; the SDK checks checksums on the way. `patience` is for each piece of it.
async fn collect(mut body: ByteStream, bytes: u64, patience: Duration) -> Result<Bytes, String> {
    // At most FIRST_ROOM, which fits.
    let mut collected = BytesMut::with_capacity(bytes.min(FIRST_ROOM) as usize);
    loop {
        let piece = tokio::time::timeout(patience, body.try_next())
            .await
            .map_err(|_| format!("no byte of its body for {} s", patience.as_secs()))?
            .map_err(|e| describe(&e))?;
        let Some(piece) = piece else { break };
        if collected.len() as u64 + piece.len() as u64 > bytes {
            return Err(format!(
                "its body has more than the {bytes} bytes that were announced"
            ));
        }
        collected.extend_from_slice(&piece);
    }
    match collected.len() as u64 == bytes {
        true => Ok(collected.freeze()),
        false => Err(format!(
            "its body ended after {} of {bytes} bytes",
            collected.len()
        )),
    }
}

fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    chain(error).last().unwrap_or(error).to_string()
}
