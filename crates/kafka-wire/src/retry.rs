//! Repeating what failed in a way that passes.
//!
//! The one place that knows how long to wait between two attempts, and when there is no further one:
//!
//! * [`Retry`] for an operation that somebody waits for: it has a total time (`retry_timeout`);
//! * [`Streak`] for the data path, which goes on for hours and outlasts elections, restarts and lost connections: what
//!   counts there are the failures of a partition since it last got on.
//!
//! What repeating can do about an error is its [`Verdict`].

mod streak;
mod verdict;

use std::time::Duration;

use tokio::time::Instant;

pub(crate) use streak::{Limits, Streak};
pub(crate) use verdict::Verdict;

use crate::config::ClusterConfig;
use crate::error::{Chain, Error, ErrorCode};

/// Whether doing a request twice can do harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Reads, and writes that end in the same state however often they are done.
    Repeatable,
    /// Never repeated once it may have taken effect.
    Once,
}

/// Pauses between attempts: each twice as long as the one before, up to a limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    pub(crate) fn new(config: &ClusterConfig) -> Self {
        Self {
            next: config.retry_backoff,
            longest: config.retry_backoff_max.max(config.retry_backoff),
        }
    }

    /// The next pause: between half of the time and all of it, so that callers that failed together do not come back
    /// together.
    pub(crate) fn pause(&mut self) -> Duration {
        let pause = self.next.mul_f64(rand::random_range(0.5..=1.0));
        self.next = (self.next * 2).min(self.longest);
        pause
    }
}

/// The state of one operation's attempts.
///
/// All waiting is plain sleeping, so an operation is cancelled by dropping its future.
#[derive(Debug)]
pub(crate) struct Retry {
    effect: Effect,
    started: Instant,
    deadline: Instant,
    unknown_topic_grace: Duration,
    /// When unknown topics are given up: they are counted from the first such answer on, as what came before it may have
    /// taken any time.
    unknown_topic_deadline: Option<Instant>,
    backoff: Backoff,
}

impl Retry {
    pub(crate) fn new(config: &ClusterConfig, effect: Effect) -> Self {
        let started = Instant::now();
        Self {
            effect,
            started,
            deadline: started + config.retry_timeout,
            unknown_topic_grace: config.unknown_topic_grace,
            unknown_topic_deadline: None,
            backoff: Backoff::new(config),
        }
    }

    /// Whether an attempt that ended in `error` may be followed by another one, time permitting.
    pub(crate) fn may_repeat(&self, error: &Error) -> bool {
        error.is_retriable() && (self.effect == Effect::Repeatable || !error.is_in_doubt())
    }

    /// Waits before the next attempt.
    ///
    /// # Errors
    /// Like [`verdict`](Self::verdict).
    pub(crate) async fn pause(&mut self, error: Error) -> Result<(), Error> {
        let error = self.verdict(error)?;
        tracing::debug!(error = %Chain(&error), "will try again");
        self.sleep().await;
        Ok(())
    }

    /// Gives `error` back if another attempt may follow.
    ///
    /// # Errors
    /// What to report: `error` itself when it does not pass by waiting, [`Error::Deadline`] around it when the time
    /// is over.
    pub(crate) fn verdict(&mut self, error: Error) -> Result<Error, Error> {
        if !self.may_repeat(&error) {
            return Err(error);
        }
        let now = Instant::now();
        let unknown_topic = error.code().is_some_and(ErrorCode::is_unknown_topic);
        let deadline = if unknown_topic {
            let grace = now + self.unknown_topic_grace;
            self.deadline
                .min(*self.unknown_topic_deadline.get_or_insert(grace))
        } else {
            self.deadline
        };
        if now + self.backoff.next <= deadline {
            return Ok(error);
        }
        // "Unknown topic" is the answer; that it was asked for a few seconds adds nothing.
        Err(if unknown_topic { error } else { self.give_up(error) })
    }

