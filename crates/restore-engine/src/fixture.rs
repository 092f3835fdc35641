//! A small backup set in memory, written as a backup writes it, for tests of what reads backups.

use std::sync::Arc;

use bytes::Bytes;
use kafka_wire::batch::{BatchBuilder, NewRecord};
use segment_format::manifest::{Gap, GapCause, Group, GroupKind, GroupOffset, Partition, SegmentId, Topic};
use segment_format::{
    BackupSet, BlockMeta, CapturedGroups, Commit, Compression, MergePolicy, NewSegment, PartitionRef,
    SegmentWriter, TopicId, encode_block,
};

use crate::context::Context;
use crate::storage::MemoryStorage;

/// When the segments were begun.
pub(crate) const CREATED_AT: i64 = 1_700_000_000_000;

/// A storage, and the time of two days after [`CREATED_AT`].
pub(crate) fn context() -> Context {
    Context::new(Arc::new(MemoryStorage::new()), CREATED_AT + 2 * 86_400_000)
}

/// Puts other bytes under a name.
pub(crate) async fn replace(context: &Context, object: &str, bytes: impl Into<Bytes>) {
    context.storage.delete(object).await.unwrap();
    context.storage.put(object, bytes.into()).await.unwrap();
}

/// The bytes of an object.
pub(crate) async fn bytes(context: &Context, object: &str) -> Vec<u8> {
    context.storage.get(object, u64::MAX).await.unwrap().to_vec()
}

/// Names of all objects.
pub(crate) async fn names(context: &Context) -> Vec<String> {
    let listed = context.storage.list("").await.unwrap();
    listed.into_iter().map(|object| object.name).collect()
}

/// Records of a partition that go into a segment: two batches of three records in each block.
pub(crate) struct Piece {
    pub(crate) topic: &'static str,
    pub(crate) partition: i32,
    pub(crate) first_offset: i64,
    pub(crate) blocks: i64,
    pub(crate) compression: Compression,
}

impl Piece {
    fn new(topic: &'static str, partition: i32, first_offset: i64, compression: Compression) -> Self {
        Self {
            topic,
            partition,
            first_offset,
            blocks: 2,
            compression,
        }
    }
}

fn batch(base_offset: i64) -> Bytes {
    let mut builder = BatchBuilder::new().base_offset(base_offset).leader_epoch(3);
    for n in 0..3 {
        let value = format!("value {}, value {}", base_offset + n, base_offset + n);
        let record = NewRecord {
            timestamp: CREATED_AT + base_offset + n,
            value: Some(value.as_bytes()),
            ..NewRecord::default()
        };
        builder.push(&record).unwrap();
    }
    builder.build().unwrap().bytes
}

/// Id of every topic of the fixture: of its name.
pub(crate) fn topic_id(topic: &str) -> TopicId {
    let mut id = [7; 16];
    id[..topic.len().min(16)].copy_from_slice(&topic.as_bytes()[..topic.len().min(16)]);
    TopicId(id)
}

/// Writes a segment.
pub(crate) async fn segment(
    context: &Context,
    backup_id: &str,
    id: SegmentId,
    pieces: &[Piece],
) -> NewSegment {
    let mut writer = SegmentWriter::new(id.writer_nonce, CREATED_AT);
    let mut object = writer.header_bytes().to_vec();
    for piece in pieces {
        for block in 0..piece.blocks {
            let base_offset = piece.first_offset + 6 * block;
            let meta = BlockMeta {
                base_offset,
                last_offset: base_offset + 5,
                min_timestamp: CREATED_AT + base_offset,
                max_timestamp: CREATED_AT + base_offset + 5,
                batches: 2,
                records: 6,
            };
            let batches = vec![batch(base_offset), batch(base_offset + 3)];
            let block = encode_block(meta, batches, piece.compression, 3).unwrap();
            let partition = PartitionRef::new(piece.topic, topic_id(piece.topic), piece.partition);
            for bytes in writer.add_block(&partition, block).unwrap() {
                object.extend_from_slice(&bytes);
            }
        }
    }
    let (end, summary) = writer.finish();
    end.iter().for_each(|bytes| object.extend_from_slice(bytes));
    context
        .storage
        .put(&id.object(backup_id), object.into())
        .await
        .unwrap();
    NewSegment { id, summary }
}

