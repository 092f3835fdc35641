//! What can go wrong, split by what the caller can do about it.

mod code;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

pub use code::ErrorCode;

use crate::cluster::TopicPartition;
use crate::problem::PartitionProblem;
use crate::retry::Verdict;

/// Any failure of this crate.
///
/// Cheap to clone: one lost connection fails every request that was on it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting cannot work. Fix the configuration.
    #[error("invalid setting {setting}: {reason}")]
    InvalidConfig {
        /// Name of the field of [`ClusterConfig`](crate::ClusterConfig).
        setting: &'static str,
        /// What is wrong with its value.
        reason: String,
    },

    /// The caller asked for something that must not be sent. Nothing was sent.
    #[error("{subject}: {reason}")]
    InvalidRequest {
        /// Topic, partition or group that the request was about.
        subject: String,
        /// What is wrong.
        reason: String,
    },

    /// None of the bootstrap servers could be used. Each address that was tried is listed with its own cause; behind one where the
    /// login was refused no other is tried.
    #[error(
        "no bootstrap server {}{}",
        if any_about_security(.failures) { "can be used" } else {
            "could be reached; check the addresses and that this host may connect to them"
        },
        Listed(.failures)
    )]
    Bootstrap {
        /// One entry per address that was tried, in order.
        failures: Vec<ConnectFailure>,
    },

    /// A broker of the cluster could not be reached, at none of the addresses of its host name.
    #[error(
        "{broker} {}{}",
        if any_about_security(.failures) { "cannot be used" } else {
            "could not be reached; check its advertised listener and that this host may connect to it"
        },
        Listed(.failures)
    )]
    Unreachable {
        /// Node id and address.
        broker: Arc<str>,
        /// One entry per address that was tried, in order.
        failures: Vec<ConnectFailure>,
    },

    /// A broker is up, but has not heard of the cluster's brokers yet.
    #[error("{broker} does not know the brokers of its cluster yet")]
    NotReady {
        /// Node id and address.
        broker: Arc<str>,
    },

    /// The cluster's metadata has no broker of this id (any more).
    #[error("broker {node} is not part of the cluster at the moment")]
    UnknownBroker {
        /// Node id.
        node: i32,
    },

    /// The request failed before a byte of it reached the network: it has had no effect and may be sent again.
    #[error("{api} request to {broker} was not sent")]
    NotSent {
        /// Node id and address.
        broker: Arc<str>,
        /// Name of the API.
        api: &'static str,
        /// Why.
        source: ConnectionError,
    },

    /// The request was written, at least in part, and no answer came: it may have taken effect.
    #[error("{api} request to {broker} was sent but not answered: it may have taken effect")]
    InDoubt {
        /// Node id and address.
        broker: Arc<str>,
        /// Name of the API.
        api: &'static str,
        /// Why no answer came.
        source: ConnectionError,
    },

    /// A broker answered with an error code.
    #[error(transparent)]
    Kafka(Box<KafkaError>),

    /// A broker and this crate have no version of an API in common.
    #[error(
        "{broker} does not offer {api} in a version that is needed ({}, needed is {} to {}); use a newer broker",
        Offered(.offered), .needed.0, .needed.1
    )]
    UnsupportedApi {
        /// Node id and address.
        broker: Arc<str>,
        /// Name of the API.
        api: &'static str,
        /// Lowest and highest version that this crate can use.
        needed: (i16, i16),
        /// Lowest and highest version that the broker offers; `None` when it does not know the API.
        offered: Option<(i16, i16)>,
    },

    /// A broker's answer does not follow the protocol.
    #[error("{api} v{version} response of {broker} cannot be read: {reason}")]
    Malformed {
        /// Node id and address.
        broker: Arc<str>,
        /// Name of the API.
        api: &'static str,
        /// Version of the API.
        version: i16,
        /// What is wrong, and where.
        reason: String,
    },

    /// Something is wrong with the log of one partition, or with what was to be written to it. Other partitions are
    /// not concerned.
    #[error("{partition}: {problem}")]
    Partition {
        /// Which partition.
        partition: TopicPartition,
        /// What is wrong.
        problem: Box<PartitionProblem>,
    },

    /// A broker's answer lacks something that was asked.
    #[error("{broker} did not answer about {what}")]
    LeftOut {
        /// Node id and address.
        broker: Arc<str>,
        /// Topic, partition or group.
        what: String,
    },

    /// A request could not be written in the version that the broker speaks.
    #[error("{api} v{version} request cannot be written: {reason}")]
    Encode {
        /// Name of the API.
        api: &'static str,
        /// Version of the API.
        version: i16,
        /// What is wrong.
        reason: String,
    },

    /// A retriable failure did not pass in the time that was allowed.
    #[error("gave up after {:.1} s", .after.as_secs_f32())]
    Deadline {
        /// Time since the first attempt.
        after: Duration,
        /// The failure of the last attempt.
        #[source]
        last: Box<Error>,
    },

    /// The cluster handle was closed.
    #[error("the connection to the cluster was closed")]
    Closed,
}

