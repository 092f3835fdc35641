//! As little of the Kafka protocol as the floors need: blocking, by hand, and nothing of the client that is measured.

use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::Result;

/// A broker that says nothing for this long hangs.
const TIMEOUT: Duration = Duration::from_secs(60);
/// No response that is asked for here is larger.
const MOST_BYTES: usize = 256 << 20;

/// A connection whose responses are read into one buffer again and again.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    sent: i32,
    received: i32,
}

impl Connection {
    pub(crate) fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(Self {
            stream,
            buffer: Vec::new(),
            sent: 0,
            received: 0,
        })
    }

    /// Requests without an answer yet.
    pub(crate) fn in_flight(&self) -> i32 {
        self.sent - self.received
    }

    /// Sends a request of a version that is not flexible.
    pub(crate) fn send(&mut self, api_key: i16, version: i16, body: &[&[u8]]) -> Result<()> {
        let mut header = Vec::new();
        put_i16(&mut header, api_key);
        put_i16(&mut header, version);
        put_i32(&mut header, self.sent);
        put_string(&mut header, "bench")?;
        let length = header.len() + body.iter().map(|piece| piece.len()).sum::<usize>();
        let length = i32::try_from(length)?.to_be_bytes();
        let mut slices = vec![IoSlice::new(&length), IoSlice::new(&header)];
        slices.extend(body.iter().map(|piece| IoSlice::new(piece)));
        write_all(&mut self.stream, &mut slices)?;
        self.sent += 1;
        Ok(())
    }

    /// Receives the response to the oldest request without one.
    pub(crate) fn receive(&mut self) -> Result<Fields<'_>> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = usize::try_from(i32::from_be_bytes(length))?;
        if length > MOST_BYTES {
            return Err(format!("a response of {length} bytes").into());
        }
        if self.buffer.len() < length {
            self.buffer.resize(length, 0);
        }
        let response = &mut self.buffer[..length];
        self.stream.read_exact(response)?;
        let mut fields = Fields(response);
        let id = fields.i32()?;
        if id != self.received {
            return Err(format!("the answer to request {id} instead of {}", self.received).into());
        }
        self.received += 1;
        Ok(fields)
    }
}

fn write_all(stream: &mut TcpStream, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    while !slices.is_empty() {
        match stream.write_vectored(slices)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => IoSlice::advance_slices(&mut slices, written),
        }
    }
    Ok(())
}

pub(crate) fn put_i16(to: &mut Vec<u8>, value: i16) {
    to.extend(value.to_be_bytes());
}

pub(crate) fn put_i32(to: &mut Vec<u8>, value: i32) {
    to.extend(value.to_be_bytes());
}

pub(crate) fn put_i64(to: &mut Vec<u8>, value: i64) {
    to.extend(value.to_be_bytes());
}

pub(crate) fn put_string(to: &mut Vec<u8>, value: &str) -> Result<()> {
    put_i16(to, i16::try_from(value.len())?);
    to.extend(value.as_bytes());
    Ok(())
}

/// The fields of a response, one after the other.
#[derive(Debug)]
pub(crate) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or("a response is cut off")?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.bytes(N)?.try_into()?)
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

    /// A count or a length; that of what is null is 0.
    pub(crate) fn length(&mut self) -> Result<usize> {
        Ok(usize::try_from(self.i32()?.max(0))?)
    }

    pub(crate) fn skip_string(&mut self) -> Result<()> {
        let length = usize::try_from(self.i16()?.max(0))?;
        self.bytes(length)?;
        Ok(())
    }
}
