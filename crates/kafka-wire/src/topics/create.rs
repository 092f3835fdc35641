//! Creating and deleting topics.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::{BrokerId, CreateTopicsRequest, DeleteTopicsRequest};

use super::{Mode, TopicResults, outcome};
use crate::cluster::{Cluster, TopicFilter, TopicMetadata, all_failed, join_all};
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
    /// For each partition the node ids of its replicas, the preferred leader first; empty to let the controller choose.
    /// What they say wins over the two numbers.
    pub replicas: Vec<Vec<i32>>,
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
            replicas: Vec::new(),
            configs: BTreeMap::new(),
        }
    }

    /// Sets the replicas of each partition. Node ids mean nothing in another cluster.
    #[must_use]
    pub fn with_replicas(mut self, replicas: impl IntoIterator<Item = Vec<i32>>) -> Self {
        self.replicas = replicas.into_iter().collect();
        self
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
        let assignment = |(index, nodes): (i32, &Vec<i32>)| {
            CreatableReplicaAssignment::default()
                .with_partition_index(index)
                .with_broker_ids(nodes.iter().copied().map(BrokerId).collect())
        };
        // Brokers refuse numbers beside an assignment.
        let (partitions, replication_factor) = if self.replicas.is_empty() {
            (self.partitions, self.replication_factor)
        } else {
            (None, None)
        };
        CreatableTopic::default()
            .with_name(topic_name(&self.name))
            .with_num_partitions(partitions.unwrap_or(-1))
            .with_replication_factor(replication_factor.unwrap_or(-1))
            .with_assignments((0..).zip(&self.replicas).map(assignment).collect())
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

impl CreatedTopic {
    /// Whether this is the topic that was created, not an earlier one of the same name, and all of it has leaders.
    fn is_led(&self, seen: &TopicMetadata) -> bool {
        let partitions = self.partitions.and_then(|count| usize::try_from(count).ok());
        seen.error.is_none()
            && (self.topic_id.is_none() || self.topic_id == seen.topic_id)
            && partitions.is_none_or(|count| seen.partitions.len() == count)
            && seen
                .partitions
                .values()
                .all(|partition| partition.leader.is_some())
    }
}

/// How long a creation waits until every broker knows the leaders. Usually it takes some milliseconds.
const LEADERS_WITHIN: Duration = Duration::from_secs(15);

/// Between two questions whether a new topic has leaders.
const POLL: Duration = Duration::from_millis(50);

impl Cluster {
    /// Creates topics, and waits a moment until their leaders are elected and known to every broker.
    ///
    /// A request that may have been carried out is not repeated: its topics have an error that
    /// [`is_in_doubt`](Error::is_in_doubt).
    pub async fn create_topics(&self, topics: &[NewTopic]) -> TopicResults<CreatedTopic> {
        let results = self.ask_create(topics, Mode::Change).await;
        let created: Vec<_> = (results.iter())
            .filter_map(|(name, outcome)| Some((name.as_str(), outcome.as_ref().ok()?)))
            .collect();
        self.await_leaders(&created).await;
        results
    }

    /// Has the controller check whether these topics could be created, without creating them.
    pub async fn validate_new_topics(&self, topics: &[NewTopic]) -> TopicResults<CreatedTopic> {
        self.ask_create(topics, Mode::Validate).await
    }

    async fn ask_create(&self, topics: &[NewTopic], mode: Mode) -> TopicResults<CreatedTopic> {
        let effect = if mode == Mode::Change {
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

    /// Deletes topics with all that is in them. Brokers hear of it one after the other.
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

    /// Waits until every broker knows the leaders of new topics, but not for long.
    ///
    /// Brokers learn of a topic one after the other, and any of them may be asked about it next: a coordinator refuses
    /// to commit for a topic that it has not heard of.
    async fn await_leaders(&self, created: &[(&str, &CreatedTopic)]) {
        if created.is_empty() {
            return;
        }
        let waiting = self
            .nodes()
            .into_iter()
            .map(|node| self.await_leaders_on(node, created))
            .collect();
        let within = LEADERS_WITHIN.min(self.config().retry_timeout);
        if tokio::time::timeout(within, join_all(waiting)).await.is_err() {
            // Whatever is done with the topics next waits by itself if it has to.
            tracing::warn!("not every broker knows the leaders of the new topics yet");
        }
    }

    /// Asks one broker until it knows the leaders, or cannot be asked.
    async fn await_leaders_on(&self, node: i32, created: &[(&str, &CreatedTopic)]) {
        let mut missing: BTreeMap<&str, &CreatedTopic> = created.iter().copied().collect();
        loop {
            let names = TopicFilter::Names(missing.keys().map(|name| (*name).to_owned()).collect());
            match self.metadata_of(node, &names).await {
                Ok(metadata) => missing.retain(|name, created| {
                    !metadata
                        .topics
                        .get(*name)
                        .is_some_and(|topic| created.is_led(topic))
                }),
                Err(error) => {
                    return tracing::debug!(node, %error, "cannot see whether new topics have leaders");
                }
            }
            if missing.is_empty() {
                return;
            }
            tokio::time::sleep(POLL).await;
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
