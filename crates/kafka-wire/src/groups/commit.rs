//! Changing the committed offsets of a group, from outside of it.

use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::{DeleteGroupsRequest, OffsetCommitRequest, OffsetDeleteRequest};

use super::{GroupResults, subject};
use crate::cluster::{Cluster, PartitionResults, TopicPartition, all_failed, answers_for, by_topic};
use crate::connection::{Api, Link, group_id, text, topic_name};
use crate::error::{Error, ErrorCode};
use crate::retry::Effect;

/// A position to commit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OffsetCommit {
    /// The partition.
    pub partition: TopicPartition,
    /// The next record to read is the first one at or after this offset. Not negative; brokers do not check whether it
    /// is within the log.
    pub offset: i64,
    /// What to keep next to the position; consumers may rely on it.
    pub metadata: String,
}

impl OffsetCommit {
    /// A position without metadata.
    pub fn new(partition: TopicPartition, offset: i64) -> Self {
        Self {
            partition,
            offset,
            metadata: String::new(),
        }
    }

    /// Sets what is kept next to the position.
    #[must_use]
    pub fn with_metadata(mut self, metadata: impl Into<String>) -> Self {
        self.metadata = metadata.into();
        self
    }

    /// About as many bytes as it takes in the coordinator's log, which has a limit per commit.
    fn weight(&self, group: &str) -> usize {
        group.len() + self.partition.topic.len() + self.metadata.len() + 64
    }
}

/// The coordinator writes a commit as one batch of records, which must not be larger than `max.message.bytes` of its
/// own topic (1 MiB by default). Half of that is used.
const COMMIT_BYTES: usize = 512 << 10;

impl Cluster {
    /// Commits positions for a group without being a member of it, which a coordinator accepts only while the group
    /// has none: else each position fails with [`ErrorCode::UNKNOWN_MEMBER_ID`] or another code of that kind, and
    /// nothing is changed. A group that does not exist comes into being.
    ///
    /// No leader epoch is committed: that of another cluster would make consumers wait for metadata that never comes.
    ///
    /// A commit whose answer is lost is repeated: the same positions again do no harm, and once consumers have joined
    /// the group a late repetition is refused. The results are sorted by partition.
    pub async fn commit_offsets(&self, group: &str, commits: &[OffsetCommit]) -> PartitionResults<()> {
        let mut results: PartitionResults<()> = commits.iter().filter_map(invalid).collect();
        let valid: Vec<&OffsetCommit> = commits.iter().filter(|commit| commit.offset >= 0).collect();
        for chunk in in_chunks(group, &valid) {
            let questions = chunk
                .iter()
                .map(|commit| (commit.partition.clone(), *commit))
                .collect();
            let settled = self
                .settle(Effect::Repeatable, questions, |open| {
                    self.commit_once(group, open)
                })
                .await;
            results.extend(settled);
        }
        results.sort_by(|(a, _), (b, _)| a.cmp(b));
        results
    }

    async fn commit_once(
        &self,
        group: &str,
        commits: Vec<(TopicPartition, &OffsetCommit)>,
    ) -> PartitionResults<()> {
        let asked: Vec<&TopicPartition> = commits.iter().map(|(partition, _)| partition).collect();
        let request = commit_request(group, &commits);
        self.ask_about_positions(group, &asked, &request, |link, response| {
            let answers = response.topics.into_iter().flat_map(|topic| {
                let partitions = topic.partitions.into_iter();
                let codes = partitions.map(|partition| (partition.partition_index, partition.error_code));
                outcomes::<OffsetCommitRequest>(link.broker(), group, &topic.name, codes)
            });
            Ok(answers.collect())
        })
        .await
    }

