//! Consumer groups seen from outside.

use serde::{Deserialize, Serialize};

use super::topics::{PartitionArg, partition_args};
use super::{JavaClient, Nothing};
use crate::error::Result;

/// A position to be committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Commit {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Offset of the next record to read.
    pub offset: i64,
    /// Leader epoch of the last record that was read.
    pub leader_epoch: Option<i32>,
    /// Free text.
    pub metadata: String,
}

impl Commit {
    /// A commit without leader epoch and metadata.
    pub fn new(topic: impl Into<String>, partition: i32, offset: i64) -> Self {
        Self {
            topic: topic.into(),
            partition,
            offset,
            leader_epoch: None,
            metadata: String::new(),
        }
    }

    /// Sets the metadata text.
    #[must_use]
    pub fn metadata(mut self, metadata: impl Into<String>) -> Self {
        self.metadata = metadata.into();
        self
    }
}

/// A committed position.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Committed {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Offset of the next record to read.
    pub offset: i64,
    /// Leader epoch, when one was committed.
    pub leader_epoch: Option<i32>,
    /// Free text.
    pub metadata: String,
}

/// A group in the list of groups.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct GroupListing {
    /// Group id.
    pub group: String,
    /// `consumer`, or empty for a group that has only ever had commits.
    pub protocol_type: String,
    /// `Classic`, `Consumer`, `Share`, `Streams`; brokers before 3.8 do not tell.
    pub kind: Option<String>,
    /// `Stable`, `Empty`, ...
    pub state: Option<String>,
}

/// A consumer group with its members.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct GroupDescription {
    /// Group id.
    pub group: String,
    /// `Classic` or `Consumer`.
    pub kind: String,
    /// `Stable`, `Empty`, ...
    pub state: String,
    /// Live members.
    pub members: Vec<MemberDescription>,
}

/// A live member of a group.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct MemberDescription {
    /// Member id.
    pub member_id: String,
    /// Client id.
    pub client_id: String,
    /// What it reads.
    pub assigned: Vec<AssignedPartition>,
}

/// A partition that a member reads.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AssignedPartition {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
}

#[derive(Serialize)]
struct GroupArg<'a> {
    group: &'a str,
}

impl JavaClient {
    /// Commits positions of a group that has no members.
    pub async fn commit(&self, group: &str, offsets: &[Commit]) -> Result<()> {
        #[derive(Serialize)]
        struct Args<'a> {
            group: &'a str,
            offsets: &'a [Commit],
        }
        self.run("group_commit", &Args { group, offsets }).await
    }

    /// All committed positions of a group, sorted; empty when there is no such group.
    pub async fn committed(&self, group: &str) -> Result<Vec<Committed>> {
        self.call("group_committed", &GroupArg { group }).await
    }

    /// All groups, sorted.
    pub async fn list_groups(&self) -> Result<Vec<GroupListing>> {
        self.call("group_list", &Nothing {}).await
    }

    /// Describes a group.
    pub async fn describe_group(&self, group: &str) -> Result<GroupDescription> {
        self.call("group_describe", &GroupArg { group }).await
    }

    /// Deletes a group.
    pub async fn delete_group(&self, group: &str) -> Result<()> {
        self.run("group_delete", &GroupArg { group }).await
    }

    /// Deletes some positions of a group.
    pub async fn delete_committed<S: AsRef<str>>(&self, group: &str, partitions: &[(S, i32)]) -> Result<()> {
        #[derive(Serialize)]
        struct Args<'a> {
            group: &'a str,
            partitions: Vec<PartitionArg<'a>>,
        }
        self.run(
            "group_delete_offsets",
            &Args {
                group,
                partitions: partition_args(partitions),
            },
        )
        .await
    }
}
