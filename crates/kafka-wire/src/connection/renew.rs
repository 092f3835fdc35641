//! Logging in again before the broker's session ends (KIP-368), on the connection that is in use.
//!
//! Brokers close a connection at the first request after its session has ended; for a backup that runs longer than a token
//! is good, that would be the end of many requests in doubt. Between the messages of a login a broker takes no other
//! request, so those that come meanwhile are parked, and keep their order.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::link::{Link, WeakLink};
use super::login::log_in;
use crate::error::ConnectionError;
use crate::sasl::{Exchange, Login};

/// Brokers refuse to renew a login more often than once in a second.
const SHORTEST: Duration = Duration::from_millis(1_050);
/// Some brokers announce lifetimes of centuries.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);
/// Between two attempts to get a token: a part of the time that is left, within bounds.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Keeps the login of one connection alive.
pub(super) struct Renewal {
    pub(super) link: WeakLink,
    pub(super) login: Arc<Login>,
    /// The broker's, by the name under which it was connected to.
    pub(super) host: String,
    /// For getting a token, and again for each message.
    pub(super) timeout: Duration,
    /// Cancelled when the connection has ended.
    pub(super) ended: CancellationToken,
}

impl Renewal {
    /// Renews the login until the connection ends, or until its session has no end any more.
    pub(super) async fn run(self, lifetime: Duration) {
        let ended = self.ended.clone();
        ended.run_until_cancelled(self.keep(lifetime)).await;
    }

    async fn keep(&self, mut lifetime: Duration) {
        loop {
            let begun = Instant::now();
            sleep_until(begun + delay(lifetime)).await;
            let exchange = self.begin(begun + lifetime.min(LONGEST)).await;
            let Some(link) = self.link.upgrade() else { return };
            let renewed = match exchange {
                Ok(exchange) => self.renew(&link, exchange).await,
                Err(cause) => Err(cause),
            };
            match renewed {
                Ok(next) => {
                    tracing::debug!(broker = %link.broker(), session = ?next, "login renewed");
                    link.unpark();
                    match next {
                        Some(next) => lifetime = next,
                        None => return,
                    }
                }
                Err(cause) => {
                    tracing::warn!(broker = %link.broker(), %cause, "the login cannot be renewed");
                    return link.end(cause);
                }
            }
        }
    }

    /// What is sent for a login. An endpoint of tokens that is down for a while is asked again until the session ends.
    async fn begin(&self, session_ends: Instant) -> Result<Exchange, ConnectionError> {
        loop {
            let outcome = self.login.begin(&self.host, self.timeout).await;
            let left = session_ends.saturating_duration_since(Instant::now());
            let pause = (left / 4).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
            match outcome {
                Err(cause @ ConnectionError::Token(_)) if pause < left => {
                    tracing::warn!(%cause, "will ask for a token again");
                    sleep(pause).await;
                }
                outcome => return outcome,
            }
        }
    }

    async fn renew(&self, link: &Link, exchange: Exchange) -> Result<Option<Duration>, ConnectionError> {
        // An answer that does not come ends the connection, and this future with it.
        if link.park().await.is_err() {
            return Err(ConnectionError::Closed);
        }
        let kept = exchange.kept_token().is_some();
        match log_in(link, &self.login, exchange, self.timeout).await {
            // Brokers close the connection then. The next one gets another token, or is told that there is none.
            Err(ConnectionError::Authentication(what)) if kept => Err(ConnectionError::Token(what)),
            outcome => outcome,
        }
    }
}

/// When to renew: not at the same time on all connections that were made together.
fn delay(lifetime: Duration) -> Duration {
    let part = rand::random_range(0.85..=0.95);
    lifetime.min(LONGEST).mul_f64(part).max(SHORTEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_renewal_is_before_the_end_and_never_overflows() {
        for _ in 0..100 {
            let after = delay(Duration::from_secs(100));
            assert!(
                after >= Duration::from_secs(85) && after <= Duration::from_secs(95),
                "{after:?}"
            );
        }
        assert!(delay(Duration::from_millis(u64::MAX)) <= LONGEST);
        assert_eq!(delay(Duration::from_millis(5)), SHORTEST);
    }
}
