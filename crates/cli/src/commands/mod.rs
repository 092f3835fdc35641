//! The commands, one file each.

mod backup;
mod describe;
mod list;
mod offset_mapping;
mod orphans;
mod restore;
mod three_phase;
mod verify;

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use restore_engine::config::StorageConfig;
use restore_engine::{Config, Context, Error, storage};

use crate::args::{Args, Command, StorageArgs};
use crate::exit::Ended;
use crate::signals::Signals;
use crate::terminal::Terminal;

/// Runs the command that was asked for.
pub(crate) async fn run(args: Args, signals: &Signals) -> Ended {
    let result = match args.command {
        Command::Backup(args) => backup::run(&args.config, signals).await,
        Command::Restore(args) => restore::run(&args.config, signals).await,
        Command::ThreePhaseRestore(args) => three_phase::run(&args.config, signals).await,
        Command::OffsetMapping(args) => tokio::select! {
            done = offset_mapping::run(&args) => done,
            () = signals.cancel.cancelled() => Err(Error::Cancelled.into()),
        },
        Command::List(args) => list::run(&args, signals).await,
        Command::Describe(args) => describe::run(&args, signals).await,
        Command::Verify(args) => verify::run(&args, signals).await,
        Command::Orphans(args) => orphans::run(&args, signals).await,
    };
    match result {
        Ok(ended) => ended,
        Err(error) if matches!(error.downcast_ref::<Error>(), Some(Error::Cancelled)) => Ended::Cancelled {
            signal: signals.received(),
            left: "what was begun does not count as done",
        },
        Err(error) => Ended::Failed(error),
    }
}

/// A configuration and the context that it runs in.
fn load(path: &Path, signals: &Signals) -> anyhow::Result<(Config, Context)> {
    let config = Config::from_file(path)?;
    let context = Context::new(storage::open(&config.storage), now_ms())
        .with_observer(Arc::new(Terminal::new()))
        .with_cancel(signals.cancel.clone());
    Ok((config, context))
}

/// The storage that a command without a configuration of its own works on.
fn open_storage(args: &StorageArgs) -> anyhow::Result<Context> {
    let storage = match &args.config {
        Some(path) => Config::from_file(path)?.storage,
        None => StorageConfig::Filesystem {
            path: args.storage_path.clone(),
            prefix: String::new(),
        },
    };
    Ok(Context::new(storage::open(&storage), now_ms()))
}

/// Options that find the same storage again, for commands that are shown to people.
fn storage_options(args: &StorageArgs) -> String {
    match &args.config {
        Some(path) => format!("--config {}", path.display()),
        None => format!("--storage-path {}", args.storage_path.display()),
    }
}

/// A value as JSON on stdout.
fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print(&(serde_json::to_string_pretty(value)? + "\n"))
}

fn now_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

/// Data for whoever reads stdout. A reader that has gone away (`| head`) is no error.
fn print(text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
