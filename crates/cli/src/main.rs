//! `kafka-backup`: backs Kafka topics up, restores them elsewhere, and puts consumer groups where they belong.
//!
//! Each command is a file in `commands/`: it loads a configuration, runs a phase of `restore-engine`, prints the result
//! to stdout and returns how it ended ([`exit`]). Progress and warnings go to stderr ([`terminal`]). To add a command:
//! a variant in [`args`], a file in `commands/`, a line in `commands/mod.rs`.

mod args;
mod commands;
mod exit;
mod signals;
mod terminal;

use clap::Parser;

/// musl's allocator is slow when several threads use it; the static binary brings its own.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    let args = args::Args::parse();
    terminal::start_logging(args.verbose);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit::Ended::Failed(error.into()).report(),
    };
    // As a task of its own: it is woken for everything that is read, and this thread, which waits for the end, is none of those
    // that read.
    let command = runtime.spawn(async {
        let signals = signals::Signals::listen()?;
        Ok(commands::run(args, &signals).await)
    });
    let ended = runtime
        .block_on(command)
        .unwrap_or_else(|stopped| Err(anyhow::anyhow!("the command stopped: {stopped}")));
    // Blocking file work that a cancelled phase has left behind must not keep the process alive.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    ended.unwrap_or_else(exit::Ended::Failed).report()
}
