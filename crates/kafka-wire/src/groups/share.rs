//! The positions of share groups (KIP-932): where a group begins to read, kept apart from committed offsets.
//!
//! Below the start offset everything is done with; which records above it were taken or acknowledged is not told, and
//! cannot be set.

use kafka_protocol::messages::alter_share_group_offsets_request::{
    AlterShareGroupOffsetsRequestPartition, AlterShareGroupOffsetsRequestTopic,
};
use kafka_protocol::messages::delete_share_group_offsets_request::DeleteShareGroupOffsetsRequestTopic;
use kafka_protocol::messages::describe_share_group_offsets_request::{
    DescribeShareGroupOffsetsRequestGroup, DescribeShareGroupOffsetsRequestTopic,
};
use kafka_protocol::messages::{
    AlterShareGroupOffsetsRequest, DeleteShareGroupOffsetsRequest, DescribeShareGroupOffsetsRequest,
};
use kafka_protocol::protocol::StrBytes;

use super::subject;
use crate::cluster::{Cluster, PartitionResults, TopicPartition, answers_for, by_topic};
use crate::connection::{Api, Link, group_id, topic_name};
use crate::error::{Error, ErrorCode};
use crate::retry::Effect;
use crate::topics::TopicResults;

/// Where a share group is in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShareOffset {
    /// The first offset that the group is not done with.
    pub start_offset: i64,
    /// The leader epoch when that was written.
    pub leader_epoch: Option<i32>,
}

impl Cluster {
    /// The start offsets of a share group in all partitions where it has any, sorted.
    ///
    /// # Errors
    /// [`ErrorCode::GROUP_ID_NOT_FOUND`] when there is no such share group; when the coordinator does not answer.
    pub async fn fetch_share_offsets(&self, group: &str) -> Result<PartitionResults<ShareOffset>, Error> {
        let (_, answers) = self.ask_share_offsets(group, None).await?;
        let known = answers
            .into_iter()
            .filter_map(|(partition, outcome)| Some((partition, outcome.transpose()?)));
        let mut known: PartitionResults<_> = known.collect();
        known.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(known)
    }

    /// The start offsets of a share group in these partitions; `None` where it has none. The results are in the order of
    /// `partitions`.
    ///
    /// # Errors
    /// Like [`fetch_share_offsets`](Self::fetch_share_offsets).
    pub async fn fetch_share_offsets_of(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<PartitionResults<Option<ShareOffset>>, Error> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let (link, answers) = self.ask_share_offsets(group, Some(partitions)).await?;
        Ok(answers_for(partitions, answers, |partition| {
            link.left_out(partition)
        }))
    }

