//! The last bytes of a segment: where its index is, and how long the object must be.

use std::ops::Range;

use bytes::BufMut;

use crate::checksum::crc32c;
use crate::cursor::{Cursor, checked};
use crate::error::{Error, Part, Result};
use crate::header::{HEADER_LEN, SEGMENT_VERSION};

/// Bytes of a segment footer.
pub const FOOTER_LEN: usize = 40;

/// The longest index that a writer makes and a reader accepts: 256 MiB, about four million blocks.
pub const MAX_INDEX_LEN: u64 = 256 << 20;

/// At the very end, so that an object that was cut off is known at once.
const MAGIC: [u8; 8] = *b"KBSEGEND";
const MAGIC_AT: usize = FOOTER_LEN - MAGIC.len();
const CRC_AT: usize = MAGIC_AT - 4;
const VERSION_AT: usize = CRC_AT - 4;

/// Where the index of a segment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footer {
    /// Where the index starts, in bytes from the start of the object; the blocks end there.
    pub index_position: u64,
    /// Bytes of the index.
    pub index_len: u64,
    /// Bytes of the whole object.
    pub object_len: u64,
}

impl Footer {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FOOTER_LEN);
        out.put_u64(self.index_position);
        out.put_u64(self.index_len);
        out.put_u64(self.object_len);
        out.put_u16(SEGMENT_VERSION);
        out.put_bytes(0, 2);
        out.put_u32(crc32c(&out));
        out.put_slice(&MAGIC);
        out
    }

    /// Decodes the footer from the end of an object. `tail` is the last [`FOOTER_LEN`] bytes, or more of the end of
    /// the object (to get footer and index with one request); `object_len` is what the storage says.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`], [`Error::BadMagic`] when the object is not a whole segment, [`Error::UnsupportedVersion`],
    /// [`Error::Checksum`], [`Error::Invalid`] when the lengths do not add up to `object_len`.
    pub fn decode(tail: &[u8], object_len: u64) -> Result<Self> {
        let part = Part::Footer;
        let start = tail.len().saturating_sub(FOOTER_LEN);
        let footer = tail.get(start..).unwrap_or_default();
        let position = object_len.saturating_sub(footer.len() as u64);
        if footer.len() < FOOTER_LEN {
            let available = footer.len() as u64;
            return Err(Error::Truncated {
                part,
                position,
                needed: FOOTER_LEN as u64,
                available,
            });
        }
        let magic_bytes = footer.get(MAGIC_AT..).unwrap_or_default();
        Cursor::new(part, position + MAGIC_AT as u64, magic_bytes).magic(MAGIC)?;

        let version = Cursor::new(part, position, footer.get(VERSION_AT..).unwrap_or_default()).u16()?;
        if version != SEGMENT_VERSION {
            return Err(Error::UnsupportedVersion {
                part,
                found: version.into(),
                supported: SEGMENT_VERSION.into(),
            });
        }
        let mut fields = checked(part, position, footer, CRC_AT)?;
        let decoded = Self {
            index_position: fields.u64()?,
            index_len: fields.u64()?,
            object_len: fields.u64()?,
        };
        fields.take(2)?;
        fields.zeros::<2>()?;
        decoded.check(position, object_len)?;
        Ok(decoded)
    }

    fn check(&self, position: u64, object_len: u64) -> Result<()> {
        let invalid = |reason: String| {
            Err(Error::Invalid {
                part: Part::Footer,
                position,
                reason,
            })
        };
        if self.object_len != object_len {
            return invalid(format!(
                "the segment has {} bytes but the object {object_len}",
                self.object_len
            ));
        }
        if self.index_len > MAX_INDEX_LEN {
            return invalid(format!("an index of {} bytes", self.index_len));
        }
        let end = self
            .index_position
            .checked_add(self.index_len)
            .and_then(|end| end.checked_add(FOOTER_LEN as u64));
        if self.index_position < HEADER_LEN as u64 || end != Some(object_len) {
            return invalid(format!(
                "an index of {} bytes at byte {} does not end at the footer of an object of {object_len} bytes",
                self.index_len, self.index_position,
            ));
        }
        Ok(())
    }

    /// Where the index is in the object.
    pub fn index_range(&self) -> Range<u64> {
        self.index_position..self.index_position.saturating_add(self.index_len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOOTER: Footer = Footer {
        index_position: 500,
        index_len: 60,
        object_len: 600,
    };

    #[test]
    fn footer_comes_back_from_a_tail_of_any_length() {
        let mut tail = vec![7; 100];
        tail.extend(FOOTER.encode());
        for start in [100, 99, 0] {
            assert_eq!(Footer::decode(&tail[start..], 600).unwrap(), FOOTER);
        }
        assert!(matches!(
            Footer::decode(&tail[101..], 600),
            Err(Error::Truncated { .. })
        ));
    }

    #[test]
    fn lengths_must_add_up_to_the_object() {
        let bad = [
            Footer {
                object_len: 601,
                ..FOOTER
            },
            Footer {
                index_len: 61,
                ..FOOTER
            },
            Footer {
                index_position: 31,
                index_len: 529,
                ..FOOTER
            },
            Footer {
                index_position: u64::MAX,
                ..FOOTER
            },
            Footer {
                index_len: u64::MAX,
                ..FOOTER
            },
        ];
        for footer in bad {
            assert!(
                matches!(Footer::decode(&footer.encode(), 600), Err(Error::Invalid { .. })),
                "{footer:?}"
            );
        }
        let huge = Footer {
            index_position: 500,
            index_len: MAX_INDEX_LEN + 1,
            object_len: MAX_INDEX_LEN + 541,
        };
        assert!(Footer::decode(&huge.encode(), huge.object_len).is_err());
    }
}
