//! What a group reads next: the truth about a committed position.

use serde::{Deserialize, Serialize};

use super::{Done, Isolation, JavaClient, Record};
use crate::error::Result;

const TIMEOUT_MS: u64 = 60_000;

/// What a consumer of a group finds at its position.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NextRecord {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// The committed offset, when there is one.
    pub committed: Option<i64>,
    /// The record that is read next; none at the end of the partition, without a commit, or out of range.
    pub record: Option<Record>,
    /// Whether the broker said that the position is outside of the log.
    #[serde(default)]
    pub out_of_range: bool,
}

impl JavaClient {
    /// What groups read next, for `(group, topic, partition)` each; answers are in that order.
    ///
    /// A consumer with the group's id starts at the committed position and may not reset it (read committed). It does not
    /// join the group and commits nothing. Many positions of few groups are fastest.
    pub async fn next_records<G, T>(&self, positions: &[(G, T, i32)]) -> Result<Vec<NextRecord>>
    where
        G: AsRef<str>,
        T: AsRef<str>,
    {
        #[derive(Serialize)]
        struct Position<'a> {
            group: &'a str,
            topic: &'a str,
            partition: i32,
        }
        #[derive(Serialize)]
        struct Args<'a> {
            positions: Vec<Position<'a>>,
            isolation: Isolation,
            timeout_ms: u64,
        }
        let positions = positions
            .iter()
            .map(|(group, topic, partition)| Position {
                group: group.as_ref(),
                topic: topic.as_ref(),
                partition: *partition,
            })
            .collect();
        let args = Args {
            positions,
            isolation: Isolation::ReadCommitted,
            timeout_ms: TIMEOUT_MS,
        };
        let mut all = Vec::new();
        let Done {} = self
            .stream("next_records", &args, |next: NextRecord| all.push(next))
            .await?;
        Ok(all)
    }

    /// The record that a group reads next from a partition; none at its end, without a commit, or out of range.
    pub async fn next_record(&self, group: &str, topic: &str, partition: i32) -> Result<Option<Record>> {
        let mut next = self.next_records(&[(group, topic, partition)]).await?;
        Ok(next.pop().and_then(|next| next.record))
    }
}
