//! One partition that is written: its ledger, and where it stands.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use super::doubt::Doubt;
use super::fill::{Gap, MarkerIdentity};
use super::ledger::{Answered, Ledger};
use super::queue::LaneQueue;
use super::request::ProduceEntry;
use crate::batch::{BatchHeader, RawBatch};
use crate::cluster::TopicPartition;
use crate::error::{Error, ErrorCode};
use crate::problem::PartitionProblem;
use crate::retry::{Limits, Streak, Verdict};

/// How far a partition has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) acknowledged: i64,
    pub(super) failed: bool,
}

/// A partition, shared by its writer, the lane that it is on, and the task that settles it.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) name: TopicPartition,
    pub(super) topic_id: [u8; 16],
    state: Mutex<State>,
    /// Bytes that may still be appended before the writer has to wait.
    room: Semaphore,
    capacity: usize,
    progress: watch::Sender<Progress>,
}

#[derive(Debug)]
struct State {
    ledger: Ledger,
    phase: Phase,
    /// Bytes taken from `room`.
    taken: usize,
    /// Whether the lane has it in its list.
    listed: bool,
    /// The last request that a batch was taken for.
    request: u64,
    /// The failures since the last batch that is known to be in the log.
    streak: Streak,
    /// How long to wait before the log is looked at.
    pause: Duration,
    /// What has to end before the log is looked at.
    doubt: Option<Doubt>,
    /// Whether a broker that refused a batch has said who leads, and that is noted in the cluster's cache.
    knows_leader: bool,
    /// New producer epochs since the last acknowledgement.
    renewals: u32,
}

#[derive(Debug)]
enum Phase {
    /// Batches are sent by this lane.
    Active(Arc<LaneQueue>),
    /// Nothing is sent: answers are due, or the log is being looked at.
    Halted,
    /// Nothing will be sent any more.
    Failed(Error),
}

/// What the lane has to do after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Nothing,
    /// It has more to send.
    List,
    /// The log has to be looked at.
    Settle,
}

/// New epochs in a row before a broker that refuses sequence numbers is taken at its word.
const MOST_RENEWALS: u32 = 3;

