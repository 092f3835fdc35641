//! What a login is signed with. Keys that expire are renewed by somebody, so they are looked for again.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::{time, variable};
use crate::config::{AwsCredentials, AwsCredentialsError, AwsCredentialsProvider, AwsCredentialsSource};
use crate::error::ConnectionError;
use crate::sasl::command;
use crate::sasl::keeper::{Given, Issued, Keeper};
use crate::secret::Secret;

/// Names the setting in messages about the command.
const COMMAND_SETTING: &str = "sasl_aws_credentials_command";

/// The credentials of one cluster.
#[derive(Debug)]
pub(crate) struct Credentials {
    source: Source,
    kept: Keeper<AwsCredentials>,
}

enum Source {
    Static(AwsCredentials),
    Environment,
    Issuer(Issuer),
}

/// Asked when there are no credentials that are good.
enum Issuer {
    Command(Vec<String>),
    Provider(Arc<dyn AwsCredentialsProvider>),
}

/// Nothing of what is in it.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Static(_) => "Static",
            Self::Environment => "Environment",
            Self::Issuer(Issuer::Command(_)) => "Command",
            Self::Issuer(Issuer::Provider(_)) => "Provider",
        })
    }
}

impl Credentials {
    pub(crate) fn new(source: &AwsCredentialsSource) -> Self {
        let source = match source {
            AwsCredentialsSource::Static(credentials) => Source::Static(credentials.clone()),
            AwsCredentialsSource::Environment => Source::Environment,
            AwsCredentialsSource::Command(words) => Source::Issuer(Issuer::Command(words.clone())),
            AwsCredentialsSource::Provider(provider) => {
                Source::Issuer(Issuer::Provider(Arc::clone(provider)))
            }
        };
        Self {
            source,
            kept: Keeper::default(),
        }
    }

    /// Credentials that are good for a while.
    pub(crate) async fn get(
        &self,
        region: &str,
        patience: Duration,
    ) -> Result<Given<AwsCredentials>, ConnectionError> {
        let thing = match &self.source {
            Source::Issuer(issuer) => return self.kept.get(patience, issuer.issue(region)).await,
            Source::Static(credentials) => credentials.clone(),
            Source::Environment => of_environment(|name| std::env::var(name).ok())?,
        };
        Ok(Given { thing, kept: false })
    }

    /// Credentials other than those whose key was refused, if there are any.
    pub(crate) async fn get_other(
        &self,
        refused: &Secret,
        region: &str,
        patience: Duration,
    ) -> Result<Option<Given<AwsCredentials>>, ConnectionError> {
        let given = self.get(region, patience).await?;
        Ok(Some(given).filter(|given| given.thing.secret_access_key != *refused))
    }

    /// Lets the next login fetch other credentials than those with this key.
    pub(crate) async fn forget(&self, refused: &Secret) {
        let is_refused = |kept: &AwsCredentials| kept.secret_access_key == *refused;
        self.kept.forget(is_refused).await;
    }
}

impl Issuer {
    async fn issue(&self, region: &str) -> Result<Issued<AwsCredentials>, ConnectionError> {
        let (credentials, who) = match self {
            Self::Command(words) => {
                let printed = command::run(words, COMMAND_SETTING).await?;
                let who = format!(
                    "the command ({} ...) of {COMMAND_SETTING}",
                    words.first().map_or("", String::as_str)
                );
                let credentials = of_command(printed.reveal())
                    .map_err(|what| permanent(&format!("{who} printed {what}")))?;
                (credentials, who)
            }
            Self::Provider(provider) => {
                let given = provider.credentials(region).await;
                let credentials = given.map_err(|error| match error {
                    AwsCredentialsError::Passing(what) => ConnectionError::Token(what),
                    AwsCredentialsError::Permanent(what) => permanent(&what),
                })?;
                (credentials, "the provider of AWS credentials".to_owned())
            }
        };
        credentials
            .check()
            .map_err(|what| permanent(&format!("{what} that came from {who}")))?;
        let left = |expires: SystemTime| expires.duration_since(SystemTime::now());
        let lifetime = match credentials.expires.map(left) {
            None => None,
            Some(Ok(lifetime)) => Some(lifetime),
            // Whoever renews them may be late.
            Some(Err(_)) => {
                return Err(ConnectionError::Token(format!(
                    "the AWS access key {}, which came from {who}, has expired: is the clock of this machine right?",
                    credentials.access_key_id
                )));
            }
        };
        Ok(Issued {
            thing: credentials,
            lifetime,
        })
    }
}

fn permanent(what: &str) -> ConnectionError {
    ConnectionError::Authentication(format!("nothing to log in with: {what}"))
}

fn of_environment(environment: impl Fn(&str) -> Option<String>) -> Result<AwsCredentials, ConnectionError> {
    let value = |name: &str| variable(&environment, name);
    let needed = |name: &str| {
        value(name).ok_or_else(|| permanent(&format!("{name} is not set in the environment (AWS_MSK_IAM)")))
    };
    let id = needed("AWS_ACCESS_KEY_ID")?;
    let mut credentials = AwsCredentials::new(id, Secret::new(needed("AWS_SECRET_ACCESS_KEY")?));
    credentials.session_token = value("AWS_SESSION_TOKEN").map(Secret::new);
    credentials
        .check()
        .map_err(|what| permanent(&format!("{what} that is in the environment")))?;
    Ok(credentials)
}

/// What a `credential_process` prints. A member that is there and is not understood is an error: it may be what matters.
///
/// # Errors
/// What was printed instead, without anything of it.
fn of_command(printed: &str) -> Result<AwsCredentials, String> {
    let printed: Value = serde_json::from_str(printed).map_err(|_| "something else than JSON")?;
    if printed.get("Version").and_then(Value::as_u64) != Some(1) {
        return Err("no JSON of a credential_process: it has no \"Version\": 1".to_owned());
    }
    let text = |name: &str| match printed.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(format!("a {name} that is no text")),
    };
    let needed = |name: &str| text(name)?.ok_or_else(|| format!("credentials without {name}"));
    let secret = Secret::new(needed("SecretAccessKey")?);
    let mut credentials = AwsCredentials::new(needed("AccessKeyId")?, secret);
    credentials.session_token = text("SessionToken")?.map(Secret::new);
    if let Some(expires) = text("Expiration")? {
        let expires = time::parse(expires).ok_or("an Expiration that is not like 2026-01-31T23:59:59Z")?;
        credentials.expires = Some(expires);
    }
    Ok(credentials)
}

#[cfg(test)]
#[path = "credentials_tests.rs"]
mod tests;
