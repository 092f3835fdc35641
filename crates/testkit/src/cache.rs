//! The folder that keeps jars and compiled classes between test runs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Names another cache folder.
const VARIABLE: &str = "KAFKA_BACKUP_TEST_CACHE";

/// The cache folder, made if it is not there.
pub(crate) fn folder() -> Result<PathBuf> {
    let folder = match std::env::var_os(VARIABLE) {
        Some(given) if !given.is_empty() => PathBuf::from(given),
        _ => default_folder(),
    };
    fs::create_dir_all(&folder)
        .map_err(Error::io(format!("making the cache folder {}", folder.display())))?;
    Ok(folder)
}

fn default_folder() -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache")));
    base.unwrap_or_else(std::env::temp_dir)
        .join("kafka-backup-testkit")
}

/// Makes `name` in the cache folder once, whatever number of processes asks at a time.
///
/// `fill` writes into an empty folder, which gets its name only when it is complete. Blocks while another process fills it.
pub(crate) fn once(name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let cache = folder()?;
    let ready = cache.join(name);
    if ready.is_dir() {
        return Ok(ready);
    }
    let lock_path = cache.join(format!("{name}.lock"));
    let lock = File::create(&lock_path).map_err(Error::io(format!("opening {}", lock_path.display())))?;
    lock.lock()
        .map_err(Error::io(format!("locking {}", lock_path.display())))?;
    if ready.is_dir() {
        return Ok(ready);
    }
    let stage = tempfile::Builder::new()
        .prefix(&format!(".{name}-"))
        .tempdir_in(&cache)
        .map_err(Error::io("making a folder in the cache"))?;
    let content = stage.path().join("content");
    fs::create_dir(&content).map_err(Error::io("making a folder in the cache"))?;
    fill(&content)?;
    fs::rename(&content, &ready).map_err(Error::io(format!("publishing {}", ready.display())))?;
    Ok(ready)
}
