//! Message sets of format 0 and 1, which old logs still hold: reading only.
//!
//! An entry is one message, or a wrapper whose value is a compressed message set. Layout of an entry, big-endian:
//! offset i64, length i32, CRC-32 u32 (of what follows), magic i8, attributes i8, timestamp i64 (format 1 only), key
//! and value, each with an i32 length in front, -1 for none. Rules for wrappers: Apache Kafka,
//! `AbstractLegacyRecordBatch.DeepRecordsIterator`.

use bytes::Bytes;

use super::BatchError;
use super::header::{LENGTH_OVERHEAD, MAGIC_AT};
use crate::codec::{Codec, Decompressor};

/// First byte that the CRC covers.
const CRC_START: usize = MAGIC_AT;
const LOG_APPEND_TIME: u8 = 1 << 3;

/// One entry of a message set of format 0 or 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyEntry {
    /// The entry's offset; for a wrapper, that of its last message.
    pub offset: i64,
    /// The format: 0 or 1.
    pub magic: i8,
    /// The entry as it is stored, offset and length included.
    pub bytes: Bytes,
}

/// A message of format 0 or 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LegacyRecord<'a> {
    /// Its offset in the partition.
    pub offset: i64,
    /// Its timestamp as a consumer sees it; -1 in format 0.
    pub timestamp: i64,
    /// The key, if any.
    pub key: Option<&'a [u8]>,
    /// The value, if any.
    pub value: Option<&'a [u8]>,
}

/// An entry taken apart.
struct Message<'a> {
    offset: i64,
    magic: i8,
    attributes: u8,
    timestamp: i64,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
}

impl LegacyEntry {
    /// Smallest length field of an entry of format 0: CRC, magic, attributes, two lengths.
    pub(crate) const SMALLEST_V0: usize = 14;
    /// Smallest length field of an entry of format 1, which has a timestamp too.
    pub(crate) const SMALLEST_V1: usize = 22;

    /// Takes bytes that are exactly one entry. The CRC is not checked.
    pub fn parse(bytes: Bytes) -> Result<Self, BatchError> {
        let mut rest = &*bytes;
        let message = Message::read(&mut rest)?;
        if !rest.is_empty() {
            return Err(BatchError::ExtraBytes {
                base_offset: message.offset,
                extra: rest.len(),
            });
        }
        let (offset, magic) = (message.offset, message.magic);
        if offset < 0 {
            return Err(BatchError::Field {
                base_offset: offset,
                field: "base offset",
                value: offset,
            });
        }
        Ok(Self { offset, magic, bytes })
    }

    /// Checks the CRC-32 over everything from the magic byte on.
    pub fn verify_crc(&self) -> Result<(), BatchError> {
        let computed = crc32fast::hash(self.bytes.get(CRC_START..).unwrap_or_default());
        let stored = match self.bytes.get(LENGTH_OVERHEAD..CRC_START) {
            Some(&[a, b, c, d]) => u32::from_be_bytes([a, b, c, d]),
            _ => 0,
        };
        if computed == stored {
            return Ok(());
        }
        Err(BatchError::Crc {
            base_offset: self.offset,
            stored,
            computed,
        })
    }

    /// The codec of the wrapped message set, or [`Codec::None`] for a single message.
    pub fn compression(&self) -> Result<Codec, BatchError> {
        codec(self.offset, self.bytes.get(MAGIC_AT + 1).copied().unwrap_or(0))
    }

    /// The messages of the entry: the one that it is, or those that it wraps, decompressed into `scratch`.
    ///
    /// At most `limit` bytes are decompressed. The inner messages' own CRCs are not checked: that of the wrapper covers
    /// them.
    pub fn records<'a>(
        &'a self,
        decompressor: &mut Decompressor,
        limit: usize,
        scratch: &'a mut Vec<u8>,
    ) -> Result<LegacyRecords<'a>, BatchError> {
        let message = Message::read(&mut &*self.bytes)?;
        let codec = codec(self.offset, message.attributes)?;
        if codec == Codec::None {
            return Ok(LegacyRecords {
                wrapper: self.offset,
                inner: Inner::Single(Some(message.record())),
            });
        }
        let value = message.value.ok_or(self.problem("a wrapper without a value"))?;
        let set = decompressor
            .decompress(codec, value, limit, scratch)
            .map_err(|source| BatchError::codec(self.offset, source))?;
        let inner = Inner::Set(Set {
            rest: set,
            magic: self.magic,
            base_offset: self.wrapped_base(set)?,
            append_time: (self.magic == 1 && message.attributes & LOG_APPEND_TIME != 0)
                .then_some(message.timestamp),
        });
        Ok(LegacyRecords {
            wrapper: self.offset,
            inner,
        })
    }

    /// What the offsets inside of a wrapper count from.
    ///
    /// Format 0 has absolute offsets inside. In format 1 they are relative and the wrapper has the offset of the last
    /// message; a wrapper at offset 0 comes from clients that did not set it, and its inner offsets are taken as they are.
    fn wrapped_base(&self, mut set: &[u8]) -> Result<i64, BatchError> {
        let mut last = None;
        while !set.is_empty() {
            last = Some(Message::read(&mut set)?.offset);
        }
        let last = last.ok_or(self.problem("a wrapper around nothing"))?;
        if self.magic == 0 || self.offset == 0 {
            return Ok(0);
        }
        self.offset
            .checked_sub(last)
            .filter(|base| *base >= 0 && last >= 0)
            .ok_or(self.problem("a wrapper's offset lies before its messages"))
    }

    fn problem(&self, problem: &'static str) -> BatchError {
        BatchError::Legacy {
            offset: self.offset,
            problem,
        }
    }
}

