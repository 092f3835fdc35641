//! Version 4 of AWS's signatures, for the one request that it is needed for here.
//!
//! By `ring`, which is there for SCRAM: AWS's own crate (`aws-sigv4`) would bring a dozen others along, among them a second
//! HMAC and a second SHA-256, for these few lines. What they come to is compared with what Amazon's Java client makes of
//! the same (`testdata/iam`).

use std::time::SystemTime;

use ring::{digest, hmac};

use super::time::compact;
use crate::config::AwsCredentials;

pub(super) const ACTION: &str = "kafka-cluster:Connect";
pub(super) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The only header of the request.
pub(super) const SIGNED_HEADERS: &str = "host";
/// How long the signature is good: what Amazon recommends.
pub(super) const EXPIRES_SECONDS: &str = "900";

const SERVICE: &str = "kafka-cluster";
const TERMINATOR: &str = "aws4_request";

/// What is not known before signing.
pub(super) struct Signed {
    /// The access key and what it is used for.
    pub(super) credential: String,
    pub(super) date: String,
    pub(super) signature: String,
}

impl Signed {
    pub(super) fn new(credentials: &AwsCredentials, host: &str, region: &str, now: SystemTime) -> Self {
        let date = compact(now);
        let day = date.split('T').next().unwrap_or_default();
        let scope = format!("{day}/{region}/{SERVICE}/{TERMINATOR}");
        let credential = format!("{}/{scope}", credentials.access_key_id);
        let request = canonical_request(credentials, host, &credential, &date);
        let to_sign = format!(
            "{ALGORITHM}\n{date}\n{scope}\n{}",
            hex(digest::digest(&digest::SHA256, request.as_bytes()).as_ref())
        );
        // Each part of the scope makes a key for the next one.
        let secret = format!("AWS4{}", credentials.secret_access_key.reveal());
        let mut key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        for part in [day, region, SERVICE, TERMINATOR] {
            key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref());
        }
        Self {
            signature: hex(hmac::sign(&key, to_sign.as_bytes()).as_ref()),
            credential,
            date,
        }
    }
}

/// The request in the one form that both sides can make of it.
fn canonical_request(credentials: &AwsCredentials, host: &str, credential: &str, date: &str) -> String {
    // In the order of their names.
    let mut query = vec![
        ("Action", ACTION),
        ("X-Amz-Algorithm", ALGORITHM),
        ("X-Amz-Credential", credential),
        ("X-Amz-Date", date),
        ("X-Amz-Expires", EXPIRES_SECONDS),
    ];
    if let Some(token) = &credentials.session_token {
        query.push(("X-Amz-Security-Token", token.reveal()));
    }
    query.push(("X-Amz-SignedHeaders", SIGNED_HEADERS));
    let query: Vec<String> = query
        .into_iter()
        .map(|(name, value)| format!("{name}={}", encoded(value)))
        .collect();
    let nothing = hex(digest::digest(&digest::SHA256, b"").as_ref());
    format!(
        "GET\n/\n{}\nhost:{host}\n\n{SIGNED_HEADERS}\n{nothing}",
        query.join("&")
    )
}

/// As in an address, where only these letters stand for themselves (RFC 3986).
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
