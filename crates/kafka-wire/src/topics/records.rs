//! Deleting the oldest records of partitions.

use kafka_protocol::messages::DeleteRecordsRequest;
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};

use crate::cluster::{Asked, Cluster, PartitionResults, TopicPartition, by_topic};
use crate::connection::{Api, Link, topic_name};
use crate::error::{Error, ErrorCode};

impl Cluster {
    /// Deletes all records below an offset, and moves the log start there. Gives the log start offset after it.
    ///
    /// The offset must not be above the high watermark. Repeating it does no harm, so that is done when an answer is
    /// lost.
    pub async fn delete_records(&self, before: &[(TopicPartition, i64)]) -> PartitionResults<i64> {
        // -1 would mean "all"; whoever wants that says up to which offset.
        let (valid, invalid): (Vec<_>, Vec<_>) = before.iter().cloned().partition(|(_, offset)| *offset >= 0);
        let mut results = self
            .ask_leaders(valid, |link, asked| self.send_delete_records(link, asked))
            .await;
        results.extend(invalid.into_iter().map(|(partition, offset)| {
            let subject = partition.to_string();
            let reason = format!("cannot delete records before offset {offset}: it is negative");
            (partition, Err(Error::InvalidRequest { subject, reason }))
        }));
        results.sort_by(|(a, _), (b, _)| a.cmp(b));
        results
    }

    async fn send_delete_records(
        &self,
        link: Link,
        asked: Vec<Asked<i64>>,
    ) -> Result<PartitionResults<i64>, Error> {
        let topics = by_topic(
            asked
                .into_iter()
                .map(|(partition, _, offset)| (partition, offset)),
        );
        let topics = topics.into_iter().map(|(topic, partitions)| {
            let partitions = partitions.into_iter().map(|(index, offset)| {
                DeleteRecordsPartition::default()
                    .with_partition_index(index)
                    .with_offset(offset)
            });
            DeleteRecordsTopic::default()
                .with_name(topic_name(&topic))
                .with_partitions(partitions.collect())
        });
        let request = DeleteRecordsRequest::default()
            .with_topics(topics.collect())
            .with_timeout_ms(self.broker_timeout_ms());
        let response = link.call(&request, self.config().request_timeout).await?;
        let link = &link;
        let answers = response.topics.into_iter().flat_map(|topic| {
            let name = topic.name;
            topic.partitions.into_iter().map(move |answer| {
                let at = TopicPartition::new(&*name.0, answer.partition_index);
                let outcome = match ErrorCode::new(answer.error_code) {
                    None => Ok(answer.low_watermark),
                    Some(code) => Err(Error::kafka(
                        code,
                        DeleteRecordsRequest::NAME,
                        link.broker(),
                        at.to_string(),
                    )),
                };
                (at, outcome)
            })
        });
        Ok(answers.collect())
    }
}
