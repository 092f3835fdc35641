//! Objects as files below one folder.
//!
//! Publishing goes by stages: the bytes are written to a temporary file in the folder of the object, synced, linked to
//! the final name (a hard link fails when the name is taken: that is the create-only promise), and the folder is synced.
//! A crash leaves at most a temporary file, which no listing of objects shows.
//!
//! - [`stage`]: how a file is published
//! - [`listing`]: what there is, and what was never published

mod listing;
mod stage;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use self::stage::{Staged, write_all};
use super::{ObjectMeta, ObjectWriter, Storage, StorageError, StorageFuture, Unfinished};

/// Files below a folder, which need not exist before the first write.
#[derive(Debug, Clone)]
pub struct FilesystemStorage {
    root: Arc<Path>,
}

impl FilesystemStorage {
    /// Objects below `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into().into(),
        }
    }

    fn place(&self) -> String {
        format!("folder {}", self.root.display())
    }

    fn error(&self, action: &'static str, name: &str, source: io::Error) -> StorageError {
        let (name, place) = (name.to_owned(), self.place());
        let advice = match source.kind() {
            io::ErrorKind::NotFound => return StorageError::NotFound { name, place },
            io::ErrorKind::AlreadyExists => return StorageError::Exists { name, place },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                return StorageError::Full {
                    action,
                    name,
                    place,
                    problem: format!("{source}: make room there, or take another folder"),
                };
            }
            io::ErrorKind::ReadOnlyFilesystem => "mount it for writing, or take another folder",
            io::ErrorKind::PermissionDenied => "give this user the right to it, or take another folder",
            _ => "",
        };
        match advice {
            "" => StorageError::Io {
                action,
                name,
                place,
                source,
            },
            advice => StorageError::Refused {
                action,
                name,
                place,
                problem: format!("{source}: {advice}"),
            },
        }
    }

    /// Runs file work off the async threads and gives its error the object's name.
    fn run<'a, T: Send + 'static>(
        &self,
        action: &'static str,
        name: &str,
        work: impl FnOnce(&Path) -> Result<T, StorageError> + Send + 'static,
    ) -> StorageFuture<'a, T> {
        let (this, name, path) = (self.clone(), name.to_owned(), self.root.join(name));
        Box::pin(async move {
            match tokio::task::spawn_blocking(move || work(&path)).await {
                Ok(result) => result,
                Err(join) => Err(this.error(action, &name, io::Error::other(join))),
            }
        })
    }
}

impl Storage for FilesystemStorage {
    fn create<'a>(&'a self, name: &'a str) -> StorageFuture<'a, Box<dyn ObjectWriter>> {
        let (this, object) = (self.clone(), name.to_owned());
        self.run("create", name, move |path| {
            let staged = Staged::new(path).map_err(|e| this.error("create", &object, e))?;
            Ok(Box::new(FileWriter {
                storage: this,
                name: object,
                staged: Some(staged),
            }) as Box<dyn ObjectWriter>)
        })
    }

    fn put<'a>(&'a self, name: &'a str, bytes: Bytes) -> StorageFuture<'a, ()> {
        let (this, object) = (self.clone(), name.to_owned());
        self.run("write", name, move |path| {
            Staged::new(path)
                .and_then(|mut staged| {
                    staged.file.write_all(&bytes)?;
                    staged.publish()
                })
                .map_err(|e| this.error("write", &object, e))
        })
    }

    fn get<'a>(&'a self, name: &'a str, limit: u64) -> StorageFuture<'a, Bytes> {
        let (this, object) = (self.clone(), name.to_owned());
        self.run("read", name, move |path| {
            let failed = |e| this.error("read", &object, e);
            let file = File::open(path).map_err(failed)?;
            let bytes = file.metadata().map_err(failed)?.len();
            if bytes > limit {
                return Err(StorageError::TooLarge {
                    name: object,
                    place: this.place(),
                    bytes,
                    limit,
                });
            }
            let mut buffer = Vec::with_capacity(bytes as usize);
            file.take(limit).read_to_end(&mut buffer).map_err(failed)?;
            Ok(buffer.into())
        })
    }

