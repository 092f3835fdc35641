//! The rules that stand, and what they say about the traffic.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::watch;

use super::rule::{Direction, Fault, RequestFault, Rule};

/// Shared between the handles of a proxy and its connections.
#[derive(Debug)]
pub(super) struct Rules {
    state: Mutex<State>,
    /// Counts changes; who waits for a rule to go looks again after each.
    changes: watch::Sender<u64>,
    /// Counts orders to cut all connections.
    cuts: watch::Sender<u64>,
    /// Whether the proxy's port is open right now.
    listening: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    next_id: u64,
    standing: Vec<Standing>,
    requests: HashMap<i16, u64>,
    connections: usize,
    /// Connections that were opened since the start.
    opened: u64,
    /// Requests of this API are kept.
    recording: Option<i16>,
    recorded: Vec<RecordedRequest>,
}

/// A request that went through a proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedRequest {
    /// Number of the connection that it came on.
    pub connection: u64,
    /// All of it, with its four length bytes.
    pub frame: Vec<u8>,
}

#[derive(Debug)]
struct Standing {
    id: u64,
    rule: Rule,
    seen: u64,
    bytes: u64,
    hits: watch::Sender<u64>,
}

impl Standing {
    fn exhausted(&self) -> bool {
        *self.hits.borrow() >= self.rule.times
    }

    fn hit(&self) {
        self.hits.send_modify(|hits| *hits += 1);
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            changes: watch::channel(0).0,
            cuts: watch::channel(0).0,
            listening: AtomicBool::new(true),
        }
    }
}

impl Rules {
    fn state(&self) -> MutexGuard<'_, State> {
        // The state is changed by single assignments only, so that it is whole even after a panic elsewhere.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells everybody, and returns when the port is open or closed as the rules say now.
    fn changed(&self) {
        self.changes.send_modify(|changes| *changes += 1);
        for _ in 0..1_000 {
            if self.listening.load(Ordering::Acquire) != self.refusing() {
                return;
            }
            // The proxy's own thread does it, within microseconds.
            thread::sleep(Duration::from_millis(1));
        }
    }

    pub(super) fn set_listening(&self, listening: bool) {
        self.listening.store(listening, Ordering::Release);
    }

    pub(super) fn add(&self, rule: Rule) -> (u64, watch::Receiver<u64>) {
        let (hits, receiver) = watch::channel(0);
        let id = {
            let mut state = self.state();
            state.next_id += 1;
            let id = state.next_id;
            state.standing.push(Standing {
                id,
                rule,
                seen: 0,
                bytes: 0,
                hits,
            });
            id
        };
        self.changed();
        (id, receiver)
    }

    pub(super) fn remove(&self, id: u64) {
        self.state().standing.retain(|standing| standing.id != id);
        self.changed();
    }

    pub(super) fn clear(&self) {
        self.state().standing.clear();
        self.changed();
    }

    pub(super) fn watch_changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(super) fn watch_cuts(&self) -> watch::Receiver<u64> {
        self.cuts.subscribe()
    }

    pub(super) fn cut_all(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Counts a connection; returns its number.
    pub(super) fn connection_opened(&self) -> u64 {
        let mut state = self.state();
        state.connections += 1;
        state.opened += 1;
        state.opened
    }

    pub(super) fn connection_closed(&self) {
        self.state().connections -= 1;
    }

    pub(super) fn connections(&self) -> usize {
        self.state().connections
    }

    /// Keeps requests of an API from now on; returns those that were kept before.
    pub(super) fn record(&self, api_key: Option<i16>) -> Vec<RecordedRequest> {
        let mut state = self.state();
        state.recording = api_key;
        std::mem::take(&mut state.recorded)
    }

    /// Keeps a request when its API is recorded.
    pub(super) fn keep(&self, connection: u64, api_key: i16, frame: &[u8]) {
        let mut state = self.state();
        if state.recording == Some(api_key) {
            state.recorded.push(RecordedRequest {
                connection,
                frame: frame.to_vec(),
            });
        }
    }

    /// How many requests of an API have come.
    pub(super) fn requests(&self, api_key: i16) -> u64 {
        self.state().requests.get(&api_key).copied().unwrap_or(0)
    }

    pub(super) fn refusing(&self) -> bool {
        self.state()
            .standing
            .iter()
            .any(|standing| matches!(standing.rule.fault, Fault::Refuse))
    }

    pub(super) fn stalled(&self, direction: Direction) -> bool {
        let hit = |standing: &&Standing| matches!(standing.rule.fault, Fault::Stall(at) if at == direction);
        let state = self.state();
        let found = state.standing.iter().find(hit);
        if let Some(standing) = found {
            standing.hit();
        }
        found.is_some()
    }

    pub(super) fn delay(&self, direction: Direction) -> Duration {
        let state = self.state();
        let delays = state
            .standing
            .iter()
            .filter_map(|standing| match standing.rule.fault {
                Fault::Delay(at, delay) if at == direction => {
                    standing.hit();
                    Some(delay)
                }
                _ => None,
            });
        delays.sum()
    }

    /// Bytes per second, when there is a limit.
    pub(super) fn rate(&self, direction: Direction) -> Option<u64> {
        let state = self.state();
        let rates = state
            .standing
            .iter()
            .filter_map(|standing| match standing.rule.fault {
                Fault::Throttle(at, rate) if at == direction => Some(rate),
                _ => None,
            });
        rates.min()
    }

    /// How many of the next `length` bytes may pass before the connection is cut; `None` for all of them.
    pub(super) fn cut(&self, direction: Direction, length: u64) -> Option<u64> {
        let mut first = None;
        for standing in &mut self.state().standing {
            let Fault::CutAfter(at, limit) = standing.rule.fault else {
                continue;
            };
            if at != direction || standing.exhausted() {
                continue;
            }
            let left = limit - standing.bytes;
            if length > left {
                standing.bytes = 0;
                standing.hit();
                first = Some(first.map_or(left, |other: u64| other.min(left)));
            } else {
                standing.bytes += length;
            }
        }
        first
    }

    /// Counts a request and tells what is to happen to it.
    pub(super) fn request(&self, api_key: i16) -> Option<RequestFault> {
        let mut state = self.state();
        *state.requests.entry(api_key).or_default() += 1;
        let mut fault = None;
        for standing in &mut state.standing {
            let Fault::Request(key, what) = &standing.rule.fault else {
                continue;
            };
            if *key != api_key || standing.exhausted() {
                continue;
            }
            standing.seen += 1;
            if standing.seen > standing.rule.skip && fault.is_none() {
                fault = Some(what.clone());
                standing.hit();
            }
        }
        fault
    }
}
