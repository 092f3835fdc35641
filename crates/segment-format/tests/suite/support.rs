//! Batches, segments and manifests to test with.

use std::ops::Range;
use std::path::PathBuf;

use bytes::{BufMut, Bytes};
use crc_fast::crc32_iscsi;
use segment_format::{
    BlockMeta, Compression, EncodedBlock, PartitionRef, SegmentSummary, SegmentWriter, TopicId, encode_block,
};

/// The project's folder.
pub(crate) fn project() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Whether golden files are to be written instead of compared.
pub(crate) fn rewrite_golden() -> bool {
    std::env::var_os("KAFKA_BACKUP_REWRITE_GOLDEN").is_some()
}

/// A version 2 record batch without compression, as Kafka's documentation describes it: one record for each value,
/// with key `k`, a millisecond apart.
pub(crate) fn batch(base_offset: i64, base_timestamp: i64, values: &[&str]) -> Bytes {
    let mut records = Vec::new();
    for (delta, value) in values.iter().enumerate() {
        let mut record = vec![0];
        varint(&mut record, delta as i64);
        varint(&mut record, delta as i64);
        varint(&mut record, 1);
        record.put_slice(b"k");
        varint(&mut record, value.len() as i64);
        record.put_slice(value.as_bytes());
        varint(&mut record, 0);
        varint(&mut records, record.len() as i64);
        records.append(&mut record);
    }
    let last_delta = values.len() as i32 - 1;
    let mut checked = Vec::new();
    checked.put_i16(0);
    checked.put_i32(last_delta);
    checked.put_i64(base_timestamp);
    checked.put_i64(base_timestamp + i64::from(last_delta));
    checked.put_i64(-1);
    checked.put_i16(-1);
    checked.put_i32(-1);
    checked.put_i32(last_delta + 1);
    checked.append(&mut records);

    let mut batch = Vec::new();
    batch.put_i64(base_offset);
    batch.put_i32(checked.len() as i32 + 9);
    batch.put_i32(5);
    batch.put_u8(2);
    batch.put_u32(crc32_iscsi(&checked));
    batch.append(&mut checked);
    batch.into()
}

