//! Recycled receive buffers.
//!
//! Allocating tens of megabytes per response costs a page fault per page; reading into a buffer that was used before
//! nearly doubles the throughput of large responses. A buffer is handed out as [`Bytes`] that own it, and comes back
//! when the last slice of it is dropped.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::link::Guard;

/// Smaller buffers are cheaper to allocate than to look for.
const SMALLEST_KEPT: usize = 64 << 10;
/// Capacities are rounded up, so that responses of similar size can use each other's buffers: to a multiple of this, or of a
/// smaller power of two for small ones.
const GRANULE: usize = 256 << 10;
/// Bytes of the largest response before it is known who the other side is: versions, and messages of a login.
const LARGEST_OF_STRANGER: usize = 1 << 20;

/// Buffers at rest, shared by all connections of a cluster.
#[derive(Clone)]
pub(crate) struct BufferPool {
    shared: Arc<Shared>,
    acquainted: Acquaintance,
}

/// Whether the other side of a connection is known to be what it should be, as far as that is found out at all: it has
/// agreed on versions, and taken the login if there is one.
#[derive(Debug, Clone, Default)]
pub(super) struct Acquaintance(Arc<AtomicBool>);

impl Acquaintance {
    /// From now on the other side is known.
    pub(super) fn made(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Shared {
    /// Most bytes at rest.
    limit: usize,
    rest: Mutex<Rest>,
}

#[derive(Default)]
struct Rest {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

impl BufferPool {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                limit,
                rest: Mutex::default(),
            }),
            acquainted: Acquaintance(Arc::new(AtomicBool::new(true))),
        }
    }

    /// The pool for a new connection: there are only small buffers until the acquaintance is made.
    pub(super) fn for_stranger(&self) -> (Self, Acquaintance) {
        let acquainted = Acquaintance::default();
        let pool = Self {
            shared: Arc::clone(&self.shared),
            acquainted: acquainted.clone(),
        };
        (pool, acquainted)
    }

    /// The largest buffer that may be asked for.
    pub(super) fn largest(&self) -> usize {
        if self.acquainted.0.load(Ordering::Relaxed) {
            usize::MAX
        } else {
            LARGEST_OF_STRANGER
        }
    }

    /// An empty buffer that can take `len` bytes without growing.
    pub(crate) fn take(&self, len: usize) -> PooledBuffer {
        let bytes = if len < SMALLEST_KEPT {
            Vec::with_capacity(len)
        } else {
            self.reuse(len)
                .unwrap_or_else(|| Vec::with_capacity(rounded_up(len)))
        };
        PooledBuffer {
            bytes,
            pool: self.clone(),
            guard: None,
        }
    }

    /// The smallest resting buffer that is large enough, unless it is so much larger that it would be wasted: who accounts
    /// for memory knows the length of a response, so at most half as much again is held.
    fn reuse(&self, len: usize) -> Option<Vec<u8>> {
        let mut rest = self.lock();
        let fits = |buffer: &Vec<u8>| buffer.capacity() >= len && buffer.capacity() - len <= len / 2;
        let (at, _) = (rest.buffers.iter().enumerate())
            .filter(|(_, buffer)| fits(buffer))
            .min_by_key(|(_, buffer)| buffer.capacity())?;
        let buffer = rest.buffers.swap_remove(at);
        rest.bytes -= buffer.capacity();
        Some(buffer)
    }

    fn give_back(&self, mut buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        if capacity < SMALLEST_KEPT || capacity > self.shared.limit {
            return;
        }
        buffer.clear();
        let mut rest = self.lock();
        // The oldest go first: they are of the sizes that are no longer asked for.
        while rest.bytes + capacity > self.shared.limit {
            let oldest = rest.buffers.remove(0);
            rest.bytes -= oldest.capacity();
        }
        rest.bytes += capacity;
        rest.buffers.push(buffer);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Rest> {
        self.shared.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    fn resting(&self) -> (usize, usize) {
        let rest = self.lock();
        (rest.buffers.len(), rest.bytes)
    }
}

/// At most a quarter more.
fn rounded_up(len: usize) -> usize {
    let granule = (len / 8).next_power_of_two().min(GRANULE);
    len.next_multiple_of(granule)
}

impl fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferPool")
            .field("limit", &self.shared.limit)
            .finish_non_exhaustive()
    }
}

