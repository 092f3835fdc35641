//! From batches as they come to blocks as they are stored, partition by partition.

use bytes::Bytes;
use kafka_wire::batch::RawBatch;
use segment_format::{BlockMeta, Compression};

/// A block is closed when it has this many bytes of batches. Large enough for compression and for few index entries,
/// small enough that reading one record costs little.
const BLOCK_BYTES: usize = 1024 * 1024;

/// At the end of an answer, a block is closed when it has this many: what stays open keeps all of the answer in memory.
const LEAST_BLOCK_BYTES: usize = 256 * 1024;

/// Collects batches of one partition until they make a block.
#[derive(Debug)]
pub(super) struct BlockBuilder {
    compression: Compression,
    open: Option<OpenBlock>,
}

/// Batches that become one block.
#[derive(Debug)]
pub(super) struct OpenBlock {
    pub(super) meta: BlockMeta,
    /// In as few pieces as it can be.
    pub(super) batches: Vec<Bytes>,
    /// What the block is to be compressed with: nothing, when the producer has compressed the batches.
    pub(super) compression: Compression,
    pub(super) bytes: usize,
}

impl BlockBuilder {
    /// `compression` is for batches that the producer left uncompressed.
    pub(super) fn new(compression: Compression) -> Self {
        Self {
            compression,
            open: None,
        }
    }

    /// Adds the next batch of the partition; returns the blocks that it completes (at most two: the one before it,
    /// when the batch needs another treatment, and its own). `slab` is the answer that brought it.
    pub(super) fn push(&mut self, batch: RawBatch, slab: &Bytes) -> impl Iterator<Item = OpenBlock> + use<> {
        let compressed_by_producer =
            !matches!(batch.header.compression(), Ok(kafka_wire::codec::Codec::None));
        let compression = if compressed_by_producer {
            Compression::None
        } else {
            self.compression
        };
        let before = self.open.take_if(|open| open.compression != compression);

        let header = &batch.header;
        let open = self
            .open
            .get_or_insert_with(|| OpenBlock::starting_at(header.base_offset, compression));
        open.meta.last_offset = header.last_offset();
        if header.record_count > 0 {
            let earliest = header.base_timestamp.min(header.max_timestamp);
            open.meta.min_timestamp = open.meta.min_timestamp.min(earliest);
            open.meta.max_timestamp = open.meta.max_timestamp.max(header.max_timestamp);
        }
        open.meta.batches += 1;
        open.meta.records += u64::try_from(header.record_count).unwrap_or(0);
        open.bytes += batch.bytes.len();
        open.append(batch.bytes, slab);
        let full = self.open.take_if(|open| open.bytes >= BLOCK_BYTES);
        before.into_iter().chain(full)
    }

    /// The end of an answer: the block that is large enough as it is.
    pub(super) fn end_of_answer(&mut self) -> Option<OpenBlock> {
        self.open.take_if(|open| open.bytes >= LEAST_BLOCK_BYTES)
    }

    /// Whether a block is begun.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The block begun so far, if there is one.
    pub(super) fn flush(&mut self) -> Option<OpenBlock> {
        self.open.take()
    }
}

impl OpenBlock {
    fn starting_at(base_offset: i64, compression: Compression) -> Self {
        let meta = BlockMeta {
            base_offset,
            last_offset: base_offset,
            min_timestamp: i64::MAX,
            max_timestamp: i64::MIN,
            batches: 0,
            records: 0,
        };
        Self {
            meta,
            batches: Vec::new(),
            compression,
            bytes: 0,
        }
    }

    /// Adds a batch; to the piece before it, where they lie next to each other in the slab.
    fn append(&mut self, batch: Bytes, slab: &Bytes) {
        if let Some(last) = self.batches.last_mut()
            && let Some(joined) = joined(last, &batch, slab)
        {
            *last = joined;
        } else {
            self.batches.push(batch);
        }
    }
}

/// Both as one slice of `slab`, if that is what they are.
fn joined(left: &Bytes, right: &Bytes, slab: &Bytes) -> Option<Bytes> {
    let address = |bytes: &Bytes| bytes.as_ptr() as usize;
    let start = address(left).checked_sub(address(slab))?;
    let end = start + left.len() + right.len();
    let is_one = address(left) + left.len() == address(right) && end <= slab.len();
    is_one.then(|| slab.slice(start..end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_in_a_slab_become_one_piece_and_others_do_not() {
        let slab = Bytes::from_static(b"0123456789");
        let (left, right) = (slab.slice(2..5), slab.slice(5..9));
        let both = joined(&left, &right, &slab).unwrap();
        assert_eq!((&both[..], both.as_ptr()), (&b"2345678"[..], left.as_ptr()));
        assert_eq!(joined(&right, &left, &slab), None);
        assert_eq!(joined(&left, &slab.slice(6..9), &slab), None);
        // The slab of the answer before does not reach to the next one.
        assert_eq!(joined(&left, &right, &slab.slice(..7)), None);
        assert_eq!(joined(&left, &right, &slab.slice(3..)), None);
        let elsewhere = Bytes::copy_from_slice(&right);
        assert_eq!(joined(&left, &elsewhere, &slab), None);
    }
}
