//! How long brokers had requests wait for reasons of quota.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The throttle times of answers, added up. Shared by the lanes of a stream or a producer.
#[derive(Debug, Default)]
pub(crate) struct Throttled {
    milliseconds: AtomicU64,
}

impl Throttled {
    /// Adds the `throttle_time_ms` of an answer.
    pub(crate) fn add(&self, throttle_time_ms: i32) {
        if let Ok(milliseconds @ 1..) = u64::try_from(throttle_time_ms) {
            self.milliseconds.fetch_add(milliseconds, Ordering::Relaxed);
        }
    }

    pub(crate) fn total(&self) -> Duration {
        Duration::from_millis(self.milliseconds.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_added_up_and_nonsense_is_not() {
        let throttled = Throttled::default();
        for throttle_time_ms in [0, 7, -1, i32::MIN, 1000, i32::MAX] {
            throttled.add(throttle_time_ms);
        }
        assert_eq!(throttled.total(), Duration::from_millis(1007 + i32::MAX as u64));
    }
}
