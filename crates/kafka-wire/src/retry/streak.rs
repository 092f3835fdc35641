//! How long the data path goes on with one partition.

use std::time::Duration;

use tokio::time::Instant;

use super::{Backoff, Verdict};
use crate::config::ClusterConfig;
use crate::error::{Chain, Error, ErrorCode};

/// Failures of the odd kind that are borne in a row.
const MOST_ODD_FAILURES: u32 = 8;

/// What bounds a streak.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    backoff: Backoff,
    unknown_topic_grace: Duration,
    give_up_after: Option<Duration>,
}

impl Limits {
    /// Those of a cluster; with `give_up_after`, failures of any kind end in that time.
    pub(crate) fn new(config: &ClusterConfig, give_up_after: Option<Duration>) -> Self {
        Self {
            backoff: Backoff::new(config),
            unknown_topic_grace: config.unknown_topic_grace,
            give_up_after,
        }
    }
}

/// The failures of one partition since it last got on.
#[derive(Debug, Clone)]
pub(crate) struct Streak {
    limits: Limits,
    failures: u32,
    odd_failures: u32,
    /// Whether a broker's hint was followed.
    hinted: bool,
    since: Option<Instant>,
    /// Since when every answer has been that the topic is not known.
    unknown_since: Option<Instant>,
    backoff: Backoff,
}

