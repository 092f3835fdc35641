//! Segments of this run that no manifest names: of a cycle that failed, or of a run that ends before its next commit.
//!
//! Whoever writes for a commit draws a number that is part of the segments' names. So what a failed cycle has left is told from
//! what a later one writes for the same generation, and no two of them ever want one name.

use std::collections::BTreeSet;

use segment_format::layout;

use crate::concurrent::map_bounded;
use crate::context::Context;
use crate::error::Result;

/// Objects that are removed at the same time.
const PARALLEL: usize = 8;

/// Who writes segments for one commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Writer {
    /// The generation that the commit will have.
    pub(super) generation: u64,
    /// Part of the names of its segments.
    pub(super) nonce: u64,
}

/// Writers whose commit has not been made.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    writers: Vec<Left>,
}

#[derive(Debug)]
struct Left {
    writer: Writer,
    looked_for: bool,
}

impl Leftovers {
    pub(super) fn add(&mut self, writer: Writer) {
        let looked_for = false;
        self.writers.push(Left { writer, looked_for });
    }

    /// The generations of which there may be segments that are to be removed now. A write whose reply was lost may come
    /// through late: so they are looked for at once, and again when their generation, `committed` by then, is decided.
    pub(super) fn due(&self, committed: u64) -> BTreeSet<u64> {
        let due = |left: &&Left| !left.looked_for || left.writer.generation <= committed;
        let due = self.writers.iter().filter(due);
        due.map(|left| left.writer.generation).collect()
    }

    /// Those that were due were looked for.
    pub(super) fn looked_for(&mut self, committed: u64) {
        self.writers.retain(|left| left.writer.generation > committed);
        self.writers.iter_mut().for_each(|left| left.looked_for = true);
    }

    /// The generations of all.
    pub(super) fn generations(&self) -> BTreeSet<u64> {
        self.writers.iter().map(|left| left.writer.generation).collect()
    }

    /// Names of the segments that were left. Only those generations are listed, of whose segments there are few: a set may
    /// have hundreds of thousands in all.
    pub(super) async fn list(
        &self,
        context: &Context,
        backup_id: &str,
        generations: BTreeSet<u64>,
    ) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for generation in generations {
            let prefix = layout::segments_of_generation_prefix(backup_id, generation);
            let listed = context.storage.list(&prefix).await?;
            let listed = listed.into_iter().map(|object| object.name);
            names.extend(listed.filter(|name| self.has(name)));
        }
        Ok(names)
    }

    fn has(&self, name: &str) -> bool {
        layout::parse_segment_name(name).is_some_and(|name| {
            let writer = Writer {
                generation: name.generation,
                nonce: name.writer_nonce,
            };
            self.writers.iter().any(|left| left.writer == writer)
        })
    }
}

/// Removes objects.
pub(super) async fn remove(context: &Context, names: Vec<String>) -> Result<()> {
    let removed = map_bounded(names, PARALLEL, |name| {
        let storage = context.storage.clone();
        async move { Ok(storage.delete(&name).await?) }
    });
    removed.await.map(drop)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::storage::{MemoryStorage, Storage};

    fn writer(generation: u64, nonce: u64) -> Writer {
        Writer { generation, nonce }
    }

    #[test]
    fn what_is_left_is_looked_for_twice() {
        let mut left = Leftovers::default();
        left.add(writer(5, 1));
        left.add(writer(5, 2));
        assert_eq!(left.due(4), [5].into());
        left.looked_for(4);
        assert_eq!(left.due(4), [].into(), "its generation is not decided");
        left.add(writer(5, 3));
        assert_eq!(left.due(4), [5].into());
        assert_eq!(left.due(5), [5].into());
        left.looked_for(5);
        assert!(left.generations().is_empty());
    }

    #[tokio::test]
    async fn only_what_the_writers_have_left_is_found() {
        let storage = MemoryStorage::new();
        let segments = [(4, 1), (5, 1), (5, 2), (5, 9), (6, 1)];
        for (generation, nonce) in segments {
            for sequence in 1..3 {
                let name = layout::segment_name("b", generation, sequence, nonce);
                storage.put(&name, Bytes::new()).await.unwrap();
            }
        }
        let context = Context::new(Arc::new(storage.clone()), 0);
        let mut left = Leftovers::default();
        left.add(writer(5, 1));
        left.add(writer(5, 2));
        let found = left.list(&context, "b", left.generations()).await.unwrap();
        assert_eq!(found.len(), 4, "{found:?}");
        remove(&context, found).await.unwrap();
        let stays: Vec<_> = storage.list("").await.unwrap();
        let stays: BTreeSet<_> = stays
            .iter()
            .filter_map(|object| layout::parse_segment_name(&object.name))
            .map(|name| (name.generation, name.writer_nonce))
            .collect();
        assert_eq!(stays, [(4, 1), (5, 9), (6, 1)].into());
    }
}