impl Error {
    /// The error code, when it was a broker that answered with one.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Kafka(error) => Some(error.code),
            Self::Deadline { last, .. } => last.code(),
            _ => None,
        }
    }

    /// Whether what was asked may have taken effect although this error is the answer.
    ///
    /// Before sending the same again, find out what happened, or be sure that doing it twice does no harm.
    pub fn is_in_doubt(&self) -> bool {
        match self {
            Self::InDoubt { .. } | Self::Malformed { .. } | Self::LeftOut { .. } => true,
            Self::Kafka(error) => error.code.is_in_doubt(),
            Self::Deadline { last, .. } => last.is_in_doubt(),
            _ => false,
        }
    }

    /// Whether the same request may succeed later. Says nothing about whether it is safe to repeat: see
    /// [`is_in_doubt`](Self::is_in_doubt).
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::NotSent { source, .. } | Self::InDoubt { source, .. } => source.may_pass(),
            Self::Bootstrap { failures } | Self::Unreachable { failures, .. } => {
                !any_about_security(failures) && failures.iter().any(|failure| failure.cause.may_pass())
            }
            Self::UnknownBroker { .. } | Self::NotReady { .. } => true,
            Self::Kafka(error) => error.code.is_retriable(),
            _ => false,
        }
    }

    /// Whether it stays until somebody changes something: the configuration, a password, rights, the broker's release.
    ///
    /// Everything else goes by itself, sooner or later, and who has all the time in the world goes on asking. Unlike
    /// [`is_retriable`](Self::is_retriable) this looks behind a [`Deadline`](Self::Deadline), and has patience with answers
    /// that make no sense.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Deadline { last, .. } => last.is_permanent(),
            Self::Bootstrap { failures } | Self::Unreachable { failures, .. } => any_about_security(failures),
            other => other.verdict() == Verdict::Stays,
        }
    }

    /// Whether a broker [refused the login](ConnectionError::is_refused_login).
    pub(crate) fn is_refused_login(&self) -> bool {
        match self {
            Self::Bootstrap { failures } | Self::Unreachable { failures, .. } => {
                failures.iter().any(|failure| failure.cause.is_refused_login())
            }
            _ => false,
        }
    }

    /// An error code found in a response.
    pub(crate) fn kafka(
        code: ErrorCode,
        api: &'static str,
        broker: &Arc<str>,
        subject: impl Into<String>,
    ) -> Self {
        Self::Kafka(Box::new(KafkaError {
            code,
            api,
            broker: Arc::clone(broker),
            subject: subject.into(),
            message: None,
        }))
    }

    /// Adds the broker's own words to a [`Kafka`](Self::Kafka) error.
    pub(crate) fn with_message(mut self, words: Option<impl Into<String>>) -> Self {
        if let Self::Kafka(error) = &mut self {
            error.message = words.map(Into::into).filter(|words| !words.is_empty());
        }
        self
    }
}

/// An error code that a broker answered with, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KafkaError {
    /// The code.
    pub code: ErrorCode,
    /// Name of the API that was called.
    pub api: &'static str,
    /// Node id and address of the broker that answered.
    pub broker: Arc<str>,
    /// What the error is about: a topic, a partition, a group; empty when it is the whole request.
    pub subject: String,
    /// The broker's own words, if it sent any.
    pub message: Option<String>,
}

impl fmt::Display for KafkaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.subject.is_empty() {
            write!(f, "{}: ", self.subject)?;
        }
        write!(f, "{} answered {} with {}", self.broker, self.api, self.code)?;
        if let Some(message) = &self.message {
            write!(f, ": {message}")?;
        }
        if let Some(advice) = self.code.advice() {
            write!(f, " ({advice})")?;
        }
        Ok(())
    }
}

impl std::error::Error for KafkaError {}

/// An error followed by its causes, for logs.
pub(crate) struct Chain<'a>(pub(crate) &'a Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = std::error::Error::source(self.0);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// One address that could not be used, and why.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ConnectFailure {
    /// `host:port`, followed by the resolved address when the host is a name.
    pub address: String,
    /// Why.
    pub cause: ConnectionError,
}

