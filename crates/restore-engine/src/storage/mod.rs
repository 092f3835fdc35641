//! Where backups lie: a small trait over named, immutable objects.
//!
//! Not a filesystem interface: no directories to make, no renames, no appending to what exists. An object comes into
//! being whole, once, or not at all; this is what the crash safety of a backup rests on, so that every backend must
//! give it (`conformance` is the suite that each of them passes).
//!
//! To add a backend: implement [`Storage`], run the conformance suite over it, name it in [`open`] and in the
//! configuration's `StorageConfig`.

#[cfg(test)]
mod conformance;
mod fs;
mod memory;
mod s3;

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

pub use fs::FilesystemStorage;
pub use memory::MemoryStorage;
pub use s3::S3Storage;

use crate::config::StorageConfig;

/// A future of a [`Storage`] method.
pub type StorageFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StorageError>> + Send + 'a>>;

/// Named immutable objects. Names are relative, `/`-separated and come from `segment_format::layout`.
pub trait Storage: Send + Sync + fmt::Debug {
    /// Begins an object that is written piece by piece. Nothing is visible before [`ObjectWriter::finish`].
    fn create<'a>(&'a self, name: &'a str) -> StorageFuture<'a, Box<dyn ObjectWriter>>;

    /// Creates an object whole. [`StorageError::Exists`] when the name is taken: then nothing has changed.
    fn put<'a>(&'a self, name: &'a str, bytes: Bytes) -> StorageFuture<'a, ()>;

    /// The whole object, which must not be larger than `limit` bytes.
    fn get<'a>(&'a self, name: &'a str, limit: u64) -> StorageFuture<'a, Bytes>;

    /// Exactly the bytes of `range`; fewer are an error ([`StorageError::Short`]).
    fn get_range<'a>(&'a self, name: &'a str, range: Range<u64>) -> StorageFuture<'a, Bytes>;

    /// Size of the object in bytes.
    fn head<'a>(&'a self, name: &'a str) -> StorageFuture<'a, u64>;

    /// Every object whose name starts with `prefix`, sorted by name.
    fn list<'a>(&'a self, prefix: &'a str) -> StorageFuture<'a, Vec<ObjectMeta>>;

    /// The first `limit` of what [`list`](Self::list) gives: one request, or one look into a folder, however many objects
    /// there are behind them.
    fn list_first<'a>(&'a self, prefix: &'a str, limit: usize) -> StorageFuture<'a, Vec<ObjectMeta>>;

    /// The next parts of the names below `prefix` (empty, or ending in `/`) that have more parts behind them: sorted,
    /// without the prefix and without the `/`.
    fn list_folders<'a>(&'a self, prefix: &'a str) -> StorageFuture<'a, Vec<String>>;

    /// Removes an object; no error when there is none.
    fn delete<'a>(&'a self, name: &'a str) -> StorageFuture<'a, ()>;

    /// Objects whose name starts with `prefix` that were begun and have not ended. Writers at work look like those that
    /// were killed: who removes them goes by their age. Some servers list only what is under a full name
    /// (`docs/config.md`).
    fn list_unfinished<'a>(&'a self, prefix: &'a str) -> StorageFuture<'a, Vec<Unfinished>>;

    /// Removes what an unfinished object has left in the storage. No error when it is gone; a writer at work on it fails.
    fn abort_unfinished<'a>(&'a self, unfinished: &'a Unfinished) -> StorageFuture<'a, ()>;

    /// Bounds what all writers of this storage hold in memory of what was written to them and is not stored yet: about `bytes`,
    /// but never less than they need to go on. Returns the bound; 0 when they hold nothing.
    fn limit_memory(&self, bytes: usize) -> usize;

    /// Whether the place that is to hold objects is there: a folder in which nothing was ever stored may not be. Servers tell
    /// by themselves, in every answer, when a bucket is not.
    fn exists(&self) -> StorageFuture<'_, bool> {
        Box::pin(std::future::ready(Ok(true)))
    }

    /// For messages: "folder /backups".
    fn describe(&self) -> String;
}

