//! The handle of a connection: start requests, await their responses.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::ApiKey;
use tokio::sync::{mpsc, oneshot, watch};

use super::api::{Api, api_name};
use super::guard::decode;
use crate::error::{ConnectionError, Error};

/// Anything that has to live as long as a response does, such as a permit for the memory it takes.
pub(crate) type Guard = Box<dyn Any + Send>;

/// A request whose body was encoded by the caller.
pub(crate) struct RawRequest {
    pub(crate) api_key: i16,
    /// Chosen with [`Link::version`].
    pub(crate) version: i16,
    /// The body without request header, in pieces that are written one after the other without being copied.
    pub(crate) body: Vec<Bytes>,
    /// Longest time without progress once it is this request's turn to be answered.
    pub(crate) timeout: Duration,
    /// Dropped with the last slice of the response, or with the request if there is none.
    pub(crate) guard: Option<Guard>,
}

/// A connection to one broker. Clones share it; it ends when the last one is dropped and nothing is in flight.
#[derive(Clone)]
pub(crate) struct Link {
    commands: mpsc::UnboundedSender<Command>,
    shared: Arc<Shared>,
    gone: watch::Receiver<bool>,
}

/// What a driver gets of its link.
pub(super) struct LinkEnds {
    pub(super) commands: mpsc::UnboundedReceiver<Command>,
    pub(super) shared: Arc<Shared>,
    pub(super) gone: watch::Sender<bool>,
}

/// What the handles and the driver of a connection have in common.
pub(super) struct Shared {
    pub(super) broker: Arc<str>,
    /// Why the connection has ended.
    pub(super) ended: OnceLock<ConnectionError>,
    versions: OnceLock<BTreeMap<i16, (i16, i16)>>,
}

impl Shared {
    /// The cause for requests that meet a connection which has ended.
    pub(super) fn cause(&self) -> ConnectionError {
        self.ended.get().cloned().unwrap_or(ConnectionError::Closed)
    }

    pub(super) fn not_sent(&self, api: &'static str) -> Error {
        Error::NotSent {
            broker: Arc::clone(&self.broker),
            api,
            source: self.cause(),
        }
    }

    pub(super) fn in_doubt(&self, api: &'static str) -> Error {
        Error::InDoubt {
            broker: Arc::clone(&self.broker),
            api,
            source: self.cause(),
        }
    }
}

pub(super) enum Command {
    Start(Box<Started>),
    /// Write nothing for this long.
    Mute(Duration),
    /// A request of a login: it overtakes what is parked.
    Login(Box<Started>),
    /// Start no more ordinary requests, and say when none is under way.
    Park(oneshot::Sender<()>),
    /// Start those that were parked, in their order, and all others again.
    Unpark,
    /// End the connection.
    End(ConnectionError),
}

/// A request that was handed to the driver.
pub(super) struct Started {
    pub(super) request: RawRequest,
    pub(super) reply: oneshot::Sender<Result<Bytes, Error>>,
}

impl Link {
    /// A handle, and what its driver needs.
    pub(super) fn new(broker: Arc<str>) -> (Self, LinkEnds) {
        let (commands, receiver) = mpsc::unbounded_channel();
        let (sender, gone) = watch::channel(false);
        let shared = Arc::new(Shared {
            broker,
            ended: OnceLock::new(),
            versions: OnceLock::new(),
        });
        let ends = LinkEnds {
            commands: receiver,
            shared: Arc::clone(&shared),
            gone: sender,
        };
        let link = Self {
            commands,
            shared,
            gone,
        };
        (link, ends)
    }

    /// Node id and address, for messages.
    pub(crate) fn broker(&self) -> &Arc<str> {
        &self.shared.broker
    }

    /// Whether requests can still be started. A link that has ended stays so: get a new one.
    pub(crate) fn is_open(&self) -> bool {
        self.shared.ended.get().is_none() && !self.commands.is_closed()
    }

    /// Waits, after the connection has left requests in doubt, until the broker has handled all of them that it ever will:
    /// `true`. `false` when that cannot be known. A broker that hangs makes it wait for as long.
    pub(crate) async fn gone(&self) -> bool {
        let mut gone = self.gone.clone();
        gone.wait_for(|gone| *gone).await.is_ok()
    }

