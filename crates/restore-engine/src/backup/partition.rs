//! One partition in a cycle: what the backup has of it, and what is read of it now.

use kafka_wire::batch::{LogEntry, RawBatch};
use kafka_wire::{FetchPartition, FetchedBatches, TopicPartition};
use segment_format::manifest::{Gap, GapCause, Partition};
use segment_format::{Compression, PartitionRef, TopicId};

use super::blocks::BlockBuilder;
use super::report::Trouble;
use super::segments::SegmentSink;

/// A partition, between what is backed up and what is to be.
#[derive(Debug)]
pub(super) struct PartitionReader {
    /// Index of its topic.
    pub(super) topic: usize,
    pub(super) reference: PartitionRef,
    /// The id that its topic has at the source, which the backup may know under another one: see `identity`.
    pub(super) source_id: TopicId,
    /// Whether it had no leader at the beginning of the cycle.
    pub(super) is_leaderless: bool,
    /// What the backup holds once everything that was handed to the segments is in it: `state.end_offset` is the next
    /// offset to be read.
    pub(super) state: Partition,
    /// Where reading ends in this cycle.
    pub(super) end: i64,
    pub(super) largest_batch: u64,
    blocks: BlockBuilder,
    /// Whether it has the trouble in this cycle, and not from an earlier one.
    is_troubled: bool,
    /// Whether the last gap may still turn out to be smaller.
    gap_is_open: bool,
}

impl PartitionReader {
    pub(super) fn new(
        topic: usize,
        reference: PartitionRef,
        known: Option<Partition>,
        compression: Compression,
    ) -> Self {
        let state = known.unwrap_or_else(|| Partition::unknown(reference.partition));
        Self {
            topic,
            end: state.end_offset,
            source_id: reference.topic_id,
            is_leaderless: false,
            reference,
            state,
            largest_batch: 0,
            blocks: BlockBuilder::new(compression),
            is_troubled: false,
            gap_is_open: false,
        }
    }

    /// Whether it is still open where reading begins: it is new, or nobody could be asked for it until now.
    pub(super) fn needs_start(&self) -> bool {
        self.state.start_unknown
    }

    /// What the backup holds, for a commit.
    pub(super) fn snapshot(&mut self) -> Partition {
        self.gap_is_open = false;
        self.state.clone()
    }

    pub(super) fn name(&self) -> TopicPartition {
        TopicPartition::new(self.reference.topic.clone(), self.reference.partition)
    }

    /// Whether anything keeps it from being read in this cycle.
    pub(super) fn is_troubled(&self) -> bool {
        self.is_troubled
    }

    pub(super) fn trouble(&self) -> Option<Trouble> {
        let problem = self.state.trouble.clone().filter(|_| self.is_troubled)?;
        Some(Trouble::of_partition(
            &self.reference.topic,
            self.reference.partition,
            problem,
        ))
    }

    /// It is left alone for the rest of the cycle. Returns what to tell, unless the cycle before told the same.
    pub(super) fn give_up(&mut self, problem: String) -> Option<Trouble> {
        self.is_troubled = true;
        if note_trouble(&mut self.state, problem) {
            self.trouble()
        } else {
            None
        }
    }

    /// The end of a cycle: without trouble it must have come to its end.
    pub(super) fn conclude(&mut self) -> Option<Trouble> {
        if self.is_troubled {
            return None;
        }
        let (at, end) = (self.state.end_offset, self.end);
        if at < end {
            return self.give_up(format!("reading has ended at offset {at} of {end}"));
        }
        self.state.trouble = None;
        None
    }

    pub(super) fn remaining(&self) -> u64 {
        match self.is_troubled || self.needs_start() {
            true => 0,
            false => u64::try_from(self.end - self.state.end_offset).unwrap_or(0),
        }
    }

