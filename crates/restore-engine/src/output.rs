//! Files for the operator, written whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Writes a file so that a reader sees the old content or the new, never half of it.
///
/// What is there and no regular file (`/dev/stdout`, a pipe) is written to directly; a link is followed.
///
/// # Errors
/// When the file cannot be written; what was there before is still there then.
pub fn write_file(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        let mut file = OpenOptions::new().write(true).open(path)?;
        write(&mut file)?;
        return file.flush();
    }
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut staged = Staged::new(&path)?;
    let mut out = BufWriter::new(&mut staged.file);
    write(&mut out)?;
    out.flush()?;
    drop(out);
    staged.file.sync_all()?;
    fs::rename(&staged.path, &path)
}

/// Finds out whether [`write_file`] could write there, without a trace.
///
/// # Errors
/// As [`write_file`] would have.
pub fn check_writable(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    match fs::metadata(path) {
        Ok(there) if !there.is_file() => OpenOptions::new().write(true).open(path).map(drop),
        _ => Staged::new(path).map(drop),
    }
}

/// A file beside the one that is meant; removed when dropped, unless it was renamed.
struct Staged {
    file: File,
    path: PathBuf,
}

impl Staged {
    fn new(beside: &Path) -> io::Result<Self> {
        let mut name = beside
            .file_name()
            .ok_or(io::ErrorKind::InvalidFilename)?
            .to_owned();
        name.push(format!(".staged-{:016x}", rand::random::<u64>()));
        let path = beside.with_file_name(name);
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        Ok(Self { file, path })
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_what_was_there_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        write_file(&path, |out| out.write_all(b"old")).unwrap();
        let failed = write_file(&path, |out| {
            out.write_all(b"new")?;
            Err(io::Error::other("disk full"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        write_file(&path, |out| out.write_all(b"newer")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"newer");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn links_are_followed_and_devices_are_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        write_file(&link, |out| out.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&real).unwrap(), b"new");
        assert!(link.is_symlink());
        write_file(Path::new("/dev/null"), |out| out.write_all(b"new")).unwrap();
        assert!(!Path::new("/dev/null").is_file());
    }

    #[test]
    fn what_cannot_be_written_is_found_out_before() {
        let folder = tempfile::tempdir().unwrap();
        check_writable(&folder.path().join("new/folder/report.json")).unwrap();
        assert!(check_writable(folder.path()).is_err());
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(check_writable(&folder.path().join("file/report.json")).is_err());
        assert_eq!(fs::read_dir(folder.path().join("new/folder")).unwrap().count(), 0);
    }
}
