//! Adding partitions to topics.

use kafka_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use kafka_protocol::messages::{BrokerId, CreatePartitionsRequest};

use super::{Mode, TopicResults, outcome};
use crate::cluster::Cluster;
use crate::connection::topic_name;
use crate::retry::Effect;

/// How many partitions a topic is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewPartitions {
    /// Name of the topic.
    pub topic: String,
    /// The number of partitions that the topic is to have, those that exist included.
    pub total: i32,
    /// For each added partition the node ids of its replicas, the preferred leader first; empty to let the controller
    /// choose.
    pub replicas: Vec<Vec<i32>>,
}

impl NewPartitions {
    /// Partitions on brokers that the controller chooses.
    pub fn new(topic: impl Into<String>, total: i32) -> Self {
        Self {
            topic: topic.into(),
            total,
            replicas: Vec::new(),
        }
    }

    /// Sets the replicas of each added partition.
    #[must_use]
    pub fn with_replicas(mut self, replicas: impl IntoIterator<Item = Vec<i32>>) -> Self {
        self.replicas = replicas.into_iter().collect();
        self
    }

    fn request(&self) -> CreatePartitionsTopic {
        let assignment = |nodes: &Vec<i32>| {
            CreatePartitionsAssignment::default()
                .with_broker_ids(nodes.iter().copied().map(BrokerId).collect())
        };
        let assignments = self.replicas.iter().map(assignment).collect();
        CreatePartitionsTopic::default()
            .with_name(topic_name(&self.topic))
            .with_count(self.total)
            .with_assignments((!self.replicas.is_empty()).then_some(assignments))
    }
}

impl Cluster {
    /// Raises the number of partitions of topics. Keys go to other partitions afterwards; what is written stays.
    ///
    /// A request that may have been carried out is not repeated: its topics have an error that
    /// [`is_in_doubt`](crate::Error::is_in_doubt).
    pub async fn create_partitions(&self, topics: &[NewPartitions]) -> TopicResults<()> {
        let results = self.ask_partitions(topics, Mode::Change).await;
        for (topic, _) in &results {
            self.forget_topic(topic);
        }
        results
    }

    /// Has the controller check whether partitions could be added, without adding them.
    pub async fn validate_new_partitions(&self, topics: &[NewPartitions]) -> TopicResults<()> {
        self.ask_partitions(topics, Mode::Validate).await
    }

    async fn ask_partitions(&self, topics: &[NewPartitions], mode: Mode) -> TopicResults<()> {
        let effect = match mode {
            Mode::Change => Effect::Once,
            Mode::Validate => Effect::Repeatable,
        };
        let questions = topics.iter().map(|topic| (topic.topic.clone(), topic)).collect();
        self.settle(effect, questions, |open| self.partitions_round(open, mode))
            .await
    }

    async fn partitions_round(&self, open: Vec<(String, &NewPartitions)>, mode: Mode) -> TopicResults<()> {
        let request = CreatePartitionsRequest::default()
            .with_topics(open.iter().map(|(_, topic)| topic.request()).collect())
            .with_timeout_ms(self.broker_timeout_ms())
            .with_validate_only(mode == Mode::Validate);
        let names: Vec<String> = open.into_iter().map(|(name, _)| name).collect();
        self.topic_round(&names, request, |link, response| {
            let answers = response.results.into_iter().map(|answer| {
                let (name, words) = (answer.name.to_string(), answer.error_message);
                let outcome = outcome::<CreatePartitionsRequest>(link, &name, answer.error_code, words);
                (name, outcome)
            });
            answers.collect()
        })
        .await
    }
}