    /// What is still to be read.
    pub(super) fn wanted(&self) -> Option<FetchPartition> {
        let PartitionRef { topic, partition, .. } = &self.reference;
        (self.remaining() > 0).then(|| {
            let wanted = FetchPartition::new(topic.clone(), *partition, self.state.end_offset)
                .with_topic_id(self.source_id.0)
                .until(self.end);
            match self.state.last_leader_epoch {
                Some(epoch) => wanted.after_epoch(epoch),
                None => wanted,
            }
        })
    }

    /// Begins at `start`. Offsets before it are not part of the backup.
    pub(super) fn begin_at(&mut self, start: i64) {
        self.state = Partition::empty(self.reference.partition, start);
        self.end = start;
    }

    /// Takes what one fetch brought.
    ///
    /// # Errors
    ///
    /// The partition's trouble; what came before the culprit is taken.
    pub(super) async fn take(&mut self, fetched: FetchedBatches, sink: &SegmentSink) -> Result<(), String> {
        for entry in fetched.batches {
            let batch = current_format(entry)?;
            self.close_gap_before(batch.header.base_offset);
            self.largest_batch = self.largest_batch.max(batch.bytes.len() as u64);
            self.state.first_offset.get_or_insert(batch.header.base_offset);
            self.state.last_offset = Some(batch.header.last_offset());
            self.state.records += u64::try_from(batch.header.record_count).unwrap_or(0);
            self.state.end_offset = batch.header.last_offset() + 1;
            self.state.last_leader_epoch =
                Some(batch.header.partition_leader_epoch).filter(|epoch| *epoch >= 0);
            for block in self.blocks.push(batch, &fetched.slab) {
                sink.push(&self.reference, block).await;
            }
        }
        if let Some(block) = self.blocks.end_of_answer() {
            sink.push(&self.reference, block).await;
        }
        self.state.aborted_records += fetched.aborted_records;
        self.state.control_batches += fetched.control_batches;
        self.state.end_offset = fetched.next_offset;
        self.state.last_leader_epoch = fetched.last_epoch;
        Ok(())
    }

    /// A log may start in the middle of a batch, which brokers send whole: then less is lost than the log start says.
    fn close_gap_before(&mut self, base_offset: i64) {
        if std::mem::take(&mut self.gap_is_open)
            && let Some(gap) = self.state.gaps.last_mut()
        {
            gap.to = gap.to.min(base_offset);
            if gap.to <= gap.from {
                self.state.gaps.pop();
            }
        }
    }

    /// Whether a block is begun that holds fetched bytes.
    pub(super) fn has_open_block(&self) -> bool {
        self.blocks.is_open()
    }

    /// Hands over the block begun so far.
    pub(super) async fn flush(&mut self, sink: &SegmentSink) {
        if let Some(block) = self.blocks.flush() {
            sink.push(&self.reference, block).await;
        }
    }

    /// The offset to read next is no longer there. Retention explains it when the log starts behind it: that is a gap,
    /// recorded and told. Nothing else does: the log was cut, and going on would mix two histories.
    ///
    /// # Errors
    ///
    /// The partition's trouble.
    pub(super) fn step_over_lost(&mut self, log_start_offset: i64) -> Result<String, String> {
        let from = self.state.end_offset;
        if log_start_offset <= from {
            return Err(self.cut_problem());
        }
        let to = log_start_offset.min(self.end);
        self.state.gaps.push(Gap {
            from,
            to,
            cause: GapCause::Retention,
        });
        self.state.end_offset = to;
        self.state.last_leader_epoch = None;
        self.gap_is_open = true;
        let PartitionRef { topic, partition, .. } = &self.reference;
        Ok(format!(
            "{topic}/{partition}: retention removed offsets {from} to {} before they could be read",
            to - 1
        ))
    }

    /// The source's log was cut below what the backup holds.
    pub(super) fn cut_problem(&self) -> String {
        format!(
            "the source lost records that the backup holds: its log was cut below offset {} (an unclean leader election?), \
             and what was written to it since is another history. Nothing was added; back it up under another backup_id",
            self.state.end_offset
        )
    }
}

