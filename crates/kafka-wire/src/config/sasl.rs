//! How to log in.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::aws::{AwsCredentialsSource, AwsMskIam};
use crate::error::Error;
use crate::sasl::region;
use crate::secret::Secret;

/// Where a login is in [`ClusterConfig`](crate::ClusterConfig), for messages.
const SETTING: &str = "security.sasl";

/// A login by SASL.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SaslConfig {
    /// `PLAIN`: the password is sent as it is, so use it with TLS.
    Plain(Password),
    /// `SCRAM-SHA-256`: the password is proved and not sent, and the broker proves that it knows it, too.
    ScramSha256(Password),
    /// `SCRAM-SHA-512`: the same with a longer hash.
    ScramSha512(Password),
    /// `OAUTHBEARER`: a token that somebody else issued.
    OauthBearer(OauthBearer),
    /// `AWS_MSK_IAM`: a signature by which Amazon MSK knows a user or role of AWS. It is as good as a password for a quarter
    /// of an hour, so use it with TLS.
    AwsMskIam(AwsMskIam),
}

/// A name and a password.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Password {
    /// Who logs in.
    pub username: String,
    /// Proves it.
    pub password: Secret,
    /// Whether these are the id and the HMAC of a delegation token (KIP-48), which log in by SCRAM: see
    /// [`SaslConfig::with_delegation_token`].
    pub is_delegation_token: bool,
}

/// Where tokens come from, and what is sent with them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OauthBearer {
    /// Where tokens come from.
    pub source: TokenSource,
    /// SASL extensions, such as the id of a logical cluster; names are of letters only.
    pub extensions: BTreeMap<String, String>,
}

/// Where tokens come from.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenSource {
    /// A file that holds the token. It is read for each login, so somebody may renew it.
    File(PathBuf),
    /// A program and its arguments; it prints the token, and nothing else, to its standard output.
    Command(Vec<String>),
    /// A token endpoint of OAuth 2, asked with the grant `client_credentials`.
    ClientCredentials(ClientCredentials),
}

/// Arguments of commands are left out: keys are given in them, whatever one thinks of it.
impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Command(words) => f
                .debug_tuple("Command")
                .field(&words.first())
                .finish_non_exhaustive(),
            Self::ClientCredentials(asked) => f.debug_tuple("ClientCredentials").field(asked).finish(),
        }
    }
}

/// What a token endpoint is asked with.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientCredentials {
    /// `https://` (or `http://`) address of the token endpoint.
    pub endpoint_url: String,
    /// Says who asks.
    pub client_id: String,
    /// Proves it.
    pub client_secret: Secret,
    /// What the token is to be good for.
    pub scope: Option<String>,
    /// PEM file with the authorities to trust for the endpoint; those of the operating system when there is none.
    pub ca_file: Option<PathBuf>,
}

/// Of the address only what cannot hold a password or a key.
impl fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCredentials")
            .field("endpoint_url", &without_secrets(&self.endpoint_url))
            .field("client_id", &self.client_id)
            .field("client_secret", &self.client_secret)
            .field("scope", &self.scope)
            .field("ca_file", &self.ca_file)
            .finish()
    }
}

/// An address up to its query, and without what stands before an `@`.
fn without_secrets(url: &str) -> String {
    let shown = url.split(['?', '#']).next().unwrap_or_default();
    match (shown.split_once("://"), shown.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://...@{rest}"),
        (None, Some((_, rest))) => format!("...@{rest}"),
        _ => shown.to_owned(),
    }
}

impl SaslConfig {
    /// `PLAIN`
    pub fn plain(username: impl Into<String>, password: Secret) -> Self {
        Self::Plain(Password::new(username, password))
    }

    /// `SCRAM-SHA-256`
    pub fn scram_sha_256(username: impl Into<String>, password: Secret) -> Self {
        Self::ScramSha256(Password::new(username, password))
    }

    /// `SCRAM-SHA-512`
    pub fn scram_sha_512(username: impl Into<String>, password: Secret) -> Self {
        Self::ScramSha512(Password::new(username, password))
    }

    /// Says that the user name is the id of a delegation token (KIP-48), and the password its HMAC in base64.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] for every mechanism but SCRAM: brokers take delegation tokens by no other.
    pub fn with_delegation_token(mut self) -> Result<Self, Error> {
        match &mut self {
            Self::ScramSha256(login) | Self::ScramSha512(login) => login.is_delegation_token = true,
            other => return Err(super::invalid(SETTING, &no_token_by(other.mechanism()))),
        }
        Ok(self)
    }

