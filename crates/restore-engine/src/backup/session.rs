//! A run, cycle after cycle.
//!
//! A cycle makes the backup hold what the source held at its beginning: it is the whole of a one-shot backup, and a
//! continuous one repeats it. The order of its steps is what makes the result true:
//!
//! 1. topics, so that new ones and new partitions are found;
//! 2. committed offsets of the groups, and only then the ends of the partitions: no position lies behind the end of the
//!    backup for a reason of ours;
//! 3. each partition from where the backup ends to that end, checked by offsets and not concluded from an empty response;
//! 4. the commit.

use std::collections::BTreeSet;
use std::time::Duration;

use kafka_wire::{ByteBudget, Cluster, IsolationLevel, TopicPartition};
use segment_format::CapturedGroups;
use tokio::time::Instant;

use super::commit::Committer;
use super::groups;
use super::ranges::Ranges;
use super::read::{Ended, Reading};
use super::report::{BackupReport, Trouble};
use super::throttle::Throttle;
use super::topics::{self, Warning};
use super::undecided::{self, Undecided};
use super::work::Work;
use crate::config::BackupConfig;
use crate::context::Context;
use crate::error::{Error, Result, chain};
use crate::observe::{Event, Phase};
use crate::selection::TopicSelection;

/// How long a signal to end may wait for what is in hand to become durable. 25 s are promised for the end, of which the removal
/// of what is left takes its part (`commit`), and the process two for itself.
const LAST_COMMIT_WITHIN: Duration = Duration::from_secs(18);

/// How often a continuous run looks for transactions that stay open.
const BETWEEN_LOOKS: Duration = Duration::from_secs(10 * 60);

