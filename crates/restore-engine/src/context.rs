//! What a phase needs from outside.

use std::sync::Arc;
use std::time::SystemTime;

use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::observe::{Event, NoObserver, Observer};
use crate::storage::Storage;
use crate::workers::Workers;

/// Default of [`Context::memory_bytes`].
const DEFAULT_MEMORY_BYTES: usize = 96 * 1024 * 1024;

/// Storage, observer, cancellation and time, passed into every phase, so that a test or a service can give its own.
#[derive(Debug, Clone)]
pub struct Context {
    /// Where backups lie.
    pub storage: Arc<dyn Storage>,
    /// Told of progress and warnings.
    pub observer: Arc<dyn Observer>,
    /// When cancelled, a phase stops, puts back what it changed for its own sake, and ends in `Error::Cancelled`.
    pub cancel: CancellationToken,
    /// The time that is written into manifests, mappings and names, in milliseconds since the epoch: that at which the
    /// context was made. What runs for long adds the time that has passed since.
    pub now_ms: i64,
    made_at: SystemTime,
    /// Bytes of records that may be in memory at a time, whatever the number of partitions.
    pub memory_bytes: usize,
    pub(crate) workers: Workers,
}

impl Context {
    /// A context without observer that is never cancelled.
    pub fn new(storage: Arc<dyn Storage>, now_ms: i64) -> Self {
        Self {
            storage,
            observer: Arc::new(NoObserver),
            cancel: CancellationToken::new(),
            now_ms,
            made_at: SystemTime::now(),
            memory_bytes: DEFAULT_MEMORY_BYTES,
            workers: Workers::for_this_machine(),
        }
    }

    /// `now_ms`, and what has passed since then.
    pub(crate) fn now(&self) -> i64 {
        let passed = self.made_at.elapsed().unwrap_or_default();
        let passed = i64::try_from(passed.as_millis()).unwrap_or(i64::MAX);
        self.now_ms.saturating_add(passed)
    }

    /// What `work` gives, or `Error::Cancelled` as soon as the context is cancelled.
    pub(crate) async fn unless_cancelled<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        tokio::select! {
            done = work => Ok(done),
            () = self.cancel.cancelled() => Err(Error::Cancelled),
        }
    }

    /// Tells the observer of something.
    pub(crate) fn warn(&self, text: String) {
        self.observer.event(&Event::Warning(text));
    }

    /// The same with an observer.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// The same with a token that ends it.
    #[must_use]
    pub fn with_cancel(mut self, cancel: CancellationToken) -> Self {
        self.cancel = cancel;
        self
    }
}
