//! Threads for work that takes CPU rather than time: compression, transcoding, digests.
//!
//! Kept off the threads that move bytes, and never more of it at once than there are cores. The threads are their own, not
//! those of the runtime: a worker goes from one job to the next without asking anybody, and the compression contexts that
//! each thread keeps are as many as there are workers.

use std::fmt;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, available_parallelism};

use tokio::sync::oneshot;

use crate::error::{Error, Result};

type Work = Box<dyn FnOnce() + Send>;

/// A handle on the worker threads, which start with the first job and end with the last handle; clones share them.
#[derive(Clone)]
pub(crate) struct Workers {
    threads: usize,
    queue: Arc<OnceLock<Sender<Work>>>,
}

/// Work that has been handed over, and is done whether or not somebody waits for it.
#[derive(Debug)]
pub(crate) struct Job<T>(oneshot::Receiver<T>);

impl Workers {
    /// As many at once as this machine has cores.
    pub(crate) fn for_this_machine() -> Self {
        Self::new(available_parallelism().map_or(2, usize::from))
    }

    /// As many at once as the operator says.
    pub(crate) fn new(threads: usize) -> Self {
        Self {
            threads: threads.max(1),
            queue: Arc::default(),
        }
    }

    /// Queues `work`; the workers take it in the order in which it came.
    pub(crate) fn start<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Job<T> {
        let (done, job) = oneshot::channel();
        let queue = self.queue.get_or_init(|| start_threads(self.threads));
        // Without a single worker left, or with one that panics, the job's sender is dropped: that is what its owner sees.
        let _ = queue.send(Box::new(move || {
            // Nobody may be waiting any more.
            let _ = done.send(work());
        }));
        Job(job)
    }

    /// Runs `work` on a worker thread once one is free.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        self.start(work).done().await
    }
}

impl<T> Job<T> {
    /// What the work gave.
    pub(crate) async fn done(self) -> Result<T> {
        let stopped = |_| Error::Internal("a worker thread stopped".to_owned());
        self.0.await.map_err(stopped)
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers")
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

fn start_threads(threads: usize) -> Sender<Work> {
    let (queue, jobs) = mpsc::channel();
    let jobs = Arc::new(Mutex::new(jobs));
    for number in 0..threads {
        let jobs = Arc::clone(&jobs);
        let started = thread::Builder::new()
            .name(format!("worker-{number}"))
            .spawn(move || work_through(&jobs));
        // Fewer will do; and with none, every job says so.
        if started.is_err() {
            break;
        }
    }
    queue
}

/// Until there are no more handles, and no more work.
fn work_through(jobs: &Mutex<Receiver<Work>>) {
    while let Some(work) = next(jobs) {
        work();
    }
}

fn next(jobs: &Mutex<Receiver<Work>>) -> Option<Work> {
    jobs.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn no_more_work_is_done_at_once_than_there_are_threads() {
        let workers = Workers::new(3);
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let jobs: Vec<Job<usize>> = (0..100)
            .map(|number| {
                let (now, most) = (Arc::clone(&now), Arc::clone(&most));
                workers.start(move || {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    thread::yield_now();
                    now.fetch_sub(1, Ordering::SeqCst);
                    number
                })
            })
            .collect();
        for (number, job) in jobs.into_iter().enumerate() {
            assert_eq!(job.done().await.unwrap(), number);
        }
        assert!((1..=3).contains(&most.load(Ordering::SeqCst)));
    }

    #[tokio::test]
    async fn work_that_panics_is_an_error_and_no_hang() {
        let workers = Workers::new(1);
        for _ in 0..2 {
            let died = workers.run(|| assert_eq!(1, 2)).await;
            assert!(matches!(died, Err(Error::Internal(_))), "{died:?}");
        }
    }
}