    /// `OAUTHBEARER`
    pub fn oauth_bearer(source: TokenSource) -> Self {
        Self::OauthBearer(OauthBearer {
            source,
            extensions: BTreeMap::new(),
        })
    }

    /// `AWS_MSK_IAM`, for the region that the brokers' host names or the environment tell.
    pub fn aws_msk_iam(source: AwsCredentialsSource) -> Self {
        Self::AwsMskIam(AwsMskIam { source, region: None })
    }

    /// The name by which brokers know the mechanism.
    pub fn mechanism(&self) -> &'static str {
        match self {
            Self::Plain(_) => "PLAIN",
            Self::ScramSha256(_) => "SCRAM-SHA-256",
            Self::ScramSha512(_) => "SCRAM-SHA-512",
            Self::OauthBearer(_) => "OAUTHBEARER",
            Self::AwsMskIam(_) => "AWS_MSK_IAM",
        }
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        match self {
            // The field can be set, too.
            Self::Plain(login) if login.is_delegation_token => Err(no_token_by(self.mechanism())),
            Self::Plain(login) | Self::ScramSha256(login) | Self::ScramSha512(login) => login.validate(),
            Self::OauthBearer(oauth) => oauth.validate(),
            Self::AwsMskIam(iam) => iam.validate(),
        }
        .map_err(|reason| super::invalid(SETTING, &reason))
    }

    /// What these hosts would be logged in to with, as far as it is in the environment.
    pub(super) fn validate_environment<'a>(
        &self,
        mut hosts: impl Iterator<Item = &'a str>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<(), Error> {
        match self {
            Self::AwsMskIam(iam)
                if iam.region.is_none() && hosts.any(|host| region::in_host(host).is_none()) =>
            {
                let found = region::in_environment(environment);
                found.map(drop).map_err(|reason| super::invalid(SETTING, &reason))
            }
            _ => Ok(()),
        }
    }
}

fn no_token_by(mechanism: &str) -> String {
    format!(
        "a delegation token logs in by SCRAM-SHA-256 or SCRAM-SHA-512, and not by {mechanism}: use one of these, or log in \
         without a delegation token"
    )
}

impl Password {
    fn new(username: impl Into<String>, password: Secret) -> Self {
        Self {
            username: username.into(),
            password,
            is_delegation_token: false,
        }
    }

    fn validate(&self) -> Result<(), String> {
        for (what, text) in [
            ("user name", &*self.username),
            ("password", self.password.reveal()),
        ] {
            if text.is_empty() {
                return Err(format!("the {what} is empty"));
            }
            if text.contains('\0') {
                return Err(format!("the {what} must not contain a NUL"));
            }
        }
        Ok(())
    }
}

impl ClientCredentials {
    /// Asks without a scope, and trusts the authorities of the operating system.
    pub fn new(endpoint_url: impl Into<String>, client_id: impl Into<String>, client_secret: Secret) -> Self {
        Self {
            endpoint_url: endpoint_url.into(),
            client_id: client_id.into(),
            client_secret,
            scope: None,
            ca_file: None,
        }
    }
}

