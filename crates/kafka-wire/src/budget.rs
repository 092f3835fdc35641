//! One limit for the bytes that are held in memory, whoever holds them.
//!
//! A [`Permit`] is taken before the bytes exist, and travels with them: [`Permit::attach`] makes a buffer that gives the
//! bytes back to the budget when its last slice is dropped. So the memory of a pipeline is bounded by one number, whatever
//! the number of partitions and stages, and a slow stage slows down the reader instead of filling memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::Semaphore;

/// A limit on bytes in memory, shared by its clones.
#[derive(Debug, Clone)]
pub struct ByteBudget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    free: Semaphore,
    total: usize,
    waiting: AtomicUsize,
}

impl ByteBudget {
    /// A budget of `total` bytes; at least one, at most what one request for it can name (4 GiB less one byte).
    pub fn new(total: usize) -> Self {
        let total = total.clamp(1, u32::MAX as usize);
        let shared = Shared {
            free: Semaphore::new(total),
            total,
            waiting: AtomicUsize::new(0),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The size of the budget.
    pub fn total(&self) -> usize {
        self.shared.total
    }

    /// How many bytes are free now.
    pub fn available(&self) -> usize {
        self.shared.free.available_permits()
    }

    /// Whether somebody waits for bytes. Whoever collects bytes until there are enough of them should then stop
    /// collecting: the bytes that it waits for may never come.
    pub fn is_contended(&self) -> bool {
        self.shared.waiting.load(Ordering::Relaxed) > 0
    }

    /// Waits until `bytes` are free and takes them; those who wait are served in turn. More than the whole budget is
    /// granted when all of it is free.
    pub async fn acquire(&self, bytes: usize) -> Permit {
        let held = bytes.min(self.shared.total);
        let waiting = Waiting::new(&self.shared.waiting);
        let taken = self.shared.free.acquire_many(held as u32).await;
        drop(waiting);
        match taken {
            Ok(permit) => permit.forget(),
            // The semaphore is never closed.
            Err(_closed) => {
                return Permit {
                    shared: Arc::clone(&self.shared),
                    held: 0,
                };
            }
        }
        Permit {
            shared: Arc::clone(&self.shared),
            held,
        }
    }

    /// Takes `bytes` when they are free now.
    pub fn try_acquire(&self, bytes: usize) -> Option<Permit> {
        let held = bytes.min(self.shared.total);
        self.shared.free.try_acquire_many(held as u32).ok()?.forget();
        Some(Permit {
            shared: Arc::clone(&self.shared),
            held,
        })
    }
}

/// Counts one that waits, for as long as it waits, also when it gives up.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Bytes taken from a [`ByteBudget`], given back on drop.
#[derive(Debug)]
pub struct Permit {
    shared: Arc<Shared>,
    held: usize,
}

impl Permit {
    /// How many bytes it holds.
    pub fn bytes(&self) -> usize {
        self.held
    }

    /// Gives back what exceeds `bytes`.
    pub fn shrink_to(&mut self, bytes: usize) {
        if bytes < self.held {
            self.shared.free.add_permits(self.held - bytes);
            self.held = bytes;
        }
    }

    /// Holds `bytes` from now on, because that many turned out to be in memory already: what is free is taken, and when
    /// that is not enough the budget is exceeded rather than waited for.
    pub fn resize_to(&mut self, bytes: usize) {
        self.shrink_to(bytes);
        self.held += self.shared.free.forget_permits(bytes - self.held);
    }

    /// Moves up to `bytes` of it into a permit of its own.
    pub fn split(&mut self, bytes: usize) -> Permit {
        let moved = bytes.min(self.held);
        self.held -= moved;
        Permit {
            shared: Arc::clone(&self.shared),
            held: moved,
        }
    }

    /// Ties the permit to a buffer: it is given back when the last slice of the returned buffer is dropped.
    pub fn attach(self, buffer: Bytes) -> Bytes {
        Bytes::from_owner(Accounted {
            buffer,
            _permit: self,
        })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.held > 0 {
            self.shared.free.add_permits(self.held);
        }
    }
}

/// A buffer and the permit for it. The buffer is declared first: its memory is free before the permit says so.
struct Accounted {
    buffer: Bytes,
    _permit: Permit,
}

impl AsRef<[u8]> for Accounted {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_slice_gives_the_bytes_back() {
        let budget = ByteBudget::new(1000);
        let permit = budget.acquire(600).await;
        let buffer = permit.attach(Bytes::from(vec![7; 600]));
        let slice = buffer.slice(10..20);
        drop(buffer);
        assert_eq!(budget.available(), 400);
        assert_eq!(slice[..], [7; 10]);
        drop(slice);
        assert_eq!(budget.available(), 1000);
    }

    #[tokio::test]
    async fn more_than_everything_is_granted_once_everything_is_free() {
        let budget = ByteBudget::new(100);
        let small = budget.acquire(1).await;
        assert!(budget.try_acquire(500).is_none());
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { budget.acquire(500).await.bytes() }
        });
        while !budget.is_contended() {
            tokio::task::yield_now().await;
        }
        drop(small);
        assert_eq!(waiting.await.unwrap(), 100);
        assert!(!budget.is_contended());
        assert_eq!(budget.available(), 100);
    }

    #[tokio::test]
    async fn one_that_gives_up_waiting_does_not_count_as_waiting() {
        let budget = ByteBudget::new(10);
        let _all = budget.acquire(10).await;
        let asked = tokio::time::timeout(std::time::Duration::from_millis(5), budget.acquire(1)).await;
        assert!(asked.is_err());
        assert!(!budget.is_contended());
    }

    #[test]
    fn a_permit_can_shrink_split_and_exceed_the_budget_without_losing_a_byte() {
        let budget = ByteBudget::new(100);
        let mut permit = budget.try_acquire(50).unwrap();
        let part = permit.split(20);
        assert_eq!((permit.bytes(), part.bytes()), (30, 20));
        permit.resize_to(10);
        assert_eq!(budget.available(), 70);
        permit.resize_to(500);
        assert_eq!((permit.bytes(), budget.available()), (80, 0));
        drop(permit);
        drop(part);
        assert_eq!(budget.available(), 100);
    }
}
