//! Logging in: the messages of each mechanism, without I/O, and the tokens and keys that some of them need.
//!
//! A [`Login`] belongs to a cluster and gives an [`Exchange`] for each login of each connection. What carries the messages
//! is in `connection/login.rs`.

mod command;
mod endpoint;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod iam;
mod jwt;
mod keeper;
mod oauth;
mod plain;
mod scram;
mod token;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::config::{AwsCredentials, Password, SaslConfig};
use crate::error::{ConnectionError, Error};
use crate::secret::Secret;
pub(crate) use iam::region;
use iam::{IamExchange, credentials::Credentials};
use keeper::Given;
use oauth::OauthExchange;
use plain::PlainExchange;
use scram::{Hash, ScramExchange};
use token::Tokens;

/// Names this client where it is asked for its name.
const NAME: &str = concat!("kafka-backup/", env!("CARGO_PKG_VERSION"));

/// The logins of one cluster.
#[derive(Debug)]
pub(crate) struct Login {
    mechanism: &'static str,
    way: Way,
}

/// What each of the mechanisms needs.
#[derive(Debug)]
enum Way {
    Plain(Password),
    Scram(Password, Hash),
    Oauth {
        tokens: Tokens,
        extensions: BTreeMap<String, String>,
    },
    Iam {
        credentials: Credentials,
        region: Option<String>,
    },
}

/// One login under way.
pub(crate) enum Exchange {
    Plain(PlainExchange),
    Scram(Box<ScramExchange>),
    Oauth(OauthExchange),
    Iam(Box<IamExchange>),
}

/// What to do about a message of the broker.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Send this, and await another message.
    Send(Vec<u8>),
    /// The login is complete.
    Done,
}

impl Login {
    /// Reads the files that the configuration names. Blocks.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] when one of them cannot be used.
    pub(crate) fn load(config: SaslConfig) -> Result<Self, Error> {
        let mechanism = config.mechanism();
        let way = match config {
            SaslConfig::Plain(login) => Way::Plain(login),
            SaslConfig::ScramSha256(login) => Way::Scram(login, Hash::Sha256),
            SaslConfig::ScramSha512(login) => Way::Scram(login, Hash::Sha512),
            SaslConfig::OauthBearer(oauth) => Way::Oauth {
                tokens: Tokens::load(&oauth.source)?,
                extensions: oauth.extensions,
            },
            SaslConfig::AwsMskIam(iam) => Way::Iam {
                credentials: Credentials::new(&iam.source),
                region: iam.region,
            },
        };
        Ok(Self { mechanism, way })
    }

    /// The name of the mechanism.
    pub(crate) fn mechanism(&self) -> &'static str {
        self.mechanism
    }

    /// Begins a login at a host, by the name under which it is connected to, with a token or keys if they are needed.
    /// `patience` is for getting them.
    ///
    /// # Errors
    /// [`ConnectionError::Token`] when none could be had for now, [`ConnectionError::Authentication`] when that will not
    /// change, [`ConnectionError::NoLoginHere`] when it takes another host.
    pub(crate) async fn begin(&self, host: &str, patience: Duration) -> Result<Exchange, ConnectionError> {
        Ok(match &self.way {
            Way::Plain(login) => Exchange::Plain(PlainExchange::new(login)),
            Way::Scram(login, hash) => Exchange::Scram(Box::new(ScramExchange::new(login, *hash)?)),
            Way::Oauth { tokens, extensions } => {
                let given = tokens.get(patience).await?;
                Exchange::Oauth(OauthExchange::new(given.thing, given.kept, extensions)?)
            }
            Way::Iam { credentials, region } => {
                let region = region_of(region.as_deref(), host)?;
                signed(credentials.get(&region, patience).await?, host, &region)
            }
        })
    }

    /// Begins a login after one with this token or key was [refused](Self::was_refused): `None` when there is no other.
    ///
    /// # Errors
    /// Like [`begin`](Self::begin).
    pub(crate) async fn begin_anew(
        &self,
        refused: &Secret,
        host: &str,
        patience: Duration,
    ) -> Result<Option<Exchange>, ConnectionError> {
        match &self.way {
            Way::Oauth { tokens, extensions } => {
                let other = tokens.get_other(refused, patience).await?;
                let exchange = other.map(|token| OauthExchange::new(token, false, extensions));
                Ok(exchange.transpose()?.map(Exchange::Oauth))
            }
            Way::Iam { credentials, region } => {
                let region = region_of(region.as_deref(), host)?;
                let other = credentials.get_other(refused, &region, patience).await?;
                Ok(other.map(|given| signed(given, host, &region)))
            }
            Way::Plain(_) | Way::Scram(..) => Ok(None),
        }
    }

    /// Says that a login with this token or key was refused: the next one gets another.
    pub(crate) async fn was_refused(&self, token: &Secret) {
        match &self.way {
            Way::Oauth { tokens, .. } => tokens.forget(token).await,
            Way::Iam { credentials, .. } => credentials.forget(token).await,
            Way::Plain(_) | Way::Scram(..) => {}
        }
    }

    /// What to change when a login is refused.
    pub(crate) fn advice(&self) -> &'static str {
        match &self.way {
            Way::Oauth { .. } => "check where the token comes from, its scope, audience and time of expiry",
            Way::Iam { .. } => {
                "check that these AWS credentials are the right ones and may do kafka-cluster:Connect on the cluster, that \
                 the region is the cluster's (sasl_aws_region), and the clock of this machine"
            }
            Way::Scram(login, _) if login.is_delegation_token => {
                "check sasl_username (its id) and sasl_password (its HMAC), and with kafka-delegation-tokens.sh --describe that \
                 it is there and has not expired; one that has cannot be renewed any more: create another"
            }
            Way::Plain(_) | Way::Scram(..) => {
                "check sasl_username and sasl_password, and that the user exists for this mechanism"
            }
        }
    }
}

