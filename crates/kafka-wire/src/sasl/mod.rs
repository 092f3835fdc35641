//! Logging in: the messages of each mechanism, without I/O, and the tokens that one of them needs.
//!
//! A [`Login`] belongs to a cluster and gives an [`Exchange`] for each login of each connection. What carries the messages
//! is in `connection/login.rs`.

mod command;
mod endpoint;
mod jwt;
mod oauth;
mod plain;
mod scram;
mod token;

use std::time::Duration;

use crate::config::SaslConfig;
use crate::error::{ConnectionError, Error};
use crate::secret::Secret;
use oauth::OauthExchange;
use plain::PlainExchange;
use scram::{Hash, ScramExchange};
use token::Tokens;

/// The logins of one cluster.
#[derive(Debug)]
pub(crate) struct Login {
    config: SaslConfig,
    /// There when the mechanism needs tokens.
    tokens: Option<Tokens>,
}

/// One login under way.
pub(crate) enum Exchange {
    Plain(PlainExchange),
    Scram(Box<ScramExchange>),
    Oauth(OauthExchange),
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
        let tokens = match &config {
            SaslConfig::OauthBearer(oauth) => Some(Tokens::load(&oauth.source)?),
            _ => None,
        };
        Ok(Self { config, tokens })
    }

    /// The name of the mechanism.
    pub(crate) fn mechanism(&self) -> &'static str {
        self.config.mechanism()
    }

    /// Begins a login, with a token if one is needed. `patience` is for getting it.
    ///
    /// # Errors
    /// [`ConnectionError::Token`] when no token could be had for now, [`ConnectionError::Authentication`] when that will not
    /// change.
    pub(crate) async fn begin(&self, patience: Duration) -> Result<Exchange, ConnectionError> {
        Ok(match &self.config {
            SaslConfig::Plain(login) => Exchange::Plain(PlainExchange::new(login)),
            SaslConfig::ScramSha256(login) => {
                Exchange::Scram(Box::new(ScramExchange::new(login, Hash::Sha256)?))
            }
            SaslConfig::ScramSha512(login) => {
                Exchange::Scram(Box::new(ScramExchange::new(login, Hash::Sha512)?))
            }
            SaslConfig::OauthBearer(oauth) => {
                let tokens = self.tokens.as_ref().ok_or(ConnectionError::Closed)?;
                let given = tokens.get(patience).await?;
                let exchange = OauthExchange::new(given.token, given.kept, &oauth.extensions)?;
                Exchange::Oauth(exchange)
            }
        })
    }

    /// Begins a login after one with this token was [refused](Self::was_refused): `None` when there is no other token.
    ///
    /// # Errors
    /// Like [`begin`](Self::begin).
    pub(crate) async fn begin_anew(
        &self,
        refused: &Secret,
        patience: Duration,
    ) -> Result<Option<Exchange>, ConnectionError> {
        let (SaslConfig::OauthBearer(oauth), Some(tokens)) = (&self.config, &self.tokens) else {
            return Ok(None);
        };
        let other = tokens.get_other(refused, patience).await?;
        let exchange = other.map(|token| OauthExchange::new(token, false, &oauth.extensions));
        Ok(exchange.transpose()?.map(Exchange::Oauth))
    }

    /// Says that a login with this token was refused: the next one gets another token.
    pub(crate) async fn was_refused(&self, token: &Secret) {
        if let Some(tokens) = &self.tokens {
            tokens.forget(token).await;
        }
    }

    /// Who logs in, for messages.
    pub(crate) fn who(&self) -> String {
        match &self.config {
            SaslConfig::Plain(login) | SaslConfig::ScramSha256(login) | SaslConfig::ScramSha512(login) => {
                format!("user {:?}", login.username)
            }
            SaslConfig::OauthBearer(_) => "the token".to_owned(),
        }
    }

    /// What to change when a login is refused.
    pub(crate) fn advice(&self) -> &'static str {
        match &self.config {
            SaslConfig::OauthBearer(_) => {
                "check where the token comes from, its scope, audience and time of expiry"
            }
            _ => "check sasl_username and sasl_password, and that the user exists for this mechanism",
        }
    }
}

impl Exchange {
    /// The token, if it is one that proves who logs in.
    pub(crate) fn token(&self) -> Option<Secret> {
        match self {
            Self::Oauth(exchange) => Some(exchange.token.clone()),
            _ => None,
        }
    }

    /// The token, when it was got for another login, or by somebody else: a newer one may be accepted when it is refused.
    pub(crate) fn kept_token(&self) -> Option<Secret> {
        match self {
            Self::Oauth(exchange) if exchange.kept => Some(exchange.token.clone()),
            _ => None,
        }
    }

    /// The first message.
    pub(crate) fn first(&mut self) -> Vec<u8> {
        match self {
            Self::Plain(exchange) => exchange.first(),
            Self::Scram(exchange) => exchange.first(),
            Self::Oauth(exchange) => exchange.first(),
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
        }
    }
}
