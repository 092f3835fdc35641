//! `AWS_MSK_IAM`: a signature of AWS in one message, and an answer that names the login.
//!
//! The mechanism is Amazon's own, and its Java client (`aws-msk-iam-auth`) is what documents it: the parameters of a
//! presigned `GET` of the broker's host name, written as a JSON object instead of a URL.
//!
//! - [`credentials`]: what is signed with, from wherever it comes
//! - [`region`]: which region is signed for
//! - [`sign`]: the signature
//! - [`time`]: its dates

pub(super) mod credentials;
pub(crate) mod region;
mod sign;
mod time;

use std::time::SystemTime;

use serde_json::{Value, json};

use super::keeper::Given;
use super::oauth::shown;
use super::{NAME, Step};
use crate::config::AwsCredentials;
use crate::secret::Secret;
use sign::{ACTION, ALGORITHM, EXPIRES_SECONDS, SIGNED_HEADERS, Signed};

/// The version of the messages, in both directions.
const VERSION: &str = "2020_10_22";

pub(crate) struct IamExchange {
    pub(super) credentials: AwsCredentials,
    /// Whether there may be newer ones.
    pub(super) kept: bool,
    host: String,
    region: String,
    signature: Secret,
    message: Secret,
}

impl IamExchange {
    /// Signs for the host that is connected to, by its name.
    pub(super) fn new(given: Given<AwsCredentials>, host: &str, region: &str, now: SystemTime) -> Self {
        let credentials = given.thing;
        let signed = Signed::new(&credentials, host, region, now);
        let mut message = json!({
            "version": VERSION,
            "host": host,
            "user-agent": NAME,
            "action": ACTION,
            "x-amz-algorithm": ALGORITHM,
            "x-amz-credential": signed.credential,
            "x-amz-date": signed.date,
            "x-amz-signedheaders": SIGNED_HEADERS,
            "x-amz-expires": EXPIRES_SECONDS,
            "x-amz-signature": signed.signature,
        });
        if let (Some(token), Value::Object(members)) = (&credentials.session_token, &mut message) {
            members.insert("x-amz-security-token".to_owned(), token.reveal().into());
        }
        Self {
            credentials,
            kept: given.kept,
            host: host.to_owned(),
            region: region.to_owned(),
            signature: Secret::new(signed.signature),
            message: Secret::new(message.to_string()),
        }
    }

    pub(super) fn first(&self) -> Vec<u8> {
        self.message.reveal().as_bytes().to_vec()
    }

    /// A login that was good has an answer with an id, by which AWS finds it again.
    pub(super) fn respond(&self, message: &[u8]) -> Result<Step, String> {
        if message.is_empty() {
            return Err("the broker's answer is empty, which is no answer of Amazon MSK".to_owned());
        }
        let answer: Option<Value> = serde_json::from_slice(message).ok();
        let text = |key: &str| answer.as_ref()?.get(key)?.as_str();
        match (text("version"), text("request-id")) {
            (Some(VERSION), Some(id)) => {
                tracing::debug!(host = %self.host, request_id = %shown(id), "login by AWS_MSK_IAM");
                Ok(Step::Done)
            }
            (Some(version), _) if version != VERSION => Err(format!(
                "the broker's answer is of version {:?}, and this client knows {VERSION}",
                shown(version)
            )),
            _ => Err("the broker's answer is no answer of Amazon MSK".to_owned()),
        }
    }

    /// What the broker repeats of the message, hidden.
    pub(super) fn hide_in(&self, words: &str) -> String {
        let mut words = self.credentials.secret_access_key.hide_in(words);
        if let Some(token) = &self.credentials.session_token {
            words = token.hide_in(&words);
        }
        self.signature.hide_in(&words)
    }

    pub(super) fn who(&self) -> String {
        format!(
            "the AWS access key {} for region {} at {}",
            self.credentials.access_key_id, self.region, self.host
        )
    }
}

/// What a variable of the environment says, if it says anything.
fn variable(environment: impl Fn(&str) -> Option<String>, name: &str) -> Option<String> {
    let value = environment(name)?.trim().to_owned();
    (!value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests;
