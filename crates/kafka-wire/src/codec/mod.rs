//! The compression codecs of Kafka's record batches: contexts that are reused, output that is bounded.
//!
//! A [`Decompressor`] never writes more than the limit it is given, and never asks for memory beyond a small multiple
//! of the input before output of that size has really appeared.

mod gzip;
mod lz4;
mod snappy;
mod xxh32;
mod zstd;

use std::fmt;
use std::str::FromStr;

/// How the records of a batch are compressed: bits 0-2 of the attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// Not at all.
    None,
    /// gzip, possibly several members.
    Gzip,
    /// snappy in the framing of the Java library ("xerial"), or one raw block.
    Snappy,
    /// lz4 frames.
    Lz4,
    /// zstd frames.
    Zstd,
}

impl Codec {
    /// Every codec, in the order of the numbers on the wire.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec with this number.
    pub fn from_id(id: u8) -> Option<Self> {
        Self::ALL.get(usize::from(id)).copied()
    }

    /// The number on the wire.
    pub const fn id(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// The name as in Kafka's `compression.type`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is not one of a codec.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown compression codec {0:?}: one of none, gzip, snappy, lz4, zstd")]
pub struct UnknownCodecName(String);

impl FromStr for Codec {
    type Err = UnknownCodecName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|codec| codec.name() == name)
            .ok_or_else(|| UnknownCodecName(name.to_owned()))
    }
}

/// Compressed bytes that cannot be read, or bytes that cannot be compressed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The bytes are not what the codec writes.
    #[error("{codec} data is corrupt: {detail}")]
    Corrupt {
        /// The codec.
        codec: Codec,
        /// What is wrong.
        detail: &'static str,
    },
    /// Decompressed, there would be more bytes than the caller allows.
    #[error("{codec} data decompresses to more than {limit} bytes")]
    OverLimit {
        /// The codec.
        codec: Codec,
        /// The caller's limit.
        limit: usize,
    },
    /// The codec refused to compress.
    #[error("{codec} compression failed: {detail}")]
    Compress {
        /// The codec.
        codec: Codec,
        /// What it said.
        detail: &'static str,
    },
}

impl CodecError {
    /// The codec that failed.
    pub fn codec(&self) -> Codec {
        match self {
            Self::Corrupt { codec, .. } | Self::OverLimit { codec, .. } | Self::Compress { codec, .. } => {
                *codec
            }
        }
    }
}

/// Decompresses record data; keeps the contexts of the codecs from one call to the next. One per worker.
#[derive(Default)]
pub struct Decompressor {
    gzip: gzip::Reader,
    snappy: snap::raw::Decoder,
    zstd: zstd::Reader,
}

impl Decompressor {
    /// A decompressor without any context yet: each is made when its codec first appears.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decompresses `input` and returns the result: `input` itself for [`Codec::None`], else a part of `scratch`.
    ///
    /// `scratch` is grown as needed and keeps its length, so that the next call need not clear it again: what it
    /// holds beyond the returned slice has no meaning. More than `limit` bytes of output are an error.
    pub fn decompress<'a>(
        &mut self,
        codec: Codec,
        input: &'a [u8],
        limit: usize,
        scratch: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], CodecError> {
        let written = match codec {
            Codec::None if input.len() > limit => return Err(CodecError::OverLimit { codec, limit }),
            Codec::None => return Ok(input),
            Codec::Gzip => self.gzip.decompress(input, limit, scratch),
            Codec::Snappy => snappy::decompress(&mut self.snappy, input, limit, scratch),
            Codec::Lz4 => lz4::decompress(input, limit, scratch),
            Codec::Zstd => self.zstd.decompress(input, limit, scratch),
        }?;
        Ok(scratch.get(..written).unwrap_or_default())
    }
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressor").finish_non_exhaustive()
    }
}

/// Compresses record data; keeps the contexts of the codecs from one call to the next. One per worker.
#[derive(Default)]
pub struct Compressor {
    gzip: gzip::Writer,
    snappy: snappy::Writer,
    lz4: lz4::Writer,
    zstd: zstd::Writer,
}

impl Compressor {
    /// A compressor without any context yet: each is made when its codec is first used.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends `input`, compressed, to `out`. On an error `out` is as long as before.
    ///
    /// `level` is the codec's own: 1 to 12 for gzip (6 when `None`), -7 to 22 for zstd (3 when `None`), without meaning
    /// for the others; one outside of its range is taken as the nearest inside.
    pub fn compress(
        &mut self,
        codec: Codec,
        level: Option<i32>,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        match codec {
            Codec::None => {
                out.extend_from_slice(input);
                Ok(())
            }
            Codec::Gzip => self.gzip.compress(level, input, out),
            Codec::Snappy => self.snappy.compress(input, out),
            Codec::Lz4 => self.lz4.compress(input, out),
            Codec::Zstd => self.zstd.compress(level, input, out),
        }
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").finish_non_exhaustive()
    }
}

/// Makes `scratch` at least `len` bytes long. Its length is a high-water mark, so that bytes are cleared once only.
fn grow(scratch: &mut Vec<u8>, len: usize) {
    if scratch.len() < len {
        scratch.resize(len, 0);
    }
}

#[cfg(test)]
mod foreign_tests;
#[cfg(test)]
mod tests;
