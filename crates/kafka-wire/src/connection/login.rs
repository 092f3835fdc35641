//! Carrying the messages of a login: `SaslHandshake`, then `SaslAuthenticate` until both sides are content (KIP-152).

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::{SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest};
use kafka_protocol::protocol::StrBytes;

use super::link::Link;
use crate::error::{ConnectionError, Error, ErrorCode};
use crate::sasl::{Exchange, Login, Step};

/// Logs in on a connection whose versions are known; returns how long the broker's session is, if it ends at all.
///
/// # Errors
/// [`ConnectionError::Authentication`] when the broker refuses the login, or cannot prove itself;
/// [`ConnectionError::NoLoginHere`] when it takes none of this kind.
pub(super) async fn log_in(
    link: &Link,
    login: &Login,
    exchange: Exchange,
    timeout: Duration,
) -> Result<Option<Duration>, ConnectionError> {
    agree_on_mechanism(link, login, timeout).await?;
    let token = exchange.token();
    let outcome = authenticate(link, login, exchange, timeout).await;
    if let (Err(ConnectionError::Authentication(_)), Some(token)) = (&outcome, token) {
        login.was_refused(&token).await;
    }
    outcome
}

async fn agree_on_mechanism(link: &Link, login: &Login, timeout: Duration) -> Result<(), ConnectionError> {
    let mechanism = login.mechanism();
    let request = SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str(mechanism));
    let response = link.call_for_login(&request, timeout).await.map_err(cause)?;
    let Some(code) = ErrorCode::new(response.error_code) else {
        return Ok(());
    };
    Err(ConnectionError::NoLoginHere(match code {
        ErrorCode::UNSUPPORTED_SASL_MECHANISM => {
            let enabled: Vec<&str> = response.mechanisms.iter().map(|name| &**name).collect();
            format!(
                "the broker does not take logins by {mechanism}, only by {}: change sasl_mechanism, or enable it in the broker's \
                 sasl.enabled.mechanisms",
                if enabled.is_empty() {
                    "none".to_owned()
                } else {
                    enabled.join(", ")
                }
            )
        }
        ErrorCode::ILLEGAL_SASL_STATE => {
            "the listener does not take logins: set security_protocol to PLAINTEXT or SSL, \
                                          or use the port of a SASL listener"
                .to_owned()
        }
        code => format!("the broker answered SaslHandshake ({mechanism}) with {code}"),
    }))
}

async fn authenticate(
    link: &Link,
    login: &Login,
    mut exchange: Exchange,
    timeout: Duration,
) -> Result<Option<Duration>, ConnectionError> {
    let mut message = exchange.first();
    loop {
        let request = SaslAuthenticateRequest::default().with_auth_bytes(Bytes::from(message));
        let response = link.call_for_login(&request, timeout).await.map_err(cause)?;
        if let Some(code) = ErrorCode::new(response.error_code) {
            return Err(refused(login, &exchange, code, &response));
        }
        let said = response.auth_bytes;
        // Proving a password takes milliseconds of work, or longer when the broker wants it so.
        let answered = tokio::task::spawn_blocking(move || {
            let step = exchange.respond(&said);
            (exchange, step)
        });
        let (next, step) = answered.await.map_err(|_| ConnectionError::Closed)?;
        exchange = next;
        match step {
            Ok(Step::Send(next)) => message = next,
            Ok(Step::Done) => {
                let lifetime = response.session_lifetime_ms;
                return match exchange.is_delegation_token() && tells_lifetimes(link) {
                    true => session_of_token(lifetime).map_err(|what| failed(login, &exchange, what)),
                    false => Ok(session(lifetime)),
                };
            }
            Err(what) => return Err(failed(login, &exchange, &what)),
        }
    }
}

fn refused(
    login: &Login,
    exchange: &Exchange,
    code: ErrorCode,
    response: &SaslAuthenticateResponse,
) -> ConnectionError {
    let mut words = match &response.error_message {
        Some(words) if !words.is_empty() => words.to_string(),
        _ => code.to_string(),
    };
    if let Some(said) = exchange.said() {
        words = format!("{words}, {said}");
    }
    failed(login, exchange, &words)
}

fn failed(login: &Login, exchange: &Exchange, words: &str) -> ConnectionError {
    ConnectionError::Authentication(format!(
        "the login of {} by {} failed: {}; {}",
        exchange.who(),
        login.mechanism(),
        exchange.hide_secrets(words),
        login.advice()
    ))
}

/// Not positive when the session has no end.
fn session(lifetime_ms: i64) -> Option<Duration> {
    u64::try_from(lifetime_ms)
        .ok()
        .filter(|ms| *ms > 0)
        .map(Duration::from_millis)
}

/// A delegation token's session is never longer than the token is good, so when there is no time left, it has expired.
///
/// Brokers take such logins until they have cleared the token away, which may be an hour later, and close each connection at the
/// first request: nobody would know why.
fn session_of_token(lifetime_ms: i64) -> Result<Option<Duration>, &'static str> {
    session(lifetime_ms).map(Some).ok_or("it has expired")
}

/// As all brokers do since Kafka 2.2. The others leave it at none.
fn tells_lifetimes(link: &Link) -> bool {
    (link.version_of::<SaslAuthenticateRequest>()).is_ok_and(|version| version >= 1)
}

/// Why a connection cannot be used, when a request of a login failed.
fn cause(error: Error) -> ConnectionError {
    match error {
        Error::InDoubt { source, .. } | Error::NotSent { source, .. } => source,
        Error::UnsupportedApi { .. } => ConnectionError::NoLoginHere(
            "the broker is too old for this client's logins (it needs Kafka 1.0 or later)".to_owned(),
        ),
        other => ConnectionError::Protocol(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_without_time_left_has_expired_and_other_sessions_without_end_are_good() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(session_of_token(5_000), Ok(seconds(5)));
        assert_eq!(session(5_000), seconds(5));
        for none in [0, -1] {
            assert_eq!(session_of_token(none), Err("it has expired"));
            assert_eq!(session(none), None);
        }
    }

    #[test]
    fn brokers_that_do_not_tell_lifetimes_have_not_told_that_there_is_none() {
        for (offered, tells) in [
            (Some((0, 0)), false),
            (Some((0, 1)), true),
            (Some((0, 2)), true),
            (None, false),
        ] {
            let (link, _ends) = Link::new("broker 1 at test:1".into());
            link.set_versions(offered.map(|versions| (36, versions)).into_iter().collect());
            assert_eq!(tells_lifetimes(&link), tells, "{offered:?}");
        }
    }
}
