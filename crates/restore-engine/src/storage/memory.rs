//! Objects in memory: for tests of what lies above the storage.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::{ObjectMeta, ObjectWriter, Storage, StorageError, StorageFuture, Unfinished};

/// A map from names to bytes, shared by its clones.
#[derive(Debug, Clone, Default)]
pub struct MemoryStorage {
    objects: Arc<Mutex<BTreeMap<String, Bytes>>>,
}

impl MemoryStorage {
    /// An empty storage.
    pub fn new() -> Self {
        Self::default()
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Bytes>> {
        // The map is whole after any panic: every change of it is one call.
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, name: &str, bytes: Bytes) -> Result<(), StorageError> {
        let mut objects = self.objects();
        if objects.contains_key(name) {
            return Err(StorageError::Exists {
                name: name.to_owned(),
                place: self.describe(),
            });
        }
        objects.insert(name.to_owned(), bytes);
        Ok(())
    }

    fn find(&self, name: &str) -> Result<Bytes, StorageError> {
        let found = self.objects().get(name).cloned();
        found.ok_or_else(|| StorageError::NotFound {
            name: name.to_owned(),
            place: self.describe(),
        })
    }
}

fn ready<'a, T: Send + 'a>(result: Result<T, StorageError>) -> StorageFuture<'a, T> {
    Box::pin(std::future::ready(result))
}

impl Storage for MemoryStorage {
    fn create<'a>(&'a self, name: &'a str) -> StorageFuture<'a, Box<dyn ObjectWriter>> {
        let writer = MemoryWriter {
            storage: self.clone(),
            name: name.to_owned(),
            bytes: Vec::new(),
        };
        ready(Ok(Box::new(writer) as Box<dyn ObjectWriter>))
    }

    fn put<'a>(&'a self, name: &'a str, bytes: Bytes) -> StorageFuture<'a, ()> {
        ready(self.insert(name, bytes))
    }

    fn get<'a>(&'a self, name: &'a str, limit: u64) -> StorageFuture<'a, Bytes> {
        ready(self.find(name).and_then(|found| {
            let bytes = found.len() as u64;
            if bytes > limit {
                return Err(StorageError::TooLarge {
                    name: name.to_owned(),
                    place: self.describe(),
                    bytes,
                    limit,
                });
            }
            Ok(found)
        }))
    }

    fn get_range<'a>(&'a self, name: &'a str, range: Range<u64>) -> StorageFuture<'a, Bytes> {
        ready(self.find(name).and_then(|found| {
            if range.start > range.end || range.end > found.len() as u64 {
                return Err(StorageError::Short {
                    name: name.to_owned(),
                    place: self.describe(),
                    end: range.end,
                });
            }
            Ok(found.slice(range.start as usize..range.end as usize))
        }))
    }

    fn head<'a>(&'a self, name: &'a str) -> StorageFuture<'a, u64> {
        ready(self.find(name).map(|found| found.len() as u64))
    }

    fn list<'a>(&'a self, prefix: &'a str) -> StorageFuture<'a, Vec<ObjectMeta>> {
        self.list_first(prefix, usize::MAX)
    }

    fn list_first<'a>(&'a self, prefix: &'a str, limit: usize) -> StorageFuture<'a, Vec<ObjectMeta>> {
        let objects = self.objects();
        let matching = objects.iter().filter(|(name, _)| name.starts_with(prefix));
        ready(Ok(matching
            .take(limit)
            .map(|(name, b)| ObjectMeta {
                name: name.clone(),
                bytes: b.len() as u64,
            })
            .collect()))
    }

    fn list_folders<'a>(&'a self, prefix: &'a str) -> StorageFuture<'a, Vec<String>> {
        let objects = self.objects();
        let below = objects
            .keys()
            .filter_map(|name| name.strip_prefix(prefix)?.split_once('/'));
        let mut folders: Vec<String> = below.map(|(folder, _)| folder.to_owned()).collect();
        folders.sort();
        folders.dedup();
        ready(Ok(folders))
    }

    fn delete<'a>(&'a self, name: &'a str) -> StorageFuture<'a, ()> {
        self.objects().remove(name);
        ready(Ok(()))
    }

    /// None: what a writer has is its own, and goes with it.
    fn list_unfinished<'a>(&'a self, _: &'a str) -> StorageFuture<'a, Vec<Unfinished>> {
        ready(Ok(Vec::new()))
    }

    fn abort_unfinished<'a>(&'a self, _: &'a Unfinished) -> StorageFuture<'a, ()> {
        ready(Ok(()))
    }

    fn limit_memory(&self, _bytes: usize) -> usize {
        0
    }

    fn describe(&self) -> String {
        "memory".to_owned()
    }
}

#[derive(Debug)]
struct MemoryWriter {
    storage: MemoryStorage,
    name: String,
    bytes: Vec<u8>,
}

impl ObjectWriter for MemoryWriter {
    fn write(&mut self, pieces: Vec<Bytes>) -> StorageFuture<'_, ()> {
        pieces
            .iter()
            .for_each(|piece| self.bytes.extend_from_slice(piece));
        ready(Ok(()))
    }

    fn finish(self: Box<Self>) -> StorageFuture<'static, ()> {
        ready(self.storage.insert(&self.name, self.bytes.into()))
    }
}
