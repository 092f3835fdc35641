//! Writing an object while what comes next in it is prepared.

use bytes::Bytes;
use tokio::task::JoinSet;

use crate::error::{Error, Result};
use crate::storage::ObjectWriter;

/// Pieces are gathered to this many bytes before they are written, as long as more of them come at once.
const WRITE_BYTES: usize = 1024 * 1024;

/// An object, of which one write at a time is under way. Dropping it ends the writing.
#[derive(Debug)]
pub(super) struct WriteBehind {
    /// None while a write has it.
    object: Option<Box<dyn ObjectWriter>>,
    /// At most one.
    writing: JoinSet<Result<Box<dyn ObjectWriter>>>,
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
}

impl WriteBehind {
    pub(super) fn new(object: Box<dyn ObjectWriter>) -> Self {
        Self {
            object: Some(object),
            writing: JoinSet::new(),
            waiting: Vec::new(),
            waiting_bytes: 0,
        }
    }

    /// Appends pieces; returns before they are written.
    pub(super) async fn append(&mut self, pieces: Vec<Bytes>) -> Result<()> {
        self.waiting_bytes += pieces.iter().map(Bytes::len).sum::<usize>();
        self.waiting.extend(pieces);
        match self.waiting_bytes < WRITE_BYTES {
            true => Ok(()),
            false => self.hand_over().await,
        }
    }

    /// Nothing more comes for now: what waits must be written, as it may hold memory that others wait for.
    pub(super) async fn hand_over(&mut self) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let mut object = self.at_rest().await?;
        let pieces = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        self.writing.spawn(async move {
            object.write(pieces).await?;
            Ok(object)
        });
        Ok(())
    }

    /// Everything is written; the object can be finished.
    pub(super) async fn all_written(mut self) -> Result<Box<dyn ObjectWriter>> {
        self.hand_over().await?;
        self.at_rest().await
    }

    async fn at_rest(&mut self) -> Result<Box<dyn ObjectWriter>> {
        if let Some(object) = self.object.take() {
            return Ok(object);
        }
        match self.writing.join_next().await {
            Some(written) => written.map_err(|join| Error::Internal(format!("a write stopped: {join}")))?,
            None => Err(Error::Internal(
                "an earlier write of the object failed".to_owned(),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::storage::{MemoryStorage, Storage, StorageError, StorageFuture};

    proptest! {
        #[test]
        fn the_object_has_all_pieces_in_their_order(
            sizes in prop::collection::vec((0..700_000usize, any::<bool>()), 0..12),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let storage = MemoryStorage::new();
                let mut behind = WriteBehind::new(storage.create("object").await.unwrap());
                let mut wanted = Vec::new();
                for (number, (size, hand_over)) in sizes.into_iter().enumerate() {
                    let piece = vec![number as u8; size];
                    wanted.extend_from_slice(&piece);
                    behind.append(vec![Bytes::from(piece), Bytes::from_static(b"|")]).await.unwrap();
                    wanted.push(b'|');
                    if hand_over {
                        behind.hand_over().await.unwrap();
                        assert!(behind.waiting.is_empty());
                    }
                    assert!(behind.waiting_bytes < WRITE_BYTES);
                }
                behind.all_written().await.unwrap().finish().await.unwrap();
                assert!(storage.get("object", u64::MAX).await.unwrap() == wanted);
            });
        }
    }

    /// A full disk.
    #[derive(Debug)]
    struct Full;

    impl ObjectWriter for Full {
        fn write(&mut self, _pieces: Vec<Bytes>) -> StorageFuture<'_, ()> {
            let (name, place) = ("object".to_owned(), "a full disk".to_owned());
            Box::pin(async { Err(StorageError::NotFound { name, place }) })
        }

        fn finish(self: Box<Self>) -> StorageFuture<'static, ()> {
            panic!("an object that could not be written is finished");
        }
    }

    #[tokio::test]
    async fn a_write_that_fails_is_told_by_what_comes_next_and_never_forgotten() {
        let piece = || vec![Bytes::from(vec![0; WRITE_BYTES])];
        let mut behind = WriteBehind::new(Box::new(Full));
        behind.append(piece()).await.unwrap();
        assert!(matches!(behind.append(piece()).await, Err(Error::Storage(_))));
        assert!(matches!(behind.append(piece()).await, Err(Error::Internal(_))));
        assert!(behind.all_written().await.is_err());

        let mut last = WriteBehind::new(Box::new(Full));
        last.append(vec![Bytes::from_static(b"little")]).await.unwrap();
        assert!(matches!(last.all_written().await, Err(Error::Storage(_))));
    }
}
