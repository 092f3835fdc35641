//! What a broker says in a login, for the fuzz targets of the repository. Feature `fuzzing`.

use std::time::{Duration, UNIX_EPOCH};

use super::iam::IamExchange;
use super::keeper::Given;
use super::oauth::OauthExchange;
use super::scram::{Hash, ScramExchange};
use super::{Exchange, Step, jwt};
use crate::config::{AwsCredentials, SaslConfig};
use crate::secret::Secret;

/// Gives the messages of a broker to one of the mechanisms, which a number names, one after the other, until the login is
/// complete or has failed. Returns whether it is complete.
pub fn login(mechanism: u8, messages: &[&[u8]]) -> bool {
    let mut exchange = match mechanism % 4 {
        0 => scram(Hash::Sha256),
        1 => scram(Hash::Sha512),
        2 => {
            let token = OauthExchange::new(Secret::new("token"), false, &Default::default());
            Exchange::Oauth(token.expect("a token"))
        }
        _ => {
            let given = Given {
                thing: AwsCredentials::new("AKID", Secret::new("secret")),
                kept: false,
            };
            Exchange::Iam(Box::new(IamExchange::new(given, "host", "eu-west-1", UNIX_EPOCH)))
        }
    };
    for message in messages {
        match exchange.respond(message) {
            Ok(Step::Send(answer)) => assert!(!answer.is_empty()),
            Ok(Step::Done) => {
                // Nobody can prove that he knows a password that is not there to be learnt.
                assert!(!matches!(exchange, Exchange::Scram(_)), "the proof is none");
                return true;
            }
            Err(words) => {
                assert!(!words.is_empty());
                return false;
            }
        }
    }
    false
}

/// With a nonce that an input can go on from.
fn scram(hash: Hash) -> Exchange {
    let SaslConfig::ScramSha256(login) = SaslConfig::scram_sha_256("user", Secret::new("pencil")) else {
        unreachable!("another mechanism")
    };
    Exchange::Scram(Box::new(ScramExchange::with_nonce(&login, hash, "n".to_owned())))
}

/// How long a token says that it is good, from the beginning of time.
pub fn lifetime_of_token(token: &str) -> Option<Duration> {
    jwt::lifetime(token, UNIX_EPOCH)
}
