//! What a commit and the opening of a large backup set cost: 1,000 topics of 10 partitions, 200,000 segments.
//!
//! `cargo run --release -p segment-format --example commit_cost [segments]` prints time and bytes of some hundred commits
//! of one segment that touches 50 partitions, and of opening the set from the manifests that are then there.

#![expect(clippy::print_stdout, reason = "it is a program that prints")]

use std::collections::BTreeMap;
use std::error::Error;
use std::time::{Duration, Instant};

use bytes::Bytes;
use segment_format::manifest::{Partition, SegmentId, Topic};
use segment_format::{
    BackupSet, Commit, NewSegment, Opening, PartitionRef, PartitionSummary, SegmentSummary, TopicId, layout,
};

const TOPICS: usize = 1000;
const PARTITIONS: usize = 10;
const COMMITS: u64 = 300;

/// Partitions in a segment that was there before, and in one that is committed now.
const EARLIER_PIECES: usize = 10;
const PIECES: usize = 50;

/// Segments in each of the commits that make the set.
const BATCH: u64 = 500;

fn main() -> Result<(), Box<dyn Error>> {
    let segments: u64 = std::env::args().nth(1).map_or(Ok(200_000), |text| text.parse())?;
    let mut source = Source::new();
    let mut set = BackupSet::empty("bench");
    let mut objects = BTreeMap::new();
    let started = Instant::now();
    for first in (0..segments).step_by(BATCH as usize) {
        let count = BATCH.min(segments - first);
        let commit = source.commit(set.generation() + 1, count, EARLIER_PIECES);
        store(&mut set, commit, &mut objects)?;
    }
    let manifests = || set.manifests().map(|layer| layer.bytes);
    println!(
        "set: {} segments, {} manifests, {} MB, made in {:.1?}",
        set.segments().len(),
        manifests().len(),
        manifests().sum::<u64>() / 1_000_000,
        started.elapsed()
    );
    let (mut times, mut bytes, mut merges, mut most) = (Vec::new(), Vec::new(), 0, 0);
    for _ in 0..COMMITS {
        let commit = source.commit(set.generation() + 1, 1, PIECES);
        let started = Instant::now();
        let written = store(&mut set, commit, &mut objects)?;
        times.push(started.elapsed());
        bytes.push(written);
        merges += u64::from(written > 2 * bytes[0]);
        most = most.max(set.manifests().len());
    }
    let mean = times.iter().sum::<Duration>() / COMMITS as u32;
    println!(
        "commit of {PIECES} partitions: {mean:.2?} on average, {:.2?} at worst",
        worst(&times)
    );
    println!(
        "  {} bytes on average, {} at worst, {} for the first; {merges} wrote over twice that; at most {most} manifests",
        bytes.iter().sum::<u64>() / COMMITS,
        worst(&bytes),
        bytes[0]
    );
    let started = Instant::now();
    let opened = open(set.generation(), &objects)?;
    println!(
        "opening: {:.2?}, {} manifests, {} bytes, largest {}",
        started.elapsed(),
        opened.manifests().len(),
        opened.manifests().map(|layer| layer.bytes).sum::<u64>(),
        opened.manifests().map(|layer| layer.bytes).max().unwrap_or(0)
    );
    if opened != set {
        return Err("what was opened is not what was written".into());
    }
    Ok(())
}

fn worst<T: Ord + Copy + Default>(values: &[T]) -> T {
    values.iter().copied().max().unwrap_or_default()
}

type Objects = BTreeMap<String, Bytes>;

fn store(set: &mut BackupSet, commit: Commit, objects: &mut Objects) -> Result<u64, Box<dyn Error>> {
    let planned = set.plan_commit(commit)?.ok_or("nothing is new")?;
    let written = planned.bytes().len() as u64;
    objects.insert(planned.object().to_owned(), planned.bytes().clone());
    set.apply(planned)?;
    let needed: std::collections::BTreeSet<String> = set
        .manifests()
        .map(|layer| layout::manifest_name("bench", layer.generation))
        .collect();
    objects.retain(|name, _| needed.contains(name));
    Ok(written)
}

fn open(generation: u64, objects: &Objects) -> Result<BackupSet, Box<dyn Error>> {
    let get = |name: &str| objects.get(name).ok_or_else(|| format!("no {name}"));
    let newest = get(&layout::manifest_name("bench", generation))?;
    let mut opening = Opening::new("bench", generation, newest)?;
    for wanted in opening.wanted().collect::<Vec<_>>() {
        opening.add(get(&wanted.object)?)?;
    }
    Ok(opening.finish()?)
}

/// Topics that grow, and what a backup of them commits.
struct Source {
    topics: Vec<Topic>,
    names: Vec<PartitionRef>,
    /// The partition that grows next.
    next: usize,
}

impl Source {
    fn new() -> Self {
        let topic = |number: usize| Topic {
            name: format!("department-{}.topic-{number:04}", number % 17),
            topic_id: TopicId((number as u128 + 1).to_be_bytes()),
            replication_factor: 3,
            configs: BTreeMap::from([("retention.ms".to_owned(), "604800000".to_owned())]),
            timestamp_type: None,
            largest_batch: 16384,
            partitions: (0..PARTITIONS as i32)
                .map(|number| Partition::empty(number, 0))
                .collect(),
        };
        let topics: Vec<Topic> = (0..TOPICS).map(topic).collect();
        let names = topics
            .iter()
            .map(|topic| PartitionRef::new(topic.name.as_str(), topic.topic_id, 0));
        Self {
            names: names.collect(),
            topics,
            next: 0,
        }
    }

    fn commit(&mut self, generation: u64, segments: u64, pieces: usize) -> Commit {
        let segments = (0..segments).map(|sequence| NewSegment {
            id: SegmentId {
                generation,
                sequence,
                writer_nonce: 0x1234_5678_9abc_def0,
            },
            summary: SegmentSummary {
                bytes: 64 << 20,
                blake3: [0x5a; 32],
                partitions: (0..pieces).map(|_| self.grow()).collect(),
            },
        });
        let segments = segments.collect();
        Commit {
            created_at: 1_700_000_000_000 + generation as i64 * 60_000,
            created_by: "commit_cost".to_owned(),
            complete: true,
            topics: self.topics.clone(),
            segments,
            ..Commit::default()
        }
    }

    fn grow(&mut self) -> PartitionSummary {
        // A step that has no common divisor with the number of partitions: all have their turn.
        self.next = (self.next + 7919) % (TOPICS * PARTITIONS);
        let (topic, number) = (self.next / PARTITIONS, self.next % PARTITIONS);
        let partition = &mut self.topics[topic].partitions[number];
        let first_offset = partition.end_offset;
        partition.end_offset += 1000;
        partition.first_offset.get_or_insert(first_offset);
        partition.last_offset = Some(first_offset + 999);
        partition.last_leader_epoch = Some(7);
        partition.records += 1000;
        let mut name = self.names[topic].clone();
        name.partition = number as i32;
        PartitionSummary {
            partition: name,
            first_offset,
            last_offset: first_offset + 999,
            records: 1000,
            batches: 10,
            min_timestamp: 1_700_000_000_000 + first_offset,
            max_timestamp: 1_700_000_060_000 + first_offset,
            stored_bytes: 123_456,
            blocks: 1,
        }
    }
}
