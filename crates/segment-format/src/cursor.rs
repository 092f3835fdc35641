//! Reads big-endian fields from bytes that may end anywhere or hold anything.

use crate::checksum::crc32c;
use crate::error::{Error, Part, Result};

/// Bytes of a CRC-32C.
const CRC_LEN: usize = 4;

/// A position in bytes that are being decoded. Nothing is allocated and nothing panics, whatever the bytes hold.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    part: Part,
    /// Where the unread bytes start in the object.
    position: u64,
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// Reads `bytes`, which start at byte `position` of the object.
    pub(crate) fn new(part: Part, position: u64, bytes: &'a [u8]) -> Self {
        Self {
            part,
            position,
            rest: bytes,
        }
    }

    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The next `length` bytes.
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let Some((taken, rest)) = self.rest.split_at_checked(length) else {
            return Err(Error::Truncated {
                part: self.part,
                position: self.position,
                needed: length as u64,
                available: self.rest.len() as u64,
            });
        };
        self.rest = rest;
        self.position = self.position.saturating_add(length as u64);
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(crate) fn u8(&mut self) -> Result<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32> {
        self.array().map(i32::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64> {
        self.array().map(i64::from_be_bytes)
    }

    /// The magic bytes of a part.
    pub(crate) fn magic<const N: usize>(&mut self, magic: [u8; N]) -> Result<()> {
        let position = self.position;
        if self.array::<N>()? == magic {
            Ok(())
        } else {
            Err(Error::BadMagic {
                part: self.part,
                position,
            })
        }
    }

    /// Bytes that have no meaning yet: a reader of this version must not accept one.
    pub(crate) fn zeros<const N: usize>(&mut self) -> Result<()> {
        let position = self.position;
        if self.array::<N>()? == [0; N] {
            Ok(())
        } else {
            Err(self.invalid_at(position, "reserved bytes are not zero"))
        }
    }

    /// An error about the value that was just read at `position`.
    pub(crate) fn invalid_at(&self, position: u64, reason: impl Into<String>) -> Error {
        Error::Invalid {
            part: self.part,
            position,
            reason: reason.into(),
        }
    }
}

/// The fields of a part that starts at byte `position` of the object with `bytes`, and whose CRC-32C over the first
/// `crc_at` bytes follows them. The checksum is judged before the fields are.
pub(crate) fn checked(part: Part, position: u64, bytes: &[u8], crc_at: usize) -> Result<Cursor<'_>> {
    // Taken as one, so that bytes that end too early are missing from the part as a whole.
    let whole = Cursor::new(part, position, bytes).take(crc_at.saturating_add(CRC_LEN))?;
    let (covered, crc) = whole.split_at(crc_at);
    let stored = Cursor::new(part, position, crc).u32()?;
    let computed = crc32c(covered);
    if stored != computed {
        return Err(Error::Checksum {
            part,
            position,
            stored,
            computed,
        });
    }
    Ok(Cursor::new(part, position, covered))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_big_endian_and_counted_from_the_start_of_the_object() {
        let mut cursor = Cursor::new(Part::Index, 1000, &[0, 0, 1, 2, 9]);
        assert_eq!(cursor.u32().unwrap(), 258);
        assert_eq!(cursor.position(), 1004);
        assert_eq!(cursor.remaining(), 1);
        match cursor.u16() {
            Err(Error::Truncated {
                part: Part::Index,
                position: 1004,
                needed: 2,
                available: 1,
            }) => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(cursor.u8().unwrap(), 9);
    }
}