    fn get_range<'a>(&'a self, name: &'a str, range: Range<u64>) -> StorageFuture<'a, Bytes> {
        let (this, object) = (self.clone(), name.to_owned());
        self.run("read", name, move |path| {
            let failed = |e| this.error("read", &object, e);
            let file = File::open(path).map_err(failed)?;
            // Checked before anything is allocated: the range comes from an index that may be damaged.
            if file.metadata().map_err(failed)?.len() < range.end || range.start > range.end {
                return Err(StorageError::Short {
                    name: object,
                    place: this.place(),
                    end: range.end,
                });
            }
            let length = (range.end - range.start) as usize;
            let mut buffer = Vec::with_capacity(length);
            let mut reader = PositionedReader {
                file: &file,
                position: range.start,
            };
            (&mut reader)
                .take(length as u64)
                .read_to_end(&mut buffer)
                .map_err(failed)?;
            if buffer.len() < length {
                return Err(StorageError::Short {
                    name: object,
                    place: this.place(),
                    end: range.end,
                });
            }
            Ok(buffer.into())
        })
    }

    fn head<'a>(&'a self, name: &'a str) -> StorageFuture<'a, u64> {
        let (this, object) = (self.clone(), name.to_owned());
        self.run("look at", name, move |path| {
            fs::metadata(path)
                .map(|m| m.len())
                .map_err(|e| this.error("look at", &object, e))
        })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> StorageFuture<'a, Vec<ObjectMeta>> {
        self.list_objects(prefix, usize::MAX)
    }

    fn list_first<'a>(&'a self, prefix: &'a str, limit: usize) -> StorageFuture<'a, Vec<ObjectMeta>> {
        self.list_objects(prefix, limit)
    }

    fn list_folders<'a>(&'a self, prefix: &'a str) -> StorageFuture<'a, Vec<String>> {
        let (this, folder) = (self.clone(), prefix.trim_end_matches('/').to_owned());
        self.run("list", &folder.clone(), move |path| {
            let failed = |e| this.error("list", &folder, e);
            let mut folders = Vec::new();
            for entry in listing::entries(path).map_err(failed)? {
                if entry.file_type().map_err(failed)?.is_dir() {
                    folders.extend(entry.file_name().into_string().ok());
                }
            }
            folders.sort();
            Ok(folders)
        })
    }

    fn exists(&self) -> StorageFuture<'_, bool> {
        let this = self.clone();
        self.run("look at", "", move |path| {
            path.try_exists().map_err(|e| this.error("look at", "", e))
        })
    }

    fn delete<'a>(&'a self, name: &'a str) -> StorageFuture<'a, ()> {
        let (this, object) = (self.clone(), name.to_owned());
        self.run("delete", name, move |path| {
            listing::gone_is_fine(fs::remove_file(path)).map_err(|e| this.error("delete", &object, e))
        })
    }

    fn list_unfinished<'a>(&'a self, prefix: &'a str) -> StorageFuture<'a, Vec<Unfinished>> {
        self.list_staged(prefix)
    }

    fn abort_unfinished<'a>(&'a self, unfinished: &'a Unfinished) -> StorageFuture<'a, ()> {
        self.remove_staged(unfinished)
    }

    fn limit_memory(&self, _bytes: usize) -> usize {
        0
    }

    fn describe(&self) -> String {
        self.place()
    }
}

/// Reads from a position without moving a shared cursor.
struct PositionedReader<'a> {
    file: &'a File,
    position: u64,
}

impl Read for PositionedReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.position)?;
        self.position += read as u64;
        Ok(read)
    }
}

#[derive(Debug)]
struct FileWriter {
    storage: FilesystemStorage,
    name: String,
    /// `None` after a write that failed or was cancelled half way: such an object is never published.
    staged: Option<Staged>,
}

impl ObjectWriter for FileWriter {
    fn write(&mut self, pieces: Vec<Bytes>) -> StorageFuture<'_, ()> {
        let staged = self.staged.take();
        Box::pin(async move {
            let (storage, name) = (self.storage.clone(), self.name.clone());
            let staged = storage.clone().run("write", &name, {
                let name = name.clone();
                move |_| {
                    let mut staged = staged.ok_or_else(|| storage.error("write", &name, half_written()))?;
                    write_all(&mut staged.file, &pieces).map_err(|e| storage.error("write", &name, e))?;
                    Ok(staged)
                }
            });
            self.staged = Some(staged.await?);
            Ok(())
        })
    }

    fn finish(self: Box<Self>) -> StorageFuture<'static, ()> {
        let Self {
            storage,
            name,
            staged,
        } = *self;
        storage.clone().run("publish", &name.clone(), move |_| {
            staged
                .ok_or_else(half_written)
                .and_then(Staged::publish)
                .map_err(|e| storage.error("publish", &name, e))
        })
    }
}

fn half_written() -> io::Error {
    io::Error::other("an earlier write to it failed")
}

#[cfg(test)]
mod tests;