fn region_of(configured: Option<&str>, host: &str) -> Result<String, ConnectionError> {
    region::find(configured, host, |name| std::env::var(name).ok())
}

/// Signed now: a signature ages.
fn signed(given: Given<AwsCredentials>, host: &str, region: &str) -> Exchange {
    Exchange::Iam(Box::new(IamExchange::new(given, host, region, SystemTime::now())))
}

impl Exchange {
    /// Who logs in, for messages.
    pub(crate) fn who(&self) -> String {
        match self {
            Self::Plain(exchange) => format!("user {:?}", exchange.username),
            Self::Scram(exchange) if exchange.is_delegation_token => {
                format!("the delegation token {:?}", exchange.username)
            }
            Self::Scram(exchange) => format!("user {:?}", exchange.username),
            Self::Oauth(_) => "the token".to_owned(),
            Self::Iam(exchange) => exchange.who(),
        }
    }

    /// Whether it is by a delegation token, for a while only.
    pub(crate) fn is_delegation_token(&self) -> bool {
        matches!(self, Self::Scram(exchange) if exchange.is_delegation_token)
    }

    /// The token or key, if there may be another one to log in with.
    pub(crate) fn token(&self) -> Option<Secret> {
        match self {
            Self::Oauth(exchange) => Some(exchange.token.clone()),
            Self::Iam(exchange) => Some(exchange.credentials.secret_access_key.clone()),
            _ => None,
        }
    }

    /// The token or key, when it was got for another login, or by somebody else: a newer one may be accepted when it is refused.
    pub(crate) fn kept_token(&self) -> Option<Secret> {
        match self {
            Self::Oauth(exchange) if exchange.kept => self.token(),
            Self::Iam(exchange) if exchange.kept => self.token(),
            _ => None,
        }
    }

    /// The first message.
    pub(crate) fn first(&mut self) -> Vec<u8> {
        match self {
            Self::Plain(exchange) => exchange.first(),
            Self::Scram(exchange) => exchange.first(),
            Self::Oauth(exchange) => exchange.first(),
            Self::Iam(exchange) => exchange.first(),
        }
    }

    /// Takes a message of the broker. May be long at work: SCRAM makes guessing passwords expensive.
    ///
    /// # Errors
    /// What is wrong with the message, or what the broker said about the login.
    pub(crate) fn respond(&mut self, message: &[u8]) -> Result<Step, String> {
        match self {
            Self::Plain(_) => Ok(Step::Done),
            Self::Scram(exchange) => exchange.respond(message),
            Self::Oauth(exchange) => exchange.respond(message),
            Self::Iam(exchange) => exchange.respond(message),
        }
    }

    /// What the broker said about the login in the mechanism's own way, before it refused it.
    pub(crate) fn said(&self) -> Option<&str> {
        match self {
            Self::Oauth(exchange) => exchange.said(),
            _ => None,
        }
    }

    /// Words of the broker, without what must not be seen.
    pub(crate) fn hide_secrets(&self, words: &str) -> String {
        match self {
            Self::Plain(exchange) => exchange.password.hide_in(words),
            Self::Scram(exchange) => exchange.password.hide_in(words),
            Self::Oauth(exchange) => exchange.token.hide_in(words),
            Self::Iam(exchange) => exchange.hide_in(words),
        }
    }
}

#[cfg(test)]
mod tests;
