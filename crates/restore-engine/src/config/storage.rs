//! `storage:`: where backups lie, and how to get at it.

use std::path::PathBuf;
use std::time::Duration;

use kafka_wire::Secret;

use super::error::not_one_of;
use super::file::{Scalar, SecretText, StorageSection, Text};
use super::required;

/// Default of `storage.connect_timeout_ms`.
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Default of `storage.request_timeout_ms`: a part of a segment goes through a slow line in it.
const DEFAULT_REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// The most of `backup.segment_max_bytes`: 10,000 parts of 8 MiB make an object, and the last block comes on top.
pub(super) const MAX_S3_SEGMENT_BYTES: u64 = 64 * 1024 * 1024 * 1024;

/// `storage:`
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StorageConfig {
    /// `backend: filesystem`
    Filesystem {
        /// Folder that holds the backups.
        path: PathBuf,
        /// Put before every object name; empty when there is none.
        prefix: String,
    },
    /// `backend: s3`
    S3(Box<S3Config>),
}

/// A bucket of S3, or of a server that speaks its protocol. What is `None` comes from the environment (`AWS_REGION`,
/// `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL` ...) or, behind it, from the profile files and the machine's role.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct S3Config {
    /// Name of the bucket (or ARN of an access point), which must exist.
    pub bucket: String,
    /// Put before every object name; empty when there is none.
    pub prefix: String,
    /// Region of the bucket.
    pub region: Option<String>,
    /// `http(s)://host[:port]` of a server other than AWS.
    pub endpoint: Option<String>,
    /// The bucket in the path of a request, not in its host name. By default so for any endpoint other than AWS.
    pub path_style: Option<bool>,
    /// Keys to sign with.
    pub credentials: Option<S3Credentials>,
    /// CRC checksums beside the digests that backups carry in any case.
    pub checksums: S3Checksums,
    /// What the server encrypts objects with.
    pub encryption: S3Encryption,
    /// For a connection to be made.
    pub connect_timeout: Duration,
    /// For each attempt of a request.
    pub request_timeout: Duration,
}

/// Keys to sign requests with.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct S3Credentials {
    /// Says who it is.
    pub access_key_id: String,
    /// Proves it.
    pub secret_access_key: Secret,
    /// Belongs to keys that expire.
    pub session_token: Option<Secret>,
}

/// `storage.checksum_mode`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum S3Checksums {
    /// With every object and part that is written, and checked wherever the server has one.
    WhenSupported,
    /// None that S3 does not insist on; for servers that do not know them.
    WhenRequired,
}

/// `storage.sse` and `storage.sse_kms_key_id`
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum S3Encryption {
    /// What the bucket is set to.
    BucketDefault,
    /// `AES256`: keys of S3's own.
    S3,
    /// `aws:kms`
    Kms {
        /// The account's default key when there is none.
        key_id: Option<String>,
    },
}

impl S3Config {
    /// A bucket with everything else left to the defaults and to the environment.
    pub fn new(bucket: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            prefix: String::new(),
            region: None,
            endpoint: None,
            path_style: None,
            credentials: None,
            checksums: S3Checksums::WhenSupported,
            encryption: S3Encryption::BucketDefault,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            request_timeout: DEFAULT_REQUEST_TIMEOUT,
        }
    }
}

impl S3Credentials {
    /// Keys that do not expire.
    pub fn new(access_key_id: impl Into<String>, secret_access_key: Secret) -> Self {
        Self {
            access_key_id: access_key_id.into(),
            secret_access_key,
            session_token: None,
        }
    }
}

pub(super) fn resolve(section: StorageSection) -> Result<StorageConfig, String> {
    let backend = required(section.backend.clone(), "storage.backend", "`filesystem` or `s3`")?;
    let prefix = section.prefix.as_ref().map_or("", |Text(p)| p);
    let prefix = prefix.trim_matches('/').to_owned();
    if prefix.split('/').any(|part| part == ".." || part == ".") {
        return Err(format!(
            "storage.prefix: `{prefix}` must not contain `.` or `..` as a part"
        ));
    }
    match backend.as_str() {
        "filesystem" => {
            if let Some(key) = section.first_of_s3() {
                return Err(format!(
                    "storage.{key} has no meaning with `backend: filesystem`: remove it"
                ));
            }
            let path = required(section.path, "storage.path", "the folder that holds the backups")?;
            Ok(StorageConfig::Filesystem {
                path: PathBuf::from(path),
                prefix,
            })
        }
        "s3" => Ok(StorageConfig::S3(Box::new(resolve_s3(section, prefix)?))),
        other => Err(not_one_of("storage.backend", other, &["filesystem", "s3"])),
    }
}

