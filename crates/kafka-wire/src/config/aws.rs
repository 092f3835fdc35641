//! Logging in with the credentials of Amazon Web Services.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use crate::secret::Secret;

/// Where the credentials for `AWS_MSK_IAM` come from, and the region that is signed for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AwsMskIam {
    /// Where the credentials come from.
    pub source: AwsCredentialsSource,
    /// The region of the cluster. When there is none: the one in the broker's host name, else `AWS_REGION` or
    /// `AWS_DEFAULT_REGION` of the environment.
    pub region: Option<String>,
}

/// Where credentials come from.
#[derive(Clone)]
#[non_exhaustive]
pub enum AwsCredentialsSource {
    /// These.
    Static(AwsCredentials),
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN` of the environment.
    Environment,
    /// A program and its arguments; it prints the JSON of `credential_process` (version 1) to its standard output.
    Command(Vec<String>),
    /// Whatever else knows them, such as an SDK's chain of providers.
    Provider(Arc<dyn AwsCredentialsProvider>),
}

/// Arguments of commands are left out: keys are given in them, whatever one thinks of it.
impl fmt::Debug for AwsCredentialsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Static(credentials) => f.debug_tuple("Static").field(credentials).finish(),
            Self::Environment => f.write_str("Environment"),
            Self::Command(words) => f
                .debug_tuple("Command")
                .field(&words.first())
                .finish_non_exhaustive(),
            Self::Provider(_) => f.debug_tuple("Provider").finish_non_exhaustive(),
        }
    }
}

/// Providers are equal when they are the same one.
impl PartialEq for AwsCredentialsSource {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Static(one), Self::Static(other)) => one == other,
            (Self::Environment, Self::Environment) => true,
            (Self::Command(one), Self::Command(other)) => one == other,
            (Self::Provider(one), Self::Provider(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Eq for AwsCredentialsSource {}

/// Knows credentials that are good for now.
///
/// ```
/// use kafka_wire::{AwsCredentials, AwsCredentialsFuture, AwsCredentialsProvider, Secret};
///
/// struct Vault;
///
/// impl AwsCredentialsProvider for Vault {
///     fn credentials<'a>(&'a self, _region: &'a str) -> AwsCredentialsFuture<'a> {
///         Box::pin(async { Ok(AwsCredentials::new("AKIAEXAMPLE", Secret::new("s3cret"))) })
///     }
/// }
/// ```
pub trait AwsCredentialsProvider: Send + Sync {
    /// Gives credentials for a login in `region`. It is asked again when what it gave has expired or was refused, and every
    /// half a minute when it does not say when that is.
    ///
    /// # Errors
    /// What is wrong, without any secret in it.
    fn credentials<'a>(&'a self, region: &'a str) -> AwsCredentialsFuture<'a>;
}

/// What a provider gives some day.
pub type AwsCredentialsFuture<'a> =
    Pin<Box<dyn Future<Output = Result<AwsCredentials, AwsCredentialsError>> + Send + 'a>>;

/// Why there are no credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AwsCredentialsError {
    /// It may pass: the provider is asked again.
    Passing(String),
    /// It stays until somebody changes something.
    Permanent(String),
}

/// A key that AWS knows, and what belongs to it. Its name is no secret, and tells in messages which one it was.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AwsCredentials {
    /// Names the key.
    pub access_key_id: String,
    /// Signs.
    pub secret_access_key: Secret,
    /// Belongs to a key that expires.
    pub session_token: Option<Secret>,
    /// When it does.
    pub expires: Option<SystemTime>,
}

impl AwsCredentials {
    /// A key that does not expire.
    pub fn new(access_key_id: impl Into<String>, secret_access_key: Secret) -> Self {
        Self {
            access_key_id: access_key_id.into(),
            secret_access_key,
            session_token: None,
            expires: None,
        }
    }

    /// The token of a key that expires.
    #[must_use]
    pub fn session_token(mut self, token: Secret) -> Self {
        self.session_token = Some(token);
        self
    }

    /// When the key expires.
    #[must_use]
    pub fn expires(mut self, at: SystemTime) -> Self {
        self.expires = Some(at);
        self
    }