/// Why a connection could not be made, or ended.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The host name has no address.
    #[error("the host name cannot be resolved: {0}")]
    Resolve(#[source] Arc<io::Error>),
    /// The operating system reported an error.
    #[error("{0}")]
    Io(#[source] Arc<io::Error>),
    /// No connection was established in time.
    #[error("no connection within {} s", .0.as_secs_f32())]
    ConnectTimeout(Duration),
    /// The broker closed the connection.
    #[error("the broker closed the connection")]
    ClosedByBroker,
    /// The broker closed a new connection instead of answering the first request.
    #[error(
        "the broker closed the connection instead of answering the first request; \
         a listener that requires TLS or SASL does that"
    )]
    Rejected,
    /// The broker closed the connection at the first request after versions were agreed on, and nobody had logged in.
    #[error(
        "the broker closed the connection at the first request, which it does to clients that have to log in: \
         set security_protocol to SASL_PLAINTEXT or SASL_SSL, or use another listener"
    )]
    LoginExpected,
    /// The TLS session could not be established, or the other side ended it. Says what to change.
    #[error("{0}")]
    Tls(String),
    /// The broker closed the connection during the TLS handshake.
    #[error(
        "the broker closed the connection during the TLS handshake: a listener without TLS does that (check the port \
         and security_protocol), and a broker that stops"
    )]
    NoTls,
    /// The login was refused, or there is nothing to log in with. Says what to change.
    #[error("{0}")]
    Authentication(String),
    /// Nobody can log in there in this way: the listener does not take it, or it cannot be tried under this host name. Nothing
    /// secret was sent, and another server may do better. Says what to change.
    #[error("{0}")]
    NoLoginHere(String),
    /// No token and no keys for the login could be had, for a reason that may pass.
    #[error("nothing to log in with: {0}")]
    Token(String),
    /// The broker did not answer in time. The connection was closed, as answers come in order.
    #[error("no answer within {} s", .0.as_secs_f32())]
    NoAnswer(Duration),
    /// Request or answer moved, but more slowly than is waited for. The connection was closed, as answers come in order. Says how
    /// much moved, and what to change.
    #[error("too slow: {0}")]
    TooSlow(String),
    /// What came is not a Kafka response. The connection was closed.
    #[error("not a valid Kafka response: {0}")]
    Protocol(String),
    /// The broker refused to agree on API versions.
    #[error("the broker answered ApiVersions with {0}")]
    Refused(ErrorCode),
    /// The connection had been idle and was closed on purpose.
    #[error("the connection was closed because it was idle")]
    Idle,
    /// The cluster handle was closed, or dropped.
    #[error("the client was closed")]
    Closed,
}

impl ConnectionError {
    pub(crate) fn io(error: io::Error) -> Self {
        if let Some(tls) = crate::tls::of_io(&error) {
            return tls;
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::ClosedByBroker,
            _ => Self::Io(Arc::new(error)),
        }
    }

    /// Whether a new connection may do better.
    fn may_pass(&self) -> bool {
        !matches!(self, Self::Closed | Self::Protocol(_)) && !self.is_about_security()
    }

    /// Whether the other side closed the connection.
    pub(crate) fn is_hang_up(&self) -> bool {
        match self {
            Self::ClosedByBroker => true,
            Self::Io(error) => matches!(
                error.kind(),
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted
            ),
            _ => false,
        }
    }

    /// Whether encryption or login cannot work as they are set. Nothing passes by trying again, and trying wrong
    /// passwords again may lock an account.
    pub(crate) fn is_about_security(&self) -> bool {
        matches!(
            self,
            Self::Tls(_) | Self::Authentication(_) | Self::NoLoginHere(_)
        )
    }

    /// Whether it is the credentials that are refused, or missing. They are those of the whole cluster, so no other server will
    /// take them, and each further try may bring an account nearer to being locked.
    pub(crate) fn is_refused_login(&self) -> bool {
        matches!(self, Self::Authentication(_))
    }
}

/// Where security stands in the way, there is nothing to check about addresses: the causes say what to change. And what is
/// wrong at one address of a host is not made good by another that did not answer.
fn any_about_security(failures: &[ConnectFailure]) -> bool {
    failures.iter().any(|failure| failure.cause.is_about_security())
}

/// `: a: cause; b: cause`
struct Listed<'a>(&'a [ConnectFailure]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, failure) in self.0.iter().enumerate() {
            write!(
                f,
                "{} {}: {}",
                if at == 0 { ":" } else { ";" },
                failure.address,
                failure.cause
            )?;
        }
        Ok(())
    }
}

struct Offered<'a>(&'a Option<(i16, i16)>);

impl fmt::Display for Offered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some((lowest, highest)) => write!(f, "it offers {lowest} to {highest}"),
            None => f.write_str("it does not know this API"),
        }
    }
}

#[cfg(test)]
mod tests;
