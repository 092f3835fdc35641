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
