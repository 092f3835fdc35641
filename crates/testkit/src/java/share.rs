//! Share groups.

use serde::{Deserialize, Serialize};

use super::JavaClient;
use crate::error::Result;

const TIMEOUT_MS: u64 = 120_000;

/// A member of a share group that reads and acknowledges until it leaves or is dropped.
#[derive(Debug)]
pub struct ShareMember {
    client: JavaClient,
    id: u64,
    /// The offsets that it had read when it was counted in.
    pub offsets: Vec<i64>,
}

#[derive(Serialize)]
struct MemberArg {
    member: u64,
}

impl ShareMember {
    /// Leaves the group, and waits until it has left.
    pub async fn leave(self) -> Result<()> {
        self.client
            .run("share_leave", &MemberArg { member: self.id })
            .await
    }
}

impl Drop for ShareMember {
    fn drop(&mut self) {
        self.client
            .driver
            .tell("share_leave", &MemberArg { member: self.id });
    }
}

impl JavaClient {
    /// Joins a share group, and returns when `count` records of the topic were read and acknowledged. Where the group
    /// knows nothing it begins at the start.
    pub async fn join_share_group(&self, group: &str, topic: &str, count: u64) -> Result<ShareMember> {
        #[derive(Serialize)]
        struct Args<'a> {
            group: &'a str,
            topic: &'a str,
            count: u64,
            timeout_ms: u64,
        }
        #[derive(Deserialize)]
        struct Answer {
            member: u64,
            offsets: Vec<i64>,
        }
        let args = Args {
            group,
            topic,
            count,
            timeout_ms: TIMEOUT_MS,
        };
        let answer: Answer = self.call("share_join", &args).await?;
        Ok(ShareMember {
            client: self.clone(),
            id: answer.member,
            offsets: answer.offsets,
        })
    }

    /// Topic, partition and start offset of all that a share group knows, sorted.
    pub async fn share_offsets(&self, group: &str) -> Result<Vec<(String, i32, i64)>> {
        #[derive(Serialize)]
        struct Args<'a> {
            group: &'a str,
        }
        self.call("share_offsets", &Args { group }).await
    }
}