    /// Starts a request without waiting for anything. Requests of one link are written in the order of these calls.
    ///
    /// # Errors
    /// [`Error::NotSent`] when the connection has ended. What ends it later is reported by the [`Pending`].
    pub(crate) fn start_raw(&self, request: RawRequest) -> Result<Pending, Error> {
        self.start_by(request, Command::Start)
    }

    fn start_by(&self, request: RawRequest, command: fn(Box<Started>) -> Command) -> Result<Pending, Error> {
        let api = api_name(request.api_key);
        let (reply, response) = oneshot::channel();
        self.commands
            .send(command(Box::new(Started { request, reply })))
            .map_err(|_| self.shared.not_sent(api))?;
        Ok(Pending {
            response,
            api,
            shared: Arc::clone(&self.shared),
        })
    }

    /// Sends a request in the highest version that both sides know, and awaits its response.
    pub(crate) async fn call<R: Api>(&self, request: &R, timeout: Duration) -> Result<R::Response, Error> {
        let version = self.version_of::<R>()?;
        self.call_at(version, request, timeout).await
    }

    /// Like [`call`](Self::call), in a version that [`version_of`](Self::version_of) gave.
    pub(crate) async fn call_at<R: Api>(
        &self,
        version: i16,
        request: &R,
        timeout: Duration,
    ) -> Result<R::Response, Error> {
        self.call_by(version, request, timeout, Command::Start).await
    }

    /// Like [`call`](Self::call), for the requests of a login: they overtake what is [parked](Self::park).
    pub(super) async fn call_for_login<R: Api>(
        &self,
        request: &R,
        timeout: Duration,
    ) -> Result<R::Response, Error> {
        let version = self.version_of::<R>()?;
        self.call_by(version, request, timeout, Command::Login).await
    }

    async fn call_by<R: Api>(
        &self,
        version: i16,
        request: &R,
        timeout: Duration,
        command: fn(Box<Started>) -> Command,
    ) -> Result<R::Response, Error> {
        let mut body = BytesMut::new();
        request
            .encode(&mut body, version)
            .map_err(|error| Error::Encode {
                api: R::NAME,
                version,
                reason: error.to_string(),
            })?;
        let body = vec![body.freeze()];
        let request = RawRequest {
            api_key: R::KEY,
            version,
            body,
            timeout,
            guard: None,
        };
        let bytes = self.start_by(request, command)?.await?;
        let flexible = R::header_version(version) >= 2;
        let response: R::Response =
            decode(bytes, version, flexible).map_err(|reason| self.malformed(R::NAME, version, reason))?;
        self.throttle(R::throttle_ms(&response));
        Ok(response)
    }

    /// Honours `throttle_time_ms` of a response: the broker answers first and then ignores the connection for that
    /// long, so nothing is written meanwhile and no timeout runs.
    pub(crate) fn throttle(&self, throttle_ms: i32) {
        if let Ok(pause @ 1..) = u64::try_from(throttle_ms) {
            tracing::debug!(broker = %self.shared.broker, throttle_ms, "throttled by quota");
            // A closed connection needs no throttling.
            let _ = self.commands.send(Command::Mute(Duration::from_millis(pause)));
        }
    }

    /// The highest version that both the broker and `ours` contain.
    ///
    /// # Errors
    /// [`Error::UnsupportedApi`] when there is none.
    pub(crate) fn version(&self, api_key: i16, ours: RangeInclusive<i16>) -> Result<i16, Error> {
        let offered = self.offered(api_key);
        offered
            .and_then(|(lowest, highest)| {
                let version = highest.min(*ours.end());
                (version >= lowest && version >= *ours.start()).then_some(version)
            })
            .ok_or_else(|| Error::UnsupportedApi {
                broker: Arc::clone(&self.shared.broker),
                api: api_name(api_key),
                needed: (*ours.start(), *ours.end()),
                offered,
            })
    }

    /// The highest version of an API that both sides know.
    pub(crate) fn version_of<R: Api>(&self) -> Result<i16, Error> {
        self.version(R::KEY, R::versions())
    }

    /// The versions of an API that the broker announced on this connection.
    pub(crate) fn offered(&self, api_key: i16) -> Option<(i16, i16)> {
        self.shared
            .versions
            .get()
            .and_then(|versions| versions.get(&api_key))
            .copied()
    }