/// What a run keeps from cycle to cycle.
pub(super) struct Session<'a> {
    pub(super) context: &'a Context,
    pub(super) config: &'a BackupConfig,
    pub(super) cluster: &'a Cluster,
    pub(super) commits: Committer,
    pub(super) budget: ByteBudget,
    pub(super) throttle: Throttle,
    /// Connections for each broker.
    pub(super) parallelism: usize,
    /// Cycles that came to their end.
    cycles: u64,
    told: BTreeSet<Warning>,
    /// The partitions that the last cycle has read.
    read: Vec<TopicPartition>,
    /// When it was looked last for transactions that stay open.
    looked: Option<Instant>,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        context: &'a Context,
        config: &'a BackupConfig,
        cluster: &'a Cluster,
        commits: Committer,
        parallelism: usize,
    ) -> Self {
        Self {
            context,
            config,
            cluster,
            commits,
            budget: ByteBudget::new(budget_bytes(context, config)),
            throttle: Throttle::new(config.max_bytes_per_second),
            parallelism,
            cycles: 0,
            told: BTreeSet::new(),
            read: Vec::new(),
            looked: None,
        }
    }

    /// Runs one cycle, or cycles until the context is cancelled.
    pub(super) async fn run(&mut self) -> Result<BackupReport> {
        loop {
            let next = Instant::now() + self.config.segment_max_interval;
            match self.cycle().await {
                Ok(troubles) if !self.config.continuous => {
                    let mut report = BackupReport::new(self.commits.set(), self.commits.added(), troubles);
                    report.held_back = self.throttle.held_back();
                    report.undecided = self.look_at_transactions().await;
                    return Ok(report);
                }
                Ok(_) => {
                    self.cycles += 1;
                    let due = self.looked.is_none_or(|looked| looked.elapsed() >= BETWEEN_LOOKS);
                    if due {
                        self.looked = Some(Instant::now());
                        self.look_at_transactions().await;
                    }
                }
                // What worked before may again: a continuous run outlives a source or a storage that is down for a while.
                Err(error) if self.config.continuous && self.cycles > 0 && error.may_pass() => {
                    self.warn(format!("{}; trying again", chain(&error)));
                }
                Err(error) => return Err(error),
            }
            self.context
                .unless_cancelled(tokio::time::sleep_until(next))
                .await?;
        }
    }

    /// Tells which partitions end in the backup before open transactions, and warns of those that may stay so. A signal to end
    /// ends it: all the work is done by then.
    async fn look_at_transactions(&self) -> Vec<Undecided> {
        if self.config.isolation_level != IsolationLevel::ReadCommitted {
            return Vec::new();
        }
        let look = undecided::look(self.cluster, &self.read, self.context.now());
        let undecided = self.context.unless_cancelled(look).await.unwrap_or_default();
        for one in undecided.iter().filter(|one| one.needs_attention()) {
            self.warn(one.to_string());
        }
        undecided
    }

    /// Returns what could not be read.
    async fn cycle(&mut self) -> Result<Vec<Trouble>> {
        let context = self.context;
        context.unless_cancelled(self.commits.settle()).await??;
        let (work, groups, mut troubles) = context.unless_cancelled(self.look()).await??;
        self.announce(&work);
        self.read = work.names(|partition| !partition.is_troubled() && !partition.is_leaderless);
        let (cluster, config, check_all) = (self.cluster, self.config, self.cycles == 0);
        let mut reading = Reading::new(self, work);
        let read = async {
            if reading.run(cluster).await? == Ended::Cancelled {
                return Err(Error::Cancelled);
            }
            // A partition without a leader is waited for, but the others are in the backup by then.
            if reading
                .work
                .partitions
                .iter()
                .any(|partition| partition.is_leaderless)
            {
                reading.commit_so_far().await?;
                let mut ranges = Ranges::new(cluster, config, true);
                let captured = ranges.capture(&mut reading.work, check_all);
                context.unless_cancelled(captured).await?;
                ranges
                    .troubles
                    .iter()
                    .for_each(|trouble| context.warn(trouble.to_string()));
                if reading.run(cluster).await? == Ended::Cancelled {
                    return Err(Error::Cancelled);
                }
            }
            reading.finish(groups).await
        };
        let unread = tokio::select! {
            unread = read => unread?,
            () = overdue(context) => {
                let text = "what was read last could not be made durable in time, and is not part of the backup";
                context.observer.event(&Event::Warning(text.to_owned()));
                return Err(Error::Cancelled);
            }
        };
        context.observer.event(&Event::Finished { phase: Phase::Backup });
        troubles.extend(unread);
        Ok(troubles)
    }

    /// Steps 1 and 2: what there is to do, where the groups stand, and what cannot be done.
    async fn look(&mut self) -> Result<(Work, Option<CapturedGroups>, Vec<Trouble>)> {
        let selection = TopicSelection::new(&self.config.source)?;
        let described = topics::describe(self.cluster, &selection, self.commits.set(), &self.told).await?;
        for warning in described.warnings {
            if self.told.insert(warning.clone()) {
                self.warn(warning.to_string());
            }
        }
        let mut troubles = described.troubles;

        let seen: BTreeSet<String> = described
            .topics
            .iter()
            .map(|found| found.topic.name.clone())
            .collect();
        let set = self.commits.set();
        let captured_at = self.context.now();
        let groups = match groups::capture(self.cluster, &seen, set).await {
            Ok(groups) => Some(CapturedGroups { captured_at, groups }),
            // The records are worth as much without them, and the positions of the run before are kept.
            Err(problem) => {
                troubles.push(Trouble::of_groups(problem));
                None
            }
        };
        troubles.iter().for_each(|trouble| self.warn(trouble.to_string()));
        let mut work = Work::new(set, described.topics, self.config.compression);
        for Trouble { topic, problem, .. } in &troubles {
            if let Some(known) = topic.as_ref().and_then(|name| set.topic(name)) {
                work.leave_alone(known, problem);
            }
        }
        let mut ranges = Ranges::new(self.cluster, self.config, false);
        if self.config.continuous {
            // The next cycle comes soon, and nobody has to wait for them until then.
            ranges.give_leaderless_up(&mut work);
        }
        ranges.capture(&mut work, self.cycles == 0).await;
        ranges
            .troubles
            .iter()
            .for_each(|trouble| self.warn(trouble.to_string()));
        troubles.sort();
        Ok((work, groups, troubles))
    }

    fn announce(&self, work: &Work) {
        self.context.observer.event(&Event::Started {
            phase: Phase::Backup,
            topics: work.topics(),
            partitions: work.partitions.len(),
            total: work.remaining(),
        });
    }

    fn warn(&self, text: String) {
        self.context.warn(text);
    }
}

/// Comes after a signal to end, when there was time enough to commit.
async fn overdue(context: &Context) {
    context.cancel.cancelled().await;
    tokio::time::sleep(LAST_COMMIT_WITHIN).await;
}

/// Bytes of records in memory. With a limit on bandwidth no more than a second's worth: what is there is fetched ahead.
fn budget_bytes(context: &Context, config: &BackupConfig) -> usize {
    const LEAST: usize = 4 * 1024 * 1024;
    let limit = context.memory_bytes;
    match config.max_bytes_per_second {
        Some(rate) => limit.min(usize::try_from(rate.get()).unwrap_or(limit).max(LEAST)),
        None => limit,
    }
}
