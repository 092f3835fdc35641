//! Threads for work that takes CPU rather than time: compression, transcoding, digests.
//!
//! Kept off the threads that move bytes, and never more of it at once than there are cores.

use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::sync::Semaphore;

use crate::error::{Error, Result};

/// A handle on the worker threads; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Workers {
    places: Arc<Semaphore>,
}

impl Workers {
    /// As many at once as this machine has cores.
    pub(crate) fn for_this_machine() -> Self {
        Self::new(available_parallelism().map_or(2, usize::from))
    }

    /// As many at once as the operator says.
    pub(crate) fn new(threads: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(threads.max(1))),
        }
    }

    /// Runs `work` on a worker thread once one is free.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let place = Arc::clone(&self.places)
            .acquire_owned()
            .await
            .map_err(|_| Error::Cancelled)?;
        let job = tokio::task::spawn_blocking(move || {
            let _place = place;
            work()
        });
        job.await
            .map_err(|join| Error::Internal(format!("a worker stopped: {join}")))
    }
}
