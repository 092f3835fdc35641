//! Reading and writing the primitive types of Kafka messages, for the two messages whose payload is bulk data.
//!
//! Everything else goes through the generated message types. Fetch responses and Produce requests do not: their record
//! batches must travel as slices of the frame, and every count in them comes from the network, so it is checked against
//! the bytes that are left before anything is allocated.

use bytes::{BufMut, Bytes, BytesMut};

/// Bytes that are not the message they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {position}")]
pub(crate) struct Malformed {
    /// What was expected there or is wrong with it.
    pub(crate) what: &'static str,
    /// Position in the message body.
    pub(crate) position: usize,
}

type Result<T> = std::result::Result<T, Malformed>;

/// A cursor over a message body. Slices that it hands out share the body's memory.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    body: Bytes,
    position: usize,
    /// Flexible messages use compact lengths and end every structure with tagged fields.
    flexible: bool,
}

impl Reader {
    pub(crate) fn new(body: Bytes, flexible: bool) -> Self {
        Self {
            body,
            position: 0,
            flexible,
        }
    }

    pub(crate) fn remaining(&self) -> usize {
        self.body.len() - self.position
    }

    pub(crate) fn malformed(&self, what: &'static str) -> Malformed {
        Malformed {
            what,
            position: self.position,
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        match self.body[self.position..].first_chunk::<N>() {
            Some(chunk) => {
                self.position += N;
                Ok(*chunk)
            }
            None => Err(self.malformed("message ends too early")),
        }
    }

    pub(crate) fn i16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    pub(crate) fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub(crate) fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    pub(crate) fn uuid(&mut self) -> Result<[u8; 16]> {
        self.array()
    }

    fn unsigned_varint(&mut self) -> Result<u32> {
        let start = self.position;
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.array::<1>()?[0];
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && bits > 0x0f {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed {
            what: "varint is too long",
            position: start,
        })
    }

    pub(crate) fn slice(&mut self, len: usize) -> Result<Bytes> {
        if len > self.remaining() {
            return Err(self.malformed("length exceeds the message"));
        }
        let slice = self.body.slice(self.position..self.position + len);
        self.position += len;
        Ok(slice)
    }

    /// A length that may be null: `i16` for strings and `i32` for bytes in old messages, compact in flexible ones.
    fn nullable_length(&mut self, old: fn(&mut Self) -> Result<i64>) -> Result<Option<usize>> {
        if self.flexible {
            return Ok((self.unsigned_varint()? as usize).checked_sub(1));
        }
        let length = old(self)?;
        if length < -1 {
            return Err(self.malformed("negative length"));
        }
        Ok(usize::try_from(length).ok())
    }

    /// The UTF-8 text of a nullable string, still as bytes.
    pub(crate) fn nullable_string(&mut self) -> Result<Option<Bytes>> {
        match self.nullable_length(|reader| reader.i16().map(i64::from))? {
            Some(len) => self.slice(len).map(Some),
            None => Ok(None),
        }
    }

    pub(crate) fn nullable_bytes(&mut self) -> Result<Option<Bytes>> {
        match self.nullable_length(|reader| reader.i32().map(i64::from))? {
            Some(len) => self.slice(len).map(Some),
            None => Ok(None),
        }
    }

    /// The number of elements of an array (0 for null), refused when so many of at least `min_size` bytes do not fit
    /// into what is left.
    pub(crate) fn count(&mut self, min_size: usize) -> Result<usize> {
        let count = self
            .nullable_length(|reader| reader.i32().map(i64::from))?
            .unwrap_or(0);
        match count.checked_mul(min_size.max(1)) {
            Some(bytes) if bytes <= self.remaining() => Ok(count),
            _ => Err(self.malformed("array has more elements than the message can hold")),
        }
    }

    /// Ends a structure: hands each tagged field to `field`, which reads what it knows of it.
    pub(crate) fn tagged_fields(
        &mut self,
        mut field: impl FnMut(u32, &mut Reader) -> Result<()>,
    ) -> Result<()> {
        if !self.flexible {
            return Ok(());
        }
        let count = self.unsigned_varint()?;
        for _ in 0..count {
            let tag = self.unsigned_varint()?;
            let size = self.unsigned_varint()? as usize;
            let at = self.position;
            let content = self.slice(size)?;
            let mut inner = Reader::new(content, true);
            field(tag, &mut inner).map_err(|error| Malformed {
                what: error.what,
                position: at + error.position,
            })?;
        }
        Ok(())
    }

    /// Ends a structure none of whose tagged fields matter.
    pub(crate) fn skip_tagged_fields(&mut self) -> Result<()> {
        self.tagged_fields(|_, _| Ok(()))
    }
}

/// Writes the primitive types into a buffer; the counterpart of [`Reader`].
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) buffer: BytesMut,
    flexible: bool,
}

