//! The task that owns a connection: writes requests in order, matches responses, ends the connection on any doubt.
//!
//! One task does both directions, so that what was written and what was answered is known without locks, and the
//! difference between "not sent" and "in doubt" is exact.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::api::api_name;
use super::buffers::{BufferPool, PooledBuffer};
use super::deadline::{Size, Turn};
use super::frame::FrameReader;
use super::header::{Expected, check_header};
use super::link::{Command, Guard, LinkEnds, Shared, Started, encode_prefix};
use super::outbox::Outbox;
use super::parking::Parking;
use super::parting::{Leftover, farewell, until_broker_ends};
use crate::error::{ConnectionError, Error};

/// A broker that still is over its quota after this time will say so again.
const LONGEST_MUTE: Duration = Duration::from_secs(5 * 60);

/// How long the last words of a broker that hangs up are waited for.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What a driver needs to know of the configuration.
pub(super) struct DriverOptions {
    pub(super) client_id: Arc<str>,
    pub(super) max_response_bytes: usize,
    pub(super) idle_timeout: Duration,
    pub(super) pool: BufferPool,
    /// Whether the stream has to be flushed.
    pub(super) buffered: bool,
    /// Whether the client logs in before its first ordinary request.
    pub(super) logs_in: bool,
    /// Ends the connection, and the wait for the broker's end of it.
    pub(super) closed: CancellationToken,
    /// Cancelled when the connection has ended.
    pub(super) ended: CancellationToken,
}

pub(super) struct Driver<S> {
    reader: FrameReader<ReadHalf<S>>,
    writer: WriteHalf<S>,
    commands: mpsc::UnboundedReceiver<Command>,
    /// Whether more commands can come.
    accepting: bool,
    shared: Arc<Shared>,
    /// See [`Link::gone`](super::link::Link::gone).
    gone: watch::Sender<bool>,
    options: DriverOptions,
    outbox: Outbox<InFlight>,
    in_flight: VecDeque<InFlight>,
    parking: Parking,
    /// Whether bytes may wait in the stream's buffer.
    to_flush: bool,
    next_correlation_id: i32,
    muted_until: Option<Instant>,
    /// Of the request that is due.
    turn: Turn,
    /// When somebody last had a use for the connection: renewing its login is none.
    used: Instant,
}

struct InFlight {
    expected: Expected,
    is_login: bool,
    /// Of the request.
    bytes: u64,
    timeout: Duration,
    guard: Option<Guard>,
    reply: oneshot::Sender<Result<Bytes, Error>>,
}

enum Event {
    Command(Option<Command>),
    Frame(Result<PooledBuffer, ConnectionError>),
    Written(std::io::Result<usize>),
    Flushed(std::io::Result<()>),
    Timer,
    Closed,
}

impl<S: AsyncRead + AsyncWrite> Driver<S> {
    pub(super) fn new(stream: S, ends: LinkEnds, options: DriverOptions) -> Self {
        let LinkEnds {
            commands,
            shared,
            gone,
        } = ends;
        let (read, writer) = tokio::io::split(stream);
        Self {
            reader: FrameReader::new(read, options.pool.clone()),
            writer,
            commands,
            accepting: true,
            shared,
            gone,
            options,
            outbox: Outbox::default(),
            in_flight: VecDeque::new(),
            parking: Parking::default(),
            to_flush: false,
            next_correlation_id: 0,
            muted_until: None,
            turn: Turn::begin(Instant::now()),
            used: Instant::now(),
        }
    }

    /// Runs until the connection ends, then fails whatever is left.
    pub(super) async fn run(mut self) {
        let cause = loop {
            let event = self.next_event().await;
            let is_write = matches!(event, Event::Written(_) | Event::Flushed(_));
            if let Err(cause) = self.handle(event) {
                break if is_write {
                    self.last_words(cause).await
                } else {
                    cause
                };
            }
            if self.in_flight.is_empty() && self.outbox.is_empty() {
                self.parking.is_quiet();
                if !self.accepting && self.parking.is_empty() {
                    break ConnectionError::Closed;
                }
            }
        };
        let leftover = Leftover::of(&cause, !self.in_flight.is_empty());
        let cause = self.explain(cause);
        tracing::debug!(broker = %self.shared.broker, %cause, in_flight = self.in_flight.len(), "connection ended");
        self.end(cause);
        self.options.ended.cancel();
        self.part(leftover).await;
    }

