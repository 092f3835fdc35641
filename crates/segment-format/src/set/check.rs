//! Whether changes can follow what the set holds. Each check looks at what is changed only, so that it costs as little
//! as the change.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

use crate::error::Result;
use crate::manifest::{Changes, Partition, PartitionChange, SegmentPartition, inconsistent};
use crate::partition::TopicId;

use super::BackupSet;

/// What new segments hold of each partition, by topic number and partition.
type Pieces = HashMap<(u32, i32), Vec<SegmentPartition>>;

impl BackupSet {
    /// Checks changes that are right by themselves, and were made by the commits of `generations`.
    ///
    /// The name of a segment says the only commit that may make it part of the set. On this rests the proof that a segment
    /// which is not named once that commit is there will never be: who removes orphans relies on it.
    pub(super) fn check(&self, changes: &Changes, generations: RangeInclusive<u64>) -> Result<()> {
        let topics = self.check_topics(changes)?;
        let mut pieces = Pieces::new();
        for segment in &changes.segments {
            let place = || format!("segment {}", segment.id);
            if !generations.contains(&segment.id.generation) {
                let reason = format!(
                    "it was written for the commit of generation {}, and is new in one of {} to {}",
                    segment.id.generation,
                    generations.start(),
                    generations.end()
                );
                return inconsistent(place(), reason);
            }
            if self.segment_ids.contains(&segment.id) {
                return inconsistent(place(), "it is there already");
            }
            for piece in segment.partitions() {
                pieces.entry(piece.key()).or_default().push(piece);
            }
        }
        for change in &changes.partitions {
            if change.topic == 0 || change.topic as usize > topics {
                return inconsistent(place_of(change.key()), "there is no topic of this number");
            }
            let pieces = pieces.remove(&change.key()).unwrap_or_default();
            self.check_partition(change, pieces)?;
        }
        match pieces.into_keys().min() {
            None => Ok(()),
            Some(key) => inconsistent(
                place_of(key),
                "a new segment holds it, but its own entry does not say so",
            ),
        }
    }

    /// The number of topics there are then.
    fn check_topics(&self, changes: &Changes) -> Result<usize> {
        let mut count = self.topics.len();
        let mut new: HashSet<(&str, TopicId)> = HashSet::new();
        for change in &changes.topics {
            let place = || format!("topic {} {:?}", change.number, change.name);
            if let Some(known) = self.incarnation(change.number) {
                if known.name != change.name || known.topic_id != change.topic_id {
                    return inconsistent(place(), "the number is that of another topic");
                }
                continue;
            }
            if change.number as usize != count + 1 {
                return inconsistent(place(), format!("the next number is {}", count + 1));
            }
            count += 1;
            let known = self.incarnation_number(&change.name, change.topic_id).is_some();
            if known || !new.insert((change.name.as_str(), change.topic_id)) {
                return inconsistent(place(), "this topic has another number already");
            }
        }
        Ok(count)
    }

    fn check_partition(&self, change: &PartitionChange, mut pieces: Vec<SegmentPartition>) -> Result<()> {
        let place = || place_of(change.key());
        pieces.sort_unstable_by_key(|piece| piece.first_offset);
        let apart = pieces.is_sorted_by(|left, right| left.last_offset < right.first_offset);
        if !apart {
            return inconsistent(place(), "segments hold the same offsets twice");
        }
        let (number, state) = (change.state.partition, &change.state);
        let known = self
            .incarnation(change.topic)
            .and_then(|topic| topic.partition(number))
            // One whose start nobody knew is as good as new: nothing was said of it that could be taken back.
            .filter(|known| !known.start_unknown);
        if known.is_some() && state.start_unknown {
            return inconsistent(place(), "it was known before where it starts");
        }
        let new;
        let before = match known {
            Some(known) => known,
            None => {
                new = Partition::empty(number, state.log_start_offset);
                &new
            }
        };
        check_pieces(before, state, &pieces).or_else(|reason| inconsistent(place(), reason))?;
        check_progress(before, state).or_else(|reason| inconsistent(place(), reason))
    }
}

fn place_of((topic, partition): (u32, i32)) -> String {
    format!("partition {partition} of topic {topic}")
}

/// What the partition says of stored batches is what it said before, and what new segments hold.
fn check_pieces(
    before: &Partition,
    after: &Partition,
    pieces: &[SegmentPartition],
) -> Result<(), &'static str> {
    let start = pieces.first().map(|piece| piece.first_offset);
    if start.is_some_and(|start| before.last_offset.is_some_and(|last| start <= last)) {
        return Err("a new segment holds offsets that an earlier one holds");
    }
    let end = pieces.last().map(|piece| piece.last_offset);
    if after.first_offset != before.first_offset.or(start) || after.last_offset != end.or(before.last_offset)
    {
        return Err("first and last offset are not those of the segments");
    }
    let records = pieces
        .iter()
        .try_fold(before.records, |sum, piece| sum.checked_add(piece.records));
    if records != Some(after.records) {
        return Err("the number of records is not that of the segments");
    }
    Ok(())
}

/// Nothing that was said before is taken back.
fn check_progress(before: &Partition, after: &Partition) -> Result<(), &'static str> {
    if after.log_start_offset != before.log_start_offset {
        return Err("the log start offset is not the one of before");
    }
    if after.end_offset < before.end_offset {
        return Err("the end offset is before the one of before");
    }
    if after.aborted_records < before.aborted_records || after.control_batches < before.control_batches {
        return Err("less was left out than before");
    }
    let Some(new) = after.gaps.strip_prefix(before.gaps.as_slice()) else {
        return Err("the gaps do not begin with those of before");
    };
    if new.first().is_some_and(|gap| gap.from < before.end_offset) {
        return Err("a new gap lies in what was covered before");
    }
    Ok(())
}
