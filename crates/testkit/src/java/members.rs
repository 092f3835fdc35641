//! Consumers that join groups.

use serde::{Deserialize, Serialize};

use super::{Done, Isolation, JavaClient, Record};
use crate::error::Result;

const TIMEOUT_MS: u64 = 120_000;

/// Which group protocol a consumer speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupProtocol {
    /// The one of always.
    Classic,
    /// The one of KIP-848; Kafka 4.0 and later.
    Consumer,
}

/// What a member of a group is to do before it leaves.
#[derive(Debug, Clone, Serialize)]
pub struct GroupRead {
    /// Group id.
    pub group: String,
    /// Protocol.
    pub protocol: GroupProtocol,
    /// Topics to subscribe to.
    pub topics: Vec<String>,
    /// How many records to read.
    pub count: u64,
    /// Whether to commit the positions after them.
    pub commit: bool,
    /// Metadata text of the commits.
    pub metadata: String,
    /// Isolation level.
    pub isolation: Isolation,
}

impl GroupRead {
    /// Reads `count` records, read committed, and commits.
    pub fn new(
        group: impl Into<String>,
        protocol: GroupProtocol,
        topic: impl Into<String>,
        count: u64,
    ) -> Self {
        Self {
            group: group.into(),
            protocol,
            topics: vec![topic.into()],
            count,
            commit: true,
            metadata: String::new(),
            isolation: Isolation::default(),
        }
    }
}

/// A member that stays in its group, without reading or committing, until it leaves or is dropped.
#[derive(Debug)]
pub struct GroupMember {
    client: JavaClient,
    id: u64,
    member_id: String,
}

#[derive(Serialize)]
struct MemberArg {
    member: u64,
}

impl GroupMember {
    /// The id that the group knows it by.
    pub fn member_id(&self) -> &str {
        &self.member_id
    }

    /// Leaves the group, and waits until it has left.
    pub async fn leave(self) -> Result<()> {
        self.client
            .run("member_leave", &MemberArg { member: self.id })
            .await
    }
}

impl Drop for GroupMember {
    fn drop(&mut self) {
        // After an orderly leave there is no such member, and this does nothing.
        self.client
            .driver
            .tell("member_leave", &MemberArg { member: self.id });
    }
}

impl JavaClient {
    /// Joins a group, reads from its positions (or the beginning), commits exactly what was read, and leaves.
    pub async fn group_read(&self, read: &GroupRead) -> Result<Vec<Record>> {
        #[derive(Serialize)]
        struct Args<'a> {
            #[serde(flatten)]
            read: &'a GroupRead,
            timeout_ms: u64,
        }
        let mut all = Vec::new();
        let args = Args {
            read,
            timeout_ms: TIMEOUT_MS,
        };
        let Done {} = self
            .stream("group_consume", &args, |part: Vec<Record>| all.extend(part))
            .await?;
        Ok(all)
    }

    /// Joins a group and stays; returns when the group has given it an assignment.
    pub async fn join_group(
        &self,
        group: &str,
        protocol: GroupProtocol,
        topics: &[&str],
    ) -> Result<GroupMember> {
        #[derive(Serialize)]
        struct Args<'a> {
            group: &'a str,
            protocol: GroupProtocol,
            topics: &'a [&'a str],
            timeout_ms: u64,
        }
        #[derive(Deserialize)]
        struct Answer {
            member: u64,
            member_id: String,
        }
        let answer: Answer = self
            .call(
                "member_join",
                &Args {
                    group,
                    protocol,
                    topics,
                    timeout_ms: TIMEOUT_MS,
                },
            )
            .await?;
        Ok(GroupMember {
            client: self.clone(),
            id: answer.member,
            member_id: answer.member_id,
        })
    }
}
