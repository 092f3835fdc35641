//! Ctrl-C and SIGTERM: the first one cancels what is under way, the second one ends the process at once.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A signal that ends commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Ctrl-C
    Interrupt,
    /// SIGTERM
    Terminate,
}

impl Signal {
    /// 128 and the number of the signal, as shells have it.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

/// Listens from its making to the end of the process.
#[derive(Debug)]
pub(crate) struct Signals {
    pub(crate) cancel: CancellationToken,
    received: Arc<AtomicU8>,
}

impl Signals {
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let this = Self {
            cancel: CancellationToken::new(),
            received: Arc::default(),
        };
        let (cancel, received) = (this.cancel.clone(), Arc::clone(&this.received));
        tokio::spawn(async move {
            loop {
                let signal = tokio::select! {
                    _ = interrupt.recv() => Signal::Interrupt,
                    _ = terminate.recv() => Signal::Terminate,
                };
                if cancel.is_cancelled() {
                    std::process::exit(i32::from(signal.exit_code()));
                }
                received.store(signal.exit_code(), Ordering::SeqCst);
                let told = "cancelling: what is in hand is put in order first; once more ends at once";
                let _ = writeln!(std::io::stderr(), "{told}");
                cancel.cancel();
            }
        });
        Ok(this)
    }

    /// Which one came.
    pub(crate) fn received(&self) -> Signal {
        match self.received.load(Ordering::SeqCst) {
            143 => Signal::Terminate,
            _ => Signal::Interrupt,
        }
    }
}