    /// Waits, each time longer.
    pub(crate) async fn sleep(&mut self) {
        tokio::time::sleep(self.backoff.pause()).await;
    }

    /// Wraps the last failure into what is reported when the time is over.
    fn give_up(&self, last: Error) -> Error {
        Error::Deadline {
            after: self.started.elapsed(),
            last: Box::new(last),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ConnectionError;

    fn config() -> ClusterConfig {
        let mut config = ClusterConfig::new(["a:1"]);
        config.retry_timeout = Duration::from_secs(10);
        config.unknown_topic_grace = Duration::from_secs(2);
        config.retry_backoff = Duration::from_millis(100);
        config.retry_backoff_max = Duration::from_secs(1);
        config
    }

    fn answered(code: ErrorCode) -> Error {
        Error::kafka(code, "Metadata", &"b".into(), "")
    }

    async fn attempts(effect: Effect, error: &Error) -> (u32, Duration, Error) {
        let started = Instant::now();
        let mut retry = Retry::new(&config(), effect);
        let mut attempts = 1;
        loop {
            if let Err(error) = retry.pause(error.clone()).await {
                return (attempts, started.elapsed(), error);
            }
            attempts += 1;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_permanent_error_is_returned_at_once() {
        let (attempts, elapsed, error) = attempts(
            Effect::Repeatable,
            &answered(ErrorCode::GROUP_AUTHORIZATION_FAILED),
        )
        .await;
        assert_eq!((attempts, elapsed), (1, Duration::ZERO));
        assert!(matches!(error, Error::Kafka(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_passing_error_is_repeated_until_the_deadline_with_growing_pauses() {
        let (attempts, elapsed, error) =
            attempts(Effect::Repeatable, &answered(ErrorCode::LEADER_NOT_AVAILABLE)).await;
        assert!((12..=24).contains(&attempts), "{attempts}");
        assert!(
            (Duration::from_secs(9)..=Duration::from_secs(10)).contains(&elapsed),
            "{elapsed:?}"
        );
        assert_eq!(error.code(), Some(ErrorCode::LEADER_NOT_AVAILABLE));
        assert!(matches!(error, Error::Deadline { .. }));
    }

    #[tokio::test(start_paused = true)]
    async fn an_unknown_topic_is_given_a_short_grace_and_reported_as_it_is() {
        let (attempts, elapsed, error) = attempts(
            Effect::Repeatable,
            &answered(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        )
        .await;
        assert!(attempts > 2);
        assert!(elapsed <= Duration::from_secs(2), "{elapsed:?}");
        assert!(matches!(error, Error::Kafka(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_grace_for_an_unknown_topic_begins_with_the_first_such_answer() {
        let mut retry = Retry::new(&config(), Effect::Repeatable);
        tokio::time::sleep(Duration::from_secs(5)).await;
        let unknown = answered(ErrorCode::UNKNOWN_TOPIC_ID);
        let started = Instant::now();
        while retry.pause(unknown.clone()).await.is_ok() {}
        let elapsed = started.elapsed();
        assert!(
            elapsed > Duration::from_secs(1) && elapsed <= Duration::from_secs(2),
            "{elapsed:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_have_happened_is_repeated_only_when_that_does_no_harm() {
        let doubt = || Error::InDoubt {
            broker: "b".into(),
            api: "CreateTopics",
            source: ConnectionError::ClosedByBroker,
        };
        assert_eq!(attempts(Effect::Once, &doubt()).await.0, 1);
        assert!(attempts(Effect::Repeatable, &doubt()).await.0 > 1);
        assert_eq!(
            attempts(Effect::Once, &answered(ErrorCode::REQUEST_TIMED_OUT))
                .await
                .0,
            1
        );
        let unsent = Error::NotSent {
            broker: "b".into(),
            api: "CreateTopics",
            source: ConnectionError::ClosedByBroker,
        };
        assert!(attempts(Effect::Once, &unsent).await.0 > 1);
    }
}
