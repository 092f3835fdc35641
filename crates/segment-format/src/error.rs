//! What can be wrong with a segment, a manifest, or with what a caller wants to write into one.

use std::fmt;

use crate::partition::TopicId;

/// The outcome of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A part of a segment or of a manifest, to say where damage is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Part {
    /// The first bytes of a segment.
    SegmentHeader,
    /// What precedes the stored batches of a block.
    BlockHeader,
    /// The stored batches of a block.
    BlockPayload,
    /// The table of partitions and blocks behind the last block.
    Index,
    /// The last bytes of a segment.
    Footer,
    /// The first line of a manifest.
    ManifestHeader,
    /// The JSON text of a manifest.
    ManifestBody,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::SegmentHeader => "segment header",
            Part::BlockHeader => "block header",
            Part::BlockPayload => "block payload",
            Part::Index => "segment index",
            Part::Footer => "segment footer",
            Part::ManifestHeader => "manifest header line",
            Part::ManifestBody => "manifest body",
        })
    }
}

/// Everything that decoding and encoding can fail with.
///
/// Variants up to [`Error::Decompress`] mean that stored bytes are damaged, or were never written by a writer of
/// this format; the rest mean that the caller asked for something that the format does not allow. Positions are
/// bytes from the start of the object.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Fewer bytes than the part needs.
    #[error("{part} is cut short: {needed} bytes are needed at byte {position}, {available} are there")]
    Truncated {
        /// What was being read.
        part: Part,
        /// Where the missing field starts.
        position: u64,
        /// Bytes that the field needs.
        needed: u64,
        /// Bytes that are left.
        available: u64,
    },

    /// The bytes that name the part are not there: something else is stored here.
    #[error("no {part} at byte {position}: its magic bytes are missing")]
    BadMagic {
        /// What was being read.
        part: Part,
        /// Where the magic bytes should be.
        position: u64,
    },

    /// The object was written by a newer version of the format.
    #[error(
        "{part}: format version {found} is not known (this program reads version {supported}); \
         a newer release is needed"
    )]
    UnsupportedVersion {
        /// What was being read.
        part: Part,
        /// The version that the object names.
        found: u64,
        /// The newest version that this crate reads.
        supported: u64,
    },

    /// A CRC-32C does not match.
    #[error("{part} at byte {position} is damaged: CRC-32C is {computed:08x}, {stored:08x} was written")]
    Checksum {
        /// What was being read.
        part: Part,
        /// Where the part starts.
        position: u64,
        /// The checksum in the object.
        stored: u32,
        /// The checksum of the bytes as they are now.
        computed: u32,
    },

    /// The stored batches of a block do not match their CRC-32C.
    #[error(
        "block payload at byte {position} ({topic}-{partition} from offset {base_offset}) is damaged: \
         CRC-32C is {computed:08x}, {stored:08x} was written"
    )]
    PayloadChecksum {
        /// Topic of the block.
        topic: String,
        /// Partition of the block.
        partition: i32,
        /// First offset of the block.
        base_offset: i64,
        /// Where the payload starts.
        position: u64,
        /// The checksum in the object.
        stored: u32,
        /// The checksum of the bytes as they are now.
        computed: u32,
    },

    /// The body of a manifest does not match the hash in its header line.
    #[error("manifest body is damaged: SHA-256 is {computed}, {stored} was written")]
    ManifestHash {
        /// The hash in the header line.
        stored: String,
        /// The hash of the body as it is now.
        computed: String,
    },

    /// A value that no writer of this format produces.
    #[error("{part} at byte {position} is not valid: {reason}")]
    Invalid {
        /// What was being read.
        part: Part,
        /// Where the value is.
        position: u64,
        /// What is wrong with it.
        reason: String,
    },

    /// The block at this place is not the block that the index describes.
    #[error(
        "block at byte {position} is not the one that the index describes ({topic}-{partition}): {field} differs"
    )]
    BlockMismatch {
        /// Topic that the index names.
        topic: String,
        /// Partition that the index names.
        partition: i32,
        /// Where the block starts.
        position: u64,
        /// The first thing that differs.
        field: &'static str,
    },

    /// The stored bytes are intact (their checksum matches) but do not decompress to what the block declares.
    #[error(
        "block at byte {position} ({topic}-{partition} from offset {base_offset}) cannot be decompressed: {reason}"
    )]
    Decompress {
        /// Topic of the block.
        topic: String,
        /// Partition of the block.
        partition: i32,
        /// First offset of the block.
        base_offset: i64,
        /// Where the block starts.
        position: u64,
        /// What the codec said.
        reason: String,
    },

    /// A block that cannot be encoded as it was described.
    #[error("block from offset {base_offset} cannot be written: {reason}")]
    InvalidBlock {
        /// First offset of the block.
        base_offset: i64,
        /// What is wrong with it.
        reason: String,
    },

    /// The compressor failed. It says so only for a level that it does not have or when memory is short.
    #[error(
        "block from offset {base_offset} cannot be compressed with {compression} at level {level}: {reason}"
    )]
    Compress {
        /// First offset of the block.
        base_offset: i64,
        /// Name of the codec.
        compression: crate::Compression,
        /// Level that was asked for.
        level: i32,
        /// What the codec said.
        reason: String,
    },

    /// A block of a partition that does not follow the partition's previous block in the segment.
    #[error("block of {topic}-{partition} from offset {base_offset} does not follow offset {last_offset}")]
    OutOfOrder {
        /// Topic of the block.
        topic: String,
        /// Partition of the block.
        partition: i32,
        /// First offset of the block.
        base_offset: i64,
        /// Last offset of the previous block of the partition.
        last_offset: i64,
    },

    /// A block of a topic that was deleted and created again: its offsets are a new history, which needs a new
    /// segment.
    #[error("{topic}-{partition} has topic id {found} but the segment holds blocks of topic id {held}")]
    TopicIdChanged {
        /// Topic of the block.
        topic: String,
        /// Partition of the block.
        partition: i32,
        /// Topic id of the block.
        found: TopicId,
        /// Topic id of the partition's blocks before it.
        held: TopicId,
    },

    /// The segment's index has no room for a further block: finish the segment and start a new one.
    #[error("the index of the segment is full at {length} bytes")]
    IndexFull {
        /// Bytes of the index so far.
        length: u64,
    },

    /// A name that is not one: of a compression, of a topic id.
    #[error("{value:?} is not {expected}")]
    Name {
        /// What was given.
        value: String,
        /// What it should be.
        expected: &'static str,
    },

    /// The body of a manifest is not the JSON that it should be.
    #[error("manifest body is not a manifest of this format")]
    ManifestJson(#[source] Box<dyn std::error::Error + Send + Sync>),

    /// A manifest that contradicts itself.
    #[error("manifest is not consistent: {place}: {reason}")]
    Inconsistent {
        /// Where: a topic, partition, group or segment.
        place: String,
        /// What is wrong there.
        reason: String,
    },
}