    /// What cannot be right, without showing it.
    pub(crate) fn check(&self) -> Result<(), String> {
        let texts = [
            ("access key id", Some(&*self.access_key_id)),
            ("secret access key", Some(self.secret_access_key.reveal())),
            ("session token", self.session_token.as_ref().map(Secret::reveal)),
        ];
        for (what, text) in texts {
            match text {
                Some("") => return Err(format!("the AWS {what} is empty")),
                Some(text) if !text.bytes().all(|byte| byte.is_ascii_graphic()) => {
                    return Err(format!(
                        "the AWS {what} has blanks or other characters that none has"
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// What cannot be the name of a region: it is a part of host names, and of what is signed. There is no list of those that there
/// are. `setting` is where it comes from.
pub(crate) fn check_region(region: &str, setting: &str) -> Result<(), String> {
    let is_one = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_label = (1..=63).contains(&region.len()) && region.bytes().all(is_one);
    if !is_label || region.starts_with('-') || region.ends_with('-') {
        let shown: String = region.chars().take(64).collect();
        return Err(format!(
            "{shown:?} is no region of AWS: write one like eu-central-1 ({setting})"
        ));
    }
    Ok(())
}

impl AwsMskIam {
    pub(super) fn validate(&self) -> Result<(), String> {
        if let Some(region) = &self.region {
            check_region(region, "sasl_aws_region")?;
        }
        match &self.source {
            AwsCredentialsSource::Static(credentials) => credentials.check(),
            AwsCredentialsSource::Command(words) if words.first().is_none_or(String::is_empty) => {
                Err("the command that prints the AWS credentials is empty".to_owned())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SaslConfig;

    fn reason(credentials: AwsCredentials) -> String {
        let sasl = SaslConfig::aws_msk_iam(AwsCredentialsSource::Static(credentials));
        sasl.validate().unwrap_err().to_string()
    }

    fn key(id: &str, secret: &str) -> AwsCredentials {
        AwsCredentials::new(id, Secret::new(secret))
    }

    #[test]
    fn what_cannot_be_a_key_is_refused_without_being_shown() {
        assert!(reason(key("", "x")).contains("access key id is empty"));
        assert!(reason(key("AKIA", "")).contains("secret access key is empty"));
        let token = key("AKIA", "x").session_token(Secret::new(""));
        assert!(reason(token).contains("session token is empty"));
        for hidden in [
            key("AKIA", "mar ker"),
            key("AKIA", "marker\n"),
            key("AKIA", "x").session_token(Secret::new("märker")),
        ] {
            let words = reason(hidden);
            assert!(words.contains("has blanks") && !words.contains("ker"), "{words}");
        }
    }

    #[test]
    fn a_region_is_a_word() {
        let mut iam = AwsMskIam {
            source: AwsCredentialsSource::Environment,
            region: Some("eu-central-1".to_owned()),
        };
        assert_eq!(iam.validate(), Ok(()));
        for region in [
            "",
            " ",
            "EU-CENTRAL-1",
            "eu central",
            "eu-central-1/kafka",
            "eu-west-1/../",
            "eu-west-1.",
            "eu-west-1\n",
            "-eu-west-1",
            "eu-west-",
            "\u{fc}-west-1",
            "${REGION}",
            &"x".repeat(64),
        ] {
            iam.region = Some(region.to_owned());
            let words = iam.validate().unwrap_err();
            assert!(
                words.contains("no region") && words.contains("sasl_aws_region"),
                "{words}"
            );
        }
        iam.region = None;
        iam.source = AwsCredentialsSource::Command(vec![String::new()]);
        assert!(iam.validate().unwrap_err().contains("command"));
    }

    #[test]
    fn debug_hides_what_signs() {
        let credentials = key("AKIA", "marker").session_token(Secret::new("marker"));
        let command = ["vault".to_owned(), "--token=marker".to_owned()];
        for source in [
            AwsCredentialsSource::Static(credentials),
            AwsCredentialsSource::Command(command.to_vec()),
        ] {
            let sasl = SaslConfig::aws_msk_iam(source);
            let shown = format!("{sasl:?} {sasl:#?}");
            assert!(!shown.contains("marker"), "{shown}");
            assert!(shown.contains("AKIA") || shown.contains("vault"), "{shown}");
        }
    }
}