    /// Asks the coordinator once about positions; each gets its own answer, or the failure of all.
    async fn ask_about_positions<R: Api>(
        &self,
        group: &str,
        asked: &[&TopicPartition],
        request: &R,
        answers: impl FnOnce(&Link, R::Response) -> Result<PartitionResults<()>, Error>,
    ) -> PartitionResults<()> {
        let outcome = match self.coordinator_link(group).await {
            Ok(link) => {
                let response = link.call(request, self.config().request_timeout).await;
                let answers = response.and_then(|response| answers(&link, response));
                answers.map(|answers| (link, answers))
            }
            Err(error) => Err(error),
        };
        let asked = asked.iter().copied();
        let results = match outcome {
            Ok((link, answers)) => answers_for(asked, answers, |partition| link.left_out(partition)),
            Err(error) => all_failed(asked, &error),
        };
        let moved = |error: &Error| error.code().is_none_or(ErrorCode::is_stale_coordinator);
        if results
            .iter()
            .any(|(_, outcome)| outcome.as_ref().is_err_and(moved))
        {
            self.forget_coordinator(group);
        }
        results
    }

    /// Deletes committed positions of a group. Refused for topics that the group's members consume. Deleting a position
    /// that is not there succeeds. When the coordinator refuses the group as a whole, as one that does not exist, that is
    /// the outcome for each partition.
    ///
    /// What fails in passing is asked for again, that alone. The results are sorted by partition.
    pub async fn delete_offsets(&self, group: &str, partitions: &[TopicPartition]) -> PartitionResults<()> {
        let questions = partitions
            .iter()
            .map(|partition| (partition.clone(), ()))
            .collect();
        self.settle(Effect::Repeatable, questions, |open| {
            self.delete_once(group, open)
        })
        .await
    }

    async fn delete_once(&self, group: &str, open: Vec<(TopicPartition, ())>) -> PartitionResults<()> {
        let asked: Vec<&TopicPartition> = open.iter().map(|(partition, ())| partition).collect();
        let request = delete_request(group, &asked);
        self.ask_about_positions(group, &asked, &request, |link, response| {
            if let Some(code) = ErrorCode::new(response.error_code) {
                let name = OffsetDeleteRequest::NAME;
                return Err(Error::kafka(code, name, link.broker(), subject(group)));
            }
            let answers = response.topics.into_iter().flat_map(|topic| {
                let partitions = topic.partitions.into_iter();
                let codes = partitions.map(|partition| (partition.partition_index, partition.error_code));
                outcomes::<OffsetDeleteRequest>(link.broker(), group, &topic.name, codes)
            });
            Ok(answers.collect())
        })
        .await
    }

    /// Deletes a group with all its positions. Refused while it has members.
    ///
    /// # Errors
    /// [`ErrorCode::GROUP_ID_NOT_FOUND`] when it does not exist, [`ErrorCode::NON_EMPTY_GROUP`] while it has members.
    pub async fn delete_group(&self, group: &str) -> Result<(), Error> {
        let mut results = self.delete_groups(&[group]).await;
        results.pop().map_or(Ok(()), |(_, outcome)| outcome)
    }

    /// Deletes groups, of any kind, with all their positions. The results are sorted by group, and fail like those of
    /// [`delete_group`](Self::delete_group).
    pub async fn delete_groups(&self, groups: &[impl AsRef<str>]) -> GroupResults<()> {
        let questions = groups
            .iter()
            .map(|group| (group.as_ref().to_owned(), ()))
            .collect();
        self.ask_coordinators(Effect::Once, questions, |link, asked| {
            self.send_delete_groups(link, asked)
        })
        .await
    }

    async fn send_delete_groups(
        &self,
        link: Link,
        asked: Vec<(String, ())>,
    ) -> Result<GroupResults<()>, Error> {
        let groups = asked.iter().map(|(group, ())| group_id(group)).collect();
        let request = DeleteGroupsRequest::default().with_groups_names(groups);
        let response = link.call(&request, self.config().request_timeout).await?;
        let answers = response.results.into_iter().map(|result| {
            let group = result.group_id.to_string();
            let outcome = match ErrorCode::new(result.error_code) {
                None => Ok(()),
                Some(code) => Err(Error::kafka(
                    code,
                    DeleteGroupsRequest::NAME,
                    link.broker(),
                    subject(&group),
                )),
            };
            (group, outcome)
        });
        Ok(answers.collect())
    }
}