fn resolve_s3(section: StorageSection, prefix: String) -> Result<S3Config, String> {
    if section.path.is_some() {
        return Err("storage.path has no meaning with `backend: s3`: use `bucket` and `prefix`".into());
    }
    let bucket = required(
        section.bucket,
        "storage.bucket",
        "the name of the bucket that holds the backups",
    )?;
    if bucket.contains("://") || (bucket.contains('/') && !bucket.starts_with("arn:")) {
        return Err(format!(
            "storage.bucket: `{bucket}` is not the name of a bucket: give the name alone, and the rest as `prefix`"
        ));
    }
    Ok(S3Config {
        prefix,
        region: text(section.region, "region")?,
        endpoint: section.endpoint.map(|Text(url)| endpoint(&url)).transpose()?,
        path_style: section.path_style.map(|b| b.0),
        credentials: credentials(
            section.access_key_id,
            section.secret_access_key,
            section.session_token,
        )?,
        checksums: match section.checksum_mode.as_ref().map(|t| t.0.as_str()) {
            None | Some("when_supported") => S3Checksums::WhenSupported,
            Some("when_required" | "off") => S3Checksums::WhenRequired,
            Some(other) => {
                let known = ["when_supported", "when_required", "off"];
                return Err(not_one_of("storage.checksum_mode", other, &known));
            }
        },
        encryption: encryption(section.sse.as_ref(), section.sse_kms_key_id)?,
        connect_timeout: timeout(
            section.connect_timeout_ms,
            "connect_timeout_ms",
            DEFAULT_CONNECT_TIMEOUT,
        )?,
        request_timeout: timeout(
            section.request_timeout_ms,
            "request_timeout_ms",
            DEFAULT_REQUEST_TIMEOUT,
        )?,
        ..S3Config::new(bucket)
    })
}

/// A key that is there but empty is a variable that was not filled more often than a wish.
fn text(value: Option<Text>, key: &str) -> Result<Option<String>, String> {
    match value {
        Some(Text(text)) if text.trim().is_empty() => {
            Err(format!("storage.{key} is empty: give a value or remove it"))
        }
        value => Ok(value.map(|t| t.0)),
    }
}

fn endpoint(url: &str) -> Result<String, String> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    let Some(rest) = rest.filter(|rest| !rest.is_empty()) else {
        let shown = if url.contains('@') { "the value" } else { url };
        return Err(format!(
            "storage.endpoint: `{shown}` does not begin with https:// or http://"
        ));
    };
    if rest.contains('@') {
        return Err(
            "storage.endpoint: keys do not belong into the address: use `access_key_id` and `secret_access_key`"
                .into(),
        );
    }
    Ok(url.trim_end_matches('/').to_owned())
}

fn credentials(
    access_key_id: Option<Text>,
    secret_access_key: Option<SecretText>,
    session_token: Option<SecretText>,
) -> Result<Option<S3Credentials>, String> {
    let secret_access_key = secret_access_key.map(|secret| secret.0);
    let session_token = session_token.map(|secret| secret.0);
    for (key, secret) in [
        ("secret_access_key", &secret_access_key),
        ("session_token", &session_token),
    ] {
        if secret.as_ref().is_some_and(|s| s.reveal().trim().is_empty()) {
            return Err(format!("storage.{key} is empty: give a value or remove it"));
        }
    }
    match (text(access_key_id, "access_key_id")?, secret_access_key) {
        (Some(access_key_id), Some(secret_access_key)) => Ok(Some(S3Credentials {
            access_key_id,
            secret_access_key,
            session_token,
        })),
        (None, None) if session_token.is_none() => Ok(None),
        _ => Err(
            "storage.access_key_id and storage.secret_access_key belong together: give both, or neither \
                  to use the environment's (AWS_ACCESS_KEY_ID, AWS_PROFILE, the machine's role)"
                .into(),
        ),
    }
}

fn encryption(sse: Option<&Text>, key_id: Option<Text>) -> Result<S3Encryption, String> {
    let key_id = text(key_id, "sse_kms_key_id")?;
    match (sse.map_or("none", |t| t.0.as_str()), key_id) {
        ("aws:kms", key_id) => Ok(S3Encryption::Kms { key_id }),
        ("none" | "AES256", Some(_)) => Err("storage.sse_kms_key_id needs `sse: aws:kms`".into()),
        ("none", None) => Ok(S3Encryption::BucketDefault),
        ("AES256", None) => Ok(S3Encryption::S3),
        (other, _) => Err(not_one_of("storage.sse", other, &["none", "AES256", "aws:kms"])),
    }
}

fn timeout(value: Option<Scalar<u64>>, key: &str, default: Duration) -> Result<Duration, String> {
    match value {
        Some(Scalar(0)) => Err(format!("storage.{key}: 0 would never let anything happen")),
        value => Ok(value.map_or(default, |Scalar(ms)| Duration::from_millis(ms))),
    }
}

#[cfg(test)]
mod tests;
