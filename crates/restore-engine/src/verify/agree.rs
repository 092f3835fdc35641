//! Whether the index of a segment says what the manifest says of it.

use segment_format::manifest::{Segment, SegmentPartition};
use segment_format::{BackupSet, BlockEntry, Index};

use super::finding::{AffectedRange, Finding};

/// What differs, as one finding.
pub(super) fn compare(
    set: &BackupSet,
    segment: &Segment,
    object: &str,
    index: &Index,
    position: u64,
) -> Option<Finding> {
    let mut problems = Vec::new();
    let mut affects = Vec::new();
    for piece in segment.partitions() {
        if let Some(problem) = piece_differs(set, piece, index) {
            problems.push(problem);
            affects.push(AffectedRange::from(piece));
        }
    }
    for partition in index.partitions() {
        let number = set.incarnation_number(&partition.topic, partition.topic_id);
        let named = number.is_some_and(|number| {
            let mut pieces = segment.partitions();
            pieces.any(|piece| (piece.topic, piece.partition) == (number, partition.partition))
        });
        if !named {
            problems.push(format!(
                "it holds {partition}, of which the manifest says nothing"
            ));
        }
    }
    let first = problems.first()?;
    let mut problem = format!("it does not hold what the manifest says: {first}");
    if problems.len() > 1 {
        problem += &format!(" (and {} more differences)", problems.len() - 1);
    }
    let mut finding = Finding::damaged(object, Some(position), problem);
    finding.affects = affects;
    Some(finding)
}

fn piece_differs(set: &BackupSet, piece: SegmentPartition, index: &Index) -> Option<String> {
    let number = piece.partition;
    let Some(topic) = set.incarnation(piece.topic) else {
        return Some(format!("there is no topic {}", piece.topic));
    };
    let blocks = index.blocks_of(&topic.name, number);
    let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else {
        return Some(format!("{}-{number} is not in it", topic.name));
    };
    if first.partition.topic_id != topic.topic_id {
        return Some(format!(
            "{}-{number} is of topic id {} instead of {}",
            topic.name, first.partition.topic_id, topic.topic_id
        ));
    }
    let found = summary(piece, first, last, blocks);
    let fields = [
        ("first offset", found.first_offset, piece.first_offset),
        ("last offset", found.last_offset, piece.last_offset),
        ("records", found.records as i64, piece.records as i64),
        ("lowest timestamp", found.min_timestamp, piece.min_timestamp),
        ("highest timestamp", found.max_timestamp, piece.max_timestamp),
        (
            "stored bytes",
            found.stored_bytes as i64,
            piece.stored_bytes as i64,
        ),
        ("blocks", i64::from(found.blocks), i64::from(piece.blocks)),
    ];
    let (field, found, said) = fields.into_iter().find(|(_, found, said)| found != said)?;
    Some(format!(
        "{}-{number}: {field} {found} in the segment, {said} in the manifest",
        topic.name
    ))
}

/// What the manifest should say of these blocks.
fn summary(
    piece: SegmentPartition,
    first: &BlockEntry,
    last: &BlockEntry,
    blocks: &[BlockEntry],
) -> SegmentPartition {
    let mut found = SegmentPartition {
        first_offset: first.meta.base_offset,
        last_offset: last.meta.last_offset,
        records: 0,
        min_timestamp: i64::MAX,
        max_timestamp: i64::MIN,
        stored_bytes: 0,
        blocks: u32::try_from(blocks.len()).unwrap_or(u32::MAX),
        ..piece
    };
    for block in blocks {
        let range = block.range();
        found.records = found.records.saturating_add(block.meta.records);
        found.min_timestamp = found.min_timestamp.min(block.meta.min_timestamp);
        found.max_timestamp = found.max_timestamp.max(block.meta.max_timestamp);
        found.stored_bytes = found.stored_bytes.saturating_add(range.end - range.start);
    }
    found
}
