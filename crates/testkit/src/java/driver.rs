//! The Java process and the lines that are exchanged with it.
//!
//! Threads, not tasks, serve the pipes: a task would die with the runtime of the test that started the process.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::archives::ClassArchive;
use crate::error::{Error, JavaError, Result};
use crate::process::Jvm;
use crate::{DEFAULT_KAFKA_VERSION, jars};

const KEPT_LINES: usize = 100;
const STOP_PATIENCE: Duration = Duration::from_secs(60);

type Waiting = Arc<Mutex<HashMap<u64, UnboundedSender<Answer>>>>;

/// The process. It ends with this value, or with the process that holds it.
#[derive(Debug)]
pub(crate) struct Driver {
    next_id: AtomicU64,
    requests: Mutex<Option<mpsc::Sender<Vec<u8>>>>,
    waiting: Waiting,
    output: Arc<Mutex<VecDeque<String>>>,
    jvm: tokio::sync::Mutex<Jvm>,
}

#[derive(Serialize)]
struct Request<'a, T> {
    id: u64,
    command: &'static str,
    args: &'a T,
}

/// One of `part`, `ok` and `error` is there. (Raw values do not go through enums.)
#[derive(Deserialize)]
struct Line {
    id: u64,
    part: Option<Box<RawValue>>,
    ok: Option<Box<RawValue>>,
    error: Option<JavaError>,
}

#[derive(Debug)]
enum Answer {
    Part(Box<RawValue>),
    Ok(Box<RawValue>),
    Error(JavaError),
}

impl Line {
    fn parse(bytes: &[u8]) -> serde_json::Result<(u64, Answer)> {
        use serde::de::Error as _;
        let line: Self = serde_json::from_slice(bytes)?;
        let answer = match (line.part, line.ok, line.error) {
            (Some(part), None, None) => Answer::Part(part),
            (None, Some(ok), None) => Answer::Ok(ok),
            (None, None, Some(error)) => Answer::Error(error),
            _ => return Err(serde_json::Error::custom("neither part, ok nor error")),
        };
        Ok((line.id, answer))
    }
}

impl Driver {
    /// Starts the process. Blocks while jars and classes are made, the first time.
    pub(crate) fn start(archive: &ClassArchive) -> Result<Self> {
        let mut command = Command::new("java");
        command
            .args([
                "-Xmx1g",
                "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC",
                "-Dlog4j2.level=WARN",
            ])
            // The JVM's own messages would come between the answers.
            .args(["-Xlog:disable", "-Xlog:all=warning:stderr"])
            .args(archive.flags())
            .arg("-cp")
            .arg(jars::class_path(DEFAULT_KAFKA_VERSION)?)
            .arg("testkit.Driver")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut jvm = Jvm::start(&mut command)?;
        let output = Arc::new(Mutex::new(VecDeque::new()));
        let waiting = Waiting::default();
        let (requests, to_write) = mpsc::channel::<Vec<u8>>();
        if let Some(mut stdin) = jvm.take_stdin() {
            thread::spawn(move || {
                for line in to_write {
                    if stdin.write_all(&line).and_then(|()| stdin.flush()).is_err() {
                        break;
                    }
                }
            });
        }
        if let Some(stderr) = jvm.child_mut().stderr.take() {
            let output = Arc::clone(&output);
            thread::spawn(move || keep_lines(stderr, &output));
        }
        if let Some(stdout) = jvm.child_mut().stdout.take() {
            let (waiting, output) = (Arc::clone(&waiting), Arc::clone(&output));
            thread::spawn(move || dispatch(stdout, &waiting, &output));
        }
        Ok(Self {
            next_id: AtomicU64::new(1),
            requests: Mutex::new(Some(requests)),
            waiting,
            output,
            jvm: tokio::sync::Mutex::new(jvm),
        })
    }

    /// Closes the process's stdin and waits for its end.
    pub(crate) async fn stop(&self) -> Result<()> {
        drop(locked(&self.requests).take());
        self.jvm.lock().await.wait(STOP_PATIENCE).await
    }

    /// Sends a command and waits for its only answer.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        command: &'static str,
        args: &impl Serialize,
    ) -> Result<T> {
        self.stream(command, args, |_: ()| ()).await
    }

    /// Sends a command and hands over the parts of its answer as they come.
    pub(crate) async fn stream<P: DeserializeOwned, T: DeserializeOwned>(
        &self,
        command: &'static str,
        args: &impl Serialize,
        mut on_part: impl FnMut(P),
    ) -> Result<T> {
        let unreadable = |source| Error::Answer { command, source };
        let mut answers = self.send(command, args)?;
        while let Some(answer) = answers.recv().await {
            match answer {
                Answer::Part(part) => on_part(serde_json::from_str(part.get()).map_err(unreadable)?),
                Answer::Ok(body) => return serde_json::from_str(body.get()).map_err(unreadable),
                Answer::Error(error) => return Err(error.into()),
            }
        }
        Err(self.gone())
    }

    /// Sends a command whose answer nobody needs.
    pub(crate) fn tell(&self, command: &'static str, args: &impl Serialize) {
        // A process that is gone has closed everything already.
        let _ = self.send(command, args);
    }

    fn send(&self, command: &'static str, args: &impl Serialize) -> Result<UnboundedReceiver<Answer>> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let mut line = serde_json::to_vec(&Request { id, command, args })
            .map_err(|source| Error::Answer { command, source })?;
        line.push(b'\n');
        let (sender, receiver) = unbounded_channel();
        locked(&self.waiting).insert(id, sender);
        let sent = locked(&self.requests)
            .as_ref()
            .map(|requests| requests.send(line));
        if !matches!(sent, Some(Ok(()))) {
            return Err(self.gone());
        }
        Ok(receiver)
    }

    fn gone(&self) -> Error {
        let lines: Vec<String> = locked(&self.output).iter().cloned().collect();
        Error::DriverGone {
            output: lines.join("\n"),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that holds these locks can leave the value half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn keep_lines(from: impl Read, output: &Mutex<VecDeque<String>>) {
    for line in BufReader::new(from)
        .split(b'\n')
        .map_while(std::result::Result::ok)
    {
        keep(output, String::from_utf8_lossy(&line).into_owned());
    }
}

fn keep(output: &Mutex<VecDeque<String>>, line: String) {
    let mut output = locked(output);
    if output.len() == KEPT_LINES {
        output.pop_front();
    }
    output.push_back(line);
}

fn dispatch(
    from: impl Read,
    waiting: &Mutex<HashMap<u64, UnboundedSender<Answer>>>,
    output: &Mutex<VecDeque<String>>,
) {
    for line in BufReader::with_capacity(1 << 16, from)
        .split(b'\n')
        .map_while(std::result::Result::ok)
    {
        let (id, answer) = match Line::parse(&line) {
            Ok(parsed) => parsed,
            Err(error) => {
                keep(output, format!("unreadable line: {error}"));
                break;
            }
        };
        let mut waiting = locked(waiting);
        if matches!(answer, Answer::Part(_)) {
            if let Some(sender) = waiting.get(&id) {
                // Whoever asked may have stopped waiting.
                let _ = sender.send(answer);
            }
        } else if let Some(sender) = waiting.remove(&id) {
            let _ = sender.send(answer);
        }
    }
    // Those who still wait learn from their closed channels that no answer will come.
    locked(waiting).clear();
}
