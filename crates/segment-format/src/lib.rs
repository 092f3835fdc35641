//! The file format of a Kafka backup: segments of whole record batches, manifests, object names.
//!
//! A backup set is a folder of objects that are created once and never changed. *Segments* hold record batches exactly
//! as the broker sent them, in checksummed *blocks* of one partition each, with an index at the end, so that one
//! partition is read without reading the others. A *manifest* says which segments belong to the backup set, what they
//! hold, and where the consumer groups stood; the newest manifest is the backup. `docs/FORMAT.md` of the project
//! describes every byte.
//!
//! This crate does no I/O, and knows no clock and no Kafka protocol: bytes and values in, bytes and values out. What it
//! is not: a storage client (it only names objects), and a reader of record batches (it stores them unseen).
//!
//! ```
//! use bytes::Bytes;
//! use segment_format::{
//!     BlockMeta, Compression, FOOTER_LEN, Footer, Index, PartitionRef, SegmentWriter, TopicId, decode_block, encode_block,
//! };
//!
//! # fn main() -> Result<(), segment_format::Error> {
//! let batch = Bytes::from_static(b"a record batch, as the broker sent it");
//! let meta = BlockMeta {
//!     base_offset: 500, last_offset: 509, min_timestamp: 1_000, max_timestamp: 2_000, batches: 1, records: 10,
//! };
//! let orders = PartitionRef::new("orders", TopicId::ZERO, 0);
//!
//! // Write: every call returns the bytes to append to the object.
//! let mut writer = SegmentWriter::new(42, 1_700_000_000_000);
//! let mut object = writer.header_bytes().to_vec();
//! let block = encode_block(meta, vec![batch.clone()], Compression::Zstd, 3)?;
//! writer.add_block(&orders, block)?.iter().for_each(|bytes| object.extend_from_slice(bytes));
//! let (end, summary) = writer.finish();
//! end.iter().for_each(|bytes| object.extend_from_slice(bytes));
//! assert_eq!(summary.bytes, object.len() as u64);
//!
//! // Read: the footer from the end, the index, then only the blocks that are wanted.
//! let object = Bytes::from(object);
//! let range = |range: std::ops::Range<u64>| object.slice(range.start as usize..range.end as usize);
//! let footer = Footer::decode(&object[object.len() - FOOTER_LEN..], object.len() as u64)?;
//! let index = Index::decode(&range(footer.index_range()), &footer)?;
//! for entry in index.blocks_in_offsets("orders", 0, 505..600) {
//!     assert_eq!(decode_block(entry, range(entry.range()))?, batch);
//! }
//! # Ok(())
//! # }
//! ```

mod block;
mod checksum;
mod compression;
mod cursor;
mod digest;
mod error;
mod footer;
mod header;
mod index;
pub mod layout;
pub mod manifest;
mod partition;
mod reader;
mod set;
mod writer;

pub use block::{BlockEntry, BlockMeta, EncodedBlock, MAX_BLOCK_LEN, decode_block, encode_block};
pub use compression::Compression;
pub use digest::SegmentDigest;
pub use error::{Error, Part, Result};
pub use footer::{FOOTER_LEN, Footer, MAX_INDEX_LEN};
pub use header::{HEADER_LEN, SEGMENT_VERSION, SegmentHeader};
pub use index::Index;
pub use manifest::Manifest;
pub use partition::{MAX_TOPIC_LEN, PartitionRef, TopicId};
pub use reader::{check_segment, scan_blocks};
pub use set::{
    BackupSet, CapturedGroups, Commit, LayerSize, MergePolicy, NewSegment, Opening, PlannedCommit,
    WantedLayer,
};
pub use writer::{PartitionSummary, SegmentSummary, SegmentWriter};
