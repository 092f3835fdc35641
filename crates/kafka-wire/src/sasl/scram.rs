//! `SCRAM-SHA-256` and `SCRAM-SHA-512` (RFC 5802, RFC 7677), without channel binding.
//!
//! The password is not sent: both sides prove that they know what is derived from it. So a broker that does not know the
//! password is found out, too. As in Kafka, names and passwords are taken as UTF-8 without further preparation.

use std::num::NonZeroU32;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac, pbkdf2};

use super::Step;
use crate::config::Password;
use crate::error::ConnectionError;
use crate::secret::Secret;

/// Fewer make guessing cheap for whoever listens: the standard's and Kafka's minimum.
const FEWEST_ITERATIONS: u32 = 4096;
/// More would let a broker keep this client busy for as long as it likes. Kafka's own most is 16384.
const MOST_ITERATIONS: u32 = 1_000_000;
/// Random bytes of a nonce.
const NONCE_BYTES: usize = 24;
/// No channel binding, no other identity to act as; `biws` in base64.
const GS2_HEADER: &str = "n,,";

/// The hash function that gives a mechanism its name.
#[derive(Debug, Clone, Copy)]
pub(super) enum Hash {
    Sha256,
    Sha512,
}

pub(crate) struct ScramExchange {
    hash: Hash,
    pub(super) username: String,
    pub(super) password: Secret,
    pub(super) is_delegation_token: bool,
    nonce: String,
    state: State,
}

enum State {
    /// Salt, iterations and the rest of the nonce are due.
    ServerFirst,
    /// The broker's proof is due.
    ServerFinal {
        server_key: hmac::Key,
        auth_message: String,
    },
    Done,
}

impl Hash {
    fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }

    fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha512 => &digest::SHA512,
        }
    }

    fn pbkdf2(self) -> pbkdf2::Algorithm {
        match self {
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Self::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }

    /// The key that everything else is derived from.
    fn salted_password(self, password: &Secret, salt: &[u8], iterations: NonZeroU32) -> hmac::Key {
        let mut salted = vec![0; self.digest().output_len()];
        pbkdf2::derive(
            self.pbkdf2(),
            iterations,
            salt,
            password.reveal().as_bytes(),
            &mut salted,
        );
        hmac::Key::new(self.hmac(), &salted)
    }
}

impl ScramExchange {
    pub(super) fn new(login: &Password, hash: Hash) -> Result<Self, ConnectionError> {
        let mut nonce = [0; NONCE_BYTES];
        SystemRandom::new().fill(&mut nonce).map_err(|_| {
            ConnectionError::Authentication("the system has no random numbers for a login".to_owned())
        })?;
        Ok(Self::with_nonce(login, hash, STANDARD.encode(nonce)))
    }

    pub(super) fn with_nonce(login: &Password, hash: Hash, nonce: String) -> Self {
        Self {
            hash,
            username: login.username.clone(),
            password: login.password.clone(),
            is_delegation_token: login.is_delegation_token,
            nonce,
            state: State::ServerFirst,
        }
    }

    pub(super) fn first(&self) -> Vec<u8> {
        format!("{GS2_HEADER}{}", self.first_bare()).into_bytes()
    }

    fn first_bare(&self) -> String {
        // A comma ends a field, and an equals sign begins an escape.
        let name = self.username.replace('=', "=3D").replace(',', "=2C");
        // An extension of Kafka's: by it the broker looks among the tokens instead of the users.
        let extension = if self.is_delegation_token {
            ",tokenauth=true"
        } else {
            ""
        };
        format!("n={name},r={}{extension}", self.nonce)
    }

    pub(super) fn respond(&mut self, message: &[u8]) -> Result<Step, String> {
        let message =
            std::str::from_utf8(message).map_err(|_| "the broker's SCRAM message is no text".to_owned())?;
        if let Some(error) = message.strip_prefix("e=") {
            return Err(format!("the broker answered {error:?}"));
        }
        match std::mem::replace(&mut self.state, State::Done) {
            State::ServerFirst => self.prove(message),
            State::ServerFinal {
                server_key,
                auth_message,
            } => check_proof(message, &server_key, &auth_message).map(|()| Step::Done),
            State::Done => Err("the broker sent a SCRAM message after the last one".to_owned()),
        }
    }