/// Notes the trouble of a partition; whether it is another one than before. A text that is another one in each cycle would be a
/// change to commit in each cycle.
pub(super) fn note_trouble(state: &mut Partition, problem: String) -> bool {
    let before = state.trouble.as_ref();
    let is_new = before.is_none_or(|before| !is_same_besides_times(before, &problem));
    if is_new {
        state.trouble = Some(problem);
    }
    is_new
}

/// Whether two texts say the same, but for how long something took, as in "gave up after 60.1 s".
fn is_same_besides_times(one: &str, other: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        for at in 1..words.len() {
            let unit = words[at].trim_end_matches(|c: char| !c.is_alphanumeric());
            if matches!(unit, "s" | "ms") && words[at - 1].parse::<f64>().is_ok() {
                words[at - 1].clear();
            }
        }
        words
    };
    one == other || words(one) == words(other)
}

/// Message formats 0 and 1 went out of use with Kafka 0.11; logs that old are not silently left out.
fn current_format(entry: LogEntry) -> Result<RawBatch, String> {
    match entry {
        LogEntry::Batch(batch) => Ok(batch),
        LogEntry::Legacy(entry) => Err(format!(
            "offset {} is stored in message format {}, which this version cannot back up. Exclude the topic, or let the \
             brokers write it anew in format 2",
            entry.offset, entry.magic
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn troubles_that_differ_in_times_only_are_the_same() {
        let gave_up =
            |after: &str| format!("its offsets cannot be read: gave up after {after}: broker 1 is not there");
        let same = is_same_besides_times;
        assert!(same(&gave_up("60.1 s"), &gave_up("60.3 s")));
        assert!(same(&gave_up("60 s"), &gave_up("60.3 s")));
        assert!(!same(&gave_up("60.1 s"), &gave_up("60.1 ms")));
        assert!(!same(
            &gave_up("60.1 s"),
            "its offsets cannot be read: gave up after 60.1 s: broker 2 is not there"
        ));
        // Offsets are no times.
        assert!(!same(
            "the log was cut below offset 10",
            "the log was cut below offset 11"
        ));
    }

    #[test]
    fn a_start_is_asked_for_until_it_is_known() {
        let reference = PartitionRef::new("t", TopicId::ZERO, 0);
        let next_cycle = |known| PartitionReader::new(0, reference.clone(), known, Compression::None);
        let mut new = next_cycle(None);
        assert!(new.needs_start());
        new.end = 10;
        assert_eq!(new.remaining(), 0, "nobody knows from where");
        new.give_up("no leader".to_owned());
        let mut again = next_cycle(Some(new.snapshot()));
        assert!(again.needs_start());
        again.begin_at(0);
        assert_eq!(again.snapshot(), Partition::empty(0, 0));
        // Found empty: that is a start, also when it has trouble before anything is read.
        again.give_up("no leader".to_owned());
        let known = next_cycle(Some(again.snapshot()));
        assert!(!known.needs_start());
    }

    #[test]
    fn a_trouble_is_told_once_and_its_text_is_kept() {
        let reference = PartitionRef::new("t", TopicId::ZERO, 0);
        let known = Partition::empty(0, 5);
        let mut partition = PartitionReader::new(0, reference.clone(), Some(known), Compression::None);
        assert!(partition.give_up("gave up after 60.1 s".to_owned()).is_some());
        let state = partition.snapshot();
        let mut again = PartitionReader::new(0, reference, Some(state.clone()), Compression::None);
        assert!(again.give_up("gave up after 60.2 s".to_owned()).is_none());
        assert_eq!(again.snapshot(), state, "nothing to commit");
        assert!(again.trouble().is_some() && again.is_troubled());
        assert!(again.give_up("its log was cut".to_owned()).is_some());
    }
}