fn codec(base_offset: i64, attributes: u8) -> Result<Codec, BatchError> {
    let id = attributes & 7;
    Codec::from_id(id).ok_or(BatchError::UnknownCodec { base_offset, id })
}

impl<'a> Message<'a> {
    /// Takes one entry off the front of `input`.
    fn read(input: &mut &'a [u8]) -> Result<Self, BatchError> {
        let Some(&[o0, o1, o2, o3, o4, o5, o6, o7, l0, l1, l2, l3]) = input.first_chunk::<LENGTH_OVERHEAD>()
        else {
            return Err(BatchError::Truncated {
                needed: LENGTH_OVERHEAD,
                available: input.len(),
            });
        };
        let offset = i64::from_be_bytes([o0, o1, o2, o3, o4, o5, o6, o7]);
        let length = i32::from_be_bytes([l0, l1, l2, l3]);
        let total = usize::try_from(length)
            .ok()
            .filter(|length| *length >= Self::MAGIC_AND_BEFORE)
            .and_then(|length| length.checked_add(LENGTH_OVERHEAD))
            .ok_or(BatchError::Length {
                position: 0,
                base_offset: offset,
                length,
            })?;
        let Some((entry, rest)) = input.split_at_checked(total) else {
            return Err(BatchError::Truncated {
                needed: total,
                available: input.len(),
            });
        };
        let message = Self::fields(offset, &entry[CRC_START..])?;
        *input = rest;
        Ok(message)
    }

    /// What the length must cover so that magic and attributes are there: CRC, magic, attributes.
    const MAGIC_AND_BEFORE: usize = 6;

    /// Reads what follows the CRC, and nothing may be left of it.
    fn fields(offset: i64, input: &'a [u8]) -> Result<Self, BatchError> {
        let cut = BatchError::Legacy {
            offset,
            problem: "a field is cut",
        };
        let [magic, attributes, rest @ ..] = input else {
            return Err(cut);
        };
        let magic = *magic as i8;
        let (timestamp, rest) = match magic {
            0 => (-1, rest),
            1 => {
                let (timestamp, rest) = rest.split_first_chunk::<8>().ok_or(cut.clone())?;
                (i64::from_be_bytes(*timestamp), rest)
            }
            _ => {
                return Err(BatchError::Magic {
                    position: 0,
                    base_offset: offset,
                    magic,
                });
            }
        };
        let (key, rest) = read_bytes(rest).ok_or(cut.clone())?;
        let (value, rest) = read_bytes(rest).ok_or(cut)?;
        if !rest.is_empty() {
            return Err(BatchError::Legacy {
                offset,
                problem: "bytes follow the value",
            });
        }
        Ok(Self {
            offset,
            magic,
            attributes: *attributes,
            timestamp,
            key,
            value,
        })
    }

    fn record(&self) -> LegacyRecord<'a> {
        LegacyRecord {
            offset: self.offset,
            timestamp: self.timestamp,
            key: self.key,
            value: self.value,
        }
    }
}

/// A length and as many bytes; a negative length means none.
fn read_bytes(input: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let (len, rest) = input.split_first_chunk::<4>()?;
    match usize::try_from(i32::from_be_bytes(*len)) {
        Ok(len) => rest
            .split_at_checked(len)
            .map(|(bytes, rest)| (Some(bytes), rest)),
        Err(_) => Some((None, rest)),
    }
}

/// Iterator over the messages of a [`LegacyEntry`]. After an error it ends.
#[derive(Debug, Clone)]
pub struct LegacyRecords<'a> {
    wrapper: i64,
    inner: Inner<'a>,
}

#[derive(Debug, Clone)]
enum Inner<'a> {
    Single(Option<LegacyRecord<'a>>),
    Set(Set<'a>),
}

#[derive(Debug, Clone)]
struct Set<'a> {
    rest: &'a [u8],
    magic: i8,
    base_offset: i64,
    append_time: Option<i64>,
}

impl<'a> Set<'a> {
    fn record(&mut self, wrapper: i64) -> Result<LegacyRecord<'a>, BatchError> {
        let problem = |problem| {
            Err(BatchError::Legacy {
                offset: wrapper,
                problem,
            })
        };
        let message = Message::read(&mut self.rest)?;
        if message.magic != self.magic {
            return problem("a wrapped message has another format than its wrapper");
        }
        if message.attributes & 7 != 0 {
            return problem("a wrapped message is compressed again");
        }
        let Some(offset) = self
            .base_offset
            .checked_add(message.offset)
            .filter(|offset| *offset >= 0)
        else {
            return problem("a wrapped message's offset is out of range");
        };
        let timestamp = self.append_time.unwrap_or(message.timestamp);
        Ok(LegacyRecord {
            offset,
            timestamp,
            ..message.record()
        })
    }
}

impl<'a> Iterator for LegacyRecords<'a> {
    type Item = Result<LegacyRecord<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.inner {
            Inner::Single(record) => record.take().map(Ok),
            Inner::Set(set) if set.rest.is_empty() => None,
            Inner::Set(set) => {
                let result = set.record(self.wrapper);
                if result.is_err() {
                    set.rest = &[];
                }
                Some(result)
            }
        }
    }
}

impl std::iter::FusedIterator for LegacyRecords<'_> {}