    /// Takes leave of the broker; where it may still handle something, until it has done the same.
    async fn part(mut self, leftover: Leftover) {
        let gone = match leftover {
            Leftover::Nothing => true,
            Leftover::Unknowable => false,
            Leftover::Doubt => {
                let closed = &self.options.closed;
                until_broker_ends(&mut self.reader, &mut self.writer, &self.gone, closed).await
            }
        };
        // When it never is known, those who wait learn of it by the end of the channel.
        if gone {
            self.gone.send_replace(true);
        }
        farewell(&mut self.writer).await;
    }

    /// A broker that refuses a new session says why and hangs up. Whoever writes at that moment finds the connection
    /// broken before having read it.
    async fn last_words(&mut self, cause: ConnectionError) -> ConnectionError {
        if self.reader.frames() > 0 {
            return cause;
        }
        let read = self.reader.next(self.options.max_response_bytes);
        match tokio::time::timeout(LAST_WORDS, read).await {
            Ok(Err(said @ (ConnectionError::Tls(_) | ConnectionError::Protocol(_)))) => said,
            _ => cause,
        }
    }

    /// A broker that wants a login answers the question for versions, and hangs up at the next request without one.
    fn explain(&self, cause: ConnectionError) -> ConnectionError {
        let first_refused = self.reader.frames() == 1 && !self.in_flight.is_empty() && !self.options.logs_in;
        if first_refused && cause.is_hang_up() {
            ConnectionError::LoginExpected
        } else {
            cause
        }
    }

    async fn next_event(&mut self) -> Event {
        let timer = self.timer();
        let may_write = self.muted_until.is_none() && !self.outbox.is_empty();
        let may_flush = self.to_flush && !may_write;
        let slices = if may_write {
            self.outbox.slices()
        } else {
            Vec::new()
        };
        // What the broker says comes before what is to be written: when it has closed the connection, an idle one for
        // example, the next request was not sent, instead of being in doubt.
        tokio::select! {
            biased;
            () = self.options.closed.cancelled() => Event::Closed,
            frame = self.reader.next(self.options.max_response_bytes) => Event::Frame(frame),
            command = self.commands.recv(), if self.accepting => Event::Command(command),
            sent = send(&mut self.writer, &slices), if may_write || may_flush => sent,
            () = sleep_until(timer) => Event::Timer,
        }
    }

    /// The next moment at which something is due without an event: unmute, timeout, or idleness.
    fn timer(&self) -> Instant {
        match self.muted_until {
            // A broker that throttles does not even read what was written before, so no timeout runs.
            Some(unmute) => unmute,
            // A login that is renewed is no use of the connection.
            None if self.in_flight.is_empty() && self.outbox.is_empty() && self.parking.is_empty() => {
                self.used + self.options.idle_timeout
            }
            None => {
                let timeout = self.due().map(|request| request.timeout);
                self.turn.ends(
                    timeout.unwrap_or(self.options.idle_timeout),
                    self.reader.received(),
                )
            }
        }
    }

    /// The request whose turn it is: the oldest that is not answered, or else that is not written.
    fn due(&self) -> Option<&InFlight> {
        self.in_flight.front().or(self.outbox.first())
    }

    fn handle(&mut self, event: Event) -> Result<(), ConnectionError> {
        match event {
            Event::Closed => Err(ConnectionError::Closed),
            Event::Command(Some(command)) => self.obey(command),
            Event::Command(None) => {
                self.accepting = false;
                Ok(())
            }
            Event::Frame(frame) => self.answer(frame?),
            Event::Written(Ok(0)) => Err(ConnectionError::ClosedByBroker),
            Event::Written(Ok(count)) => {
                self.wrote(count);
                Ok(())
            }
            Event::Flushed(Ok(())) => {
                self.to_flush = false;
                Ok(())
            }
            Event::Written(Err(error)) => {
                // A session that encrypts may have sent a part of what it was given before it failed.
                if self.options.buffered {
                    self.in_flight.extend(self.outbox.lose_sight());
                }
                Err(ConnectionError::io(error))
            }
            Event::Flushed(Err(error)) => Err(ConnectionError::io(error)),
            Event::Timer => self.expire(),
        }
    }

    fn obey(&mut self, command: Command) -> Result<(), ConnectionError> {
        match command {
            Command::Start(started) => {
                self.used = Instant::now();
                if let Some(started) = self.parking.park(started) {
                    self.start(*started, false);
                }
            }
            Command::Login(started) => self.start(*started, true),
            Command::Mute(pause) => {
                let until = Instant::now() + pause.min(LONGEST_MUTE);
                self.muted_until = Some(self.muted_until.map_or(until, |muted| muted.max(until)));
            }
            Command::Park(quiet) => self.parking.open(quiet),
            Command::Unpark => {
                for parked in self.parking.close() {
                    self.start(*parked, false);
                }
            }
            Command::End(cause) => return Err(cause),
        }
        Ok(())
    }

