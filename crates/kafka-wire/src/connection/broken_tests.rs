//! A stream that cannot be written to any more.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::ReadBuf;

use super::*;

/// Nothing comes, and nothing can be written.
struct Broken;

impl AsyncRead for Broken {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Broken {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A socket that fails has taken nothing. A session that encrypts may have sent some of what it was given before that.
#[tokio::test(start_paused = true)]
async fn a_write_that_fails_leaves_in_doubt_what_a_session_may_have_sent() {
    for encrypts in [false, true] {
        let closed = CancellationToken::new();
        let link = drive(Broken, encrypts, &closed);
        let first = start(&link, 0, &[b"one"]);
        let second = start(&link, 0, &[b"two"]);
        let (first, second) = (first.await, second.await);
        // The second may have been handed over before or after the first has failed.
        if encrypts {
            assert!(matches!(in_doubt(first), ConnectionError::Io(_)));
            assert!(second.is_err());
        } else {
            assert!(matches!(not_sent(first), ConnectionError::Io(_)));
            assert!(matches!(not_sent(second), ConnectionError::Io(_)));
        }
    }
}
