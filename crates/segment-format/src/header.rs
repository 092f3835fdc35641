//! The first bytes of a segment: what it is, who wrote it and when.

use bytes::{BufMut, Bytes};

use crate::checksum::crc32c;
use crate::cursor::{Cursor, checked};
use crate::error::{Error, Part, Result};

/// The version of the segment format that this crate writes, and the newest that it reads.
pub const SEGMENT_VERSION: u16 = 1;

/// Bytes of a segment header.
pub const HEADER_LEN: usize = 32;

const MAGIC: [u8; 8] = *b"KBSEGMNT";
const CRC_AT: usize = HEADER_LEN - 4;

/// Who wrote a segment, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    /// A number that the writer drew at random when it started; it is in the object's name too
    /// (see [`layout::segment_name`](crate::layout::segment_name)).
    pub writer_nonce: u64,
    /// When the segment was started, in milliseconds since 1970 UTC.
    pub created_at: i64,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(HEADER_LEN);
        out.put_slice(&MAGIC);
        out.put_u16(SEGMENT_VERSION);
        out.put_bytes(0, 2);
        out.put_u64(self.writer_nonce);
        out.put_i64(self.created_at);
        out.put_u32(crc32c(&out));
        out.into()
    }

    /// Decodes the first [`HEADER_LEN`] bytes of an object; further bytes are ignored.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`], [`Error::BadMagic`] when the object is not a segment, [`Error::UnsupportedVersion`],
    /// [`Error::Checksum`], [`Error::Invalid`].
    pub fn decode(object: &[u8]) -> Result<Self> {
        let part = Part::SegmentHeader;
        let mut cursor = Cursor::new(part, 0, object);
        cursor.magic(MAGIC)?;
        let version = cursor.u16()?;
        if version != SEGMENT_VERSION {
            return Err(Error::UnsupportedVersion {
                part,
                found: version.into(),
                supported: SEGMENT_VERSION.into(),
            });
        }
        let mut fields = checked(part, 0, object, CRC_AT)?;
        fields.take(MAGIC.len() + 2)?;
        fields.zeros::<2>()?;
        Ok(Self {
            writer_nonce: fields.u64()?,
            created_at: fields.i64()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: SegmentHeader = SegmentHeader {
        writer_nonce: 0x0102_0304_0506_0708,
        created_at: 1_700_000_000_000,
    };

    #[test]
    fn header_comes_back() {
        let bytes = HEADER.encode();
        assert_eq!(bytes.len(), HEADER_LEN);
        assert_eq!(SegmentHeader::decode(&bytes).unwrap(), HEADER);
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut bytes = HEADER.encode().to_vec();
        bytes[9] = 2;
        let error = SegmentHeader::decode(&bytes).unwrap_err();
        assert!(
            matches!(
                error,
                Error::UnsupportedVersion {
                    found: 2,
                    supported: 1,
                    ..
                }
            ),
            "{error}"
        );
    }
}
