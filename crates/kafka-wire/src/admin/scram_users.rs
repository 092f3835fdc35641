//! The users that the cluster keeps SCRAM credentials of.

use std::fmt;

use kafka_protocol::messages::DescribeUserScramCredentialsRequest;
use kafka_protocol::messages::describe_user_scram_credentials_request::UserName;

use crate::cluster::Cluster;
use crate::connection::{Api, text};
use crate::error::{Error, ErrorCode};

/// A SCRAM mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ScramMechanism {
    /// SCRAM-SHA-256.
    Sha256,
    /// SCRAM-SHA-512.
    Sha512,
    /// Any other number of the protocol.
    Other(i8),
}

impl fmt::Display for ScramMechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256 => f.write_str("SCRAM-SHA-256"),
            Self::Sha512 => f.write_str("SCRAM-SHA-512"),
            Self::Other(other) => write!(f, "mechanism {other}"),
        }
    }
}

/// That a user can log in by a mechanism. Brokers tell neither salt nor keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct ScramCredential {
    /// The mechanism.
    pub mechanism: ScramMechanism,
    /// How often the password is hashed.
    pub iterations: i32,
}

/// What came out for each user, sorted by name.
pub type UserResults<T> = Vec<(String, Result<T, Error>)>;

impl Cluster {
    /// The credentials of these users, or with `None` of all that have any.
    ///
    /// A user without any fails with [`ErrorCode::RESOURCE_NOT_FOUND`].
    ///
    /// # Errors
    /// When the cluster does not answer, or forbids it. Brokers before 2.7 cannot tell.
    pub async fn describe_scram_users(
        &self,
        users: Option<&[&str]>,
    ) -> Result<UserResults<Vec<ScramCredential>>, Error> {
        let names = |users: &[&str]| {
            let name = |user: &&str| UserName::default().with_name(text(user));
            users.iter().map(name).collect()
        };
        let request = DescribeUserScramCredentialsRequest::default().with_users(users.map(names));
        let (link, response) = self
            .ask_controller(&request, |response| {
                let words = response.error_message.as_ref().map(ToString::to_string);
                (response.error_code, words)
            })
            .await?;
        let results = response.results.into_iter().map(|result| {
            let user = result.user.to_string();
            if let Some(code) = ErrorCode::new(result.error_code) {
                let subject = format!("user {user}");
                let error = Error::kafka(
                    code,
                    DescribeUserScramCredentialsRequest::NAME,
                    link.broker(),
                    subject,
                );
                let words = result.error_message.map(|words| words.to_string());
                return (user, Err(error.with_message(words)));
            }
            let credentials = result.credential_infos.into_iter().map(|info| ScramCredential {
                mechanism: match info.mechanism {
                    1 => ScramMechanism::Sha256,
                    2 => ScramMechanism::Sha512,
                    other => ScramMechanism::Other(other),
                },
                iterations: info.iterations,
            });
            let mut credentials: Vec<_> = credentials.collect();
            credentials.sort();
            (user, Ok(credentials))
        });
        let mut results: UserResults<_> = results.collect();
        results.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(results)
    }
}
