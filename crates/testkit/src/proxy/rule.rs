//! Faults, and when they happen.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Which way bytes flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Requests.
    ToBroker,
    /// Responses.
    ToClient,
}

/// A change made to a request or to a response.
pub type Alteration = Arc<dyn Fn(&mut Vec<u8>) + Send + Sync>;

/// What happens to a single request and its response.
#[derive(Clone)]
#[non_exhaustive]
pub enum RequestFault {
    /// The broker never sees the request; the connection stays open.
    DropRequest,
    /// The broker never sees the request; the connection is cut.
    CutBeforeRequest,
    /// The broker sees only so many bytes of the request's frame; the connection is cut.
    CutInsideRequest(usize),
    /// The broker sees the request this much later, as do all requests behind it.
    DelayRequest(Duration),
    /// The request's payload (from the API key on) is changed.
    AlterRequest(Alteration),
    /// The broker acts, its answer is lost; the connection stays open.
    DropResponse,
    /// The broker acts, its answer is lost; the connection is cut.
    CutBeforeResponse,
    /// The client sees only so many bytes of the answer's frame; the connection is cut.
    CutInsideResponse(usize),
    /// The answer comes this much later, as do all answers behind it.
    DelayResponse(Duration),
    /// The answer's payload (from the correlation id on) is changed.
    AlterResponse(Alteration),
}

impl RequestFault {
    /// Changes a request's payload, from the API key on.
    pub fn alter_request(change: impl Fn(&mut Vec<u8>) + Send + Sync + 'static) -> Self {
        Self::AlterRequest(Arc::new(change))
    }

    /// Changes an answer's payload, from the correlation id on.
    pub fn alter_response(change: impl Fn(&mut Vec<u8>) + Send + Sync + 'static) -> Self {
        Self::AlterResponse(Arc::new(change))
    }
}

impl fmt::Debug for RequestFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DropRequest => formatter.write_str("DropRequest"),
            Self::CutBeforeRequest => formatter.write_str("CutBeforeRequest"),
            Self::CutInsideRequest(bytes) => write!(formatter, "CutInsideRequest({bytes})"),
            Self::DelayRequest(delay) => write!(formatter, "DelayRequest({delay:?})"),
            Self::AlterRequest(_) => formatter.write_str("AlterRequest"),
            Self::DropResponse => formatter.write_str("DropResponse"),
            Self::CutBeforeResponse => formatter.write_str("CutBeforeResponse"),
            Self::CutInsideResponse(bytes) => write!(formatter, "CutInsideResponse({bytes})"),
            Self::DelayResponse(delay) => write!(formatter, "DelayResponse({delay:?})"),
            Self::AlterResponse(_) => formatter.write_str("AlterResponse"),
        }
    }
}

/// A fault and when it happens.
#[derive(Debug, Clone)]
pub struct Rule {
    pub(super) fault: Fault,
    pub(super) skip: u64,
    pub(super) times: u64,
}

#[derive(Debug, Clone)]
pub(super) enum Fault {
    Refuse,
    Stall(Direction),
    Delay(Direction, Duration),
    Throttle(Direction, u64),
    CutAfter(Direction, u64),
    Request(i16, RequestFault),
}

impl Rule {
    fn standing(fault: Fault) -> Self {
        Self {
            fault,
            skip: 0,
            times: u64::MAX,
        }
    }

    /// New connections are refused, as if nobody listened; those that are open stay.
    pub fn refuse() -> Self {
        Self::standing(Fault::Refuse)
    }

    /// Nothing passes in this direction, on open connections, until the rule is removed; nothing is lost.
    pub fn stall(direction: Direction) -> Self {
        Self::standing(Fault::Stall(direction))
    }

    /// Everything in this direction arrives so much later (a latency: the throughput stays).
    pub fn delay(direction: Direction, delay: Duration) -> Self {
        Self::standing(Fault::Delay(direction, delay))
    }

    /// Each connection carries at most so many bytes per second in this direction.
    pub fn throttle(direction: Direction, bytes_per_second: u64) -> Self {
        Self::standing(Fault::Throttle(direction, bytes_per_second.max(1)))
    }

    /// So many more bytes pass in this direction, over all connections; the connection that carries the next is cut. Once,
    /// unless [`Rule::times`] says otherwise; then the count begins anew.
    pub fn cut_after(direction: Direction, bytes: u64) -> Self {
        Self {
            fault: Fault::CutAfter(direction, bytes),
            skip: 0,
            times: 1,
        }
    }

    /// Something happens to the next request with this API key (see [`api_key`](crate::api_key)), on any connection. Once,
    /// unless [`Rule::times`] says otherwise.
    pub fn request(api_key: i16, fault: RequestFault) -> Self {
        Self {
            fault: Fault::Request(api_key, fault),
            skip: 0,
            times: 1,
        }
    }

    /// Lets so many requests pass first (for rules on requests).
    #[must_use]
    pub fn skip(mut self, requests: u64) -> Self {
        self.skip = requests;
        self
    }

    /// How often it happens, before the rule has no more effect.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }

    /// It happens every time, until the rule is removed.
    #[must_use]
    pub fn always(self) -> Self {
        self.times(u64::MAX)
    }
}
