//! Reading the committed offsets of groups.

use std::collections::BTreeMap;

use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse};
use kafka_protocol::protocol::StrBytes;

use super::{GroupResults, subject};
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
        let mut results = self.fetch_offsets_of_groups(&[group]).await;
        results
            .pop()
            .map_or_else(|| Ok(Vec::new()), |(_, outcome)| outcome)
    }

    /// All positions of each of these groups, as [`fetch_offsets`](Self::fetch_offsets) gives them, in few requests. The
    /// results are sorted by group.
    pub async fn fetch_offsets_of_groups(
        &self,
        groups: &[impl AsRef<str>],
    ) -> GroupResults<PartitionResults<CommittedOffset>> {
        let questions = groups
            .iter()
            .map(|group| (group.as_ref().to_owned(), None))
            .collect();
        let committed = |positions: PartitionResults<Option<CommittedOffset>>| {
            let mut committed: PartitionResults<_> = positions
                .into_iter()
                .filter_map(|(partition, outcome)| Some((partition, outcome.transpose()?)))
                .collect();
            committed.sort_by(|(a, _), (b, _)| a.cmp(b));
            committed
        };
        let results = self.ask_offsets(questions).await.into_iter();
        results
            .map(|(group, outcome)| (group, outcome.map(committed)))
            .collect()
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
        let questions = vec![(group.to_owned(), Some(partitions))];
        let mut results = self.ask_offsets(questions).await;
        results
            .pop()
            .map_or_else(|| Ok(Vec::new()), |(_, outcome)| outcome)
    }

    /// What is asked is all positions of a group, or those in some partitions.
    async fn ask_offsets(
        &self,
        questions: Vec<(String, Option<&[TopicPartition]>)>,
    ) -> GroupResults<PartitionResults<Option<CommittedOffset>>> {
        self.ask_coordinators(Effect::Repeatable, questions, |link, asked| {
            self.send_offset_fetch(link, asked)
        })
        .await
    }

    async fn send_offset_fetch(
        &self,
        link: Link,
        asked: Vec<(String, Option<&[TopicPartition]>)>,
    ) -> Result<GroupResults<PartitionResults<Option<CommittedOffset>>>, Error> {
        let version = link.version_of::<OffsetFetchRequest>()?;
        let at_once = if version >= MANY_GROUPS {
            asked.len().max(1)
        } else {
            1
        };
        let mut results = Vec::with_capacity(asked.len());
        for asked in asked.chunks(at_once) {
            let response = link
                .call_at(version, &request(version, asked), self.config().request_timeout)
                .await?;
            let mut answers = by_group(response, version, &asked[0].0);
            for (group, partitions) in asked {
                let outcome = match answers.remove(group) {
                    Some(answer) => answer.read(&link, group, *partitions),
                    None => Err(link.left_out(&subject(group))),
                };
                results.push((group.clone(), outcome));
            }
        }
        Ok(results)
    }
}

/// About several groups from version [`MANY_GROUPS`] on, else about the first.
fn request(version: i16, asked: &[(String, Option<&[TopicPartition]>)]) -> OffsetFetchRequest {
    let request = OffsetFetchRequest::default().with_require_stable(version >= STABLE);
    let indexes = |partitions: Vec<(i32, ())>| partitions.into_iter().map(|(index, ())| index).collect();
    let topics = |partitions: &[TopicPartition]| by_topic(partitions.iter().map(|at| (at.clone(), ())));
    if version >= MANY_GROUPS {
        let groups = asked.iter().map(|(group, partitions)| {
            let topics = partitions.map(|partitions| {
                let topics = topics(partitions).into_iter().map(|(topic, partitions)| {
                    OffsetFetchRequestTopics::default()
                        .with_name(topic_name(&topic))
                        .with_partition_indexes(indexes(partitions))
                });
                topics.collect()
            });
            OffsetFetchRequestGroup::default()
                .with_group_id(group_id(group))
                .with_topics(topics)
        });
        return request.with_groups(groups.collect());
    }
    let Some((group, partitions)) = asked.first() else {
        return request;
    };
    let topics = partitions.map(|partitions| {
        let topics = topics(partitions).into_iter().map(|(topic, partitions)| {
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

/// One group of a response, of whichever version.
struct GroupAnswer {
    error_code: i16,
    positions: Vec<Answer>,
}

impl GroupAnswer {
    fn read(
        self,
        link: &Link,
        group: &str,
        asked: Option<&[TopicPartition]>,
    ) -> Result<PartitionResults<Option<CommittedOffset>>, Error> {
        if let Some(code) = self.refusal() {
            return Err(Error::kafka(
                code,
                OffsetFetchRequest::NAME,
                link.broker(),
                subject(group),
            ));
        }
        let answers = self.positions.into_iter().map(|answer| answer.read(link, group));
        Ok(match asked {
            None => answers.collect(),
            Some(asked) => answers_for(asked, answers, |partition| link.left_out(partition)),
        })
    }

    /// What makes the whole answer useless: an error of the group, or a position that is about to change.
    fn refusal(&self) -> Option<ErrorCode> {
        let unstable = ErrorCode::UNSTABLE_OFFSET_COMMIT.code();
        let pending = self.positions.iter().map(|answer| answer.error_code);
        let pending = pending.filter(|code| *code == unstable);
        std::iter::once(self.error_code)
            .chain(pending)
            .find_map(ErrorCode::new)
    }
}

/// The groups of a response; `only` is the one that was asked about in a version that knows only one.
fn by_group(response: OffsetFetchResponse, version: i16, only: &str) -> BTreeMap<String, GroupAnswer> {
    if version < MANY_GROUPS {
        let positions = response.topics.into_iter().flat_map(|topic| {
            let name = topic.name;
            topic.partitions.into_iter().map(move |partition| Answer {
                at: TopicPartition::new(&*name.0, partition.partition_index),
                offset: partition.committed_offset,
                leader_epoch: partition.committed_leader_epoch,
                metadata: partition.metadata,
                error_code: partition.error_code,
            })
        });
        let answer = GroupAnswer {
            error_code: response.error_code,
            positions: positions.collect(),
        };
        return BTreeMap::from([(only.to_owned(), answer)]);
    }
    let groups = response.groups.into_iter().map(|group| {
        let positions = group.topics.into_iter().flat_map(|topic| {
            let name = topic.name;
            topic.partitions.into_iter().map(move |partition| Answer {
                at: TopicPartition::new(&*name.0, partition.partition_index),
                offset: partition.committed_offset,
                leader_epoch: partition.committed_leader_epoch,
                metadata: partition.metadata,
                error_code: partition.error_code,
            })
        });
        let answer = GroupAnswer {
            error_code: group.error_code,
            positions: positions.collect(),
        };
        (group.group_id.to_string(), answer)
    });
    groups.collect()
}