impl Partition {
    pub(super) fn new(
        name: TopicPartition,
        topic_id: [u8; 16],
        ledger: Ledger,
        capacity: usize,
        limits: Limits,
    ) -> Self {
        let capacity = capacity.clamp(1, u32::MAX as usize);
        let (progress, _) = watch::channel(Progress {
            acknowledged: ledger.acknowledged(),
            failed: false,
        });
        let state = State {
            ledger,
            phase: Phase::Halted,
            taken: 0,
            listed: false,
            request: 0,
            streak: Streak::new(limits),
            pause: Duration::ZERO,
            doubt: None,
            knows_leader: false,
            renewals: 0,
        };
        Self {
            name,
            topic_id,
            state: Mutex::new(state),
            room: Semaphore::new(capacity),
            capacity,
            progress,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held; were it otherwise, the offsets would still be checked by every answer.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is room, and takes a batch.
    pub(super) async fn append(self: &Arc<Self>, batch: RawBatch) -> Result<i64, Error> {
        let size = batch.bytes.len().min(self.capacity);
        match self.room.acquire_many(size as u32).await {
            Ok(permit) => permit.forget(),
            Err(_closed) => return Err(self.failure()),
        }
        let mut state = self.lock();
        if let Phase::Failed(error) = &state.phase {
            return Err(error.clone());
        }
        let appended = state.ledger.append(batch);
        match appended {
            Ok(_) => state.taken += size,
            Err(_) => self.room.add_permits(size),
        }
        let lane = state.list();
        drop(state);
        if let Some(lane) = lane {
            lane.push(Arc::clone(self));
        }
        appended.map_err(|problem| self.error(problem))
    }

    /// The next batch to be sent, if it is not larger than `room` and this lane is still the partition's. One request
    /// gets one batch: a partition may be in the list once more, as it came back to the lane, or as something was appended
    /// since its batch was taken.
    pub(super) fn take(&self, lane: &Arc<LaneQueue>, room: usize, request: u64) -> Taken {
        let mut state = self.lock();
        let here = matches!(&state.phase, Phase::Active(active) if Arc::ptr_eq(active, lane));
        match state.ledger.sendable() {
            Some(_) if here && state.request == request => return Taken::Later,
            Some(parcel) if here && parcel.len() > room => return Taken::TooLarge,
            Some(_) if here => {}
            _ => {
                state.listed &= !here;
                return Taken::Nothing;
            }
        }
        let Some(parcel) = state.ledger.send() else {
            return Taken::Nothing;
        };
        let records = parcel.header().record_count;
        let zstd = parcel.header().compression() == Ok(crate::batch::Codec::Zstd);
        let entry = ProduceEntry {
            topic: Arc::clone(&self.name.topic),
            topic_id: self.topic_id,
            partition: self.name.partition,
            header: parcel.header,
            records: parcel.body(),
        };
        state.request = request;
        let more = state.ledger.sendable().is_some();
        state.listed = more;
        Taken::Entry {
            entry,
            zstd,
            records,
            more,
        }
    }

    /// Takes the answer to the oldest unanswered batch.
    pub(super) fn answered(&self, answer: Result<i64, Error>) -> Next {
        let mut state = self.lock();
        if matches!(state.phase, Phase::Failed(_)) {
            return Next::Nothing;
        }
        if let Err(error) = &answer
            && error.verdict() == Verdict::Stays
        {
            self.fail_locked(&mut state, error.clone());
            return Next::Nothing;
        }
        match state.ledger.answered(answer) {
            Answered::Acknowledged => {
                state.renewals = 0;
                self.acknowledged(&mut state);
                if state.list().is_some() {
                    Next::List
                } else {
                    Next::Nothing
                }
            }
            Answered::Draining => {
                state.halt();
                Next::Nothing
            }
            Answered::Drained(failure) => {
                state.halt();
                match state.pause_after(failure) {
                    Ok(pause) => {
                        state.pause = pause;
                        Next::Settle
                    }
                    Err(error) => {
                        self.fail_locked(&mut state, error);
                        Next::Nothing
                    }
                }
            }
            Answered::Broken(problem) => {
                let error = self.error(problem);
                self.fail_locked(&mut state, error);
                Next::Nothing
            }
        }
    }

    /// Gives room for what is no longer kept, and tells who waits.
    fn acknowledged(&self, state: &mut State) {
        state.streak.end();
        let kept = state.ledger.bytes().min(state.taken);
        self.room.add_permits(state.taken - kept);
        state.taken = kept;
        let acknowledged = state.ledger.acknowledged();
        self.progress
            .send_modify(|progress| progress.acknowledged = acknowledged);
    }

    /// The first offset that is not known to be in the log.
    pub(super) fn acknowledged_offset(&self) -> i64 {
        self.lock().ledger.acknowledged()
    }

    /// The offset that the next appended batch has to get.
    pub(super) fn next_offset(&self) -> i64 {
        self.lock().ledger.next_offset()
    }

    /// Takes a gap, to be filled with markers of this identity. Nothing appended before may be left to be acknowledged.
    /// Returns whether the partition has to be settled for it; else that is being done already.
    ///
    /// # Errors
    /// What ended the writing.
    pub(super) fn open_gap(&self, end: i64, identity: MarkerIdentity) -> Result<bool, Error> {
        let mut state = self.lock();
        let idle = match &state.phase {
            Phase::Active(_) => true,
            Phase::Halted => false,
            Phase::Failed(error) => return Err(error.clone()),
        };
        state.ledger.open_gap(end, identity);
        if idle {
            state.pause = Duration::ZERO;
            state.halt();
        }
        Ok(idle)
    }

    /// What is left of the gap.
    pub(super) fn gap(&self) -> Option<Gap> {
        self.lock().ledger.gap()
    }

    /// Notes what became of a request to write markers.
    ///
    /// # Errors
    /// What to report, when it is not to be tried again.
    pub(super) fn marked(&self, written: Result<(), Error>) -> Result<(), Error> {
        let mut state = self.lock();
        state.pause = match written {
            Ok(()) => Duration::ZERO,
            // A later writer of the producer has a higher epoch.
            Err(error) if refuses_sequence(&error) => return Err(error),
            Err(error) => state.streak.failed(error)?,
        };
        Ok(())
    }

    pub(super) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Takes note of a batch that the log holds at the first unacknowledged offset.
    pub(super) fn found(&self, stored: &BatchHeader) -> Result<(), PartitionProblem> {
        let mut state = self.lock();
        state.ledger.found(stored)?;
        self.acknowledged(&mut state);
        Ok(())
    }

    /// The log ends at what is acknowledged: sends the rest by this lane, unless there is a gap before it. Returns whether
    /// there is none.
    pub(super) fn resume(self: &Arc<Self>, lane: &Arc<LaneQueue>) -> Result<bool, PartitionProblem> {
        let mut state = self.lock();
        if matches!(state.phase, Phase::Failed(_)) {
            return Ok(true);
        }
        let failure = state.ledger.settled();
        if failure.as_ref().is_some_and(refuses_sequence) {
            state.renewals += 1;
            let offset = state.ledger.acknowledged();
            if state.renewals > MOST_RENEWALS || state.ledger.renew_epoch().is_none() {
                return Err(PartitionProblem::SequenceRefused { offset });
            }
        }
        if state.ledger.gap().is_some() {
            return Ok(false);
        }
        state.phase = Phase::Active(Arc::clone(lane));
        lane.joined();
        state.listed = false;
        let list = state.list();
        drop(state);
        if let Some(lane) = list {
            lane.push(Arc::clone(self));
        }
        Ok(true)
    }

    /// How long to wait before the log is looked at.
    pub(super) fn pause(&self) -> Duration {
        self.lock().pause
    }

    /// Whether a broker that names another leader may be followed.
    pub(super) fn may_follow(&self) -> bool {
        self.lock().streak.may_follow()
    }

    /// Notes that the refusal of a batch has told who leads. Comes before the answer that says so.
    pub(super) fn knows_leader(&self) {
        self.lock().knows_leader = true;
    }

    /// Notes where batches were lost. Comes before the answer that says so.
    pub(super) fn doubts(&self, doubt: Doubt) {
        self.lock().doubt = Some(doubt);
    }

    /// Where batches were lost, unless that is over.
    pub(super) fn doubt(&self) -> Option<Doubt> {
        self.lock().doubt.clone()
    }

    /// What was lost will not come any more.
    pub(super) fn doubt_is_over(&self) {
        self.lock().doubt = None;
    }

    /// Notes that looking at the log failed.
    ///
    /// # Errors
    /// What to report, when it is not to be tried again.
    pub(super) fn failed_to_settle(&self, error: Error) -> Result<(), Error> {
        let mut state = self.lock();
        state.pause = state.streak.failed(error)?;
        Ok(())
    }

    /// Failures since the last batch that is known to be in the log.
    pub(super) fn failures(&self) -> u32 {
        self.lock().streak.failures()
    }

    /// Ends the writing with this error; the first one stays.
    pub(super) fn fail(&self, error: Error) {
        self.fail_locked(&mut self.lock(), error);
    }

    fn fail_locked(&self, state: &mut State, error: Error) {
        if matches!(state.phase, Phase::Failed(_)) {
            return;
        }
        state.halt();
        state.phase = Phase::Failed(error);
        state.ledger.clear();
        self.room.close();
        self.progress.send_modify(|progress| progress.failed = true);
    }

    /// Why it failed.
    pub(super) fn failure(&self) -> Error {
        match &self.lock().phase {
            Phase::Failed(error) => error.clone(),
            _ => self.error(PartitionProblem::ProducerClosed),
        }
    }

    pub(super) fn is_failed(&self) -> bool {
        matches!(self.lock().phase, Phase::Failed(_))
    }

    /// Checks that the topic that has the name now is the one that was opened, where both ids are known.
    ///
    /// # Errors
    /// [`PartitionProblem::TopicReplaced`].
    pub(super) fn is_of_topic(&self, found: Option<[u8; 16]>) -> Result<(), Error> {
        let asked = self.topic_id;
        match found {
            Some(found) if asked != [0; 16] && found != asked => {
                Err(self.error(PartitionProblem::TopicReplaced { asked, found }))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn error(&self, problem: PartitionProblem) -> Error {
        Error::Partition {
            partition: self.name.clone(),
            problem: Box::new(problem),
        }
    }
}

/// What [`Partition::take`] found.
#[derive(Debug)]
pub(super) enum Taken {
    Entry {
        entry: ProduceEntry,
        zstd: bool,
        records: i32,
        more: bool,
    },
    /// For another request than this one, which has a batch of the partition.
    Later,
    TooLarge,
    Nothing,
}

impl State {
    /// The lane to be told, when there is something to send and it does not know.
    fn list(&mut self) -> Option<Arc<LaneQueue>> {
        let Phase::Active(lane) = &self.phase else {
            return None;
        };
        if self.listed || self.ledger.sendable().is_none() {
            return None;
        }
        self.listed = true;
        Some(Arc::clone(lane))
    }

    /// How long to wait before the log is looked at, now that nothing is in flight. Not at all when that is because of a move
    /// to a leader that is known; nothing was lost then, and the look shows it.
    fn pause_after(&mut self, failure: Error) -> Result<Duration, Error> {
        let moved = failure.code().is_some_and(ErrorCode::is_move);
        if std::mem::take(&mut self.knows_leader) && moved {
            return Ok(Duration::ZERO);
        }
        self.streak.failed(failure)
    }

    fn halt(&mut self) {
        if let Phase::Active(lane) = &self.phase {
            lane.left();
            self.phase = Phase::Halted;
        }
    }
}

/// Whether the broker does not accept the producer's sequence numbers or epoch.
fn refuses_sequence(error: &Error) -> bool {
    error.code().is_some_and(|code| {
        matches!(
            code,
            ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER
                | ErrorCode::INVALID_PRODUCER_EPOCH
                | ErrorCode::UNKNOWN_PRODUCER_ID
        )
    })
}

#[cfg(test)]
#[path = "partition_tests.rs"]
mod tests;
