//! The partitions that one broker is asked for, and who asks for which next.
//!
//! Lanes take a share of the partitions for one request each and put them back afterwards, so no two requests in flight
//! name the same partition, every partition has its turn, and a lane that is done early takes over from the others.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::cursor::Cursor;

/// Most partitions in one request: a broker looks each of them up.
const MOST_PARTITIONS: usize = 2000;
/// Most partitions with probably nothing to read, in a request that has others.
const MOST_COLD_AMONG_HOT: usize = 32;

/// The partitions of one broker.
#[derive(Debug)]
pub(super) struct Pool {
    state: Mutex<State>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// To be asked for alone.
    alone: VecDeque<Cursor>,
    /// With more to read, and without room for it in the last response.
    next: VecDeque<Cursor>,
    /// Probably with more to read.
    hot: VecDeque<Cursor>,
    /// Probably with nothing new.
    cold: VecDeque<Cursor>,
    /// Taken and not put back yet.
    taken: usize,
    taken_hot: usize,
}

/// What a lane asks for in one request.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) cursors: Vec<Cursor>,
    /// Whether an empty answer should come soon, because something else waits for the connection.
    pub(super) hurry: bool,
    /// Whether the only partition may have all of the response.
    pub(super) alone: bool,
    hot: usize,
}

/// Where a partition goes after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It had none: there was no room for it in the response. It comes before all others then, so that even a batch that
    /// is larger than the limits has its turn: the first partition of a request gets one whole batch.
    Next,
    /// It had none although there was room: older brokers (3.9.2, no longer 4.3.1) read from a remote storage for one
    /// partition per request, and answer for others with nothing (AK `ReplicaManager.fetchMessages`). Asked for alone it may
    /// have all of a response, which spares a slow storage many small reads. After that it is asked for together with
    /// others again, as no answer tells whether what comes next is remote still.
    Alone,
    /// It had its turn.
    Last,
}

impl Turn {
    /// For a partition that had nothing in a response, of which so many bytes were left and it might have had `most`.
    pub(super) fn after_nothing(unused: usize, most: usize) -> Self {
        if unused < most { Self::Next } else { Self::Alone }
    }
}

impl Pool {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            filled: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change leaves the queues whole, so a panic elsewhere does not spoil them.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a partition.
    pub(super) fn add(&self, cursor: Cursor) {
        let mut state = self.lock();
        if cursor.hot {
            state.hot.push_back(cursor);
        } else {
            state.cold.push_back(cursor);
        }
        drop(state);
        self.filled.notify_one();
    }

    /// Waits for partitions and takes one of `lanes` shares, with at most `most_hot` that probably have data.
    pub(super) async fn take(&self, lanes: usize, most_hot: usize) -> Share {
        loop {
            let filled = self.filled.notified();
            if let Some(share) = self.try_take(lanes, most_hot) {
                return share;
            }
            filled.await;
        }
    }

    fn try_take(&self, lanes: usize, most_hot: usize) -> Option<Share> {
        let mut state = self.lock();
        let share = state.one_alone().or_else(|| state.some(lanes, most_hot))?;
        state.taken += share.cursors.len();
        state.taken_hot += share.hot;
        if state.waiting() + state.cold.len() > 0 {
            self.filled.notify_one();
        }
        Some(share)
    }

    /// Says that a share's request is over. Its partitions are put back one by one or have left.
    pub(super) fn settle(&self, share: (usize, usize)) {
        let mut state = self.lock();
        state.taken = state.taken.saturating_sub(share.0);
        state.taken_hot = state.taken_hot.saturating_sub(share.1);
    }

    /// Puts back a partition that had its answer.
    pub(super) fn put_back(&self, cursor: Cursor, turn: Turn) {
        let mut state = self.lock();
        match (cursor.hot, turn) {
            (true, Turn::Alone) => state.alone.push_back(cursor),
            (true, Turn::Next) => state.next.push_back(cursor),
            (true, Turn::Last) => state.hot.push_back(cursor),
            (false, _) => state.cold.push_back(cursor),
        }
        drop(state);
        self.filled.notify_one();
    }
}

impl State {
    /// How many wait that probably have more to read.
    fn waiting(&self) -> usize {
        self.alone.len() + self.next.len() + self.hot.len()
    }

    fn one_alone(&mut self) -> Option<Share> {
        let cursor = self.alone.pop_front()?;
        Some(Share {
            cursors: vec![cursor],
            hurry: true,
            alone: true,
            hot: 1,
        })
    }

    /// One of `lanes` shares, when nobody is to be asked for alone.
    fn some(&mut self, lanes: usize, most_hot: usize) -> Option<Share> {
        let waiting = self.next.len() + self.hot.len();
        let all = waiting + self.cold.len() + self.taken;
        let hot_all = waiting + self.taken_hot;
        let hot = waiting
            .min(hot_all.div_ceil(lanes.max(1)).max(1))
            .min(most_hot.max(1));
        let most_cold = if hot > 0 {
            MOST_COLD_AMONG_HOT
        } else {
            MOST_PARTITIONS
        };
        let cold = self.cold.len().min(all.div_ceil(lanes.max(1))).min(most_cold);
        if hot + cold == 0 {
            return None;
        }
        let mut cursors = Vec::with_capacity(hot + cold);
        let first = hot.min(self.next.len());
        cursors.extend(self.next.drain(..first));
        cursors.extend(self.hot.drain(..hot - first));
        cursors.extend(self.cold.drain(..cold));
        Some(Share {
            cursors,
            hurry: hot_all > 0,
            alone: false,
            hot,
        })
    }
}

impl Share {
    /// What [`Pool::settle`] wants back.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.cursors.len(), self.hot)
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "fairness_tests.rs"]
mod fairness_tests;
