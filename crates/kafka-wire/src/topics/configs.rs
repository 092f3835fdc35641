//! Reading and changing configurations.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{DescribeConfigsRequest, IncrementalAlterConfigsRequest};

use super::{Mode, TopicResults, outcome, subject};
use crate::cluster::{Cluster, TopicFilter, all_failed, answers_for};
use crate::connection::{Api, Link, Role, text};
use crate::error::{Error, ErrorCode};
use crate::retry::Effect;

/// Kinds of configured things, as written in requests.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
/// Operations of an incremental change, as written in requests.
const SET: i8 = 0;
const DELETE: i8 = 1;
/// Some 35 entries are returned per topic, so many topics are asked about in several requests.
const TOPICS_PER_REQUEST: usize = 500;

/// One configuration value in force.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigEntry {
    /// Name, such as `retention.ms`.
    pub name: String,
    /// Value; `None` when it is secret, or not set.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// Whether it cannot be changed at run time.
    pub read_only: bool,
    /// Whether it is secret, so that brokers do not tell it.
    pub sensitive: bool,
}

/// Where a configuration value comes from. Only [`DynamicTopic`](Self::DynamicTopic) belongs to the topic itself; the
/// others belong to its environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConfigSource {
    /// Set for this topic.
    DynamicTopic,
    /// Set at run time for this broker.
    DynamicBroker,
    /// Set at run time for all brokers.
    DynamicDefaultBroker,
    /// From the broker's properties file.
    StaticBroker,
    /// Kafka's default.
    Default,
    /// Any other number of the protocol.
    Other(i8),
}

impl ConfigSource {
    fn from_wire(source: i8) -> Self {
        match source {
            1 => Self::DynamicTopic,
            2 => Self::DynamicBroker,
            3 => Self::DynamicDefaultBroker,
            4 => Self::StaticBroker,
            5 => Self::Default,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for ConfigSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DynamicTopic => "topic",
            Self::DynamicBroker => "broker (dynamic)",
            Self::DynamicDefaultBroker => "cluster (dynamic)",
            Self::StaticBroker => "broker (static)",
            Self::Default => "default",
            Self::Other(other) => return write!(f, "source {other}"),
        })
    }
}

/// A change of the configuration of a topic or a broker. What it does not name stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigChange {
    /// Values to set.
    pub set: BTreeMap<String, String>,
    /// Names whose own value is taken away, so that the brokers' default is in force again.
    pub reset: BTreeSet<String>,
}

impl ConfigChange {
    /// A change of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a value.
    #[must_use]
    pub fn set(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.set.insert(name.into(), value.into());
        self
    }

    /// Goes back to the brokers' default.
    #[must_use]
    pub fn reset(mut self, name: impl Into<String>) -> Self {
        self.reset.insert(name.into());
        self
    }

    fn request(&self, kind: i8, resource: &str) -> AlterConfigsResource {
        let set = self
            .set
            .iter()
            .map(|(name, value)| (name, SET, Some(text(value))));
        let reset = self.reset.iter().map(|name| (name, DELETE, None));
        let configs = set.chain(reset).map(|(name, operation, value)| {
            AlterableConfig::default()
                .with_name(text(name))
                .with_config_operation(operation)
                .with_value(value)
        });
        AlterConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(resource))
            .with_configs(configs.collect())
    }
}

impl Cluster {
    /// All configuration values in force for topics, defaults included, sorted by name.
    pub async fn describe_topic_configs(&self, topics: &[impl AsRef<str>]) -> TopicResults<Vec<ConfigEntry>> {
        let questions = topics
            .iter()
            .map(|topic| (topic.as_ref().to_owned(), ()))
            .collect();
        self.settle(Effect::Repeatable, questions, |open| self.describe_round(open))
            .await
    }

    async fn describe_round(&self, open: Vec<(String, ())>) -> TopicResults<Vec<ConfigEntry>> {
        let names: Vec<String> = open.into_iter().map(|(name, ())| name).collect();
        let mut results = Vec::with_capacity(names.len());
        for names in names.chunks(TOPICS_PER_REQUEST) {
            results.extend(self.describe_topics_once(names).await);
        }
        results
    }

    async fn describe_topics_once(&self, topics: &[String]) -> TopicResults<Vec<ConfigEntry>> {
        let request = describe(topics.iter().map(|topic| (TOPIC, topic.as_str())));
        let outcome = match self.any_link().await {
            Ok(link) => {
                let response = link.call(&request, self.config().request_timeout).await;
                response.map(|response| (link, response))
            }
            Err(error) => Err(error),
        };
        match outcome {
            Ok((link, response)) => {
                let answers = response.results.into_iter().map(|result| {
                    let name = result.resource_name.to_string();
                    let entries = entries(&link, &subject(&name), result);
                    (name, entries)
                });
                answers_for(topics, answers, |name| link.left_out(&subject(name)))
            }
            Err(error) => all_failed(topics, &error),
        }
    }

    /// All configuration values in force for a broker, sorted by name.
    ///
    /// # Errors
    /// When the broker does not answer, or not with its configuration.
    pub async fn describe_broker_configs(&self, node: i32) -> Result<Vec<ConfigEntry>, Error> {
        let request = describe([(BROKER, node.to_string().as_str())].into_iter());
        let mut retry = self.retry(Effect::Repeatable);
        loop {
            let outcome = match self.link(node, Role::Control, 0).await {
                Ok(link) => match link.call(&request, self.config().request_timeout).await {
                    Ok(response) => {
                        let subject = format!("broker {node}");
                        let result = response.results.into_iter().next();
                        let result = result.ok_or_else(|| link.left_out(&subject));
                        result.and_then(|result| entries(&link, &subject, result))
                    }
                    Err(error) => Err(error),
                },
                Err(error) => Err(error),
            };
            match outcome {
                Ok(entries) => return Ok(entries),
                Err(error) => retry.pause(error).await?,
            }
            // It may have come back elsewhere.
            self.metadata(TopicFilter::none()).await?;
        }
    }

