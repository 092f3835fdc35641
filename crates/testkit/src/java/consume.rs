//! Reading partitions without a group.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{JavaClient, Record};
use crate::error::{Error, Result};

/// Whether records of open and aborted transactions are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// They are.
    ReadUncommitted,
    /// They are not.
    #[default]
    ReadCommitted,
}

/// From where and how a partition is read.
#[derive(Debug, Clone)]
pub struct ConsumeOptions {
    /// First offset; the log start when there is none.
    pub from: Option<i64>,
    /// Stop after this many records rather than at the end.
    pub limit: Option<u64>,
    /// Isolation level.
    pub isolation: Isolation,
    /// Fails when the end is not reached by then.
    pub timeout: Duration,
}

impl Default for ConsumeOptions {
    /// Everything, read committed, within two minutes.
    fn default() -> Self {
        Self {
            from: None,
            limit: None,
            isolation: Isolation::default(),
            timeout: Duration::from_secs(120),
        }
    }
}

#[derive(Serialize)]
struct From<'a> {
    topic: &'a str,
    partition: i32,
    from: Option<i64>,
}

impl JavaClient {
    /// Reads all of a partition, read committed.
    pub async fn consume_all(&self, topic: &str, partition: i32) -> Result<Vec<Record>> {
        self.consume(topic, partition, &ConsumeOptions::default()).await
    }

    /// Reads a partition up to the end that it has now.
    pub async fn consume(
        &self,
        topic: &str,
        partition: i32,
        options: &ConsumeOptions,
    ) -> Result<Vec<Record>> {
        let mut all = Vec::new();
        self.consume_each(&[(topic, partition)], options, |record| all.push(record))
            .await?;
        Ok(all)
    }

    /// Reads all partitions of a topic, read committed; the records of partition `i` are at index `i`.
    pub async fn consume_topic(&self, topic: &str) -> Result<Vec<Vec<Record>>> {
        let partitions = self.describe_topic(topic).await?.partitions;
        let asked: Vec<(&str, i32)> = partitions
            .iter()
            .map(|partition| (topic, partition.partition))
            .collect();
        let mut all = vec![Vec::new(); asked.len()];
        self.consume_each(&asked, &ConsumeOptions::default(), |record| {
            let index = asked
                .iter()
                .position(|(_, partition)| *partition == record.partition);
            if let Some(records) = index.and_then(|index| all.get_mut(index)) {
                records.push(record);
            }
        })
        .await?;
        Ok(all)
    }

    /// Reads partitions up to the ends that they have now, and hands over each record as it comes; in order within a
    /// partition. Gives the ends, in the order of the partitions.
    pub async fn consume_each<S: AsRef<str>>(
        &self,
        partitions: &[(S, i32)],
        options: &ConsumeOptions,
        mut on_record: impl FnMut(Record),
    ) -> Result<Vec<i64>> {
        #[derive(Serialize)]
        struct Args<'a> {
            partitions: Vec<From<'a>>,
            limit: Option<u64>,
            isolation: Isolation,
            timeout_ms: u128,
        }
        #[derive(Deserialize)]
        struct End {
            end: i64,
        }
        let args = Args {
            partitions: partitions
                .iter()
                .map(|(topic, partition)| From {
                    topic: topic.as_ref(),
                    partition: *partition,
                    from: options.from,
                })
                .collect(),
            limit: options.limit,
            isolation: options.isolation,
            timeout_ms: options.timeout.as_millis(),
        };
        let on_part = |part: Vec<Record>| part.into_iter().for_each(&mut on_record);
        let ends: Vec<End> = self.stream("consume", &args, on_part).await?;
        Ok(ends.into_iter().map(|End { end }| end).collect())
    }

    /// Waits until no key occurs twice before an offset, which is when the log cleaner has been there.
    pub async fn wait_until_compacted(
        &self,
        topic: &str,
        partition: i32,
        before: i64,
        patience: Duration,
    ) -> Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            let records = self.consume_all(topic, partition).await?;
            let mut keys = HashSet::new();
            let mut cleaned = records.iter().filter(|record| record.offset < before);
            if cleaned.all(|record| keys.insert(record.key.as_deref())) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(Error::TimedOut {
                    what: format!("compaction of {topic}/{partition}"),
                });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