    async fn ask_share_offsets(
        &self,
        group: &str,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<(Link, PartitionResults<Option<ShareOffset>>), Error> {
        let (link, response) = self
            .ask_coordinator(
                group,
                Effect::Repeatable,
                |_| describe_request(group, partitions),
                |response| {
                    response
                        .groups
                        .iter()
                        .find_map(|group| ErrorCode::new(group.error_code))
                },
            )
            .await?;
        let topics = response.groups.into_iter().flat_map(|group| group.topics);
        let answers = topics.flat_map(|topic| {
            let (link, name) = (&link, topic.topic_name);
            topic.partitions.into_iter().map(move |answer| {
                let at = TopicPartition::new(&*name.0, answer.partition_index);
                let offset = (answer.start_offset >= 0).then_some(ShareOffset {
                    start_offset: answer.start_offset,
                    leader_epoch: (answer.leader_epoch >= 0).then_some(answer.leader_epoch),
                });
                let refused = refusal::<DescribeShareGroupOffsetsRequest>(
                    link,
                    format!("{}, {at}", subject(group)),
                    answer.error_code,
                    answer.error_message,
                );
                (at, refused.map(|()| offset))
            })
        });
        let answers = answers.collect();
        Ok((link, answers))
    }

    /// Sets where a share group begins to read; everything above counts as unread. Accepted only while the group has no
    /// members. The results are sorted by partition.
    ///
    /// Setting the same again does no harm, so that is done when an answer is lost. Before Kafka 4.2 the group has to
    /// exist.
    ///
    /// # Errors
    /// [`ErrorCode::NON_EMPTY_GROUP`] while the group has members; when the coordinator does not answer.
    pub async fn alter_share_offsets(
        &self,
        group: &str,
        starts: &[(TopicPartition, i64)],
    ) -> Result<PartitionResults<()>, Error> {
        let (valid, invalid): (Vec<_>, Vec<_>) = starts.iter().cloned().partition(|(_, start)| *start >= 0);
        let mut results: PartitionResults<()> = Vec::with_capacity(starts.len());
        for (partition, start) in invalid {
            let subject = partition.to_string();
            let reason = format!("a share group cannot begin at offset {start}: it is negative");
            results.push((partition, Err(Error::InvalidRequest { subject, reason })));
        }
        if !valid.is_empty() {
            results.extend(self.send_share_offsets(group, &valid).await?);
        }
        results.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(results)
    }

    async fn send_share_offsets(
        &self,
        group: &str,
        starts: &[(TopicPartition, i64)],
    ) -> Result<PartitionResults<()>, Error> {
        let (link, response) = self
            .ask_coordinator(
                group,
                Effect::Repeatable,
                |_| alter_request(group, starts),
                |response| ErrorCode::new(response.error_code),
            )
            .await?;
        let answers = response.responses.into_iter().flat_map(|topic| {
            let (link, name) = (&link, topic.topic_name);
            topic.partitions.into_iter().map(move |answer| {
                let at = TopicPartition::new(&*name.0, answer.partition_index);
                let refused = refusal::<AlterShareGroupOffsetsRequest>(
                    link,
                    format!("{}, {at}", subject(group)),
                    answer.error_code,
                    answer.error_message,
                );
                (at, refused)
            })
        });
        let asked = starts.iter().map(|(partition, _)| partition);
        Ok(answers_for(asked, answers, |partition| link.left_out(partition)))
    }

    /// Deletes all that a share group knows of these topics. Accepted only while the group has no members. The results
    /// are sorted by topic.
    ///
    /// # Errors
    /// [`ErrorCode::GROUP_ID_NOT_FOUND`], [`ErrorCode::NON_EMPTY_GROUP`]; when the coordinator does not answer.
    pub async fn delete_share_offsets(
        &self,
        group: &str,
        topics: &[&str],
    ) -> Result<TopicResults<()>, Error> {
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        let topic =
            |name: &&str| DeleteShareGroupOffsetsRequestTopic::default().with_topic_name(topic_name(name));
        let request = DeleteShareGroupOffsetsRequest::default()
            .with_group_id(group_id(group))
            .with_topics(topics.iter().map(topic).collect());
        let (link, response) = self
            .ask_coordinator(
                group,
                Effect::Repeatable,
                |_| request.clone(),
                |response| ErrorCode::new(response.error_code),
            )
            .await?;
        let answers = response.responses.into_iter().map(|answer| {
            let name = answer.topic_name.to_string();
            let refused = refusal::<DeleteShareGroupOffsetsRequest>(
                &link,
                format!("{}, topic {name}", subject(group)),
                answer.error_code,
                answer.error_message,
            );
            (name, refused)
        });
        let mut asked: Vec<String> = topics.iter().map(|&topic| topic.to_owned()).collect();
        asked.sort();
        Ok(answers_for(&asked, answers, |topic| {
            link.left_out(&format!("topic {topic}"))
        }))
    }
}

fn refusal<R: Api>(link: &Link, about: String, code: i16, words: Option<StrBytes>) -> Result<(), Error> {
    match ErrorCode::new(code) {
        None => Ok(()),
        Some(code) => Err(Error::kafka(code, R::NAME, link.broker(), about)
            .with_message(words.map(|words| words.to_string()))),
    }
}

fn describe_request(group: &str, partitions: Option<&[TopicPartition]>) -> DescribeShareGroupOffsetsRequest {
    let topics = partitions.map(|partitions| {
        let topics = by_topic(partitions.iter().map(|at| (at.clone(), ())));
        let topics = topics.into_iter().map(|(topic, partitions)| {
            DescribeShareGroupOffsetsRequestTopic::default()
                .with_topic_name(topic_name(&topic))
                .with_partitions(partitions.into_iter().map(|(index, ())| index).collect())
        });
        topics.collect()
    });
    let group = DescribeShareGroupOffsetsRequestGroup::default()
        .with_group_id(group_id(group))
        .with_topics(topics);
    DescribeShareGroupOffsetsRequest::default().with_groups(vec![group])
}

fn alter_request(group: &str, starts: &[(TopicPartition, i64)]) -> AlterShareGroupOffsetsRequest {
    let topics = by_topic(starts.iter().cloned());
    let topics = topics.into_iter().map(|(topic, starts)| {
        let partitions = starts.into_iter().map(|(index, start)| {
            AlterShareGroupOffsetsRequestPartition::default()
                .with_partition_index(index)
                .with_start_offset(start)
        });
        AlterShareGroupOffsetsRequestTopic::default()
            .with_topic_name(topic_name(&topic))
            .with_partitions(partitions.collect())
    });
    AlterShareGroupOffsetsRequest::default()
        .with_group_id(group_id(group))
        .with_topics(topics.collect())
}