    /// A setting of a broker, asked for once; `None` when it has none of this name, or does not tell.
    pub(crate) async fn broker_setting(&self, node: i32, name: &str) -> Result<Option<String>, Error> {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(BROKER)
            .with_resource_name(text(&node.to_string()))
            .with_configuration_keys(Some(vec![text(name)]));
        let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
        let link = self.link(node, Role::Control, 0).await?;
        let response = link.call(&request, self.config().request_timeout).await?;
        let subject = format!("broker {node}");
        let result = response.results.into_iter().next();
        let result = result.ok_or_else(|| link.left_out(&subject))?;
        let entry = entries(&link, &subject, result)?
            .into_iter()
            .find(|entry| entry.name == name);
        Ok(entry.and_then(|entry| entry.value))
    }

    /// Changes the configuration of topics. Repeating a change does no harm, so it is done when an answer is lost.
    pub async fn alter_topic_configs(&self, changes: &[(String, ConfigChange)]) -> TopicResults<()> {
        self.ask_alter(changes, Mode::Change).await
    }

    /// Has the brokers check whether the configuration of topics could be changed so, without changing it.
    pub async fn validate_topic_configs(&self, changes: &[(String, ConfigChange)]) -> TopicResults<()> {
        self.ask_alter(changes, Mode::Validate).await
    }

    async fn ask_alter(&self, changes: &[(String, ConfigChange)], mode: Mode) -> TopicResults<()> {
        let questions = changes
            .iter()
            .map(|(topic, change)| (topic.clone(), change))
            .collect();
        self.settle(Effect::Repeatable, questions, |open| self.alter_round(open, mode))
            .await
    }

    async fn alter_round(&self, open: Vec<(String, &ConfigChange)>, mode: Mode) -> TopicResults<()> {
        let resources = open.iter().map(|(topic, change)| change.request(TOPIC, topic));
        let request = IncrementalAlterConfigsRequest::default()
            .with_resources(resources.collect())
            .with_validate_only(mode == Mode::Validate);
        let names: Vec<String> = open.into_iter().map(|(name, _)| name).collect();
        self.topic_round(&names, request, |link, response| {
            let answers = response.responses.into_iter().map(|answer| {
                let (name, words) = (answer.resource_name.to_string(), answer.error_message);
                let outcome =
                    outcome::<IncrementalAlterConfigsRequest>(link, &name, answer.error_code, words);
                (name, outcome)
            });
            answers.collect()
        })
        .await
    }

    /// Changes the configuration of a broker at run time, or with `None` that of all brokers. Repeating a change does no
    /// harm, so it is done when an answer is lost.
    ///
    /// # Errors
    /// When the broker does not answer, or refuses.
    pub async fn alter_broker_configs(&self, node: Option<i32>, change: &ConfigChange) -> Result<(), Error> {
        let (name, subject) = match node {
            Some(node) => (node.to_string(), format!("broker {node}")),
            None => (String::new(), "all brokers".to_owned()),
        };
        let request =
            IncrementalAlterConfigsRequest::default().with_resources(vec![change.request(BROKER, &name)]);
        let mut retry = self.retry(Effect::Repeatable);
        loop {
            match self.alter_broker_once(node, &request, &subject).await {
                Ok(()) => return Ok(()),
                Err(error) => retry.pause(error).await?,
            }
            self.metadata(TopicFilter::none()).await?;
        }
    }

    /// A broker checks its own values, so it is the one to ask.
    async fn alter_broker_once(
        &self,
        node: Option<i32>,
        request: &IncrementalAlterConfigsRequest,
        subject: &str,
    ) -> Result<(), Error> {
        let link = match node {
            Some(node) => self.link(node, Role::Control, 0).await?,
            None => self.controller_link().await?,
        };
        let response = link.call(request, self.config().request_timeout).await?;
        let answer = response.responses.into_iter().next();
        let answer = answer.ok_or_else(|| link.left_out(&subject))?;
        match ErrorCode::new(answer.error_code) {
            None => Ok(()),
            Some(code) => {
                if code == ErrorCode::NOT_CONTROLLER {
                    self.forget_controller();
                }
                let error = Error::kafka(code, IncrementalAlterConfigsRequest::NAME, link.broker(), subject);
                Err(error.with_message(answer.error_message.map(|words| words.to_string())))
            }
        }
    }
}

fn describe<'a>(resources: impl Iterator<Item = (i8, &'a str)>) -> DescribeConfigsRequest {
    let resources = resources.map(|(kind, name)| {
        DescribeConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(name))
            .with_configuration_keys(None)
    });
    DescribeConfigsRequest::default().with_resources(resources.collect())
}

fn entries(link: &Link, subject: &str, result: DescribeConfigsResult) -> Result<Vec<ConfigEntry>, Error> {
    if let Some(code) = ErrorCode::new(result.error_code) {
        let error = Error::kafka(code, DescribeConfigsRequest::NAME, link.broker(), subject);
        return Err(error.with_message(result.error_message.map(|words| words.to_string())));
    }
    let mut entries: Vec<_> = result.configs.into_iter().map(entry).collect();
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

fn entry(entry: DescribeConfigsResourceResult) -> ConfigEntry {
    ConfigEntry {
        name: entry.name.to_string(),
        value: entry.value.map(|value| value.to_string()),
        source: ConfigSource::from_wire(entry.config_source),
        read_only: entry.read_only,
        sensitive: entry.is_sensitive,
    }
}
