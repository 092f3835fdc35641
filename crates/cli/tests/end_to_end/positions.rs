//! Groups that stand on every kind of edge, and what each of them reads next.

use testkit::{Commit, JavaClient, NextRecord};

use crate::source::TOPICS;

/// A group's position on one partition.
pub(crate) type Position = (String, String, i32);

/// Commits groups `edge-0`, `edge-1`, … each of which stands on one offset of every partition, so that all of them
/// together stand on as many kinds of edges as there are. Returns the positions.
pub(crate) async fn commit_on_every_edge(java: &JavaClient) -> Vec<Position> {
    let mut positions = Vec::new();
    let mut groups: Vec<Vec<Commit>> = Vec::new();
    for &(topic, partitions) in TOPICS {
        for partition in 0..partitions {
            for (number, offset) in edges(java, topic, partition).await.into_iter().enumerate() {
                groups.resize_with(groups.len().max(number + 1), Vec::new);
                groups[number].push(Commit::new(topic, partition, offset).metadata(format!("at {offset}")));
                positions.push((format!("edge-{number}"), topic.to_owned(), partition));
            }
        }
    }
    for (number, commits) in groups.iter().enumerate() {
        java.commit(&format!("edge-{number}"), commits).await.unwrap();
    }
    positions
}

/// Offsets worth standing on: before the start, the start, the end, around every gap (markers, aborted data, compaction),
/// and others spread over the log, most of them in the middle of a batch.
async fn edges(java: &JavaClient, topic: &str, partition: i32) -> Vec<i64> {
    let start = java.beginning_offset(topic, partition).await.unwrap();
    let end = java.last_stable_offset(topic, partition).await.unwrap();
    let mut offsets = vec![0, start, start + 1, end - 1, end];
    let visible: Vec<i64> = java
        .consume_all(topic, partition)
        .await
        .unwrap()
        .iter()
        .map(|record| record.offset)
        .collect();
    for pair in visible.windows(2).filter(|pair| pair[1] > pair[0] + 1) {
        offsets.extend([pair[0], pair[0] + 1, pair[1] - 1, pair[1]]);
    }
    offsets.extend(visible.first().map(|first| first - 1));
    offsets.extend(visible.last().map(|last| last + 1));
    offsets.extend((start..end).step_by(((end - start) as usize / 16).max(1)));
    offsets.retain(|offset| (0..=end).contains(offset));
    offsets.sort_unstable();
    offsets.dedup();
    offsets
}

/// What each group reads next on the source. A position that retention has overtaken has no record there (the consumer
/// would start at the log's start): its next record is the first one there is.
pub(crate) async fn next_on_source(java: &JavaClient, positions: &[Position]) -> Vec<NextRecord> {
    let mut next = java.next_records(positions).await.unwrap();
    for found in next.iter_mut().filter(|found| found.out_of_range) {
        let start = java
            .beginning_offset(&found.topic, found.partition)
            .await
            .unwrap();
        assert!(found.committed.unwrap() < start, "{found:?}");
        found.record = java
            .consume_all(&found.topic, found.partition)
            .await
            .unwrap()
            .into_iter()
            .next();
    }
    next
}