fn varint(out: &mut Vec<u8>, value: i64) {
    let mut zigzag = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while zigzag >= 0x80 {
        out.put_u8(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    out.put_u8(zigzag as u8);
}

/// What a block is made of.
#[derive(Debug, Clone)]
pub(crate) struct BlockSpec {
    pub(crate) partition: PartitionRef,
    pub(crate) meta: BlockMeta,
    pub(crate) batches: Vec<Bytes>,
    pub(crate) compression: Compression,
}

impl BlockSpec {
    /// A block of `batch_count` batches of three records, from `base_offset` on.
    pub(crate) fn new(
        partition: &PartitionRef,
        base_offset: i64,
        batch_count: u32,
        compression: Compression,
    ) -> Self {
        let first = 1_700_000_000_000 + base_offset * 1000;
        let batches = (0..i64::from(batch_count))
            .map(|number| {
                let offset = base_offset + 3 * number;
                let values = [
                    format!("value {offset}"),
                    "same same same same".to_owned(),
                    String::new(),
                ];
                batch(
                    offset,
                    first + 10 * number,
                    &values.each_ref().map(String::as_str),
                )
            })
            .collect();
        let last = i64::from(batch_count) - 1;
        let meta = BlockMeta {
            base_offset,
            last_offset: base_offset + 3 * last + 2,
            min_timestamp: first,
            max_timestamp: first + 10 * last + 2,
            batches: batch_count,
            records: 3 * u64::from(batch_count),
        };
        Self {
            partition: partition.clone(),
            meta,
            batches,
            compression,
        }
    }

    pub(crate) fn encode(&self) -> EncodedBlock {
        encode_block(self.meta, self.batches.clone(), self.compression, 3).unwrap()
    }
}

pub(crate) fn orders(partition: i32) -> PartitionRef {
    PartitionRef::new("orders", TopicId([0xab; 16]), partition)
}

/// A topic of the same name that came after `orders` was deleted.
pub(crate) fn orders_again(partition: i32) -> PartitionRef {
    PartitionRef::new("orders", TopicId([0xef; 16]), partition)
}

pub(crate) fn payments(partition: i32) -> PartitionRef {
    PartitionRef::new("payments.v2", TopicId([0xcd; 16]), partition)
}

/// A small segment with blocks of every compression and of three partitions.
pub(crate) fn small_blocks() -> Vec<BlockSpec> {
    vec![
        BlockSpec::new(&payments(0), 7, 1, Compression::None),
        BlockSpec::new(&orders(10), 0, 2, Compression::Zstd),
        BlockSpec::new(&orders(2), 100, 2, Compression::Lz4),
        BlockSpec::new(&orders(10), 9, 1, Compression::None),
    ]
}

/// Writes the blocks in the given order.
pub(crate) fn write_segment(nonce: u64, blocks: &[BlockSpec]) -> (Bytes, SegmentSummary) {
    let encoded = blocks
        .iter()
        .map(|block| (block.partition.clone(), block.encode()));
    write_encoded(nonce, encoded)
}

pub(crate) fn write_encoded(
    nonce: u64,
    blocks: impl IntoIterator<Item = (PartitionRef, EncodedBlock)>,
) -> (Bytes, SegmentSummary) {
    let mut writer = SegmentWriter::new(nonce, 1_700_000_000_123);
    let mut object = writer.header_bytes().to_vec();
    for (partition, block) in blocks {
        for bytes in writer.add_block(&partition, block).unwrap() {
            object.extend_from_slice(&bytes);
        }
        assert_eq!(writer.bytes_written(), object.len() as u64);
    }
    let promised = writer.finished_len();
    let (end, summary) = writer.finish();
    end.iter().for_each(|bytes| object.extend_from_slice(bytes));
    assert_eq!(summary.bytes, object.len() as u64);
    assert_eq!(promised, summary.bytes);
    (object.into(), summary)
}

/// The bytes of `range` of an object, as a storage would return them.
pub(crate) fn get_range(object: &Bytes, range: Range<u64>) -> Bytes {
    object.slice(range.start as usize..range.end as usize)
}

/// A segment as docs/FORMAT.md describes it, but with whatever fields a test wants; all checksums match.
#[derive(Debug, Clone)]
pub(crate) struct Forged {
    pub(crate) compression: u8,
    pub(crate) raw_len: u32,
    pub(crate) stored_len: u32,
    pub(crate) payload: Vec<u8>,
    pub(crate) topic: Vec<u8>,
    pub(crate) topic_len: u16,
    pub(crate) partition: i32,
    pub(crate) offsets: (i64, i64),
    pub(crate) batches: u32,
    pub(crate) partition_count: u32,
    pub(crate) block_count: u32,
    pub(crate) blocks_of_partition: u32,
    pub(crate) block_position: u64,
    pub(crate) reserved: u8,
}

impl Default for Forged {
    fn default() -> Self {
        Self {
            compression: 0,
            raw_len: 11,
            stored_len: 11,
            payload: b"not a batch".to_vec(),
            topic: b"t".to_vec(),
            topic_len: 1,
            partition: 0,
            offsets: (5, 9),
            batches: 1,
            partition_count: 1,
            block_count: 1,
            blocks_of_partition: 1,
            block_position: 32,
            reserved: 0,
        }
    }
}

impl Forged {
    fn partition(&self, out: &mut Vec<u8>) {
        out.put_bytes(0x11, 16);
        out.put_i32(self.partition);
        out.put_u16(self.topic_len);
        out.put_slice(&self.topic);
    }

    fn descriptor(&self, out: &mut Vec<u8>) {
        out.put_i64(self.offsets.0);
        out.put_i64(self.offsets.1);
        out.put_i64(1000);
        out.put_i64(2000);
        out.put_u64(5);
        out.put_u32(self.batches);
        out.put_u32(self.raw_len);
        out.put_u32(self.stored_len);
        out.put_u32(crc32_iscsi(&self.payload));
        out.put_u8(self.compression);
        out.put_slice(&[0, 0, self.reserved]);
    }

    /// Header, block, index, footer.
    pub(crate) fn parts(&self) -> [Vec<u8>; 4] {
        let mut header = b"KBSEGMNT".to_vec();
        header.put_u16(1);
        header.put_slice(&[0, self.reserved]);
        header.put_u64(42);
        header.put_i64(1_700_000_000_123);
        header.put_u32(crc32_iscsi(&header));

        let mut block = b"KBLK".to_vec();
        self.partition(&mut block);
        self.descriptor(&mut block);
        block.put_u32(crc32_iscsi(&block));
        block.put_slice(&self.payload);

        let mut index = b"KBIX".to_vec();
        index.put_u32(self.partition_count);
        index.put_u32(self.block_count);
        self.partition(&mut index);
        index.put_u32(self.blocks_of_partition);
        index.put_u64(self.block_position);
        self.descriptor(&mut index);
        index.put_u32(crc32_iscsi(&index));

        let position = (header.len() + block.len()) as u64;
        let mut footer = Vec::new();
        footer.put_u64(position);
        footer.put_u64(index.len() as u64);
        footer.put_u64(position + index.len() as u64 + 40);
        footer.put_u16(1);
        footer.put_slice(&[0, self.reserved]);
        footer.put_u32(crc32_iscsi(&footer));
        footer.put_slice(b"KBSEGEND");
        [header, block, index, footer]
    }

    pub(crate) fn object(&self) -> Bytes {
        self.parts().concat().into()
    }
}
