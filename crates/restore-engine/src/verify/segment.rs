//! One segment, read once and in order.

use std::sync::Arc;

use bytes::Bytes;
use segment_format::manifest::Segment;
use segment_format::{BlockEntry, FOOTER_LEN, Footer, HEADER_LEN, Index, SegmentHeader};

use super::blocks::{BlockCheck, BlockToCheck};
use super::finding::Finding;
use super::report::Depth;
use super::{Shared, agree};
use crate::error::Result;

/// Blocks are read together up to this many bytes: thousands of small ones are then few requests.
const READ_BYTES: u64 = 4 * 1024 * 1024;

/// A segment to check, whose size is what the manifest says.
#[derive(Debug)]
pub(super) struct SegmentJob {
    pub(super) object: String,
    pub(super) segment: Segment,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) batches: u64,
    pub(super) records: u64,
    pub(super) findings: Vec<Finding>,
}

/// Footer and index, which are read first as they say where the blocks are.
struct End {
    index: Index,
    index_position: u64,
    /// From the start of the index to the end of the object.
    bytes: Vec<Bytes>,
}

/// Checks a segment as deep as is wanted. Damage and failed reads are findings; an error is a cancellation or a bug.
pub(super) async fn check(shared: Arc<Shared>, job: SegmentJob) -> Result<Checked> {
    let SegmentJob { object, segment } = job;
    let mut checked = Checked::default();
    let whole = |finding: Finding| finding.of_segment(&segment);
    // The index itself, and its entries, which are about as large.
    let _held = shared.indexes.acquire(index_memory(&segment)).await;
    let end = match read_end(&shared, &object, segment.bytes).await {
        Ok(end) => end,
        Err(finding) => {
            checked.findings.push(whole(finding));
            return Ok(checked);
        }
    };
    let header = match shared
        .context
        .storage
        .get_range(&object, 0..HEADER_LEN as u64)
        .await
    {
        Ok(header) => header,
        Err(error) => {
            checked.findings.push(whole(Finding::of_storage(&object, &error)));
            return Ok(checked);
        }
    };
    shared.read(HEADER_LEN as u64);
    checked.findings.extend(check_header(&object, &segment, &header));
    let differs = agree::compare(&shared.set, &segment, &object, &end.index, end.index_position);
    checked.findings.extend(differs);
    match shared.depth {
        Depth::Shallow => Ok(checked),
        Depth::Full => check_blocks(&shared, &object, &segment, &header, &end, checked).await,
    }
}

/// About what the index takes: what the manifest says of the segment tells the number of blocks.
fn index_memory(segment: &Segment) -> usize {
    let blocks: u64 = segment.partitions().map(|piece| u64::from(piece.blocks)).sum();
    let each = 96 + size_of::<BlockEntry>() as u64;
    usize::try_from(blocks.saturating_mul(each)).unwrap_or(usize::MAX)
}

async fn read_end(shared: &Shared, object: &str, bytes: u64) -> std::result::Result<End, Finding> {
    let storage = &shared.context.storage;
    let Some(footer_at) = bytes.checked_sub(FOOTER_LEN as u64) else {
        return Err(Finding::damaged(object, Some(0), "it is too short for a segment"));
    };
    let of_format = |error| Finding::of_format(object, &error).at(footer_at);
    let tail = storage.get_range(object, footer_at..bytes).await;
    let tail = tail.map_err(|error| Finding::of_storage(object, &error))?;
    let footer = Footer::decode(&tail, bytes).map_err(of_format)?;
    let stored = storage.get_range(object, footer.index_range()).await;
    let stored = stored.map_err(|error| Finding::of_storage(object, &error))?;
    shared.read(stored.len() as u64 + tail.len() as u64);
    Ok(End {
        index: Index::decode(&stored, &footer).map_err(of_format)?,
        index_position: footer.index_position,
        bytes: vec![stored, tail],
    })
}

/// A damaged header costs no record: nothing but this check reads it.
fn check_header(object: &str, segment: &Segment, header: &[u8]) -> Option<Finding> {
    match SegmentHeader::decode(header) {
        Err(error) => Some(Finding::of_format(object, &error).at(0)),
        Ok(header) if header.writer_nonce != segment.id.writer_nonce => {
            let problem = format!(
                "its header says writer {:016x}, its name says {:016x}: it is another segment than the one that was written",
                header.writer_nonce, segment.id.writer_nonce
            );
            Some(Finding::damaged(object, Some(0), problem).of_segment(segment))
        }
        Ok(_) => None,
    }
}

async fn check_blocks(
    shared: &Shared,
    object: &str,
    segment: &Segment,
    header: &[u8],
    end: &End,
    mut checked: Checked,
) -> Result<Checked> {
    let mut check = BlockCheck::new(object);
    check.digest(header);
    let mut whole = true;
    for blocks in together(shared, &end.index) {
        let (first, last) = match (blocks.first(), blocks.last()) {
            (Some(first), Some(last)) => (first.entry.position, last.entry.range().end),
            _ => continue,
        };
        // Blocks are decoded one after the other.
        let decoded = blocks.iter().map(|block| block.entry.raw_len).max().unwrap_or(0);
        let memory = usize::try_from(last - first).unwrap_or(usize::MAX);
        let held = shared.data.acquire(memory.saturating_add(decoded as usize)).await;
        match shared.context.storage.get_range(object, first..last).await {
            Ok(bytes) => {
                let work = move || {
                    check.blocks(&blocks, &bytes);
                    check
                };
                check = shared.context.workers.run(work).await?;
                shared.read(last - first);
            }
            Err(error) => {
                whole = false;
                let finding = Finding::of_storage(object, &error);
                let finding = Finding {
                    position: Some(first),
                    ..finding
                };
                checked.findings.push(hitting_all(finding, &blocks));
            }
        }
        drop(held);
    }
    for bytes in &end.bytes {
        check.digest(bytes);
    }
    checked.batches = check.batches;
    checked.records = check.records;
    let blake3 = check.digested();
    checked.findings.append(&mut check.findings);
    // Damage that has a place says more than that the digest is another one.
    if whole && checked.findings.is_empty() && blake3 != segment.blake3 {
        let problem = "its BLAKE3 digest is not the one in the manifest, though its parts are whole: it is another segment than the one \
                       that was written";
        checked
            .findings
            .push(Finding::damaged(object, None, problem).of_segment(segment));
    }
    Ok(checked)
}

fn hitting_all(mut finding: Finding, blocks: &[BlockToCheck]) -> Finding {
    for block in blocks {
        finding = finding.hitting(block.range());
    }
    finding
}

/// The blocks in the order in which they lie in the object, in groups that are read together.
fn together(shared: &Shared, index: &Index) -> Vec<Vec<BlockToCheck>> {
    let mut groups: Vec<Vec<BlockToCheck>> = Vec::new();
    let mut bytes = 0;
    for entry in index.blocks_by_position() {
        let length = entry.range().end - entry.position;
        let partition = &entry.partition;
        let block = BlockToCheck {
            entry: entry.clone(),
            topic: shared
                .set
                .incarnation_number(&partition.topic, partition.topic_id),
        };
        match groups.last_mut() {
            Some(group) if bytes + length <= READ_BYTES => group.push(block),
            _ => {
                bytes = 0;
                groups.push(vec![block]);
            }
        }
        bytes += length;
    }
    groups
}
