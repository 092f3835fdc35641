//! What a backup's own work takes by itself: compressing the bytes in memory, digesting the files, writing them.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use segment_format::SegmentDigest;
use testkit::Cluster;
use zstd_safe::CCtx;

use crate::Result;
use crate::clusters::{Topic, address};
use crate::fetch_floor::fetch_all;
use crate::measure::{Cost, Meter};

/// That of the measured program.
const ZSTD_LEVEL: i32 = 1;

/// Compresses the topic's bytes, answer by answer, on some threads.
pub(crate) async fn zstd(source: &Cluster, topic: &Topic, threads: usize) -> Result<Cost> {
    let (address, topic) = (address(source)?, topic.clone());
    let read = move || -> Result<Vec<Vec<u8>>> {
        let mut answers = Vec::new();
        fetch_all(&address, &topic, |_, bytes| {
            answers.push(bytes.to_vec());
            Ok(())
        })?;
        Ok(answers)
    };
    let answers = tokio::task::spawn_blocking(read).await??;
    let meter = Meter::start(source).await?;
    tokio::task::spawn_blocking(move || compress_all(&answers, threads)).await??;
    meter.stop()
}

fn compress_all(answers: &[Vec<u8>], threads: usize) -> Result<()> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<()> {
        let mut context = CCtx::try_create().ok_or("no memory for zstd")?;
        let mut compressed = Vec::new();
        while let Some(answer) = answers.get(next.fetch_add(1, Ordering::Relaxed)) {
            compressed.clear();
            compressed.reserve(zstd_safe::compress_bound(answer.len()));
            context
                .compress(&mut compressed, answer, ZSTD_LEVEL)
                .map_err(zstd_safe::get_error_name)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().map_err(|_| "a thread panicked")?)
    })
}

/// Digests all files below `folder`, in memory, as a backup does with its segments.
pub(crate) async fn digest(source: &Cluster, folder: &Path) -> Result<Cost> {
    let files = files_below(folder)?;
    let meter = Meter::start(source).await?;
    let work = move || {
        for bytes in &files {
            std::hint::black_box(SegmentDigest::of(bytes));
        }
    };
    tokio::task::spawn_blocking(work).await?;
    meter.stop()
}

/// Writes copies of all files below `folder` to `target`, each with one fsync.
pub(crate) async fn write(source: &Cluster, folder: &Path, target: PathBuf) -> Result<Cost> {
    let files = files_below(folder)?;
    fs::create_dir(&target)?;
    let meter = Meter::start(source).await?;
    let work = move || -> Result<()> {
        for (number, bytes) in files.iter().enumerate() {
            let mut file = File::create(target.join(number.to_string()))?;
            file.write_all(bytes)?;
            file.sync_all()?;
        }
        Ok(())
    };
    tokio::task::spawn_blocking(work).await??;
    meter.stop()
}

fn files_below(folder: &Path) -> Result<Vec<Vec<u8>>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.append(&mut files_below(&path)?);
        } else {
            files.push(fs::read(path)?);
        }
    }
    Ok(files)
}
