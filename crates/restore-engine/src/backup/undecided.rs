//! Open transactions that keep the end of a partition out of the backup.
//!
//! A backup of committed data ends at the last stable offset, and an open transaction holds that back. Most are open for
//! moments. One whose producer is gone without an end (a hanging transaction, KIP-664) stays open for ever, and all that is
//! written after its first record is never in a backup: the operator has to know.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use kafka_wire::{ActiveProducer, Cluster, IsolationLevel, OffsetSpec, PartitionResults, TopicPartition};

use crate::error::chain;

/// A transaction whose last record is older is taken for a hanging one: brokers let none be open for longer than this without
/// being told otherwise (`transaction.max.timeout.ms`).
const USUAL_LIMIT_MS: i64 = 15 * 60 * 1000;
/// How long the brokers may take to tell. Nothing but a warning depends on it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Offsets at the end of a partition that are not in the backup, as a transaction among them is open.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Undecided {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The last stable offset: the first that is held back.
    pub from: i64,
    /// How many offsets there are from it to the high watermark.
    pub offsets: u64,
    /// The oldest open transaction, or why it is not known.
    pub transaction: Result<OpenTransaction, String>,
}

/// A transaction that nobody has ended yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenTransaction {
    /// Its first offset in the partition.
    pub start_offset: i64,
    /// Who writes it.
    pub producer_id: i64,
    /// The producer's epoch.
    pub producer_epoch: i32,
    /// The epoch of the coordinator that ended the producer's transaction before it, if there was one.
    pub coordinator_epoch: Option<i32>,
    /// How many milliseconds ago its last record in the partition was written, by the record's own timestamp.
    pub idle_ms: Option<i64>,
}

impl Undecided {
    /// Whether the operator has to look at it: it is not known to be one of those that are open for moments.
    pub fn needs_attention(&self) -> bool {
        match &self.transaction {
            Ok(transaction) => transaction.idle_ms.is_none_or(|idle| idle >= USUAL_LIMIT_MS),
            Err(_) => true,
        }
    }
}

impl fmt::Display for Undecided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            topic,
            partition,
            from,
            offsets,
            transaction,
        } = self;
        write!(
            f,
            "{topic}/{partition}: {offsets} offset(s) from {from} on are not in the backup, as a transaction is open"
        )?;
        match transaction {
            Ok(open) => {
                write!(
                    f,
                    " (producer {}, epoch {}",
                    open.producer_id, open.producer_epoch
                )?;
                if let Some(epoch) = open.coordinator_epoch {
                    write!(f, ", coordinator epoch {epoch}")?;
                }
                write!(f, ", since offset {}", open.start_offset)?;
                if let Some(idle) = open.idle_ms {
                    write!(f, ", last record {} ago", span(idle))?;
                }
                write!(f, ")")?;
            }
            Err(problem) => write!(f, "; whose it is cannot be told: {problem}")?,
        }
        if !self.needs_attention() {
            return write!(f, "; the next run reads them when it has ended");
        }
        write!(
            f,
            ". If nobody ends it, nothing after it ever comes into a backup: look with `kafka-transactions.sh \
             --bootstrap-server ... find-hanging --topic {topic} --partition {partition}`"
        )?;
        match transaction {
            Ok(OpenTransaction { start_offset, .. }) => write!(
                f,
                ", and end it with `... abort --topic {topic} --partition {partition} --start-offset {start_offset}`"
            ),
            Err(_) => write!(f, ", and end it with `... abort`"),
        }
    }
}

