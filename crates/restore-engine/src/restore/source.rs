//! The reading side of a restore: which blocks of which segments hold a partition, checked against the manifest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use segment_format::manifest::{Partition, Segment};
use segment_format::{BackupSet, BlockEntry, FOOTER_LEN, Footer, Index};

use crate::concurrent::map_bounded;
use crate::context::Context;
use crate::error::{Error, Result};

/// Segments whose indexes are read at the same time.
const PARALLEL: usize = 16;

/// A block and the segment object that holds it.
#[derive(Debug, Clone)]
pub(super) struct BlockRef {
    pub(super) object: Arc<str>,
    pub(super) entry: BlockEntry,
}

/// The blocks of each partition (topic, partition), in offset order.
pub(super) type BlocksByPartition = BTreeMap<(String, i32), Vec<BlockRef>>;

/// Reads the indexes of all segments that hold one of `topics` and lists the blocks of those topics' partitions.
///
/// Every promise of the manifest that the indexes can confirm is checked before a record is written anywhere: sizes,
/// offset order, number of records.
pub(super) async fn locate_blocks(
    context: &Context,
    set: &BackupSet,
    topics: &[&str],
) -> Result<BlocksByPartition> {
    let numbers: BTreeSet<u32> = topics.iter().filter_map(|name| set.topic_number(name)).collect();
    let needed: Vec<Segment> = set
        .segments()
        .iter()
        .filter(|s| s.partitions().any(|p| numbers.contains(&p.topic)))
        .cloned()
        .collect();
    let indexes = map_bounded(needed, PARALLEL, |segment| {
        let (context, object) = (context.clone(), segment.id.object(set.backup_id()));
        async move {
            let index = read_index(&context, &object, segment.bytes).await?;
            Ok((Arc::<str>::from(object), index))
        }
    });
    let mut blocks = BlocksByPartition::new();
    for (object, index) in indexes.await? {
        // Not those of an earlier topic of the same name.
        for partition in index.partitions().filter(|partition| {
            let number = set.incarnation_number(&partition.topic, partition.topic_id);
            number.is_some_and(|number| numbers.contains(&number))
        }) {
            let of_partition = index.blocks_of(&partition.topic, partition.partition).iter();
            let of_partition = of_partition.map(|entry| BlockRef {
                object: object.clone(),
                entry: entry.clone(),
            });
            blocks
                .entry((partition.topic.to_string(), partition.partition))
                .or_default()
                .extend(of_partition);
        }
    }
    for topic in set.topics().filter(|topic| topics.contains(&topic.name.as_str())) {
        for partition in &topic.partitions {
            let found = blocks
                .entry((topic.name.clone(), partition.partition))
                .or_default();
            found.sort_by_key(|block| block.entry.meta.base_offset);
            check_partition(&topic.name, partition, found)?;
        }
    }
    Ok(blocks)
}

async fn read_index(context: &Context, object: &str, written: u64) -> Result<Index> {
    let damaged = |e: segment_format::Error| Error::damaged(object, e);
    let bytes = context.storage.head(object).await?;
    if bytes != written {
        return Err(Error::damaged(
            object,
            format!("it has {bytes} bytes and was written with {written}"),
        ));
    }
    let footer_at = bytes
        .checked_sub(FOOTER_LEN as u64)
        .ok_or_else(|| Error::damaged(object, "it is too short"))?;
    let tail = context.storage.get_range(object, footer_at..bytes).await?;
    let footer = Footer::decode(&tail, bytes).map_err(damaged)?;
    let index = context.storage.get_range(object, footer.index_range()).await?;
    Index::decode(&index, &footer).map_err(damaged)
}

fn check_partition(topic: &str, partition: &Partition, blocks: &[BlockRef]) -> Result<()> {
    let records: u64 = blocks.iter().map(|block| block.entry.meta.records).sum();
    if records != partition.records {
        let problem = format!(
            "the segments hold {records} records of it and the manifest says {}",
            partition.records
        );
        return Err(Error::partition(topic, partition.partition, problem));
    }
    let overlap = blocks
        .windows(2)
        .find(|pair| pair[0].entry.meta.last_offset >= pair[1].entry.meta.base_offset);
    if let Some([first, second]) = overlap {
        let problem = format!(
            "blocks overlap: {} ends at {}",
            first.object, first.entry.meta.last_offset
        );
        return Err(Error::damaged(&second.object, problem));
    }
    Ok(())
}

/// The stored bytes of a block, as they lie in the segment.
pub(super) async fn read_block(context: &Context, block: &BlockRef) -> Result<Bytes> {
    Ok(context
        .storage
        .get_range(&block.object, block.entry.range())
        .await?)
}
