//! How a command ends, for the caller and for the shell.

use std::process::ExitCode;

use crate::signals::Signal;

/// The ways in which a command ends.
#[derive(Debug)]
pub(crate) enum Ended {
    /// All done.
    Done,
    /// Some of it was done; the printed report says what was not.
    Incomplete(String),
    /// A check that found something; the printed report says what.
    Found(String),
    /// Ended by a signal.
    Cancelled {
        /// Which one.
        signal: Signal,
        /// What becomes of what was begun.
        left: &'static str,
    },
    /// Not done.
    Failed(anyhow::Error),
}

impl Ended {
    /// Says on stderr what the exit status will mean.
    pub(crate) fn report(self) -> ExitCode {
        use std::io::Write;
        let mut stderr = std::io::stderr().lock();
        let (code, said) = match &self {
            Self::Done => (0, Ok(())),
            Self::Incomplete(what) => (3, writeln!(stderr, "incomplete: {what}")),
            Self::Cancelled { signal, left } => (signal.exit_code(), writeln!(stderr, "cancelled: {left}")),
            Self::Found(what) => (3, writeln!(stderr, "{what}")),
            Self::Failed(error) => (1, writeln!(stderr, "error: {error:#}")),
        };
        // Nobody reads stderr: the status still tells.
        drop(said);
        ExitCode::from(code)
    }
}