impl Writer {
    pub(crate) fn new(capacity: usize, flexible: bool) -> Self {
        Self {
            buffer: BytesMut::with_capacity(capacity),
            flexible,
        }
    }

    pub(crate) fn unsigned_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.buffer.put_u8((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.buffer.put_u8(value as u8);
    }

    /// The number of elements of an array, or the length of bytes. Both fit `i32`, or the frame would not exist.
    pub(crate) fn length(&mut self, length: usize) {
        if self.flexible {
            self.unsigned_varint(length as u32 + 1);
        } else {
            self.buffer.put_i32(length as i32);
        }
    }

    pub(crate) fn string(&mut self, text: &str) {
        if self.flexible {
            self.unsigned_varint(text.len() as u32 + 1);
        } else {
            self.buffer.put_i16(text.len() as i16);
        }
        self.buffer.put_slice(text.as_bytes());
    }

    pub(crate) fn null_string(&mut self) {
        if self.flexible {
            self.buffer.put_u8(0);
        } else {
            self.buffer.put_i16(-1);
        }
    }

    pub(crate) fn no_tagged_fields(&mut self) {
        if self.flexible {
            self.buffer.put_u8(0);
        }
    }

    /// What was written since the last call, without copying it.
    pub(crate) fn take(&mut self) -> Bytes {
        self.buffer.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_round_trip_and_overlong_ones_are_refused() {
        for value in [0, 1, 127, 128, 300, 16_383, 16_384, u32::MAX - 1, u32::MAX] {
            let mut writer = Writer::new(8, true);
            writer.unsigned_varint(value);
            assert_eq!(Reader::new(writer.take(), true).unsigned_varint().unwrap(), value);
        }
        for overlong in [&[0xff; 5][..], &[0x80; 6], &[0xff, 0xff, 0xff, 0xff, 0x1f]] {
            let mut reader = Reader::new(Bytes::copy_from_slice(overlong), true);
            assert_eq!(reader.unsigned_varint().unwrap_err().what, "varint is too long");
        }
    }

    #[test]
    fn counts_are_checked_against_what_is_left() {
        let mut claims_two_billion = Reader::new(Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff, 0]), false);
        assert!(claims_two_billion.count(1).is_err());
        let mut null = Reader::new(Bytes::from_static(&[0xff, 0xff, 0xff, 0xff]), false);
        assert_eq!(null.count(100).unwrap(), 0);
        let mut negative = Reader::new(Bytes::from_static(&[0xff, 0xff, 0xff, 0xfe]), false);
        assert!(negative.count(1).is_err());
    }

    #[test]
    fn an_error_inside_a_tagged_field_is_named_by_its_place_in_the_message() {
        let mut reader = Reader::new(Bytes::from_static(&[1, 9, 2, 0xaa, 0xbb]), true);
        let error = reader
            .tagged_fields(|_, field| field.i32().map(|_| ()))
            .unwrap_err();
        assert_eq!(error.position, 3);
    }
}
