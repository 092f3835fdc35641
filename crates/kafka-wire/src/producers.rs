//! Who writes to partitions, and with which of their transactions open (KIP-664).

use kafka_protocol::messages::DescribeProducersRequest;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::describe_producers_response::{PartitionResponse, ProducerState};

use crate::cluster::{Asked, Cluster, PartitionResults, TopicPartition, by_topic};
use crate::connection::{Api, Link, topic_name};
use crate::error::{Error, ErrorCode};

/// A producer that the leader of a partition remembers: one with an open transaction, or one whose last record is younger than
/// the broker's `producer.id.expiration.ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ActiveProducer {
    /// Its id.
    pub producer_id: i64,
    /// Its epoch.
    pub producer_epoch: i32,
    /// The sequence number of its last record; `None` when only a marker was written for it.
    pub last_sequence: Option<i32>,
    /// Timestamp of its last record, in milliseconds since 1970, as the record says; `None` when the broker does not know.
    pub last_timestamp: Option<i64>,
    /// The epoch of the transaction coordinator that ended its last transaction; `None` before there was one.
    pub coordinator_epoch: Option<i32>,
    /// The first offset of its open transaction; `None` when there is none.
    pub transaction_start_offset: Option<i64>,
}

impl Cluster {
    /// The producers that the leaders of partitions remember, by producer id.
    ///
    /// It needs the right to read the topic; [`ErrorCode::TOPIC_AUTHORIZATION_FAILED`] is the error of a partition without it.
    /// Brokers before 2.8 cannot tell, and the error is [`Error::UnsupportedApi`].
    pub async fn describe_producers(
        &self,
        partitions: &[TopicPartition],
    ) -> PartitionResults<Vec<ActiveProducer>> {
        let questions = (partitions.iter())
            .map(|partition| (partition.clone(), ()))
            .collect();
        self.ask_leaders(questions, |link, asked| self.send_describe_producers(link, asked))
            .await
    }

    async fn send_describe_producers(
        &self,
        link: Link,
        asked: Vec<Asked<()>>,
    ) -> Result<PartitionResults<Vec<ActiveProducer>>, Error> {
        let topics = by_topic(asked.into_iter().map(|(at, ..)| (at, ())));
        let topics = topics.into_iter().map(|(topic, partitions)| {
            let partitions = partitions.into_iter().map(|(index, ())| index);
            TopicRequest::default()
                .with_name(topic_name(&topic))
                .with_partition_indexes(partitions.collect())
        });
        let request = DescribeProducersRequest::default().with_topics(topics.collect());
        let response = link.call(&request, self.config().request_timeout).await?;
        let link = &link;
        let answers = response.topics.into_iter().flat_map(|topic| {
            let name = topic.name;
            topic.partitions.into_iter().map(move |partition| {
                let at = TopicPartition::new(&*name.0, partition.partition_index);
                let outcome = described(link, &at, partition);
                (at, outcome)
            })
        });
        Ok(answers.collect())
    }
}

fn described(
    link: &Link,
    at: &TopicPartition,
    answer: PartitionResponse,
) -> Result<Vec<ActiveProducer>, Error> {
    if let Some(code) = ErrorCode::new(answer.error_code) {
        let error = Error::kafka(
            code,
            DescribeProducersRequest::NAME,
            link.broker(),
            at.to_string(),
        );
        return Err(error.with_message(answer.error_message.map(|words| words.to_string())));
    }
    let mut producers: Vec<_> = answer.active_producers.iter().map(ActiveProducer::of).collect();
    producers.sort_by_key(|producer| producer.producer_id);
    Ok(producers)
}

impl ActiveProducer {
    /// -1 stands for "there is none" in each of the fields.
    fn of(state: &ProducerState) -> Self {
        Self {
            producer_id: state.producer_id.0,
            producer_epoch: state.producer_epoch,
            last_sequence: Some(state.last_sequence).filter(|&sequence| sequence >= 0),
            last_timestamp: Some(state.last_timestamp).filter(|&time| time >= 0),
            coordinator_epoch: Some(state.coordinator_epoch).filter(|&epoch| epoch >= 0),
            transaction_start_offset: Some(state.current_txn_start_offset).filter(|&offset| offset >= 0),
        }
    }
}