impl Streak {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            failures: 0,
            odd_failures: 0,
            hinted: false,
            since: None,
            unknown_since: None,
            backoff: limits.backoff,
        }
    }

    /// How many failures there were.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether a broker that names another leader may be followed at once, without a pause: instead of the first failure, and
    /// never twice until the partition got on. So brokers that name each other are not asked faster than others that fail.
    pub(crate) fn may_follow(&mut self) -> bool {
        self.failures == 0 && !std::mem::replace(&mut self.hinted, true)
    }

    /// The partition got on.
    pub(crate) fn end(&mut self) {
        *self = Self::new(self.limits);
    }

    /// Notes a failure; returns how long to wait before the next attempt.
    ///
    /// # Errors
    /// What to report when there is to be no further attempt: `error` itself when it does not pass, [`Error::Deadline`]
    /// around it when the time is over.
    pub(crate) fn failed(&mut self, error: Error) -> Result<Duration, Error> {
        let now = Instant::now();
        let since = *self.since.get_or_insert(now);
        self.failures = self.failures.saturating_add(1);
        match error.verdict() {
            Verdict::Stays => return Err(error),
            Verdict::Odd => self.odd_failures += 1,
            Verdict::Passes => {}
        }
        if self.odd_failures > MOST_ODD_FAILURES || self.is_unknown_for_good(&error, now) {
            return Err(error);
        }
        match self.limits.give_up_after {
            Some(limit) if now - since >= limit => Err(Error::Deadline {
                after: now - since,
                last: Box::new(error),
            }),
            _ => {
                tracing::debug!(error = %Chain(&error), failures = self.failures, "will try again");
                Ok(self.backoff.pause())
            }
        }
    }

    /// A topic that is not known is waited for only shortly, but from the first such answer on: a broker that was away
    /// for long may have to learn of its topics first.
    fn is_unknown_for_good(&mut self, error: &Error, now: Instant) -> bool {
        if !error.code().is_some_and(ErrorCode::is_unknown_topic) {
            self.unknown_since = None;
            return false;
        }
        let since = *self.unknown_since.get_or_insert(now);
        now - since >= self.limits.unknown_topic_grace
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ConnectionError;

    fn streak(give_up_after: Option<u64>) -> Streak {
        let mut config = ClusterConfig::new(["a:1"]);
        config.retry_backoff = Duration::from_millis(100);
        config.retry_backoff_max = Duration::from_secs(1);
        config.unknown_topic_grace = Duration::from_secs(4);
        Streak::new(Limits::new(&config, give_up_after.map(Duration::from_secs)))
    }

    fn coded(code: ErrorCode) -> Error {
        Error::kafka(code, "Fetch", &"b".into(), "")
    }

    fn lost(source: ConnectionError) -> Error {
        Error::InDoubt {
            broker: "b".into(),
            api: "Fetch",
            source,
        }
    }

    /// Fails again and again; returns the time until the last attempt, how many there were, and the end.
    async fn fail(streak: &mut Streak, error: &Error, most: u32) -> (Duration, u32, Option<Error>) {
        let started = Instant::now();
        for attempts in 1..=most {
            match streak.failed(error.clone()) {
                Ok(pause) => tokio::time::sleep(pause).await,
                Err(error) => return (started.elapsed(), attempts, Some(error)),
            }
        }
        (started.elapsed(), most, None)
    }

    #[tokio::test(start_paused = true)]
    async fn what_passes_is_waited_for_without_end_with_growing_pauses() {
        let mut streak = streak(None);
        let (elapsed, _, end) = fail(&mut streak, &lost(ConnectionError::ClosedByBroker), 1000).await;
        assert!(end.is_none());
        assert!(elapsed > Duration::from_secs(490) && elapsed <= Duration::from_secs(1000));
        assert_eq!(streak.failures(), 1000);
        streak.end();
        assert_eq!(streak.failures(), 0);
        assert!(
            streak.failed(coded(ErrorCode::NOT_LEADER_OR_FOLLOWER)).unwrap() <= Duration::from_millis(100)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_stays_ends_at_once() {
        for error in [
            coded(ErrorCode::TOPIC_AUTHORIZATION_FAILED),
            lost(ConnectionError::Closed),
            Error::Closed,
        ] {
            assert_eq!(fail(&mut streak(None), &error, 10).await.1, 1, "{error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn odd_failures_are_counted_apart_from_those_that_pass() {
        let mut streak = streak(None);
        let nonsense = lost(ConnectionError::Protocol("?".to_owned()));
        let passing = lost(ConnectionError::ClosedByBroker);
        fail(&mut streak, &passing, 100).await;
        let (_, attempts, end) = fail(&mut streak, &nonsense, 100).await;
        assert_eq!(attempts, MOST_ODD_FAILURES + 1);
        assert!(matches!(end, Some(Error::InDoubt { .. })));
        streak.end();
        assert!(streak.failed(nonsense).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_unknown_topic_has_its_grace_after_whatever_came_before() {
        let mut streak = streak(None);
        fail(&mut streak, &lost(ConnectionError::ClosedByBroker), 100).await;
        let unknown = coded(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
        let (elapsed, _, end) = fail(&mut streak, &unknown, 100).await;
        assert!(
            elapsed >= Duration::from_secs(4) && elapsed < Duration::from_secs(6),
            "{elapsed:?}"
        );
        assert_eq!(end.unwrap().code(), unknown.code());
    }

    #[tokio::test(start_paused = true)]
    async fn the_grace_of_an_unknown_topic_begins_anew_after_another_answer() {
        let mut streak = streak(None);
        let unknown = coded(ErrorCode::UNKNOWN_TOPIC_ID);
        for _ in 0..10 {
            assert!(streak.failed(unknown.clone()).is_ok());
            tokio::time::sleep(Duration::from_secs(3)).await;
            assert!(streak.failed(unknown.clone()).is_ok());
            assert!(streak.failed(coded(ErrorCode::LEADER_NOT_AVAILABLE)).is_ok());
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_hint_is_followed_once_and_not_after_a_failure() {
        let mut streak = streak(None);
        assert!(streak.may_follow());
        assert!(!streak.may_follow());
        streak.end();
        assert!(streak.may_follow());
        streak.end();
        let refused = coded(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        assert!(streak.failed(refused).is_ok());
        assert!(!streak.may_follow());
    }

    #[tokio::test(start_paused = true)]
    async fn failures_of_any_kind_end_in_the_time_that_was_set() {
        let mut streak = streak(Some(30));
        for _ in 0..2 {
            let (elapsed, _, end) = fail(&mut streak, &coded(ErrorCode::LEADER_NOT_AVAILABLE), 1000).await;
            assert!(
                elapsed >= Duration::from_secs(30) && elapsed < Duration::from_secs(32),
                "{elapsed:?}"
            );
            let Some(Error::Deadline { last, .. }) = end else {
                panic!("{end:?}")
            };
            assert_eq!(last.code(), Some(ErrorCode::LEADER_NOT_AVAILABLE));
            streak.end();
        }
    }
}
