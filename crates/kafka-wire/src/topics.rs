//! Topics: create, delete, add partitions, read and change their configuration, delete their oldest records.

mod configs;
mod create;
mod partitions;
mod records;

use crate::cluster::{Cluster, all_failed, answers_for};
use crate::connection::{Api, Link};
use crate::error::{Error, ErrorCode};

pub use configs::{ConfigChange, ConfigEntry, ConfigSource};
pub use create::{CreatedTopic, NewTopic};
pub use partitions::NewPartitions;

/// What came out for each topic, sorted by name.
pub type TopicResults<T> = Vec<(String, Result<T, Error>)>;

/// Whether a request is to change anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Change,
    /// The broker only says whether it would carry the request out.
    Validate,
}

/// For messages.
fn subject(topic: &str) -> String {
    format!("topic {topic}")
}

/// The outcome for one topic.
fn outcome<R: Api>(link: &Link, topic: &str, code: i16, message: Option<impl ToString>) -> Result<(), Error> {
    match ErrorCode::new(code) {
        None => Ok(()),
        Some(code) => Err(Error::kafka(code, R::NAME, link.broker(), subject(topic))
            .with_message(message.map(|words| words.to_string()))),
    }
}

impl Cluster {
    /// Sends a request about topics to the controller once, and gives the answers in the order of the topics.
    async fn topic_round<R: Api, T>(
        &self,
        topics: &[String],
        request: R,
        read: impl Fn(&Link, R::Response) -> TopicResults<T>,
    ) -> TopicResults<T> {
        let outcome = match self.controller_link().await {
            Ok(link) => match link.call(&request, self.config().request_timeout).await {
                Ok(response) => Ok((link, response)),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        let results = match outcome {
            Ok((link, response)) => answers_for(topics, read(&link, response), |name| {
                link.left_out(&subject(name))
            }),
            Err(error) => all_failed(topics, &error),
        };
        let moved = |error: &Error| error.code().is_none_or(|code| code == ErrorCode::NOT_CONTROLLER);
        if results
            .iter()
            .any(|(_, outcome)| outcome.as_ref().is_err_and(moved))
        {
            self.forget_controller();
        }
        results
    }

    /// How long a broker may take for what it then answers, so that its answer comes before our own patience ends.
    pub(crate) fn broker_timeout_ms(&self) -> i32 {
        i32::try_from(self.config().request_timeout.as_millis() * 3 / 4).unwrap_or(i32::MAX)
    }
}