    fn start(&mut self, started: Started, is_login: bool) {
        let Started { mut request, reply } = started;
        let api = api_name(request.api_key);
        let correlation_id = self.next_correlation_id;
        let Some((prefix, response_header)) =
            encode_prefix(&request, correlation_id, &self.options.client_id)
        else {
            let reason = "unknown API, or longer than 2 GiB".to_owned();
            let _ = reply.send(Err(Error::Encode {
                api,
                version: request.version,
                reason,
            }));
            return;
        };
        self.next_correlation_id = correlation_id.wrapping_add(1);
        if self.in_flight.is_empty() && self.outbox.is_empty() {
            self.turn = Turn::begin(Instant::now());
        }
        let body = std::mem::take(&mut request.body);
        let bytes = prefix.len() + body.iter().map(Bytes::len).sum::<usize>();
        let ticket = InFlight {
            expected: Expected {
                correlation_id,
                api,
                version: response_header,
            },
            is_login,
            bytes: bytes as u64,
            timeout: request.timeout,
            guard: request.guard.take(),
            reply,
        };
        self.outbox.push(std::iter::once(prefix).chain(body), ticket);
    }

    fn wrote(&mut self, count: usize) {
        self.to_flush = self.options.buffered;
        // Writing a large request is progress of that request, but not of another one that is awaited before it.
        let of_the_front =
            self.in_flight.is_empty() || (self.in_flight.len() == 1 && self.outbox.is_partly_written());
        self.in_flight.extend(self.outbox.advance(count));
        if of_the_front {
            self.turn.wrote(count, Instant::now());
        }
    }

    fn answer(&mut self, frame: PooledBuffer) -> Result<(), ConnectionError> {
        let Some(front) = self.in_flight.pop_front() else {
            return Err(ConnectionError::Protocol("a response to no request".to_owned()));
        };
        let now = Instant::now();
        self.turn = Turn::begin(now);
        if !front.is_login {
            self.used = now;
        }
        match check_header(frame.as_ref(), front.expected) {
            Ok(body_start) => {
                let body = frame.freeze(front.guard).slice(body_start..);
                // Nobody may be waiting any more; then the response is dropped here.
                let _ = front.reply.send(Ok(body));
                Ok(())
            }
            Err(cause) => {
                self.in_flight.push_front(front);
                Err(cause)
            }
        }
    }

    /// Something is due: a timeout, the end of a mute, or idleness.
    fn expire(&mut self) -> Result<(), ConnectionError> {
        let now = Instant::now();
        if self.muted_until.is_some_and(|unmute| unmute <= now) {
            self.muted_until = None;
            self.turn = self.turn.again(now);
            return Ok(());
        }
        if now < self.timer() {
            return Ok(());
        }
        Err(self.due().map_or(ConnectionError::Idle, |request| {
            let request = Size {
                bytes: request.bytes,
                timeout: request.timeout,
            };
            self.turn.verdict(now, request, self.reader.received())
        }))
    }

    /// Fails everything: what was written at least in part is in doubt, the rest was not sent.
    fn end(&mut self, cause: ConnectionError) {
        // Before the queue is closed, so that whoever finds it closed finds the cause.
        let _ = self.shared.ended.set(cause);
        self.commands.close();
        for request in self.in_flight.drain(..) {
            let _ = request
                .reply
                .send(Err(self.shared.in_doubt(request.expected.api)));
        }
        for parked in self.parking.close() {
            let _ = parked
                .reply
                .send(Err(self.shared.not_sent(api_name(parked.request.api_key))));
        }
        for request in self.outbox.abandon() {
            let _ = request
                .reply
                .send(Err(self.shared.not_sent(request.expected.api)));
        }
        while let Ok(command) = self.commands.try_recv() {
            if let Command::Start(started) | Command::Login(started) = command {
                let api = api_name(started.request.api_key);
                let _ = started.reply.send(Err(self.shared.not_sent(api)));
            }
        }
    }
}

/// Writes some of the slices, or flushes when there are none.
async fn send<W: AsyncWrite + Unpin>(writer: &mut W, slices: &[IoSlice<'_>]) -> Event {
    if slices.is_empty() {
        Event::Flushed(writer.flush().await)
    } else {
        Event::Written(writer.write_vectored(slices).await)
    }
}