/// An object that is being written. Dropping it without [`finish`](Self::finish) leaves nothing behind.
pub trait ObjectWriter: Send + Sync + fmt::Debug {
    /// Appends `pieces` in order.
    fn write(&mut self, pieces: Vec<Bytes>) -> StorageFuture<'_, ()>;

    /// Makes the object durable, then visible under its name; [`StorageError::Exists`] when the name is taken.
    fn finish(self: Box<Self>) -> StorageFuture<'static, ()>;
}

/// An entry of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Name, as given when the object was created.
    pub name: String,
    /// Size in bytes.
    pub bytes: u64,
}

/// An object that was begun and has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// The object's name or, for files, that of the temporary file beside where it was to be.
    pub name: String,
    /// When it was begun or, for files, last written to: milliseconds since 1970 UTC, where the storage says it.
    pub last_seen_ms: Option<i64>,
    /// Tells it from others of the name.
    id: String,
}

/// A storage operation that failed, and on what.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// No such object.
    #[error("{name} does not exist in {place}")]
    NotFound {
        /// The object.
        name: String,
        /// The storage.
        place: String,
    },
    /// The object exists already, and objects are never rewritten.
    #[error("{name} exists already in {place}, and what is written is never rewritten")]
    Exists {
        /// The object.
        name: String,
        /// The storage.
        place: String,
    },
    /// Larger than the caller is ready to read.
    #[error("{name} in {place} has {bytes} bytes, more than the {limit} that such an object may have")]
    TooLarge {
        /// The object.
        name: String,
        /// The storage.
        place: String,
        /// Its size.
        bytes: u64,
        /// The most that was asked for.
        limit: u64,
    },
    /// The object ends before the range that was asked for.
    #[error("{name} in {place} ends before byte {end}: it is cut short")]
    Short {
        /// The object.
        name: String,
        /// The storage.
        place: String,
        /// End of the range that was asked for.
        end: u64,
    },
    /// It will not work before something is changed: the configuration, rights, the bucket.
    #[error("cannot {action} {name} in {place}: {problem}")]
    Refused {
        /// What was tried.
        action: &'static str,
        /// The object.
        name: String,
        /// The storage.
        place: String,
        /// Why, and what to change.
        problem: String,
    },
    /// There is no room. Later there may be.
    #[error("cannot {action} {name} in {place}: {problem}")]
    Full {
        /// What was tried.
        action: &'static str,
        /// The object.
        name: String,
        /// The storage.
        place: String,
        /// Why, and what to do.
        problem: String,
    },
    /// It did not work, several times over; later it may.
    #[error("cannot {action} {name} in {place}: {problem}; this may be temporary")]
    Unavailable {
        /// What was tried.
        action: &'static str,
        /// The object.
        name: String,
        /// The storage.
        place: String,
        /// Why.
        problem: String,
    },
    /// The system refused.
    #[error("cannot {action} {name} in {place}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The object.
        name: String,
        /// The storage.
        place: String,
        /// Why.
        source: std::io::Error,
    },
}

impl StorageError {
    /// Whether the same may work later without anybody changing the configuration, rights, or what is stored.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Full { .. } | Self::Unavailable { .. } | Self::Io { .. }
        )
    }
}

/// The storage that a configuration names. Nothing is asked of it before the first operation.
pub fn open(config: &StorageConfig) -> Arc<dyn Storage> {
    match config {
        StorageConfig::Filesystem { path, prefix } => {
            let root = if prefix.is_empty() {
                path.clone()
            } else {
                path.join(prefix)
            };
            Arc::new(FilesystemStorage::new(root))
        }
        StorageConfig::S3(config) => Arc::new(S3Storage::new((**config).clone())),
    }
}
