//! Publishing a file: staged, synced, linked, and the folder synced.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;

/// Marks files that are not published; no object name has it.
pub(super) const STAGED: &str = ".staged-";

/// A file that has no name of its own yet; removed when it is dropped.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) file: File,
    path: PathBuf,
    target: PathBuf,
}

impl Staged {
    /// Makes the file, in the folder of its target.
    pub(super) fn new(target: &Path) -> io::Result<Self> {
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
    pub(super) fn publish(self) -> io::Result<()> {
        self.file.sync_all()?;
        match fs::hard_link(&self.path, &self.target) {
            // The reply to a link over the network was lost, and the repetition found it done.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && self.has_two_names() => {}
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied
                ) =>
            {
                // Not a matter of rights: the file beside it could be made.
                let text = format!(
                    "{e} (backups need a file system with hard links, so that nothing is ever overwritten)"
                );
                return Err(io::Error::new(io::ErrorKind::Unsupported, text));
            }
            linked => linked?,
        }
        if let Some(folder) = self.target.parent() {
            sync_folder(folder)?;
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn has_two_names(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|file| file.nlink() > 1)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // After publishing this removes the second name only; a failure leaves a file that no listing of objects shows.
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

/// Writes all pieces, in as few calls as it takes.
pub(super) fn write_all(file: &mut File, pieces: &[Bytes]) -> io::Result<()> {
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
