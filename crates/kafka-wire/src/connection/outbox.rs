//! Requests on their way to the socket, and how far they got.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// Slices per vectored write. Linux takes 1024; more than some dozens gains nothing.
const SLICES: usize = 64;

/// Requests in the order in which they are written.
///
/// `T` is what is kept about a request. It is handed back when the first byte of the request was written: from then
/// on the broker may have seen it.
#[derive(Debug)]
pub(super) struct Outbox<T> {
    requests: VecDeque<Outgoing<T>>,
}

#[derive(Debug)]
struct Outgoing<T> {
    chunks: VecDeque<Bytes>,
    /// `None` once the first byte is written.
    ticket: Option<T>,
}

impl<T> Default for Outbox<T> {
    fn default() -> Self {
        Self {
            requests: VecDeque::new(),
        }
    }
}

impl<T> Outbox<T> {
    /// Appends a request. Empty chunks are left out; at least one must not be empty.
    pub(super) fn push(&mut self, chunks: impl IntoIterator<Item = Bytes>, ticket: T) {
        let chunks: VecDeque<Bytes> = chunks.into_iter().filter(|chunk| !chunk.is_empty()).collect();
        debug_assert!(!chunks.is_empty(), "a request has a header");
        self.requests.push_back(Outgoing {
            chunks,
            ticket: Some(ticket),
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// What is kept about the first request of which nothing was written.
    pub(super) fn first(&self) -> Option<&T> {
        self.requests.iter().find_map(|request| request.ticket.as_ref())
    }

    /// Whether the request that is next to be written has begun to be.
    pub(super) fn is_partly_written(&self) -> bool {
        self.requests
            .front()
            .is_some_and(|request| request.ticket.is_none())
    }

    /// What to write next, of as many requests as fit.
    pub(super) fn slices(&self) -> Vec<IoSlice<'_>> {
        (self.requests.iter())
            .flat_map(|request| &request.chunks)
            .take(SLICES)
            .map(|chunk| IoSlice::new(chunk))
            .collect()
    }

    /// Notes that `written` bytes went out; returns the requests whose first byte was among them, in order.
    pub(super) fn advance(&mut self, mut written: usize) -> Vec<T> {
        let mut started = Vec::new();
        while written > 0
            && let Some(request) = self.requests.front_mut()
        {
            started.extend(request.ticket.take());
            while written > 0
                && let Some(chunk) = request.chunks.front_mut()
            {
                let step = written.min(chunk.len());
                chunk.advance(step);
                written -= step;
                if chunk.is_empty() {
                    request.chunks.pop_front();
                }
            }
            if request.chunks.is_empty() {
                self.requests.pop_front();
            }
        }
        started
    }

    /// Notes that nobody knows how much of what was [offered](Self::slices) last went out; returns the requests that were among
    /// it, in order.
    pub(super) fn lose_sight(&mut self) -> Vec<T> {
        let offered = self.slices().iter().map(|slice| slice.len()).sum();
        self.advance(offered)
    }

    /// Drops all that is left; returns the requests of which no byte was written.
    pub(super) fn abandon(&mut self) -> Vec<T> {
        self.requests
            .drain(..)
            .filter_map(|request| request.ticket)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox() -> Outbox<u8> {
        let mut outbox = Outbox::default();
        outbox.push(
            [Bytes::from_static(b"ab"), Bytes::new(), Bytes::from_static(b"cd")],
            1,
        );
        outbox.push([Bytes::from_static(b"efg")], 2);
        outbox
    }

    fn rest(outbox: &Outbox<u8>) -> Vec<u8> {
        outbox.slices().iter().flat_map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn a_request_is_started_by_its_first_byte() {
        let mut outbox = outbox();
        assert_eq!(outbox.advance(1), [1]);
        assert!(outbox.advance(3).is_empty());
        assert_eq!(rest(&outbox), b"efg");
        assert_eq!(outbox.abandon(), [2]);
        assert!(outbox.is_empty());
    }

    #[test]
    fn every_split_of_the_bytes_gives_the_same_result() {
        for first in 0..=7 {
            let mut outbox = outbox();
            let mut started = outbox.advance(first);
            assert_eq!(rest(&outbox), b"abcdefg"[first..]);
            assert_eq!(started.len(), usize::from(first > 0) + usize::from(first > 4));
            started.extend(outbox.advance(7 - first));
            assert_eq!(started, [1, 2]);
            assert!(outbox.is_empty());
        }
    }

    #[test]
    fn many_chunks_are_written_in_parts() {
        let mut outbox = Outbox::default();
        outbox.push((0..1000).map(|_| Bytes::from_static(b"x")), 1);
        assert_eq!(outbox.slices().len(), SLICES);
    }

    #[test]
    fn what_was_never_offered_is_not_lost_sight_of() {
        let mut outbox = outbox();
        outbox.push((0..SLICES).map(|_| Bytes::from_static(b"x")), 3);
        outbox.push([Bytes::from_static(b"y")], 4);
        assert_eq!(outbox.lose_sight(), [1, 2, 3]);
        assert_eq!(outbox.abandon(), [4]);
    }
}
