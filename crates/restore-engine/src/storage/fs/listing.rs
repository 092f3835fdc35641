//! What there is below a folder: objects, and files that were never published.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::FilesystemStorage;
use super::stage::STAGED;
use crate::storage::{ObjectMeta, StorageError, StorageFuture, Unfinished};

impl FilesystemStorage {
    /// The first `limit` objects by name. Of the others no more than the names is read.
    pub(super) fn list_objects(&self, prefix: &str, limit: usize) -> StorageFuture<'static, Vec<ObjectMeta>> {
        self.with_files(
            prefix,
            limit,
            |path| !is_staged(path),
            |name, file| {
                let bytes = file.len();
                ObjectMeta { name, bytes }
            },
        )
    }

    /// Every staged file below a prefix: of writers at work, and of those that were killed.
    pub(super) fn list_staged(&self, prefix: &str) -> StorageFuture<'static, Vec<Unfinished>> {
        self.with_files(prefix, usize::MAX, is_staged, |name, file| {
            let age = file
                .modified()
                .ok()
                .and_then(|t| t.duration_since(UNIX_EPOCH).ok());
            Unfinished {
                id: name.clone(),
                name,
                last_seen_ms: age.and_then(|t| i64::try_from(t.as_millis()).ok()),
            }
        })
    }

    pub(super) fn remove_staged(&self, unfinished: &Unfinished) -> StorageFuture<'static, ()> {
        let (this, name) = (self.clone(), unfinished.id.clone());
        self.run("remove", &name.clone(), move |path| {
            if !is_staged(path) {
                let problem = "it is not the file of an unfinished object".to_owned();
                return Err(StorageError::Refused {
                    action: "remove",
                    name,
                    place: this.place(),
                    problem,
                });
            }
            gone_is_fine(fs::remove_file(path)).map_err(|e| this.error("remove", &name, e))
        })
    }

    /// Reads the names of the files below a prefix, sorts those that are `wanted`, and looks at the first of them.
    fn with_files<T: Send + 'static>(
        &self,
        prefix: &str,
        limit: usize,
        wanted: impl Fn(&Path) -> bool + Send + 'static,
        describe: impl Fn(String, &fs::Metadata) -> T + Send + 'static,
    ) -> StorageFuture<'static, Vec<T>> {
        // Only the folder that the prefix names can hold matches, and what lies below it.
        let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
        let (this, prefix) = (self.clone(), prefix.to_owned());
        self.run("list", folder, move |path| {
            let failed = |e| this.error("list", &prefix, e);
            let mut files = Vec::new();
            collect(path, &mut files).map_err(failed)?;
            let mut names: Vec<String> = files
                .iter()
                .filter(|path| wanted(path))
                .filter_map(|path| path.strip_prefix(&this.root).ok()?.to_str())
                .filter(|name| name.starts_with(&prefix))
                .map(str::to_owned)
                .collect();
            names.sort_unstable();
            let mut found = Vec::new();
            for name in names {
                if found.len() == limit {
                    break;
                }
                match fs::symlink_metadata(this.root.join(&name)) {
                    Ok(file) => found.push(describe(name, &file)),
                    // Gone since its folder was read.
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                    Err(e) => return Err(failed(e)),
                }
            }
            Ok(found)
        })
    }
}

/// Success when a file is not there any more, whoever removed it.
pub(super) fn gone_is_fine(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn is_staged(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with(STAGED))
}

/// The entries of a folder; none when it does not exist, as a storage without objects has no folders.
pub(super) fn entries(folder: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.collect(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(e),
    }
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in entries(folder)? {
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), found)?;
        } else {
            found.push(entry.path());
        }
    }
    Ok(())
}
