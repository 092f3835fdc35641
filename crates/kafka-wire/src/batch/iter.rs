//! From a slab of log bytes, as a Fetch response carries it, to single batches.

use bytes::Bytes;

use super::header::{HEADER_LEN, LENGTH_OVERHEAD, MAGIC_AT};
use super::{BatchError, BatchHeader, LegacyEntry, RawBatch};

/// One entry of a slab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEntry {
    /// A record batch of format 2.
    Batch(RawBatch),
    /// A message of format 0 or 1, possibly a compressed wrapper around others.
    Legacy(LegacyEntry),
}

impl LogEntry {
    /// The offset to read after this entry.
    pub fn next_offset(&self) -> i64 {
        match self {
            Self::Batch(batch) => batch.header.next_offset(),
            Self::Legacy(entry) => entry.offset.saturating_add(1),
        }
    }
}

/// Walks the whole entries of a slab, without a copy: the items share the slab's memory.
///
/// A broker cuts its answer at a byte count, so the last entry may be partial, even inside its header. The iterator
/// ends before it; [`BatchIter::trailing`] tells how many bytes were left. After an error it ends as well.
#[derive(Debug, Clone)]
pub struct BatchIter {
    slab: Bytes,
    position: usize,
    done: bool,
}

impl BatchIter {
    /// An iterator over the entries of `slab`.
    pub fn new(slab: Bytes) -> Self {
        Self {
            slab,
            position: 0,
            done: false,
        }
    }

    /// Bytes behind the last whole entry that was returned.
    pub fn trailing(&self) -> usize {
        self.slab.len() - self.position
    }

    /// Where the next entry starts in the slab.
    pub fn position(&self) -> usize {
        self.position
    }

    fn entry(&mut self) -> Result<Option<LogEntry>, BatchError> {
        let position = self.position;
        let rest = self.slab.get(position..).unwrap_or_default();
        let Some(prefix) = rest.first_chunk::<{ MAGIC_AT + 1 }>() else {
            return Ok(None);
        };
        let [o0, o1, o2, o3, o4, o5, o6, o7, l0, l1, l2, l3, ..] = *prefix;
        let base_offset = i64::from_be_bytes([o0, o1, o2, o3, o4, o5, o6, o7]);
        let length = i32::from_be_bytes([l0, l1, l2, l3]);
        let magic = prefix[MAGIC_AT] as i8;
        let smallest = match magic {
            0 => LegacyEntry::SMALLEST_V0,
            1 => LegacyEntry::SMALLEST_V1,
            2 => HEADER_LEN - LENGTH_OVERHEAD,
            _ => {
                return Err(BatchError::Magic {
                    position,
                    base_offset,
                    magic,
                });
            }
        };
        let Some(length) = usize::try_from(length).ok().filter(|length| *length >= smallest) else {
            return Err(BatchError::Length {
                position,
                base_offset,
                length,
            });
        };
        let total = length + LENGTH_OVERHEAD;
        if total > rest.len() {
            return Ok(None);
        }
        let entry = if magic == 2 {
            let header = BatchHeader::parse(rest)?;
            LogEntry::Batch(RawBatch {
                header,
                bytes: self.slab.slice(position..position + total),
            })
        } else {
            LogEntry::Legacy(LegacyEntry::parse(self.slab.slice(position..position + total))?)
        };
        self.position += total;
        Ok(Some(entry))
    }
}

impl Iterator for BatchIter {
    type Item = Result<LogEntry, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let entry = self.entry().transpose();
        self.done = !matches!(entry, Some(Ok(_)));
        entry
    }
}

impl std::iter::FusedIterator for BatchIter {}
