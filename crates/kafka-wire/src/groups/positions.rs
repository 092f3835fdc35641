//! Reading the committed offsets of a group.

use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse};
use kafka_protocol::protocol::StrBytes;

use super::subject;
use crate::cluster::{Cluster, PartitionResults, TopicPartition, answers_for, by_topic};
use crate::connection::{Api, Link, group_id, topic_name};
use crate::error::{Error, ErrorCode};
use crate::retry::Effect;

/// A position that a group committed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommittedOffset {
    /// The next record to read is the first one at or after this offset.
    pub offset: i64,
    /// The leader epoch of the record before, as known to the consumer. It means nothing in another cluster.
    pub leader_epoch: Option<i32>,
    /// What the consumer wrote next to the position; empty when nothing.
    pub metadata: String,
}

/// First version that asks about several groups, in other fields.
const MANY_GROUPS: i16 = 8;
/// First version that can ask for positions that no open transaction may still change.
const STABLE: i16 = 7;

impl Cluster {
    /// All positions that a group has committed. Empty for a group that does not exist.
    ///
    /// Waits for transactional commits that are pending.
    ///
    /// # Errors
    /// When the coordinator does not answer, or refuses.
    pub async fn fetch_offsets(&self, group: &str) -> Result<PartitionResults<CommittedOffset>, Error> {
        let (_, results) = self.ask_offsets(group, None).await?;
        let committed = results
            .into_iter()
            .filter_map(|(partition, outcome)| Some((partition, outcome.transpose()?)));
        let mut committed: PartitionResults<_> = committed.collect();
        committed.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(committed)
    }

    /// The positions that a group has committed for these partitions; `None` where it has not.
    ///
    /// Waits for transactional commits that are pending. The results are in the order of `partitions`.
    ///
    /// # Errors
    /// When the coordinator does not answer, or refuses.
    pub async fn fetch_offsets_of(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<PartitionResults<Option<CommittedOffset>>, Error> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let (link, results) = self.ask_offsets(group, Some(partitions)).await?;
        Ok(answers_for(partitions, results, |partition| {
            link.left_out(partition)
        }))
    }

    async fn ask_offsets(
        &self,
        group: &str,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<(Link, PartitionResults<Option<CommittedOffset>>), Error> {
        let (link, response) = self
            .ask_coordinator(
                group,
                Effect::Repeatable,
                |version| request(version, group, partitions),
                refusal,
            )
            .await?;
        let results = answers(response, group)
            .map(|answer| answer.read(&link, group))
            .collect();
        Ok((link, results))
    }
}

fn request(version: i16, group: &str, partitions: Option<&[TopicPartition]>) -> OffsetFetchRequest {
    let topics = partitions.map(|partitions| by_topic(partitions.iter().map(|at| (at.clone(), ()))));
    let indexes = |partitions: Vec<(i32, ())>| partitions.into_iter().map(|(index, ())| index).collect();
    let request = OffsetFetchRequest::default().with_require_stable(version >= STABLE);
    if version >= MANY_GROUPS {
        let topics = topics.map(|topics| {
            let topics = topics.into_iter().map(|(topic, partitions)| {
                OffsetFetchRequestTopics::default()
                    .with_name(topic_name(&topic))
                    .with_partition_indexes(indexes(partitions))
            });
            topics.collect()
        });
        let group = OffsetFetchRequestGroup::default()
            .with_group_id(group_id(group))
            .with_topics(topics);
        return request.with_groups(vec![group]);
    }
    let topics = topics.map(|topics| {
        let topics = topics.into_iter().map(|(topic, partitions)| {
            OffsetFetchRequestTopic::default()
                .with_name(topic_name(&topic))
                .with_partition_indexes(indexes(partitions))
        });
        topics.collect()
    });
    request.with_group_id(group_id(group)).with_topics(topics)
}

/// One partition of a response, of whichever version.
struct Answer {
    at: TopicPartition,
    offset: i64,
    leader_epoch: i32,
    metadata: Option<StrBytes>,
    error_code: i16,
}

impl Answer {
    fn read(self, link: &Link, group: &str) -> (TopicPartition, Result<Option<CommittedOffset>, Error>) {
        if let Some(code) = ErrorCode::new(self.error_code) {
            let about = format!("{}, {}", subject(group), self.at);
            return (
                self.at,
                Err(Error::kafka(code, OffsetFetchRequest::NAME, link.broker(), about)),
            );
        }
        // A negative offset stands for "none"; brokers accept no commit of one from a well-behaved client.
        let committed = (self.offset >= 0).then(|| CommittedOffset {
            offset: self.offset,
            leader_epoch: (self.leader_epoch >= 0).then_some(self.leader_epoch),
            metadata: self
                .metadata
                .map(|metadata| metadata.to_string())
                .unwrap_or_default(),
        });
        (self.at, Ok(committed))
    }
}

/// The partitions of a response about one group, of whichever version.
fn answers(response: OffsetFetchResponse, group: &str) -> impl Iterator<Item = Answer> {
    let old = response.topics.into_iter().flat_map(|topic| {
        let name = topic.name;
        topic.partitions.into_iter().map(move |partition| Answer {
            at: TopicPartition::new(&*name.0, partition.partition_index),
            offset: partition.committed_offset,
            leader_epoch: partition.committed_leader_epoch,
            metadata: partition.metadata,
            error_code: partition.error_code,
        })
    });
    let groups = response
        .groups
        .into_iter()
        .filter(move |answer| **answer.group_id == *group);
    let new = groups.flat_map(|group| group.topics).flat_map(|topic| {
        let name = topic.name;
        topic.partitions.into_iter().map(move |partition| Answer {
            at: TopicPartition::new(&*name.0, partition.partition_index),
            offset: partition.committed_offset,
            leader_epoch: partition.committed_leader_epoch,
            metadata: partition.metadata,
            error_code: partition.error_code,
        })
    });
    old.chain(new)
}

/// What makes the whole answer useless: an error of the group, or a position that is about to change.
fn refusal(response: &OffsetFetchResponse) -> Option<ErrorCode> {
    let groups = response.groups.iter();
    let whole = std::iter::once(response.error_code).chain(groups.clone().map(|group| group.error_code));
    let old = response
        .topics
        .iter()
        .flat_map(|topic| &topic.partitions)
        .map(|partition| partition.error_code);
    let new = (groups
        .flat_map(|group| &group.topics)
        .flat_map(|topic| &topic.partitions))
    .map(|partition| partition.error_code);
    let pending = old
        .chain(new)
        .filter(|code| *code == ErrorCode::UNSTABLE_OFFSET_COMMIT.code());
    whole.chain(pending).find_map(ErrorCode::new)
}