/// A buffer that goes back to its pool when it is dropped, with whatever was attached to it.
pub(crate) struct PooledBuffer {
    pub(super) bytes: Vec<u8>,
    pool: BufferPool,
    guard: Option<Guard>,
}

impl PooledBuffer {
    /// The contents as shareable bytes. `guard` is dropped together with the last slice of them.
    pub(super) fn freeze(mut self, guard: Option<Guard>) -> Bytes {
        if self.bytes.capacity() < SMALLEST_KEPT && guard.is_none() {
            return Bytes::from(std::mem::take(&mut self.bytes));
        }
        self.guard = guard;
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for PooledBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        self.pool.give_back(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_with_the_last_slice_and_is_used_again() {
        let pool = BufferPool::new(8 << 20);
        let mut buffer = pool.take(1 << 20);
        buffer.bytes.extend_from_slice(b"abcdef");
        let address = buffer.bytes.as_ptr();
        let whole = buffer.freeze(None);
        let slice = whole.slice(2..4);
        drop(whole);
        assert_eq!(pool.resting().0, 0);
        assert_eq!(&slice[..], b"cd");
        drop(slice);
        assert_eq!(pool.resting().0, 1);
        let again = pool.take(900 << 10);
        assert_eq!(again.bytes.as_ptr(), address);
        assert!(again.bytes.is_empty());
    }

    #[test]
    fn what_is_attached_lives_as_long_as_the_bytes_also_of_small_ones() {
        for len in [10, 1 << 20] {
            let pool = BufferPool::new(8 << 20);
            let mut buffer = pool.take(len);
            buffer.bytes.resize(len, 7);
            let token = Arc::new(());
            let bytes = buffer.freeze(Some(Box::new(Arc::clone(&token))));
            assert_eq!(Arc::strong_count(&token), 2);
            drop(bytes);
            assert_eq!(Arc::strong_count(&token), 1);
        }
    }

    #[test]
    fn resting_bytes_are_bounded() {
        let pool = BufferPool::new(3 << 20);
        let taken: Vec<_> = (0..8).map(|_| pool.take(1 << 20)).collect();
        drop(taken);
        assert_eq!(pool.resting(), (3, 3 << 20));
        drop(pool.take(64 << 20));
        assert_eq!(
            pool.resting(),
            (3, 3 << 20),
            "a buffer larger than the limit is not kept"
        );
    }

    #[test]
    fn no_buffer_is_more_than_half_as_large_again_as_the_response() {
        let small = (SMALLEST_KEPT..(1 << 20)).step_by(10_007);
        for len in small.chain((1 << 20..20 << 20).step_by(700_001)) {
            let pool = BufferPool::new(1 << 30);
            let capacity = pool.take(len).bytes.capacity();
            assert!((len..=len + len / 4).contains(&capacity), "{capacity} for {len}");
            for part in (SMALLEST_KEPT..=len).step_by(len / 16) {
                let pool = BufferPool::new(1 << 30);
                drop(pool.take(len));
                let again = pool.take(part).bytes.capacity();
                assert!((part..=part + part / 2).contains(&again), "{again} for {part}");
                // What fits well is used again.
                assert!(again == capacity || part < len * 7 / 8, "{part} of {len}");
            }
        }
    }

    #[test]
    fn a_stranger_gets_small_buffers_until_the_acquaintance_is_made() {
        let (pool, acquaintance) = BufferPool::new(64 << 20).for_stranger();
        assert_eq!(pool.largest(), LARGEST_OF_STRANGER);
        acquaintance.made();
        assert_eq!(pool.largest(), usize::MAX);
    }
}
