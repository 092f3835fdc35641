//! Where reading begins and ends in each partition, and whether the log is still the one that the backup knows.

use std::collections::BTreeMap;

use kafka_wire::{Cluster, IsolationLevel, OffsetSpec, PartitionResults, TopicPartition};

use super::partition::PartitionReader;
use super::report::Trouble;
use super::work::Work;
use crate::config::{BackupConfig, StartFrom};
use crate::error::chain;

/// Asks the leaders of partitions, and notes what they say.
pub(super) struct Ranges<'a> {
    cluster: &'a Cluster,
    config: &'a BackupConfig,
    /// Whether those are asked that had no leader at the beginning of the cycle, or those that had one.
    leaderless: bool,
    /// What the operator should know of.
    pub(super) troubles: Vec<Trouble>,
}

impl<'a> Ranges<'a> {
    pub(super) fn new(cluster: &'a Cluster, config: &'a BackupConfig, leaderless: bool) -> Self {
        Self {
            cluster,
            config,
            leaderless,
            troubles: Vec::new(),
        }
    }

    /// Has the partitions without a leader wait for the next cycle.
    pub(super) fn give_leaderless_up(&mut self, work: &mut Work) {
        for partition in work
            .partitions
            .iter_mut()
            .filter(|partition| partition.is_leaderless)
        {
            partition.is_leaderless = false;
            let problem = "it has no leader: none of the brokers that have a copy in sync is up".to_owned();
            self.troubles.extend(partition.give_up(problem));
        }
    }

    fn asks(&self, partition: &PartitionReader) -> bool {
        !partition.is_troubled() && partition.is_leaderless == self.leaderless
    }

    /// Fixes what this cycle reads. Starts come before ends: then start <= end even if retention runs between the two.
    pub(super) async fn capture(&mut self, work: &mut Work, check_all_epochs: bool) {
        self.starts(work).await;
        self.ends(work).await;
        self.check_epochs(work, check_all_epochs).await;
    }

    /// New partitions begin where the configuration says, and so do those for which nobody could be asked until now.
    async fn starts(&mut self, work: &mut Work) {
        let new = work.names(|partition| partition.needs_start() && self.asks(partition));
        if new.is_empty() {
            return;
        }
        let starts = match self.config.start_from {
            StartFrom::Earliest => self.list(OffsetSpec::Earliest, &new).await,
            StartFrom::Latest => self.list(OffsetSpec::Latest, &new).await,
            StartFrom::Time(time) => self.at_time(time, &new).await,
        };
        for (name, start) in starts {
            let Some(partition) = work.named(&name) else {
                continue;
            };
            match start {
                Ok(start) => partition.begin_at(start),
                Err(problem) => self.troubles.extend(partition.give_up(problem)),
            }
        }
    }

    /// The first offset that was written at `time` or later; where there is none, the end.
    async fn at_time(&self, time: i64, names: &[TopicPartition]) -> Listed {
        let times: Vec<_> = names.iter().map(|name| (name.clone(), time)).collect();
        let isolation = self.config.isolation_level;
        let found = self.cluster.offsets_for_times(&times, isolation).await;
        let mut listed = Listed::new();
        let mut later = Vec::new();
        for (name, found) in found {
            match found {
                Ok(Some(found)) => _ = listed.insert(name, Ok(found.offset)),
                Ok(None) => later.push(name),
                Err(error) => _ = listed.insert(name, Err(unknown_range(&error))),
            }
        }
        listed.extend(self.list(OffsetSpec::Latest, &later).await);
        listed
    }

    async fn ends(&mut self, work: &mut Work) {
        let all = work.names(|partition| self.asks(partition));
        let mut behind = Vec::new();
        for (name, end) in self.list(OffsetSpec::Latest, &all).await {
            let Some(partition) = work.named(&name) else {
                continue;
            };
            match end {
                Ok(end) => {
                    partition.end = end.max(partition.state.end_offset);
                    if end < partition.state.end_offset {
                        behind.push(name);
                    }
                }
                Err(problem) => self.troubles.extend(partition.give_up(problem)),
            }
        }
        self.check_behind(work, &behind).await;
    }

    /// The log seems to end before what the backup holds. That is so as well when an earlier run read what is not committed:
    /// the high watermark decides.
    async fn check_behind(&mut self, work: &mut Work, names: &[TopicPartition]) {
        if names.is_empty() {
            return;
        }
        let (latest, all) = (OffsetSpec::Latest, IsolationLevel::ReadUncommitted);
        let ends = flatten(self.cluster.list_offsets(names, latest, all).await);
        for (name, end) in ends {
            let Some(partition) = work.named(&name) else {
                continue;
            };
            let problem = match end {
                Ok(end) if end >= partition.state.end_offset => continue,
                Ok(_) => partition.cut_problem(),
                Err(problem) => problem,
            };
            self.troubles.extend(partition.give_up(problem));
        }
    }

    /// Compares the log with the last batch that was read of it: was it cut and written anew, as after an unclean leader
    /// election, the epoch of that batch ends before it.
    async fn check_epochs(&mut self, work: &mut Work, all: bool) {
        let questions: Vec<(TopicPartition, i32)> = work
            .partitions
            .iter()
            .filter(|partition| self.asks(partition) && (all || partition.remaining() > 0))
            .filter_map(|partition| Some((partition.name(), partition.state.last_leader_epoch?)))
            .collect();
        if questions.is_empty() {
            return;
        }
        for (name, answer) in self.cluster.leader_epoch_ends(&questions).await {
            let Some(partition) = work.named(&name) else {
                continue;
            };
            let (end_offset, epoch) = (partition.state.end_offset, partition.state.last_leader_epoch);
            let problem = match answer {
                Ok(Some(end)) if Some(end.leader_epoch) == epoch && end.end_offset >= end_offset => continue,
                Ok(_) => partition.cut_problem(),
                Err(error) => unknown_range(&error),
            };
            self.troubles.extend(partition.give_up(problem));
        }
    }

    async fn list(&self, spec: OffsetSpec, names: &[TopicPartition]) -> Listed {
        let isolation = self.config.isolation_level;
        match names.is_empty() {
            true => Listed::new(),
            false => flatten(self.cluster.list_offsets(names, spec, isolation).await),
        }
    }
}

/// An offset for each partition, or why there is none.
type Listed = BTreeMap<TopicPartition, Result<i64, String>>;

fn flatten(results: PartitionResults<kafka_wire::ListedOffset>) -> Listed {
    let one = |(name, result): (
        TopicPartition,
        Result<kafka_wire::ListedOffset, kafka_wire::Error>,
    )| {
        let offset = result.map(|listed| listed.offset);
        (name, offset.map_err(|error| unknown_range(&error)))
    };
    results.into_iter().map(one).collect()
}

fn unknown_range(error: &kafka_wire::Error) -> String {
    format!("its offsets cannot be read: {}", chain(error))
}
