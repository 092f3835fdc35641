//! What can go wrong before a test has even begun, and what the Java client says.

use std::io;

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of the test equipment, or one that the Java client reports.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file, a pipe or a socket of the equipment itself failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A program that this crate needs is not on the machine.
    #[error("`{tool}` is missing: {}", needed_for(tool))]
    MissingTool {
        /// The program's name.
        tool: &'static str,
    },
    /// The Java on the machine is too old.
    #[error("`java` is version `{found}`: testkit needs Java 17 or later")]
    OldJava {
        /// What it says its version is.
        found: String,
    },
    /// A program ran and reported failure.
    #[error("`{tool}` failed:\n{output}")]
    Tool {
        /// The program's name.
        tool: &'static str,
        /// What it printed, shortened.
        output: String,
    },
    /// A broker ended, or did not answer in time, while it was started.
    #[error("broker {broker} {why}; the end of its log:\n{log}")]
    BrokerStart {
        /// Its node id.
        broker: usize,
        /// What happened to it.
        why: String,
        /// The last lines of its log.
        log: String,
    },
    /// The S3 server ended, or did not answer in time, while it was started.
    #[error("the S3 server {why}; the end of its log:\n{log}")]
    S3Start {
        /// What happened to it.
        why: String,
        /// The last lines of its log.
        log: String,
    },
    /// A broker that does not exist, or is not in the state that the call needs.
    #[error("broker {broker}: {why}")]
    Broker {
        /// Its index.
        broker: usize,
        /// What is the matter.
        why: &'static str,
    },
    /// A certificate could not be made.
    #[error("cannot make a certificate: {why}")]
    Certificate {
        /// Why.
        why: String,
    },
    /// No loopback port could be reserved.
    #[error("no free loopback port was found")]
    NoFreePort,
    /// The Java client reported an error.
    #[error(transparent)]
    Java(#[from] JavaError),
    /// The process of the Java client ended.
    #[error("the Java client's process has ended; the end of its output:\n{output}")]
    DriverGone {
        /// The last lines it printed.
        output: String,
    },
    /// The Java client's process and this crate do not understand each other.
    #[error("unexpected answer of the Java client to `{command}`: {source}")]
    Answer {
        /// The command that was sent.
        command: &'static str,
        /// Why the answer cannot be read.
        source: serde_json::Error,
    },
    /// Something that a test waits for did not happen.
    #[error("waited in vain for {what}")]
    TimedOut {
        /// What was waited for.
        what: String,
    },
}

/// An exception of the Java client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Deserialize)]
#[error("{class}: {message}")]
#[non_exhaustive]
pub struct JavaError {
    /// Simple class name, such as `UnknownTopicOrPartitionException`.
    pub class: String,
    /// Its message.
    pub message: String,
    /// Whether the client would try again.
    pub retriable: bool,
    /// The protocol's error code that belongs to the exception, -1 when it has none.
    pub code: i16,
}

fn needed_for(tool: &str) -> &'static str {
    match tool {
        "go" => "testkit builds its S3 server with Go (https://go.dev/dl)",
        _ => {
            "testkit needs Java 17 (a JDK, with javac) and Maven 3; Debian: apt install openjdk-17-jdk-headless maven"
        }
    }
}

impl Error {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// The protocol's error code, when this is an error of the Java client that has one.
    pub fn kafka_code(&self) -> Option<i16> {
        match self {
            Self::Java(error) if error.code > 0 => Some(error.code),
            _ => None,
        }
    }
}
