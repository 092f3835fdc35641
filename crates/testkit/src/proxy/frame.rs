//! The protocol's frames: a length of four bytes, then as many bytes.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Kafka's own limit for requests is 100 MiB; responses may be larger by a batch.
const LARGEST: u32 = 256 << 20;
const CHUNK: usize = 64 << 10;

/// Where a frame's payload starts.
pub(super) const LENGTH_BYTES: usize = 4;

/// Reads whole frames, or chunks of whatever it is when it is no Kafka protocol in the clear.
pub(super) struct FrameReader<R> {
    from: R,
    opaque: bool,
}

/// What was read.
pub(super) enum Piece {
    /// A whole frame with its length bytes.
    Frame(Vec<u8>),
    /// Some bytes of a stream without frames: TLS, for one, whose first bytes make an absurd length.
    Chunk(Vec<u8>),
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, opaque: false }
    }

    /// The next piece; `None` at the end of the stream. A frame that is cut off comes as a chunk.
    pub(super) async fn next(&mut self) -> io::Result<Option<Piece>> {
        if self.opaque {
            let mut chunk = Vec::with_capacity(CHUNK);
            let read = self.from.read_buf(&mut chunk).await?;
            return Ok((read > 0).then_some(Piece::Chunk(chunk)));
        }
        let mut bytes = Vec::new();
        if !self.fill(&mut bytes, LENGTH_BYTES).await? {
            return Ok((!bytes.is_empty()).then_some(Piece::Chunk(bytes)));
        }
        let length = bytes
            .iter()
            .fold(0_u32, |length, byte| length << 8 | u32::from(*byte));
        if length > LARGEST {
            self.opaque = true;
            return Ok(Some(Piece::Chunk(bytes)));
        }
        let whole = self.fill(&mut bytes, length as usize).await?;
        Ok(Some(if whole {
            Piece::Frame(bytes)
        } else {
            Piece::Chunk(bytes)
        }))
    }

    /// Appends exactly `count` bytes; false at an early end.
    async fn fill(&mut self, bytes: &mut Vec<u8>, count: usize) -> io::Result<bool> {
        let read = (&mut self.from).take(count as u64).read_to_end(bytes).await?;
        Ok(read == count)
    }
}

/// API key and correlation id of a request's frame.
pub(super) fn request_header(frame: &[u8]) -> Option<(i16, i32)> {
    let payload = frame.get(LENGTH_BYTES..)?;
    let key = payload.get(..2)?.try_into().ok()?;
    let correlation = payload.get(4..8)?.try_into().ok()?;
    Some((i16::from_be_bytes(key), i32::from_be_bytes(correlation)))
}

/// Correlation id of a response's frame.
pub(super) fn response_correlation(frame: &[u8]) -> Option<i32> {
    let bytes = frame.get(LENGTH_BYTES..LENGTH_BYTES + 4)?;
    Some(i32::from_be_bytes(bytes.try_into().ok()?))
}

/// Makes a frame's length say again how long it is, after its payload was changed.
pub(super) fn repair_length(frame: &mut [u8]) {
    let payload = u32::try_from(frame.len().saturating_sub(LENGTH_BYTES)).unwrap_or(u32::MAX);
    if let Some(length) = frame.get_mut(..LENGTH_BYTES) {
        length.copy_from_slice(&payload.to_be_bytes());
    }
}