/// A segment's id.
pub(crate) fn id(generation: u64, sequence: u64) -> SegmentId {
    SegmentId {
        generation,
        sequence,
        writer_nonce: 42,
    }
}

/// A partition that holds everything from its log start to `end`.
pub(crate) fn partition(partition: i32, first: i64, end: i64) -> Partition {
    Partition {
        end_offset: end,
        first_offset: Some(first),
        last_offset: Some(end - 1),
        last_leader_epoch: Some(3),
        records: (end - first) as u64,
        ..Partition::empty(partition, first)
    }
}

pub(crate) fn topic(name: &str, partitions: Vec<Partition>) -> Topic {
    Topic {
        name: name.to_owned(),
        topic_id: topic_id(name),
        replication_factor: 1,
        configs: Default::default(),
        timestamp_type: None,
        largest_batch: 200,
        partitions,
    }
}

/// Commits, and stores the manifest.
pub(crate) async fn commit(
    context: &Context,
    set: &mut BackupSet,
    topics: Vec<Topic>,
    segments: Vec<NewSegment>,
) {
    let position = |offset| GroupOffset {
        topic: "orders".to_owned(),
        partition: 0,
        offset,
        leader_epoch: None,
        metadata: String::new(),
    };
    let group = Group {
        group_id: "billing".to_owned(),
        kind: GroupKind::Classic,
        state: "Empty".to_owned(),
        protocol_type: "consumer".to_owned(),
        offsets: vec![position(8)],
    };
    let planned = set.plan_commit(Commit {
        created_at: CREATED_AT,
        created_by: "a test".to_owned(),
        complete: true,
        topics,
        groups: Some(CapturedGroups {
            captured_at: CREATED_AT,
            groups: vec![group],
        }),
        segments,
        ..Commit::default()
    });
    let planned = planned.unwrap().unwrap();
    let stored = context.storage.put(planned.object(), planned.bytes().clone());
    stored.await.unwrap();
    set.apply(planned).unwrap();
}

/// Two generations. The first: segment 1 with orders-0 (0 to 11, compressed) and orders-1 (100 to 111, not compressed),
/// segment 2 with audit-0 (50 to 61). The second goes on with orders-0 from 20 to 31; 12 to 19 are a gap.
pub(crate) async fn backup(context: &Context, backup_id: &str) -> BackupSet {
    let mut set = BackupSet::empty(backup_id);
    // Manifests stay layers, however small.
    set.set_merge_policy(MergePolicy {
        floor_bytes: 1,
        seal_bytes: 1,
    });
    let first = [
        Piece::new("orders", 0, 0, Compression::Zstd),
        Piece::new("orders", 1, 100, Compression::None),
    ];
    let first = segment(context, backup_id, id(1, 1), &first).await;
    let second = [Piece::new("audit", 0, 50, Compression::None)];
    let second = segment(context, backup_id, id(1, 2), &second).await;
    let topics = vec![
        topic("audit", vec![partition(0, 50, 62)]),
        topic("orders", vec![partition(0, 0, 12), partition(1, 100, 112)]),
    ];
    commit(context, &mut set, topics, vec![first, second]).await;

    let third = [Piece::new("orders", 0, 20, Compression::Lz4)];
    let third = segment(context, backup_id, id(2, 1), &third).await;
    let grown = Partition {
        records: 24,
        gaps: vec![Gap {
            from: 12,
            to: 20,
            cause: GapCause::Retention,
        }],
        ..partition(0, 0, 32)
    };
    commit(context, &mut set, vec![topic("orders", vec![grown])], vec![third]).await;
    set
}
