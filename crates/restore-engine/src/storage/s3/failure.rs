//! What a server says when a request fails, and what the operator can do about it.

use std::error::Error;
use std::fmt;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ConnectorError, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId;

use crate::config::S3Config;

/// A request that failed, after all the attempts that make sense.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    kind: Kind,
    status: Option<u16>,
    code: Option<String>,
    message: String,
    request_id: Option<String>,
    /// Where the bucket is, when the server says that it is not where it was looked for.
    bucket_region: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Nothing was sent: credentials or settings are missing.
    Unsent,
    /// No answer in time.
    Timeout,
    /// No connection, or one that broke.
    Connection,
    /// An answer that is not S3's.
    Unreadable,
    /// An answer.
    Answer,
}

impl<E> From<SdkError<E, HttpResponse>> for Failure
where
    E: ProvideErrorMetadata + Error + 'static,
{
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        let kind = match &error {
            SdkError::ConstructionFailure(_) => Kind::Unsent,
            SdkError::TimeoutError(_) => Kind::Timeout,
            // The credentials are asked for on the way to the connection.
            SdkError::DispatchFailure(failure) if failure.is_user() => Kind::Unsent,
            SdkError::DispatchFailure(failure) if failure.is_timeout() => Kind::Timeout,
            SdkError::DispatchFailure(failure) if is_about_credentials(failure.as_connector_error()) => {
                Kind::Unsent
            }
            SdkError::DispatchFailure(_) => Kind::Connection,
            // An error that says success is a page of somebody else's.
            SdkError::ServiceError(e) if !e.raw().status().is_success() || error.code().is_some() => {
                Kind::Answer
            }
            _ => Kind::Unreadable,
        };
        let response = error.raw_response();
        let header = |name| response.and_then(|r| r.headers().get(name)).map(str::to_owned);
        let code = error.code().map(str::to_owned);
        let message = match error.message() {
            Some(message) => message.to_owned(),
            None if kind == Kind::Answer => String::new(),
            None => innermost(&error),
        };
        Self {
            kind,
            status: response.map(|r| r.status().as_u16()),
            code,
            message,
            request_id: response.and_then(|r| r.request_id()).map(str::to_owned),
            bucket_region: header("x-amz-bucket-region"),
        }
    }
}

fn is_about_credentials(error: Option<&ConnectorError>) -> bool {
    error.is_some_and(|error| chain(error).any(|e| e.to_string().contains("credential")))
}

/// An error and what lies below it.
pub(super) fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&e| e.source())
}

