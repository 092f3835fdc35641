//! The end of a connection on which requests were not answered.
//!
//! A broker handles the requests of a connection one after the other, and comes to the end of the connection behind the last
//! of them. So our side is shut down, and the broker's end is awaited: from then on it handles nothing more of this
//! connection. When one is merely dropped, the broker may still find a request in its socket much later.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::frame::FrameReader;
use crate::error::ConnectionError;

/// How long a farewell may take that nobody has to hear.
const FAREWELL: Duration = Duration::from_secs(1);

/// What the end of a connection says about the requests that it leaves unanswered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leftover {
    /// The broker will handle none of them any more.
    Nothing,
    /// It may have to be waited for.
    Doubt,
    /// Whatever happened to the connection, the broker need not have noticed, and no more is heard of it.
    Unknowable,
}

impl Leftover {
    pub(super) fn of(cause: &ConnectionError, unanswered: bool) -> Self {
        match cause {
            _ if !unanswered => Self::Nothing,
            cause if cause.is_hang_up() => Self::Nothing,
            ConnectionError::Io(_) | ConnectionError::Tls(_) | ConnectionError::Closed => Self::Unknowable,
            _ => Self::Doubt,
        }
    }
}

/// Ends our side and throws away what still comes, until the broker ends its own. Returns whether it did, before nobody
/// wanted to know any more. A broker that hangs may do so for long, and all that is kept for it meanwhile is a socket.
pub(super) async fn until_broker_ends<R, W>(
    reader: &mut FrameReader<R>,
    writer: &mut W,
    gone: &watch::Sender<bool>,
    closed: &CancellationToken,
) -> bool
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    // In the clear it is done at once. A TLS session first has to get rid of what it has encrypted already.
    let shut_down = async {
        let _ = writer.shutdown().await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        () = closed.cancelled() => false,
        () = shut_down => false,
        end = reader.discard() => match end {
            Ok(()) => true,
            Err(error) => ConnectionError::io(error).is_hang_up(),
        },
        () = gone.closed() => false,
    }
}

/// A polite end; the broker learns of it either way.
pub(super) async fn farewell(writer: &mut (impl AsyncWrite + Unpin)) {
    let _ = timeout(FAREWELL, writer.shutdown()).await;
}
