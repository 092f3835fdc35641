//! Creating and deleting topics.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::{CreateTopicsRequest, DeleteTopicsRequest};

use super::{TopicResults, outcome};
use crate::cluster::{Cluster, all_failed};
use crate::connection::{Link, text, topic_name};
use crate::error::Error;
use crate::retry::Effect;

/// A topic to create.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewTopic {
    /// Name.
    pub name: String,
    /// Number of partitions; `None` for the brokers' default.
    pub partitions: Option<i32>,
    /// Number of replicas; `None` for the brokers' default.
    pub replication_factor: Option<i16>,
    /// Configuration that differs from the brokers' defaults.
    pub configs: BTreeMap<String, String>,
}

impl NewTopic {
    /// A topic with the brokers' default number of replicas and configuration.
    pub fn new(name: impl Into<String>, partitions: i32) -> Self {
        Self {
            name: name.into(),
            partitions: Some(partitions),
            replication_factor: None,
            configs: BTreeMap::new(),
        }
    }

    /// Adds a configuration value.
    #[must_use]
    pub fn with_config(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.configs.insert(name.into(), value.into());
        self
    }

    /// Sets the number of replicas.
    #[must_use]
    pub fn with_replication_factor(mut self, replicas: i16) -> Self {
        self.replication_factor = Some(replicas);
        self
    }

    fn request(&self) -> CreatableTopic {
        let config = |(name, value): (&String, &String)| {
            CreatableTopicConfig::default()
                .with_name(text(name))
                .with_value(Some(text(value)))
        };
        CreatableTopic::default()
            .with_name(topic_name(&self.name))
            .with_num_partitions(self.partitions.unwrap_or(-1))
            .with_replication_factor(self.replication_factor.unwrap_or(-1))
            .with_configs(self.configs.iter().map(config).collect())
    }
}

/// A topic that was created, or would be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CreatedTopic {
    /// The id of the new topic. `None` from brokers before 2.8, and when it was only validated.
    pub topic_id: Option<[u8; 16]>,
    /// Number of partitions; `None` when the broker does not tell.
    pub partitions: Option<i32>,
    /// Number of replicas; `None` when the broker does not tell.
    pub replication_factor: Option<i16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Create,
    Validate,
}

impl Cluster {
    /// Creates topics, and waits a moment for their leaders to be elected.
    ///
    /// A request that may have been carried out is not repeated: its topics have an error that
    /// [`is_in_doubt`](Error::is_in_doubt).
    pub async fn create_topics(&self, topics: &[NewTopic]) -> TopicResults<CreatedTopic> {
        let results = self.ask_create(topics, Mode::Create).await;
        let created: Vec<_> = (results.iter())
            .filter_map(|(name, outcome)| Some((Arc::from(name.as_str()), outcome.as_ref().ok()?.partitions)))
            .collect();
        self.await_leaders(&created).await;
        results
    }

    /// Has the controller check whether these topics could be created, without creating them.
    pub async fn validate_new_topics(&self, topics: &[NewTopic]) -> TopicResults<CreatedTopic> {
        self.ask_create(topics, Mode::Validate).await
    }

    async fn ask_create(&self, topics: &[NewTopic], mode: Mode) -> TopicResults<CreatedTopic> {
        let effect = if mode == Mode::Create {
            Effect::Once
        } else {
            Effect::Repeatable
        };
        let questions = topics.iter().map(|topic| (topic.name.clone(), topic)).collect();
        self.settle(effect, questions, |open| self.create_round(open, mode))
            .await
    }

    async fn create_round(&self, open: Vec<(String, &NewTopic)>, mode: Mode) -> TopicResults<CreatedTopic> {
        let request = CreateTopicsRequest::default()
            .with_topics(open.iter().map(|(_, topic)| topic.request()).collect())
            .with_timeout_ms(self.broker_timeout_ms())
            .with_validate_only(mode == Mode::Validate);
        let names: Vec<String> = open.into_iter().map(|(name, _)| name).collect();
        self.topic_round(&names, request, |link, response| {
            let answers = response.topics.into_iter();
            answers
                .map(|topic| (topic.name.to_string(), created(link, &topic)))
                .collect()
        })
        .await
    }

    /// Deletes topics with all that is in them.
    ///
    /// A request that may have been carried out is not repeated: its topics have an error that
    /// [`is_in_doubt`](Error::is_in_doubt).
    pub async fn delete_topics(&self, names: &[impl AsRef<str>]) -> TopicResults<()> {
        let names: Vec<String> = names.iter().map(|name| name.as_ref().to_owned()).collect();
        let questions = names.iter().map(|name| (name.clone(), ())).collect();
        let results = self
            .settle(Effect::Once, questions, |open| self.delete_round(open))
            .await;
        for name in &names {
            self.forget_topic(name);
        }
        results
    }

    async fn delete_round(&self, open: Vec<(String, ())>) -> TopicResults<()> {
        let names: Vec<String> = open.into_iter().map(|(name, ())| name).collect();
        let version = match self
            .controller_link()
            .await
            .and_then(|link| link.version_of::<DeleteTopicsRequest>())
        {
            Ok(version) => version,
            Err(error) => return all_failed(&names, &error),
        };
        let request = DeleteTopicsRequest::default().with_timeout_ms(self.broker_timeout_ms());
        let request = if version >= 6 {
            let topic = |name: &String| DeleteTopicState::default().with_name(Some(topic_name(name)));
            request.with_topics(names.iter().map(topic).collect())
        } else {
            request.with_topic_names(names.iter().map(|name| topic_name(name)).collect())
        };
        self.topic_round(&names, request, |link, response| {
            let answers = response.responses.into_iter().filter_map(|answer| {
                let name = answer.name?.to_string();
                let outcome =
                    outcome::<DeleteTopicsRequest>(link, &name, answer.error_code, answer.error_message);
                Some((name, outcome))
            });
            answers.collect()
        })
        .await
    }

    /// Waits until the partitions of new topics have leaders, but not for long: whatever is done with the topics later
    /// waits by itself if it has to.
    async fn await_leaders(&self, created: &[(Arc<str>, Option<i32>)]) {
        let waiting = async {
            let mut missing: BTreeSet<Arc<str>> = created.iter().map(|(name, _)| Arc::clone(name)).collect();
            while !missing.is_empty() {
                if let Err(error) = self.refresh_leaders(missing.clone()).await {
                    tracing::debug!(%error, "cannot see whether new topics have leaders");
                }
                for (name, partitions) in created {
                    if self.has_leaders(name, *partitions) {
                        missing.remove(name);
                    }
                }
                tokio::time::sleep(Duration::from_millis(if missing.is_empty() { 0 } else { 50 })).await;
            }
        };
        if tokio::time::timeout(self.config().unknown_topic_grace, waiting)
            .await
            .is_err()
        {
            tracing::warn!("some of the new topics have no leaders yet");
        }
    }
}

fn created(link: &Link, topic: &CreatableTopicResult) -> Result<CreatedTopic, Error> {
    let message = topic.error_message.as_ref();
    outcome::<CreateTopicsRequest>(link, &topic.name, topic.error_code, message)?;
    Ok(CreatedTopic {
        topic_id: (!topic.topic_id.is_nil()).then(|| topic.topic_id.into_bytes()),
        partitions: (topic.num_partitions >= 0).then_some(topic.num_partitions),
        replication_factor: (topic.replication_factor >= 0).then_some(topic.replication_factor),
    })
}