/// What lies at the bottom of a chain of errors, and the error above it: "tcp connect error: Connection refused".
fn innermost(error: &(dyn Error + 'static)) -> String {
    let below: Vec<String> = chain(error).skip(1).map(ToString::to_string).collect();
    let mut shown: Vec<&str> = below.iter().rev().take(2).map(String::as_str).collect();
    shown.reverse();
    shown.dedup();
    match shown.is_empty() {
        true => error.to_string(),
        false => shown.join(": "),
    }
}

impl Failure {
    /// A problem that no response carries.
    pub(super) fn of_body(message: String) -> Self {
        Self {
            kind: Kind::Connection,
            status: None,
            code: None,
            message,
            request_id: None,
            bucket_region: None,
        }
    }

    fn has_code(&self, codes: &[&str]) -> bool {
        self.code.as_deref().is_some_and(|code| codes.contains(&code))
    }

    /// A missing bucket is not a missing object; a `HEAD` has no body to tell them apart by.
    pub(super) fn is_missing_object(&self) -> bool {
        self.has_code(&["NoSuchKey", "NotFound"]) || (self.status == Some(404) && self.code.is_none())
    }

    /// The condition of a conditional write does not hold.
    pub(super) fn is_precondition_failed(&self) -> bool {
        self.status == Some(412)
    }

    /// Another conditional write of the same object is under way.
    pub(super) fn is_conflict(&self) -> bool {
        self.status == Some(409) && self.has_code(&["ConditionalRequestConflict", "OperationAborted"])
    }

    /// The server does not know a header that was sent.
    pub(super) fn is_not_implemented(&self) -> bool {
        self.status == Some(501) || self.has_code(&["NotImplemented"])
    }

    /// A range that begins behind the end of the object.
    pub(super) fn is_invalid_range(&self) -> bool {
        self.status == Some(416) || self.has_code(&["InvalidRange"])
    }

    /// The upload was completed or aborted.
    pub(super) fn is_missing_upload(&self) -> bool {
        self.has_code(&["NoSuchUpload"])
    }

    /// No server was reached, or none answered: a wrong address, or one that is away for a while. A certificate that is not
    /// trusted stays so.
    pub(super) fn is_about_the_way(&self) -> bool {
        matches!(self.kind, Kind::Connection | Kind::Timeout) && !self.message.contains("certificate")
    }

    /// What to change, or to look at; `None` when there is nothing but to wait.
    pub(super) fn advice(&self, config: &S3Config, server: &str) -> Option<String> {
        match self.kind {
            Kind::Unsent => Some(NO_CREDENTIALS.into()),
            Kind::Connection if self.message.contains("certificate") => Some(format!(
                "If the certificate of {server} is good, let SSL_CERT_FILE name a file with the authority behind it"
            )),
            Kind::Connection | Kind::Timeout => Some(format!(
                "Is {server} right, up, and reachable from here? (storage.endpoint, storage.region, HTTPS_PROXY)"
            )),
            Kind::Unreadable => Some(format!("Is {server} a server of S3? (storage.endpoint)")),
            Kind::Answer => self.advice_on_answer(config, server),
        }
    }

    fn advice_on_answer(&self, config: &S3Config, server: &str) -> Option<String> {
        let bucket = &config.bucket;
        if self.is_of_another_region() {
            return Some(match &self.bucket_region {
                Some(region) => format!("The bucket is in region {region}: set `storage.region: {region}`"),
                None => "Set `storage.region` to the region of the bucket".into(),
            });
        }
        let advice = match self.code.as_deref().unwrap_or_default() {
            "NoSuchBucket" => format!(
                "There is no bucket {bucket} at {server}: create it, or correct `storage.bucket` or `storage.endpoint`"
            ),
            "InvalidBucketName" => format!("`storage.bucket: {bucket}` is not a name that a bucket can have"),
            // The second is versitygw's.
            "InvalidAccessKeyId" | "XAdminUserNotFound" => "The server does not know this access key: correct `storage.access_key_id` or \
                                     AWS_ACCESS_KEY_ID, or `storage.endpoint`"
                .into(),
            "SignatureDoesNotMatch" => "The secret does not belong to the access key: correct \
                                        `storage.secret_access_key` or AWS_SECRET_ACCESS_KEY (and `storage.region`, \
                                        which is signed too)"
                .into(),
            "ExpiredToken" | "ExpiredTokenException" | "InvalidToken" | "TokenRefreshRequired" => {
                "The session token has expired or does not belong to the keys: get new credentials".into()
            }
            "RequestTimeTooSkewed" => "Set the clock of this machine".into(),
            "KMS.NotFoundException" | "KMS.DisabledException" | "KMS.InvalidStateException" => {
                "Correct `storage.sse_kms_key_id`, or enable the key".into()
            }
            _ if self.status == Some(403) => format!(
                "Allow these credentials s3:ListBucket (and s3:ListBucketMultipartUploads, for `orphans`) on bucket {bucket} \
                 and s3:GetObject, s3:PutObject, s3:DeleteObject, s3:AbortMultipartUpload on what is in it (and the key of \
                 `sse: aws:kms`)"
            ),
            _ if self.status == Some(400) && self.code.is_none() => {
                format!("Is {server} a server of S3, and is it http:// or https://? (storage.endpoint)")
            }
            _ if self.is_not_implemented() => {
                "The server lacks something of S3: try `storage.checksum_mode: off`, and `storage.sse: none`".into()
            }
            _ => return None,
        };
        Some(advice)
    }

    fn is_of_another_region(&self) -> bool {
        const CODES: [&str; 4] = [
            "PermanentRedirect",
            "AuthorizationHeaderMalformed",
            "IllegalLocationConstraintException",
            "TemporaryRedirect",
        ];
        self.has_code(&CODES) || matches!(self.status, Some(301 | 307))
    }
}

const NO_CREDENTIALS: &str = "Give `storage.access_key_id` and `storage.secret_access_key`, or set AWS_ACCESS_KEY_ID and \
                              AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run where a role is given";

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, self.status, &self.code) {
            (Kind::Unsent, ..) => write!(f, "the request could not be signed or made")?,
            (Kind::Timeout, ..) => write!(f, "no answer in time")?,
            (Kind::Connection, ..) => write!(f, "the connection failed")?,
            (Kind::Unreadable, Some(status), _) => write!(f, "an answer that is not of S3 (HTTP {status})")?,
            (Kind::Unreadable, None, _) => write!(f, "an answer that is not of S3")?,
            (Kind::Answer, Some(status), Some(code)) => write!(f, "{code} (HTTP {status})")?,
            (Kind::Answer, Some(status), None) => write!(f, "HTTP {status}")?,
            (Kind::Answer, None, code) => write!(f, "{}", code.as_deref().unwrap_or("an error"))?,
        }
        // What a server writes goes to a terminal: one line, no control characters, and not a novel.
        let message: String = self
            .message
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(300)
            .collect();
        if !message.is_empty() {
            write!(f, ": {}", message.trim_end_matches('.'))?;
        }
        match &self.request_id {
            Some(id) => write!(f, " [request {}]", id.escape_debug()),
            None => Ok(()),
        }
    }
}