    pub(super) fn set_versions(&self, versions: BTreeMap<i16, (i16, i16)>) {
        // Set once, by the negotiation that precedes every other use.
        let _ = self.shared.versions.set(versions);
    }

    /// Holds ordinary requests back until [`unpark`](Self::unpark); what is returned resolves when none is under way.
    pub(super) fn park(&self) -> oneshot::Receiver<()> {
        let (quiet, is_quiet) = oneshot::channel();
        // A connection that has ended drops the sender.
        let _ = self.commands.send(Command::Park(quiet));
        is_quiet
    }

    /// Lets ordinary requests go again.
    pub(super) fn unpark(&self) {
        let _ = self.commands.send(Command::Unpark);
    }

    /// Ends the connection for a reason, which is reported for every request on it.
    pub(super) fn end(&self, cause: ConnectionError) {
        let _ = self.commands.send(Command::End(cause));
    }

    /// A handle that does not keep the connection.
    pub(super) fn downgrade(&self) -> WeakLink {
        WeakLink {
            commands: self.commands.downgrade(),
            shared: Arc::clone(&self.shared),
            gone: self.gone.clone(),
        }
    }

    /// The error for something that was asked and is missing from a response.
    pub(crate) fn left_out(&self, what: &impl fmt::Display) -> Error {
        Error::LeftOut {
            broker: Arc::clone(&self.shared.broker),
            what: what.to_string(),
        }
    }

    pub(crate) fn malformed(&self, api: &'static str, version: i16, reason: impl Into<String>) -> Error {
        Error::Malformed {
            broker: Arc::clone(&self.shared.broker),
            api,
            version,
            reason: reason.into(),
        }
    }
}

/// A handle that does not keep the connection.
pub(super) struct WeakLink {
    commands: mpsc::WeakUnboundedSender<Command>,
    shared: Arc<Shared>,
    gone: watch::Receiver<bool>,
}

impl WeakLink {
    /// A full handle, while somebody else has one.
    pub(super) fn upgrade(&self) -> Option<Link> {
        let link = Link {
            commands: self.commands.upgrade()?,
            shared: Arc::clone(&self.shared),
            gone: self.gone.clone(),
        };
        link.is_open().then_some(link)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("broker", &self.shared.broker)
            .field("open", &self.is_open())
            .finish()
    }
}

/// A response that is due: resolves to the body after the response header.
///
/// Dropping it does not take the request back; its response is thrown away when it comes.
pub(crate) struct Pending {
    response: oneshot::Receiver<Result<Bytes, Error>>,
    api: &'static str,
    shared: Arc<Shared>,
}

impl Future for Pending {
    type Output = Result<Bytes, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // The driver answers every request it took. It can only vanish with the runtime, at an unknown point.
        Pin::new(&mut self.response)
            .poll(context)
            .map(|reply| reply.unwrap_or_else(|_| Err(self.shared.in_doubt(self.api))))
    }
}

/// Encodes length, request header (version 1, or 2 for flexible requests) and nothing else.
///
/// `None` when the API is not known or the request is longer than a frame can be.
pub(super) fn encode_prefix(
    request: &RawRequest,
    correlation_id: i32,
    client_id: &str,
) -> Option<(Bytes, i16)> {
    let api = ApiKey::try_from(request.api_key).ok()?;
    let flexible = api.request_header_version(request.version) >= 2;
    let client_id = client_id.as_bytes();
    let body: usize = request.body.iter().map(Bytes::len).sum();
    let header = 2 + 2 + 4 + 2 + client_id.len() + usize::from(flexible);
    let length = i32::try_from(header.checked_add(body)?).ok()?;
    let mut prefix = Vec::with_capacity(4 + header);
    prefix.extend_from_slice(&length.to_be_bytes());
    prefix.extend_from_slice(&request.api_key.to_be_bytes());
    prefix.extend_from_slice(&request.version.to_be_bytes());
    prefix.extend_from_slice(&correlation_id.to_be_bytes());
    prefix.extend_from_slice(&i16::try_from(client_id.len()).ok()?.to_be_bytes());
    prefix.extend_from_slice(client_id);
    if flexible {
        prefix.push(0);
    }
    Some((Bytes::from(prefix), api.response_header_version(request.version)))
}
