//! Frames: a 4-byte big-endian length, then that many bytes, of which the first four are the correlation id.

use bytes::BufMut;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::time::Instant;

use super::buffers::{BufferPool, PooledBuffer};
use super::deadline::Received;
use crate::error::ConnectionError;

const LENGTH_BYTES: usize = 4;
/// A response has at least its correlation id.
const SHORTEST: usize = 4;
/// Gathers a small response and the length of the next into one system call; large bodies bypass it.
const READ_AHEAD: usize = 16 << 10;

/// Reads frames from a stream.
///
/// Keeps its place across cancelled calls, so it can be polled next to other work.
pub(super) struct FrameReader<R> {
    stream: BufReader<R>,
    pool: BufferPool,
    length: [u8; LENGTH_BYTES],
    length_read: usize,
    body: Option<(PooledBuffer, usize)>,
    /// When bytes last arrived.
    last_read: Instant,
    frames: u64,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(super) fn new(stream: R, pool: BufferPool) -> Self {
        Self {
            stream: BufReader::with_capacity(READ_AHEAD, stream),
            pool,
            length: [0; LENGTH_BYTES],
            length_read: 0,
            body: None,
            last_read: Instant::now(),
            frames: 0,
        }
    }

    /// The next frame, without its length: correlation id, response header, body.
    ///
    /// Cancel-safe. Nothing is allocated for a frame longer than `limit`, or than the pool allows.
    ///
    /// # Errors
    /// [`ConnectionError::Protocol`] for a length that cannot be, else what the stream reported. An end of the
    /// stream is [`ConnectionError::ClosedByBroker`], wherever it comes.
    pub(super) async fn next(&mut self, limit: usize) -> Result<PooledBuffer, ConnectionError> {
        while self.length_read < LENGTH_BYTES {
            let read = self.stream.read(&mut self.length[self.length_read..]).await;
            self.length_read += arrived(read, &mut self.last_read)?;
        }
        if self.body.is_none() {
            let length = self.check_length(limit)?;
            self.body = Some((self.pool.take(length), length));
        }
        while let Some((buffer, length)) = &mut self.body
            && buffer.bytes.len() < *length
        {
            // The limit keeps the vector from growing, and bytes of the next frame out of this one.
            let missing = *length - buffer.bytes.len();
            let read = self
                .stream
                .read_buf(&mut (&mut buffer.bytes).limit(missing))
                .await;
            arrived(read, &mut self.last_read)?;
        }
        self.length_read = 0;
        self.frames += 1;
        self.body
            .take()
            .map(|(buffer, _)| buffer)
            .ok_or(ConnectionError::ClosedByBroker)
    }

    /// Throws away what comes until the stream ends, and keeps no buffer meanwhile. There is no next frame after it.
    pub(super) async fn discard(&mut self) -> std::io::Result<()> {
        self.body = None;
        loop {
            let count = self.stream.fill_buf().await?.len();
            if count == 0 {
                return Ok(());
            }
            self.stream.consume(count);
        }
    }

    /// What has come of the frame that is being read.
    pub(super) fn received(&self) -> Received {
        let body = self.body.as_ref();
        Received {
            bytes: (self.length_read + body.map_or(0, |(buffer, _)| buffer.bytes.len())) as u64,
            announced: body.map(|(_, length)| (LENGTH_BYTES + length) as u64),
            last: self.last_read,
        }
    }

    /// How many frames came so far.
    pub(super) fn frames(&self) -> u64 {
        self.frames
    }

    fn check_length(&self, limit: usize) -> Result<usize, ConnectionError> {
        if self.frames == 0
            && let Some(peer) = foreign_protocol(self.length)
        {
            return Err(ConnectionError::Protocol(peer.to_owned()));
        }
        let announced = i32::from_be_bytes(self.length);
        let largest = self.pool.largest();
        match usize::try_from(announced) {
            Ok(length) if length > largest => Err(ConnectionError::Protocol(format!(
                "a response of {length} bytes was announced, and before the login there is none of more than {largest}: is \
                 the listener one of Kafka?"
            ))),
            Ok(length) if length > limit => Err(ConnectionError::Protocol(format!(
                "a response of {length} bytes was announced, and the limit is {limit} (max_response_bytes)"
            ))),
            Ok(length) if length >= SHORTEST => Ok(length),
            _ => Err(ConnectionError::Protocol(format!(
                "a response of {announced} bytes was announced"
            ))),
        }
    }
}