/// Milliseconds in the largest unit of which there are two.
fn span(ms: i64) -> String {
    match ms.max(0) / 1000 {
        seconds if seconds >= 2 * 86_400 => format!("{} days", seconds / 86_400),
        seconds if seconds >= 2 * 3_600 => format!("{} hours", seconds / 3_600),
        seconds if seconds >= 2 * 60 => format!("{} minutes", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

/// Finds what is held back of these partitions now. Who holds it is asked for those only where something is; partitions that
/// cannot be asked are left out, as their trouble is told elsewhere.
pub(super) async fn look(cluster: &Cluster, names: &[TopicPartition], now_ms: i64) -> Vec<Undecided> {
    let found = tokio::time::timeout(PATIENCE, find(cluster, names, now_ms)).await;
    found.unwrap_or_else(|_| {
        tracing::debug!("the brokers took too long to tell which transactions are open");
        Vec::new()
    })
}

async fn find(cluster: &Cluster, names: &[TopicPartition], now_ms: i64) -> Vec<Undecided> {
    if names.is_empty() {
        return Vec::new();
    }
    // In this order: what is decided between the two is not taken for held back.
    let high_watermarks = ends(cluster, names, IsolationLevel::ReadUncommitted).await;
    let stable = ends(cluster, names, IsolationLevel::ReadCommitted).await;
    let held: BTreeMap<&TopicPartition, (i64, i64)> = (high_watermarks.iter())
        .filter_map(|(name, &high)| Some((name, (*stable.get(name)?, high))))
        .filter(|(_, (stable, high))| stable < high)
        .collect();
    if held.is_empty() {
        return Vec::new();
    }
    let asked: Vec<TopicPartition> = held.keys().map(|&name| name.clone()).collect();
    let answers: PartitionResults<Vec<ActiveProducer>> = cluster.describe_producers(&asked).await;
    let one = |(name, answer): (TopicPartition, Result<Vec<ActiveProducer>, kafka_wire::Error>)| {
        let &(from, high) = held.get(&name)?;
        let transaction = match answer {
            // It has ended meanwhile when there is none.
            Ok(producers) => Ok(oldest(&producers, now_ms)?),
            Err(error) => Err(chain(&error)),
        };
        Some(Undecided {
            topic: name.topic.to_string(),
            partition: name.partition,
            from,
            offsets: (high - from).unsigned_abs(),
            transaction,
        })
    };
    answers.into_iter().filter_map(one).collect()
}

async fn ends(
    cluster: &Cluster,
    names: &[TopicPartition],
    isolation: IsolationLevel,
) -> BTreeMap<TopicPartition, i64> {
    let listed = cluster.list_offsets(names, OffsetSpec::Latest, isolation).await;
    let known = |(name, end): (_, Result<kafka_wire::ListedOffset, _>)| Some((name, end.ok()?.offset));
    listed.into_iter().filter_map(known).collect()
}

/// The transaction that the last stable offset waits for.
fn oldest(producers: &[ActiveProducer], now_ms: i64) -> Option<OpenTransaction> {
    let open = (producers.iter()).filter_map(|producer| Some((producer.transaction_start_offset?, producer)));
    let (start_offset, producer) = open.min_by_key(|(start, _)| *start)?;
    Some(OpenTransaction {
        start_offset,
        producer_id: producer.producer_id,
        producer_epoch: producer.producer_epoch,
        coordinator_epoch: producer.coordinator_epoch,
        idle_ms: producer.last_timestamp.map(|time| now_ms.saturating_sub(time)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn undecided(transaction: Result<Option<i64>, &str>) -> Undecided {
        let open = |idle_ms| OpenTransaction {
            start_offset: 740,
            producer_id: 42,
            producer_epoch: 3,
            coordinator_epoch: None,
            idle_ms,
        };
        Undecided {
            topic: "orders".to_owned(),
            partition: 2,
            from: 750,
            offsets: 120,
            transaction: transaction.map(open).map_err(str::to_owned),
        }
    }

    #[test]
    fn a_transaction_that_is_open_for_longer_than_brokers_usually_let_it_needs_attention() {
        let young = undecided(Ok(Some(USUAL_LIMIT_MS - 1)));
        assert!(!young.needs_attention());
        assert!(
            young
                .to_string()
                .ends_with("; the next run reads them when it has ended"),
            "{young}"
        );
        let old = undecided(Ok(Some(USUAL_LIMIT_MS)));
        assert!(old.needs_attention());
        let text = old.to_string();
        for part in [
            "orders/2: 120 offset(s) from 750 on",
            "producer 42, epoch 3, since offset 740, last record 15 minutes ago",
            "find-hanging --topic orders --partition 2",
            "abort --topic orders --partition 2 --start-offset 740",
        ] {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
    }

    #[test]
    fn what_is_not_known_is_taken_seriously() {
        assert!(undecided(Ok(None)).needs_attention());
        let text = undecided(Err("not allowed")).to_string();
        assert!(text.contains("whose it is cannot be told: not allowed"), "{text}");
        assert!(
            text.contains("find-hanging --topic orders --partition 2"),
            "{text}"
        );
    }

    #[test]
    fn spans_are_told_in_units_of_which_there_are_two() {
        let told = [
            (-5, "0 s"),
            (119_999, "119 s"),
            (120_000, "2 minutes"),
            (7_200_000, "2 hours"),
            (172_800_000, "2 days"),
        ];
        for (ms, expected) in told {
            assert_eq!(span(ms), expected);
        }
    }
}