/// The error for a position that must not be sent: brokers accept it, and consumers then fail.
fn invalid(commit: &OffsetCommit) -> Option<(TopicPartition, Result<(), Error>)> {
    (commit.offset < 0).then(|| {
        let subject = commit.partition.to_string();
        let reason = format!("offset {} cannot be committed: it is negative", commit.offset);
        (
            commit.partition.clone(),
            Err(Error::InvalidRequest { subject, reason }),
        )
    })
}

fn in_chunks<'a>(group: &str, commits: &[&'a OffsetCommit]) -> Vec<Vec<&'a OffsetCommit>> {
    let mut chunks: Vec<Vec<&OffsetCommit>> = Vec::new();
    let mut room = 0;
    for &commit in commits {
        let weight = commit.weight(group);
        match chunks.last_mut() {
            Some(chunk) if weight <= room => {
                chunk.push(commit);
                room -= weight;
            }
            _ => {
                chunks.push(vec![commit]);
                room = COMMIT_BYTES.saturating_sub(weight);
            }
        }
    }
    chunks
}

fn commit_request(group: &str, commits: &[(TopicPartition, &OffsetCommit)]) -> OffsetCommitRequest {
    let topics = by_topic(commits.iter().cloned());
    let topics = topics.into_iter().map(|(topic, commits)| {
        let partitions = commits.into_iter().map(|(index, commit)| {
            OffsetCommitRequestPartition::default()
                .with_partition_index(index)
                .with_committed_offset(commit.offset)
                .with_committed_leader_epoch(-1)
                .with_committed_metadata(Some(text(&commit.metadata)))
        });
        OffsetCommitRequestTopic::default()
            .with_name(topic_name(&topic))
            .with_partitions(partitions.collect())
    });
    // No generation, no member: the commit of somebody who is not in the group.
    OffsetCommitRequest::default()
        .with_group_id(group_id(group))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(topics.collect())
}

fn delete_request(group: &str, partitions: &[&TopicPartition]) -> OffsetDeleteRequest {
    let topics = by_topic(partitions.iter().map(|&partition| (partition.clone(), ())));
    let topics = topics.into_iter().map(|(topic, partitions)| {
        let partitions = partitions
            .into_iter()
            .map(|(index, ())| OffsetDeleteRequestPartition::default().with_partition_index(index));
        OffsetDeleteRequestTopic::default()
            .with_name(topic_name(&topic))
            .with_partitions(partitions.collect())
    });
    OffsetDeleteRequest::default()
        .with_group_id(group_id(group))
        .with_topics(topics.collect())
}

/// The outcomes for the partitions of one topic.
fn outcomes<R: Api>(
    broker: &std::sync::Arc<str>,
    group: &str,
    topic: &str,
    codes: impl Iterator<Item = (i32, i16)>,
) -> PartitionResults<()> {
    codes
        .map(|(index, code)| {
            let at = TopicPartition::new(topic, index);
            let outcome = match ErrorCode::new(code) {
                None => Ok(()),
                Some(code) => Err(Error::kafka(
                    code,
                    R::NAME,
                    broker,
                    format!("{}, {at}", subject(group)),
                )),
            };
            (at, outcome)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_commit_is_split_by_its_size_and_keeps_every_position() {
        let commit =
            |index| OffsetCommit::new(TopicPartition::new("t", index), 1).with_metadata("m".repeat(4000));
        let commits: Vec<_> = (0..1000).map(commit).collect();
        let chunks = in_chunks("g", &commits.iter().collect::<Vec<_>>());
        assert!((8..=9).contains(&chunks.len()), "{}", chunks.len());
        let back: Vec<_> = chunks.into_iter().flatten().cloned().collect();
        assert_eq!(back, commits);
    }
}