    /// Answers the broker's first message with the proof that the password is known.
    fn prove(&mut self, server_first: &str) -> Result<Step, String> {
        let ServerFirst {
            nonce,
            salt,
            iterations,
        } = ServerFirst::parse(server_first)?;
        if nonce.len() <= self.nonce.len() || !nonce.starts_with(&self.nonce) {
            return Err(
                "the broker's SCRAM nonce does not continue the client's: somebody may be in between"
                    .to_owned(),
            );
        }
        let salted = self.hash.salted_password(&self.password, &salt, iterations);
        let client_key = hmac::sign(&salted, b"Client Key");
        let server_key = hmac::sign(&salted, b"Server Key");
        let stored_key = digest::digest(self.hash.digest(), client_key.as_ref());

        let without_proof = format!("c={},r={nonce}", STANDARD.encode(GS2_HEADER));
        let auth_message = format!("{},{server_first},{without_proof}", self.first_bare());
        let stored_key = hmac::Key::new(self.hash.hmac(), stored_key.as_ref());
        let signature = hmac::sign(&stored_key, auth_message.as_bytes());
        let proof: Vec<u8> = (client_key.as_ref().iter())
            .zip(signature.as_ref())
            .map(|(key, signature)| key ^ signature)
            .collect();

        self.state = State::ServerFinal {
            server_key: hmac::Key::new(self.hash.hmac(), server_key.as_ref()),
            auth_message,
        };
        let answer = format!("{without_proof},p={}", STANDARD.encode(proof));
        Ok(Step::Send(answer.into_bytes()))
    }
}

/// `r=nonce,s=salt,i=iterations`, and extensions that may follow.
struct ServerFirst<'a> {
    nonce: &'a str,
    salt: Vec<u8>,
    iterations: NonZeroU32,
}

impl<'a> ServerFirst<'a> {
    fn parse(message: &'a str) -> Result<Self, String> {
        let mut fields = message.split(',');
        let mut field = |name: &str| {
            fields
                .next()
                .and_then(|field| field.strip_prefix(name)?.strip_prefix('='))
                .ok_or_else(|| format!("the broker's SCRAM message has no field {name:?} where it is due"))
        };
        // A field `m=` in front would be an extension that must be understood.
        let (nonce, salt, iterations) = (field("r")?, field("s")?, field("i")?);
        let salt = STANDARD
            .decode(salt)
            .ok()
            .filter(|salt| !salt.is_empty())
            .ok_or("the broker's SCRAM salt is not base64")?;
        let iterations: u32 = iterations
            .parse()
            .map_err(|_| "the broker's SCRAM iterations are no number".to_owned())?;
        if !(FEWEST_ITERATIONS..=MOST_ITERATIONS).contains(&iterations) {
            return Err(format!(
                "the broker asks for {iterations} SCRAM iterations, and {FEWEST_ITERATIONS} to {MOST_ITERATIONS} are \
                 accepted: set the user's credentials again with a number of iterations in these bounds"
            ));
        }
        let iterations = NonZeroU32::new(iterations).ok_or("no SCRAM iterations")?;
        Ok(Self {
            nonce,
            salt,
            iterations,
        })
    }
}

/// Checks that the broker knows the password, too.
fn check_proof(server_final: &str, server_key: &hmac::Key, auth_message: &str) -> Result<(), String> {
    let signature = server_final
        .split(',')
        .next()
        .and_then(|field| field.strip_prefix("v="))
        .and_then(|value| STANDARD.decode(value).ok())
        .ok_or("the broker's last SCRAM message has no signature")?;
    hmac::verify(server_key, auth_message.as_bytes(), &signature).map_err(|_| {
        "the broker did not prove that it knows the password: it may not be the one that it pretends to be".to_owned()
    })
}

#[cfg(test)]
#[path = "scram_tests.rs"]
mod tests;