impl OauthBearer {
    fn validate(&self) -> Result<(), String> {
        for (name, value) in &self.extensions {
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphabetic()) || name == "auth" {
                return Err(format!(
                    "the extension name {name:?} is not one: use letters only, and not \"auth\""
                ));
            }
            if !value
                .bytes()
                .all(|b| matches!(b, 0x20..=0x7e | b'\t' | b'\r' | b'\n'))
            {
                return Err(format!(
                    "the value of the extension {name} has characters other than printable ASCII"
                ));
            }
        }
        match &self.source {
            TokenSource::Command(words) if words.first().is_none_or(String::is_empty) => {
                Err("the command that prints the token is empty".to_owned())
            }
            TokenSource::ClientCredentials(asked)
                if asked.client_id.is_empty() || asked.client_secret.reveal().is_empty() =>
            {
                Err("the client id or the client secret for the token endpoint is empty".to_owned())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(sasl: &SaslConfig) -> String {
        sasl.validate().unwrap_err().to_string()
    }

    #[test]
    fn a_login_that_cannot_work_is_refused_without_being_shown() {
        let login = |name: &str, password: &str| SaslConfig::plain(name, Secret::new(password));
        assert!(reason(&login("", "x")).contains("user name is empty"));
        assert!(reason(&login("u", "")).contains("password is empty"));
        let hidden = reason(&login("u", "marker\0marker"));
        assert!(hidden.contains("NUL") && !hidden.contains("marker"), "{hidden}");
        assert!(login("u", "p").validate().is_ok());
    }

    #[test]
    fn a_delegation_token_logs_in_by_scram_and_nothing_else() {
        let secret = || Secret::new("hmac");
        for scram in [SaslConfig::scram_sha_256, SaslConfig::scram_sha_512] {
            let login = scram("id", secret()).with_delegation_token().unwrap();
            assert!(login.validate().is_ok());
            let (SaslConfig::ScramSha256(login) | SaslConfig::ScramSha512(login)) = login else {
                panic!("another mechanism")
            };
            assert!(login.is_delegation_token);
        }
        for (login, mechanism) in [
            (SaslConfig::plain("id", secret()), "PLAIN"),
            (
                SaslConfig::oauth_bearer(TokenSource::File("token".into())),
                "OAUTHBEARER",
            ),
            (
                SaslConfig::aws_msk_iam(AwsCredentialsSource::Environment),
                "AWS_MSK_IAM",
            ),
        ] {
            let error = login.with_delegation_token().unwrap_err();
            assert!(
                matches!(
                    error,
                    Error::InvalidConfig {
                        setting: "security.sasl",
                        ..
                    }
                ),
                "{error:?}"
            );
            let words = error.to_string();
            for part in [
                "delegation token",
                "SCRAM-SHA-256",
                &format!("not by {mechanism}"),
            ] {
                assert!(words.contains(part), "{words}");
            }
        }
        let SaslConfig::Plain(mut login) = SaslConfig::plain("id", secret()) else {
            panic!("another mechanism")
        };
        login.is_delegation_token = true;
        assert!(reason(&SaslConfig::Plain(login)).contains("not by PLAIN"));
    }

    /// Found before anything is connected to.
    #[test]
    fn a_region_of_the_environment_is_looked_at_where_it_is_needed() {
        let mut sasl = SaslConfig::aws_msk_iam(AwsCredentialsSource::Environment);
        let environment = |name: &str| (name == "AWS_REGION").then(|| "eu-west-1/../".to_owned());
        let (amazons, own) = ("b-1.kafka.eu-west-1.amazonaws.com", "kafka-1.example");
        let check = |sasl: &SaslConfig, hosts: &[&str]| {
            let checked = sasl.validate_environment(hosts.iter().copied(), environment);
            checked.map_err(|error| error.to_string())
        };
        assert_eq!(check(&sasl, &[amazons]), Ok(()));
        let words = check(&sasl, &[amazons, own]).unwrap_err();
        for part in ["security.sasl", "\"eu-west-1/../\" is no region", "AWS_REGION"] {
            assert!(words.contains(part), "{words}");
        }
        // It may be found out elsewhere, or be none.
        assert!(sasl.validate_environment([own].into_iter(), |_| None).is_ok());
        let password = SaslConfig::plain("u", Secret::new("p"));
        assert_eq!(check(&password, &[own]), Ok(()));
        if let SaslConfig::AwsMskIam(iam) = &mut sasl {
            iam.region = Some("eu-west-1".to_owned());
        }
        assert_eq!(check(&sasl, &[own]), Ok(()));
    }

    #[test]
    fn an_address_is_shown_without_what_may_be_a_key() {
        for (url, shown) in [
            ("https://idp/token", "https://idp/token"),
            ("https://idp/token?key=marker", "https://idp/token"),
            ("https://idp/token#marker", "https://idp/token"),
            ("https://user:marker@idp/token?marker", "https://...@idp/token"),
            ("https://user:mar@ker@idp", "https://...@idp"),
            ("user:marker@idp", "...@idp"),
            ("https://marker://marker@idp", "https://...@idp"),
        ] {
            let asked = ClientCredentials::new(url, "me", Secret::new("marker"));
            let debug = format!("{asked:?} {asked:#?}");
            assert!(
                debug.contains(&format!("{shown:?}")) && !debug.contains("marker"),
                "{debug}"
            );
        }
    }

    #[test]
    fn extensions_have_the_alphabet_of_the_standard() {
        let with = |name: &str, value: &str| {
            SaslConfig::OauthBearer(OauthBearer {
                source: TokenSource::File("token".into()),
                extensions: BTreeMap::from([(name.to_owned(), value.to_owned())]),
            })
        };
        assert!(with("logicalCluster", "lkc-1").validate().is_ok());
        for (name, value) in [("auth", "x"), ("", "x"), ("a-b", "x"), ("a", "\u{1}"), ("a", "ü")] {
            assert!(with(name, value).validate().is_err(), "{name:?} {value:?}");
        }
    }
}
