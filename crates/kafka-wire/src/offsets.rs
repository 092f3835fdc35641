//! Offsets of the log: where it begins and ends, what was written when, where a leader's reign ended.

use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::ListOffsetsPartitionResponse;
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::offset_for_leader_epoch_response::EpochEndOffset;
use kafka_protocol::messages::{BrokerId, ListOffsetsRequest, OffsetForLeaderEpochRequest};

use crate::cluster::{Asked, Cluster, PartitionResults, TopicPartition, by_topic};
use crate::connection::{Api, Link, topic_name};
use crate::error::{Error, ErrorCode};

/// Timestamps that stand for something else, as written in requests.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;

/// First version that knows what [`MAX_TIMESTAMP`] stands for; those before it answer as if it were a time.
const KNOWS_MAX_TIMESTAMP: i16 = 7;

/// How far a reader sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IsolationLevel {
    /// Up to the high watermark, records of open and aborted transactions included.
    #[default]
    ReadUncommitted,
    /// Up to the last stable offset: nothing of a transaction that is still open.
    ReadCommitted,
}

impl IsolationLevel {
    /// As written in requests.
    pub(crate) fn wire(self) -> i8 {
        match self {
            Self::ReadUncommitted => 0,
            Self::ReadCommitted => 1,
        }
    }
}

/// Which end of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OffsetSpec {
    /// The log start offset: the first that retention and deletion have left.
    Earliest,
    /// The offset of the next record: the high watermark, or with [`IsolationLevel::ReadCommitted`] the last stable
    /// offset.
    Latest,
}

/// An offset, as the partition's leader told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedOffset {
    /// The offset.
    pub offset: i64,
    /// Milliseconds since 1970 of the record found; only for look-ups by time.
    pub timestamp: Option<i64>,
    /// The leader epoch of the offset; `None` from brokers before 2.1 and for logs without any.
    pub leader_epoch: Option<i32>,
}

/// Where the records of a leader epoch end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct EpochEnd {
    /// The largest epoch that is not larger than the one that was asked for, and that the log has.
    pub leader_epoch: i32,
    /// The first offset after that epoch. For the current epoch the leader's log end offset, which may be above the
    /// high watermark.
    pub end_offset: i64,
}

impl Cluster {
    /// The log start or log end offset of partitions.
    pub async fn list_offsets(
        &self,
        partitions: &[TopicPartition],
        spec: OffsetSpec,
        isolation: IsolationLevel,
    ) -> PartitionResults<ListedOffset> {
        let timestamp = match spec {
            OffsetSpec::Latest => LATEST,
            OffsetSpec::Earliest => EARLIEST,
        };
        let questions = partitions
            .iter()
            .map(|partition| (partition.clone(), timestamp))
            .collect();
        let listed = self.ask_list_offsets(questions, isolation).await;
        let found = |(partition, outcome): (TopicPartition, Result<Option<ListedOffset>, Error>)| {
            let missing = || Error::LeftOut {
                broker: "the leader".into(),
                what: partition.to_string(),
            };
            let outcome = outcome.and_then(|listed| listed.ok_or_else(missing));
            (partition, outcome)
        };
        listed.into_iter().map(found).collect()
    }

    /// The record with the highest timestamp of each partition, the first of them if there are several; `None` when the
    /// partition has no records.
    ///
    /// Brokers before 3.0 cannot tell, and the error is [`Error::UnsupportedApi`].
    pub async fn offsets_of_max_timestamps(
        &self,
        partitions: &[TopicPartition],
    ) -> PartitionResults<Option<ListedOffset>> {
        let questions = partitions
            .iter()
            .map(|partition| (partition.clone(), MAX_TIMESTAMP))
            .collect();
        self.ask_list_offsets(questions, IsolationLevel::ReadUncommitted)
            .await
    }

    /// The first record of each partition whose timestamp (milliseconds since 1970) is not lower than the one given;
    /// `None` when there is none.
    pub async fn offsets_for_times(
        &self,
        times: &[(TopicPartition, i64)],
        isolation: IsolationLevel,
    ) -> PartitionResults<Option<ListedOffset>> {
        // Negative numbers have other meanings; every record is at or after the time 0.
        let questions = times
            .iter()
            .map(|(partition, time)| (partition.clone(), (*time).max(0)))
            .collect();
        self.ask_list_offsets(questions, isolation).await
    }

    async fn ask_list_offsets(
        &self,
        questions: Vec<(TopicPartition, i64)>,
        isolation: IsolationLevel,
    ) -> PartitionResults<Option<ListedOffset>> {
        self.ask_leaders(questions, |link, asked| {
            self.send_list_offsets(link, asked, isolation)
        })
        .await
    }

