//! At most so many bytes in a second from the source.

use std::num::NonZeroU64;
use std::time::Duration;

use tokio::time::Instant;

/// Counts what was read, and says when to read on.
#[derive(Debug)]
pub(super) struct Throttle {
    per_second: Option<NonZeroU64>,
    /// When what was read so far is paid for. Time that nobody used is not saved up.
    paid_at: Instant,
    /// Since when somebody waits, who may have been interrupted meanwhile.
    waiting_since: Option<Instant>,
    held_back: Duration,
}

impl Throttle {
    /// No limit when `None`.
    pub(super) fn new(per_second: Option<NonZeroU64>) -> Self {
        Self {
            per_second,
            paid_at: Instant::now(),
            waiting_since: None,
            held_back: Duration::ZERO,
        }
    }

    /// Notes bytes that were read.
    pub(super) fn spend(&mut self, bytes: usize, now: Instant) {
        if let Some(per_second) = self.per_second {
            let price = Duration::from_secs_f64(bytes as f64 / per_second.get() as f64);
            self.paid_at = self.paid_at.max(now) + price;
        }
    }

    /// Waits until everything is paid for.
    pub(super) async fn ready(&mut self) {
        if self.per_second.is_some() {
            let since = *self.waiting_since.get_or_insert_with(Instant::now);
            tokio::time::sleep_until(self.paid_at).await;
            self.waiting_since = None;
            self.held_back += self.paid_at.saturating_duration_since(since);
        }
    }

    /// How long reading has waited in all.
    pub(super) fn held_back(&self) -> Duration {
        self.held_back
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_price_adds_up_and_idle_time_is_not_saved_up() {
        let mut throttle = Throttle::new(NonZeroU64::new(1000));
        let start = throttle.paid_at;
        let after = |ms: u64| start + Duration::from_millis(ms);
        throttle.spend(500, start);
        throttle.spend(500, start);
        assert_eq!(throttle.paid_at, after(1000));
        throttle.spend(100, after(200));
        assert_eq!(throttle.paid_at, after(1100));
        throttle.spend(100, after(10_000));
        assert_eq!(throttle.paid_at, after(10_100));
    }

    #[tokio::test]
    async fn without_a_limit_nothing_is_waited_for() {
        let mut throttle = Throttle::new(None);
        throttle.spend(usize::MAX, Instant::now());
        throttle.ready().await;
        assert_eq!(throttle.held_back(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_waited_is_what_was_read_too_fast() {
        let mut throttle = Throttle::new(NonZeroU64::new(1000));
        throttle.ready().await;
        assert_eq!(throttle.held_back(), Duration::ZERO);
        throttle.spend(1500, Instant::now());
        throttle.ready().await;
        throttle.ready().await;
        assert_eq!(throttle.held_back(), Duration::from_millis(1500));
        // A wait that is interrupted, as by a commit, is one wait.
        throttle.spend(1000, Instant::now());
        for _ in 0..9 {
            let interrupted = tokio::time::timeout(Duration::from_millis(100), throttle.ready()).await;
            assert!(interrupted.is_err());
        }
        throttle.ready().await;
        assert_eq!(throttle.held_back(), Duration::from_millis(2500));
    }
}
