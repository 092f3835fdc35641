//! Child processes: tools that run to their end, and JVMs that live as long as their stdin.

use std::io::{self, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

const SHOWN_LINES: usize = 60;

/// Runs a tool; failure carries what it printed.
pub(crate) fn run(tool: &'static str, command: &mut Command) -> Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| starting(tool, source))?;
    if output.status.success() {
        return Ok(());
    }
    let printed = [output.stdout, output.stderr].concat();
    Err(Error::Tool {
        tool,
        output: tail(&String::from_utf8_lossy(&printed)),
    })
}

/// The error of a tool that could not be started.
pub(crate) fn starting(tool: &'static str, source: io::Error) -> Error {
    if source.kind() == io::ErrorKind::NotFound {
        return Error::MissingTool { tool };
    }
    Error::Io {
        what: format!("starting {tool}"),
        source,
    }
}

/// The last lines of a text.
pub(crate) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}

/// A JVM that ends when its stdin does, and is killed when this value is dropped.
#[derive(Debug)]
pub(crate) struct Jvm {
    child: Child,
    stdin: Option<ChildStdin>,
    /// Kills a paused JVM, which cannot watch its stdin, when this process is gone.
    guardian: Option<Child>,
}

impl Jvm {
    /// Starts a command whose first word is `java`.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|source| starting("java", source))?;
        let stdin = child.stdin.take();
        Ok(Self {
            child,
            stdin,
            guardian: None,
        })
    }

    pub(crate) fn child_mut(&mut self) -> &mut Child {
        &mut self.child
    }

    pub(crate) fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.stdin.take()
    }

    /// Process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child
            .try_wait()
            .map_err(Error::io("looking after a child process"))
    }

    /// Asks for an orderly end, and waits for it.
    pub(crate) async fn stop(&mut self, patience: Duration) -> Result<()> {
        if let Some(stdin) = &mut self.stdin {
            // A broken pipe means that it has ended already.
            let _ = stdin.write_all(b"stop\n").and_then(|()| stdin.flush());
        }
        self.wait(patience).await
    }

    /// Waits for its end, and kills it when that takes too long.
    pub(crate) async fn wait(&mut self, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        while self.ended()?.is_none() {
            if Instant::now() > deadline {
                return self.kill();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Kills it (`SIGKILL`).
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill().map_err(Error::io("killing a child process"))?;
        self.child
            .wait()
            .map_err(Error::io("waiting for a killed child process"))?;
        self.dismiss_guardian();
        Ok(())
    }

    /// Stops it from running, as a machine that hangs does (`SIGSTOP`).
    pub(crate) fn pause(&mut self) -> Result<()> {
        let id = self.id();
        if self.guardian.is_none() {
            let script = format!("read line || kill -KILL {id}");
            let child = Command::new("sh")
                .args(["-c", &script])
                .stdin(Stdio::piped())
                .spawn()
                .map_err(|source| starting("sh", source))?;
            self.guardian = Some(child);
        }
        run("sh", Command::new("sh").args(["-c", &format!("kill -STOP {id}")]))
    }

    /// Lets it run again (`SIGCONT`).
    pub(crate) fn resume(&mut self) -> Result<()> {
        let id = self.id();
        run("sh", Command::new("sh").args(["-c", &format!("kill -CONT {id}")]))?;
        self.dismiss_guardian();
        Ok(())
    }

    fn dismiss_guardian(&mut self) {
        if let Some(mut guardian) = self.guardian.take() {
            // Killed while its stdin is open, it never gets to its own kill.
            let _ = guardian.kill();
            let _ = guardian.wait();
        }
    }
}

impl Drop for Jvm {
    fn drop(&mut self) {
        // Nobody is left to tell about a failure, and the closed stdin ends it anyway.
        let _ = self.kill();
    }
}
