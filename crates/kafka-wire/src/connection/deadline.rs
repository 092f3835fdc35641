//! How long a request may take once it is its turn.
//!
//! Two limits, of which the first counts. Nothing moves for the timeout: the peer is gone or hangs. Or it moves, but so
//! slowly that it is behind a least rate by the whole timeout: without this, a byte every few seconds would hold a request
//! for ever. So a request takes at most its timeout and the time for its bytes and those of its answer at the least rate,
//! and whatever moves faster than that is never given up for being large.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::ConnectionError;

/// Bytes per second that a request and its answer have to move at, beyond the timeout. Less than any line on which a
/// backup makes sense.
const LEAST_RATE: u64 = 16 << 10;

/// The turn of a request: from when the broker could work on it until its answer is there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    began: Instant,
    /// When bytes of the request were last written.
    progress: Instant,
    written: u64,
}

/// What has come of an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Received {
    pub(super) bytes: u64,
    /// The bytes that it will have, once that is known.
    pub(super) announced: Option<u64>,
    /// When bytes last came on the connection.
    pub(super) last: Instant,
}

/// What was asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) bytes: u64,
    pub(super) timeout: Duration,
}

impl Turn {
    pub(super) fn begin(now: Instant) -> Self {
        Self {
            began: now,
            progress: now,
            written: 0,
        }
    }

    /// The same turn after a time in which nothing could move.
    pub(super) fn again(self, now: Instant) -> Self {
        Self {
            began: now,
            progress: now,
            ..self
        }
    }

    pub(super) fn wrote(&mut self, count: usize, now: Instant) {
        self.written += count as u64;
        self.progress = now;
    }

    /// When the time is over, if nothing moves any more.
    pub(super) fn ends(&self, timeout: Duration, received: Received) -> Instant {
        self.silent(timeout, received).min(self.slow(timeout, received))
    }

    fn silent(&self, timeout: Duration, received: Received) -> Instant {
        self.progress.max(received.last) + timeout
    }

    fn slow(&self, timeout: Duration, received: Received) -> Instant {
        let moved = self.written + received.bytes;
        let fraction = Duration::from_micros((moved % LEAST_RATE) * 1_000_000 / LEAST_RATE);
        self.began + timeout + Duration::from_secs(moved / LEAST_RATE) + fraction
    }

    /// Why the time is over.
    pub(super) fn verdict(&self, now: Instant, request: Size, received: Received) -> ConnectionError {
        let writing = self.written > 0 && self.written < request.bytes;
        let is_slow = self.slow(request.timeout, received) < self.silent(request.timeout, received);
        let moved = match (received.bytes, received.announced, is_slow) {
            (bytes @ 1.., Some(total), true) => format!("{bytes} of {total} bytes of the answer"),
            (bytes @ 1.., None, true) => format!("{bytes} bytes of the answer"),
            (0, _, true) if writing => format!("{} of {} bytes of the request", self.written, request.bytes),
            _ => return ConnectionError::NoAnswer(request.timeout),
        };
        ConnectionError::TooSlow(format!(
            "{moved} in {} s, where {LEAST_RATE} bytes/s are the least beyond the timeout; check the network and the load of \
             the broker, ask for less in one request, or raise the request timeout",
            now.duration_since(self.began).as_secs_f32()
        ))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);

    /// Moves bytes after pauses; returns when the turn was over, if it was before all had moved.
    fn run(steps: &[(u64, u64, bool)]) -> (Duration, bool) {
        let began = Instant::now();
        let mut turn = Turn::begin(began);
        let mut received = Received {
            bytes: 0,
            announced: None,
            last: began,
        };
        let mut now = began;
        for &(pause, bytes, writes) in steps {
            let end = turn.ends(TIMEOUT, received);
            now += Duration::from_millis(pause);
            if now >= end {
                return (end - began, true);
            }
            if writes {
                turn.wrote(bytes as usize, now);
            } else {
                received.bytes += bytes;
                received.last = now;
            }
        }
        (now - began, false)
    }

    proptest! {
        #[test]
        fn no_order_of_bytes_holds_a_request_longer_than_its_size_allows(
            steps in proptest::collection::vec((0_u64..40_000, 0_u64..100_000, any::<bool>()), 0..200),
        ) {
            let bytes: u64 = steps.iter().map(|step| step.1).sum();
            let (took, _) = run(&steps);
            prop_assert!(took <= TIMEOUT + Duration::from_secs(bytes / LEAST_RATE + 1));
        }

        #[test]
        fn what_moves_at_the_least_rate_is_not_given_up(
            pauses in proptest::collection::vec((0_u64..29_999, any::<bool>()), 0..200),
        ) {
            let steps: Vec<_> = pauses
                .iter()
                .map(|&(pause, writes)| (pause, (pause * LEAST_RATE).div_ceil(1000), writes))
                .collect();
            prop_assert!(!run(&steps).1);
        }

        #[test]
        fn silence_is_noticed_after_the_timeout_whatever_moved_before(bytes in 0_u64..1 << 40, writes: bool) {
            let (took, over) = run(&[(1, bytes, writes), (60_000_000, 1, false)]);
            prop_assert!(over && took <= TIMEOUT + Duration::from_millis(1));
        }
    }
}