fn arrived(read: std::io::Result<usize>, last_read: &mut Instant) -> Result<usize, ConnectionError> {
    match read {
        Ok(0) => Err(ConnectionError::ClosedByBroker),
        Ok(count) => {
            *last_read = Instant::now();
            Ok(count)
        }
        Err(error) => Err(ConnectionError::io(error)),
    }
}

/// Recognises the first bytes of what listens on a wrongly chosen port.
fn foreign_protocol(start: [u8; LENGTH_BYTES]) -> Option<&'static str> {
    match start {
        [0x15 | 0x16, 0x03, 0x00..=0x04, _] => Some(
            "the listener speaks TLS, and this connection is plaintext: set security_protocol to SSL or SASL_SSL, or use \
                 another listener",
        ),
        [b'H', b'T', b'T', b'P'] => Some("the listener speaks HTTP; is this the port of a REST service?"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    fn reader(bytes: &[u8]) -> FrameReader<std::io::Cursor<Vec<u8>>> {
        FrameReader::new(std::io::Cursor::new(bytes.to_vec()), BufferPool::new(0))
    }

    fn protocol_error(result: Result<PooledBuffer, ConnectionError>) -> String {
        match result {
            Err(ConnectionError::Protocol(reason)) => reason,
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("a frame"),
        }
    }

    #[tokio::test]
    async fn frames_are_told_apart() {
        let mut reader = reader(b"\0\0\0\x05hello\0\0\0\x04data");
        assert_eq!(reader.next(100).await.unwrap().as_ref(), b"hello");
        assert_eq!(reader.next(100).await.unwrap().as_ref(), b"data");
        assert!(matches!(
            reader.next(100).await,
            Err(ConnectionError::ClosedByBroker)
        ));
    }

    #[tokio::test]
    async fn impossible_lengths_are_refused_before_allocation() {
        for (bytes, says) in [
            (&b"\x7f\xff\xff\xff"[..], "2147483647"),
            (b"\xff\xff\xff\xff", "-1"),
            (b"\x80\0\0\0", "-2147483648"),
            (b"\0\0\0\0", "0 bytes"),
            (b"\0\0\0\x03abc", "3 bytes"),
            (b"\0\0\0\x65", "101 bytes"),
            (b"\x15\x03\x03\0\x02\x02", "TLS"),
            (b"HTTP/1.1 400", "HTTP"),
        ] {
            let reason = protocol_error(reader(bytes).next(100).await);
            assert!(reason.contains(says), "{reason}");
        }
    }

    #[tokio::test]
    async fn an_end_inside_of_a_frame_is_a_lost_connection() {
        for cut in 0..9 {
            let mut reader = reader(&b"\0\0\0\x05hello"[..cut]);
            assert!(
                matches!(reader.next(100).await, Err(ConnectionError::ClosedByBroker)),
                "{cut}"
            );
        }
    }

    #[tokio::test]
    async fn large_frames_are_not_mixed_up_though_their_buffers_have_room_to_spare() {
        let mut stream = Vec::new();
        for fill in [1, 2, 3] {
            stream.extend_from_slice(&100_000_u32.to_be_bytes());
            stream.extend_from_slice(&[fill; 100_000]);
        }
        let mut reader = reader(&stream);
        for fill in [1, 2, 3] {
            assert_eq!(reader.next(100_000).await.unwrap().as_ref(), [fill; 100_000]);
        }
    }

    #[tokio::test]
    async fn a_cancelled_read_loses_nothing() {
        let (mut peer, stream) = tokio::io::duplex(3);
        let sent: Vec<u8> = (0..=255).cycle().take(5000).collect();
        let expected = sent.clone();
        let writer = tokio::spawn(async move {
            for _ in 0..2 {
                peer.write_all(&5000_u32.to_be_bytes()).await.unwrap();
                peer.write_all(&sent).await.unwrap();
            }
        });
        let mut reader = FrameReader::new(stream, BufferPool::new(0));
        for _ in 0..2 {
            let frame = loop {
                tokio::select! {
                    biased;
                    frame = reader.next(5000) => break frame.unwrap(),
                    () = tokio::task::yield_now() => {}
                }
            };
            assert_eq!(frame.as_ref(), expected);
        }
        writer.await.unwrap();
    }
}
