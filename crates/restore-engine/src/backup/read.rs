//! Reads partitions to their ends, hands their batches on as blocks, and commits on the way.

use std::time::Duration;

use kafka_wire::{ByteBudget, FetchEvent, FetchEventKind, FetchOptions, FetchStream};
use segment_format::CapturedGroups;
use tokio::time::Instant;

use super::commit::Committer;
use super::partition::PartitionReader;
use super::report::Trouble;
use super::segments::SegmentSink;
use super::session::Session;
use super::throttle::Throttle;
use super::work::Work;
use crate::context::Context;
use crate::error::{Error, Result, chain};
use crate::observe::Event;

/// Open blocks hold fetched bytes, and so parts of the byte budget. When nothing has come for this long, or somebody waits
/// for the budget, they are closed early: otherwise thousands of half-filled blocks could wait for bytes that nobody may
/// fetch.
const QUIET: Duration = Duration::from_millis(20);

/// How long a partition may have no leader, or its leader no answer. Long enough for a rolling restart of a broker.
const GIVE_UP_AFTER: Duration = Duration::from_secs(300);

/// The same in a continuous run: the next cycle comes soon and tries again, and until then nobody else's records are read, nor
/// positions taken.
const LEAVE_TO_NEXT_CYCLE_AFTER: Duration = Duration::from_secs(60);

/// How the reading of a cycle ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// Every partition has come to its end, or has trouble.
    AtTheEnds,
    /// Somebody wants the run to end.
    Cancelled,
}

/// The reading of one cycle.
pub(super) struct Reading<'a> {
    context: &'a Context,
    commits: &'a mut Committer,
    throttle: &'a mut Throttle,
    budget: ByteBudget,
    options: FetchOptions,
    interval: Duration,
    pub(super) work: Work,
    /// Where blocks go. Replaced with every commit.
    sink: SegmentSink,
    /// Whether anything was read since the last commit.
    has_news: bool,
    /// Partitions with an open block.
    open: Vec<usize>,
    done: u64,
    bytes: u64,
}

impl<'a> Reading<'a> {
    pub(super) fn new(session: &'a mut Session<'_>, work: Work) -> Self {
        let budget = session.budget.clone();
        let mut options = FetchOptions::new(budget.clone());
        options.isolation = session.config.isolation_level;
        options.connections_per_broker = session.parallelism;
        options.give_up_after = Some(match session.config.continuous {
            true => LEAVE_TO_NEXT_CYCLE_AFTER,
            false => GIVE_UP_AFTER,
        });
        Self {
            context: session.context,
            sink: session.commits.sink(),
            commits: &mut session.commits,
            throttle: &mut session.throttle,
            budget,
            options,
            interval: session.config.segment_max_interval,
            work,
            has_news: false,
            open: Vec::new(),
            done: 0,
            bytes: 0,
        }
    }

    /// Reads until every partition has come to its end, or until the context is cancelled; then what was read is committed.
    pub(super) async fn run(&mut self, cluster: &kafka_wire::Cluster) -> Result<Ended> {
        let wanted: Vec<_> = self.work.partitions.iter().filter_map(|p| p.wanted()).collect();
        let mut stream = FetchStream::start(cluster, wanted, self.options.clone());
        let mut commit_at = Instant::now() + self.interval;
        let cancel = self.context.cancel.clone();
        // A writer that has failed says why when it is finished.
        while !self.sink.has_failed() {
            let event = async {
                self.throttle.ready().await;
                tokio::time::timeout(QUIET, stream.next()).await
            };
            tokio::select! {
                biased;
                () = cancel.cancelled() => {
                    drop(stream);
                    self.commit_so_far().await?;
                    return Ok(Ended::Cancelled);
                }
                () = tokio::time::sleep_until(commit_at) => {
                    self.commit_so_far().await?;
                    commit_at = Instant::now() + self.interval;
                }
                event = event => match event {
                    Ok(Some(event)) => self.handle(event, &mut stream).await?,
                    Ok(None) => break,
                    Err(_quiet) => self.flush_open().await,
                },
            }
            if self.budget.is_contended() {
                self.flush_open().await;
            }
        }
        Ok(Ended::AtTheEnds)
    }

    /// Commits everything: the end of a cycle, complete when the groups' positions are known. Returns what could not be read.
    pub(super) async fn finish(mut self, groups: Option<CapturedGroups>) -> Result<Vec<Trouble>> {
        self.flush_open().await;
        let segments = self.sink.close().await?;
        let partitions = self.work.partitions.iter_mut();
        let troubles: Vec<Trouble> = partitions.filter_map(PartitionReader::conclude).collect();
        troubles.iter().for_each(|trouble| self.tell(trouble));
        self.commits
            .commit(self.work.snapshot(), segments, groups)
            .await?;
        Ok(self.work.troubles().collect())
    }

    /// Commits what was read so far, so that it need not be read again.
    pub(super) async fn commit_so_far(&mut self) -> Result<()> {
        if !self.has_news {
            return Ok(());
        }
        self.flush_open().await;
        let segments = self.sink.close().await?;
        self.commits.commit(self.work.snapshot(), segments, None).await?;
        self.sink = self.commits.sink();
        self.has_news = false;
        Ok(())
    }

    async fn handle(&mut self, event: FetchEvent, stream: &mut FetchStream) -> Result<()> {
        let (topic, partition) = (event.topic, event.partition);
        let Some(at) = self.work.position(&topic, partition) else {
            return Err(Error::Internal(format!(
                "{topic}/{partition} was fetched unasked"
            )));
        };
        let reader = &mut self.work.partitions[at];
        if reader.is_troubled() {
            // What follows on a record that cannot be taken must not be taken either.
            return Ok(());
        }
        let problem = match event.kind {
            FetchEventKind::Batches(fetched) => {
                self.throttle.spend(fetched.slab.len(), Instant::now());
                self.bytes += fetched.slab.len() as u64;
                self.done += u64::try_from(fetched.next_offset - reader.state.end_offset).unwrap_or(0);
                self.has_news = true;
                let was_open = reader.has_open_block();
                let taken = reader.take(fetched, &self.sink).await;
                if reader.has_open_block() && !was_open {
                    self.open.push(at);
                }
                let (done, bytes) = (self.done, self.bytes);
                self.context.observer.event(&Event::Progress { done, bytes });
                taken.err()
            }
            FetchEventKind::Finished { next_offset } => {
                reader.state.end_offset = reader.state.end_offset.max(next_offset);
                None
            }
            FetchEventKind::OutOfRange { log_start_offset, .. } => {
                match reader.step_over_lost(log_start_offset) {
                    Ok(note) => {
                        self.has_news = true;
                        self.context.observer.event(&Event::Warning(note));
                        reader.wanted().into_iter().for_each(|again| stream.add(again));
                        None
                    }
                    Err(problem) => Some(problem),
                }
            }
            FetchEventKind::Failed(error) => Some(format!("it cannot be read: {}", chain(&error))),
            other => return Err(Error::Internal(format!("an unknown kind of event: {other:?}"))),
        };
        if let Some(trouble) = problem.and_then(|problem| reader.give_up(problem)) {
            self.tell(&trouble);
        }
        Ok(())
    }

    fn tell(&self, trouble: &Trouble) {
        self.context.observer.event(&Event::Warning(trouble.to_string()));
    }

    async fn flush_open(&mut self) {
        for at in std::mem::take(&mut self.open) {
            self.work.partitions[at].flush(&self.sink).await;
        }
    }
}