    async fn send_list_offsets(
        &self,
        link: Link,
        asked: Vec<Asked<i64>>,
        isolation: IsolationLevel,
    ) -> Result<PartitionResults<Option<ListedOffset>>, Error> {
        let (mut lowest, highest) = ListOffsetsRequest::RANGE;
        if asked.iter().any(|(_, _, time)| *time == MAX_TIMESTAMP) {
            lowest = KNOWS_MAX_TIMESTAMP;
        }
        let version = link.version(ListOffsetsRequest::KEY, lowest..=highest)?;
        let partition = |index: i32, epoch: Option<i32>, timestamp: i64| {
            let partition = ListOffsetsPartition::default()
                .with_partition_index(index)
                .with_timestamp(timestamp);
            // A leader that was replaced says so, instead of answering from a log that may be cut.
            partition.with_current_leader_epoch(if version >= 4 { epoch.unwrap_or(-1) } else { -1 })
        };
        let topics = by_topic(
            asked
                .into_iter()
                .map(|(at, leader, time)| (at, (leader.epoch, time))),
        );
        let topics = topics.into_iter().map(|(topic, partitions)| {
            let partitions = partitions
                .into_iter()
                .map(|(index, (epoch, time))| partition(index, epoch, time));
            ListOffsetsTopic::default()
                .with_name(topic_name(&topic))
                .with_partitions(partitions.collect())
        });
        let request = ListOffsetsRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_isolation_level(isolation.wire())
            .with_topics(topics.collect());
        let response = link
            .call_at(version, &request, self.config().request_timeout)
            .await?;
        let link = &link;
        let answers = response.topics.into_iter().flat_map(|topic| {
            let name = topic.name;
            topic.partitions.into_iter().map(move |partition| {
                let at = TopicPartition::new(&*name.0, partition.partition_index);
                let outcome = listed(link, &at, &partition);
                (at, outcome)
            })
        });
        Ok(answers.collect())
    }

    /// Where the records of leader epochs end. With the epoch of the last record that a reader has, this tells whether
    /// the log was cut below it: then `end_offset` is not above that record.
    ///
    /// `None` when the log knows nothing about the epoch.
    pub async fn leader_epoch_ends(
        &self,
        epochs: &[(TopicPartition, i32)],
    ) -> PartitionResults<Option<EpochEnd>> {
        self.ask_leaders(epochs.to_vec(), |link, asked| {
            self.send_leader_epochs(link, asked)
        })
        .await
    }

    /// Asks one broker about partitions that it leads.
    pub(crate) async fn send_leader_epochs(
        &self,
        link: Link,
        asked: Vec<Asked<i32>>,
    ) -> Result<PartitionResults<Option<EpochEnd>>, Error> {
        let topics = by_topic(
            asked
                .into_iter()
                .map(|(at, leader, epoch)| (at, (leader.epoch, epoch))),
        );
        let topics = topics.into_iter().map(|(topic, partitions)| {
            let partitions = partitions.into_iter().map(|(index, (current, epoch))| {
                OffsetForLeaderPartition::default()
                    .with_partition(index)
                    .with_current_leader_epoch(current.unwrap_or(-1))
                    .with_leader_epoch(epoch)
            });
            OffsetForLeaderTopic::default()
                .with_topic(topic_name(&topic))
                .with_partitions(partitions.collect())
        });
        let request = OffsetForLeaderEpochRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_topics(topics.collect());
        let response = link.call(&request, self.config().request_timeout).await?;
        let link = &link;
        let answers = response.topics.into_iter().flat_map(|topic| {
            let name = topic.topic;
            topic.partitions.into_iter().map(move |partition| {
                let at = TopicPartition::new(&*name.0, partition.partition);
                let outcome = epoch_end(link, &at, &partition);
                (at, outcome)
            })
        });
        Ok(answers.collect())
    }
}

fn listed(
    link: &Link,
    at: &TopicPartition,
    answer: &ListOffsetsPartitionResponse,
) -> Result<Option<ListedOffset>, Error> {
    if let Some(code) = ErrorCode::new(answer.error_code) {
        return Err(Error::kafka(
            code,
            ListOffsetsRequest::NAME,
            link.broker(),
            at.to_string(),
        ));
    }
    // -1 stands for "there is none" in each of the fields.
    Ok((answer.offset >= 0).then(|| ListedOffset {
        offset: answer.offset,
        timestamp: (answer.timestamp >= 0).then_some(answer.timestamp),
        leader_epoch: (answer.leader_epoch >= 0).then_some(answer.leader_epoch),
    }))
}

fn epoch_end(link: &Link, at: &TopicPartition, answer: &EpochEndOffset) -> Result<Option<EpochEnd>, Error> {
    if let Some(code) = ErrorCode::new(answer.error_code) {
        return Err(Error::kafka(
            code,
            OffsetForLeaderEpochRequest::NAME,
            link.broker(),
            at.to_string(),
        ));
    }
    let known = answer.leader_epoch >= 0 && answer.end_offset >= 0;
    Ok(known.then_some(EpochEnd {
        leader_epoch: answer.leader_epoch,
        end_offset: answer.end_offset,
    }))
}
