//! The largest request that a broker accepts.
//!
//! A broker that is announced more bytes than its `socket.request.max.bytes` cuts the connection without a word, before it
//! has read any of them. Sending the same again would go on for ever. So when a large request is lost with its connection,
//! the broker is asked for that setting.

use super::lane::Lane;
use super::queue::Sent;
use crate::error::{ConnectionError, Error};
use crate::problem::PartitionProblem;

/// No broker of any use accepts less; what is lost with a smaller request was lost for another reason.
const ALWAYS_ACCEPTED: usize = 1 << 20;
/// Room for what is not batches: the header of a request with the longest client id.
const ENVELOPE: usize = 40 << 10;

const SETTING: &str = "socket.request.max.bytes";

/// What a broker says about its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    Known(usize),
    /// It answers, and does not tell.
    Hidden,
    /// It does not answer, so it may be gone.
    Unknown,
}

impl Lane {
    /// Bytes of batches to put into one request.
    pub(super) fn most_bytes(&self) -> usize {
        let most = self.shared.options.max_request_bytes;
        match self.shared.request_limit(self.queue.node) {
            Some(limit) => most.min(limit.saturating_sub(ENVELOPE)),
            None => most,
        }
    }

    /// A request of so many bytes was lost. A batch that can never be sent ends its partition; everything else is sent
    /// again, once it is known what the log holds.
    pub(super) async fn lost(&self, sent: Vec<Sent>, bytes: usize, error: &Error) {
        let limit = if bytes > ALWAYS_ACCEPTED && is_cut(error) {
            self.ask_for_limit().await
        } else {
            Limit::Unknown
        };
        // Where the limit is not told, it may be anything less; half as much is tried then.
        let (told, most) = match limit {
            Limit::Known(limit) if bytes > limit => (Some(limit as u64), limit),
            Limit::Hidden => (None, bytes / 2),
            Limit::Known(_) | Limit::Unknown => return self.all_failed(sent, error),
        };
        self.shared.set_request_limit(self.queue.node, most);
        match sent.as_slice() {
            [alone] => {
                let problem = PartitionProblem::RequestTooLarge {
                    bytes: bytes as u64,
                    limit: told,
                };
                let error = alone.partition.error(problem);
                self.all_failed(sent, &error);
            }
            _ => self.all_failed(sent, error),
        }
    }

    async fn ask_for_limit(&self) -> Limit {
        let node = self.queue.node;
        match self.shared.cluster.broker_setting(node, SETTING).await {
            Ok(value) => match value.and_then(|value| value.parse().ok()) {
                Some(limit) => Limit::Known(limit),
                None => Limit::Hidden,
            },
            Err(error) if error.code().is_some() => Limit::Hidden,
            Err(_) => Limit::Unknown,
        }
    }
}

/// Whether the broker, or something between, ended the connection. At the first request of a connection that looks as if
/// it expected a login.
fn is_cut(error: &Error) -> bool {
    let (Error::NotSent { source, .. } | Error::InDoubt { source, .. }) = error else {
        return false;
    };
    matches!(
        source,
        ConnectionError::ClosedByBroker | ConnectionError::Io(_) | ConnectionError::LoginExpected
    )
}
