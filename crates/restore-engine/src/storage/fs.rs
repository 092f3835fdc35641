//! Objects as files below one folder.
//!
//! Publishing goes by stages: the bytes are written to a temporary file in the folder of the object, synced, linked to
//! the final name (a hard link fails when the name is taken: that is the create-only promise), and the folder is synced.
//! A crash leaves at most a temporary file, which no listing shows.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::{ObjectMeta, ObjectWriter, Storage, StorageError, StorageFuture};

/// Marks files that are not published; no object name has it.
const STAGED: &str = ".staged-";

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
        match source.kind() {
            io::ErrorKind::NotFound => StorageError::NotFound { name, place },
            io::ErrorKind::AlreadyExists => StorageError::Exists { name, place },
            _ => StorageError::Io {
                action,
                name,
                place,
                source,
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
        let (this, prefix) = (self.clone(), prefix.to_owned());
        // Only the folder that the prefix names can hold matches, and what lies below it.
        let folder = prefix
            .rsplit_once('/')
            .map_or("", |(folder, _)| folder)
            .to_owned();
        self.run("list", &folder, move |path| {
            let mut found = Vec::new();
            collect(path, &this.root, &mut found).map_err(|e| this.error("list", &prefix, e))?;
            found.retain(|object| object.name.starts_with(&prefix));
            found.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(found)
        })
    }

    fn list_folders<'a>(&'a self, prefix: &'a str) -> StorageFuture<'a, Vec<String>> {
        let (this, folder) = (self.clone(), prefix.trim_end_matches('/').to_owned());
        self.run("list", &folder.clone(), move |path| {
            let failed = |e| this.error("list", &folder, e);
            let mut folders = Vec::new();
            for entry in entries(path).map_err(failed)? {
                if entry.file_type().map_err(failed)?.is_dir() {
                    folders.extend(entry.file_name().into_string().ok());
                }
            }
            folders.sort();
            Ok(folders)
        })
    }

    fn delete<'a>(&'a self, name: &'a str) -> StorageFuture<'a, ()> {
        let (this, object) = (self.clone(), name.to_owned());
        self.run("delete", name, move |path| match fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(this.error("delete", &object, e)),
            _ => Ok(()),
        })
    }

    fn describe(&self) -> String {
        self.place()
    }
}

/// The entries of a folder; none when it does not exist, as a storage without objects has no folders.
fn entries(folder: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.collect(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(e),
    }
}

fn collect(folder: &Path, root: &Path, found: &mut Vec<ObjectMeta>) -> io::Result<()> {
    for entry in entries(folder)? {
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            collect(&path, root, found)?;
        } else if let Some(name) = path.strip_prefix(root).ok().and_then(Path::to_str)
            && !name.contains(STAGED)
        {
            found.push(ObjectMeta {
                name: name.to_owned(),
                bytes: entry.metadata()?.len(),
            });
        }
    }
    Ok(())
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

fn write_all(file: &mut File, pieces: &[Bytes]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    let mut rest = slices.as_mut_slice();
    while !rest.is_empty() {
        match file.write_vectored(rest) {
            Ok(0) if rest.iter().all(|slice| slice.is_empty()) => break,
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// A file that has no name of its own yet; removed when it is dropped.
#[derive(Debug)]
struct Staged {
    file: File,
    path: PathBuf,
    target: PathBuf,
}

impl Staged {
    fn new(target: &Path) -> io::Result<Self> {
        let folder = target
            .parent()
            .ok_or_else(|| io::Error::other("not a file name"))?;
        create_folders(folder)?;
        // Random, as the folder may be shared with writers on other machines.
        let name = format!("{STAGED}{:032x}", rand::random::<u128>());
        let path = folder.join(name);
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        Ok(Self {
            file,
            path,
            target: target.to_owned(),
        })
    }

    /// Durable first, visible second, and the visibility durable too.
    fn publish(self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::hard_link(&self.path, &self.target).map_err(|error| match error.kind() {
            io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied => io::Error::new(
                error.kind(),
                format!("{error} (backups need a file system with hard links, so that nothing is ever overwritten)"),
            ),
            _ => error,
        })?;
        if let Some(folder) = self.target.parent() {
            sync_folder(folder)?;
        }
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // After publishing this removes the second name only; a failure leaves a file that no listing shows.
        let _ = fs::remove_file(&self.path);
    }
}

/// Makes the folders that are missing and syncs each parent, so that the new names survive a crash.
fn create_folders(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent()
        && !parent.as_os_str().is_empty()
    {
        create_folders(parent)?;
        match fs::create_dir(folder) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => return sync_folder(parent),
        }
    }
    fs::create_dir_all(folder)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
