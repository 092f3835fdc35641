//! An S3 server: a real process with authentication on.
//!
//! Built once by Go into the cache folder, it serves a temporary folder, in which buckets are folders. There are two
//! [kinds](S3Kind); both check signatures, conditions and checksums.

mod kind;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::sync::OnceCell;

pub use self::kind::S3Kind;
use crate::error::{Error, Result};
use crate::ports::PortLease;
use crate::process::{starting, tail};

const PATIENCE: Duration = Duration::from_secs(30);

const ACCESS_KEY: &str = "TESTKITACCESSKEY";
const SECRET_KEY: &str = "testkit/secret+key";
const REGION: &str = "us-east-1";

/// The server and its data go when the shell's stdin does: with this process, whatever ended it. When the server ends by
/// itself, the shell does too, and leaves the log to be read.
const SCRIPT: &str = r#"
folder=$1; shift
exec 3<&0
"$@" </dev/null &
server=$!
{ cat <&3 >/dev/null; trap '' TERM; kill -KILL $server; rm -rf "$folder"; } &
watcher=$!
wait $server
kill $watcher
wait $watcher
"#;

/// A running S3 server. It ends, and its data is removed, when this value is dropped.
#[derive(Debug)]
pub struct S3Server {
    kind: S3Kind,
    shell: Child,
    lease: PortLease,
    folder: TempDir,
}

impl S3Server {
    /// The server that all tests of a process share; isolate them by buckets and prefixes. It ends with the process.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<S3Server> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// Starts a server on a free loopback port and waits until it answers. The first call on a machine builds it, which
    /// takes Go, the network and some minutes.
    ///
    /// It is of the default kind, or of that which `KAFKA_BACKUP_TEST_S3` names (`versitygw`, `minio`).
    pub async fn start() -> Result<Self> {
        Self::start_kind(S3Kind::of_environment()?).await
    }

    /// The same, of a kind.
    pub async fn start_kind(kind: S3Kind) -> Result<Self> {
        // A build blocks for minutes: not on a thread that others want to run on.
        tokio::task::spawn_blocking(move || Self::start_blocking(kind))
            .await
            .map_err(|join| Error::io("starting an S3 server")(std::io::Error::other(join)))?
    }

    fn start_blocking(kind: S3Kind) -> Result<Self> {
        let program = kind.program()?;
        let folder = TempDir::new().map_err(Error::io("making a folder for an S3 server"))?;
        let lease = PortLease::take()?;
        let path = |name: &str| folder.path().join(name);
        for name in ["data", "meta"] {
            fs::create_dir(path(name)).map_err(Error::io("making a folder for an S3 server"))?;
        }
        let log = File::create(path("output.log")).map_err(Error::io("opening an S3 server's log"))?;
        let errors = log.try_clone().map_err(Error::io("opening an S3 server's log"))?;
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "sh"]).arg(folder.path()).arg(program);
        kind.arguments(
            &mut command,
            &format!("127.0.0.1:{}", lease.port()),
            folder.path(),
        );
        command.stdin(Stdio::piped()).stdout(log).stderr(errors);
        let shell = command.spawn().map_err(|source| starting("sh", source))?;
        let mut server = Self {
            kind,
            shell,
            lease,
            folder,
        };
        server.wait_until_ready()?;
        Ok(server)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ended = self.shell.try_wait();
            if ended.map_err(Error::io("looking after an S3 server"))?.is_some() {
                return Err(self.not_started("ended"));
            }
            if is_healthy(self.address(), self.kind.health()) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(self.not_started("did not answer in time"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn not_started(&self, why: &str) -> Error {
        let log = fs::read(self.folder.path().join("output.log")).unwrap_or_default();
        Error::S3Start {
            why: why.to_owned(),
            log: tail(&String::from_utf8_lossy(&log)),
        }
    }

    /// Which program it is.
    pub fn kind(&self) -> S3Kind {
        self.kind
    }

    /// Makes a bucket, if it is not there.
    pub fn create_bucket(&self, name: &str) -> Result<()> {
        fs::create_dir_all(self.bucket_folder(name)).map_err(Error::io("making a bucket"))
    }

    /// Where the objects of a bucket are: files by their names, or, of MinIO, folders by their names.
    pub fn bucket_folder(&self, name: &str) -> PathBuf {
        self.folder.path().join("data").join(name)
    }

    /// Where it listens, for a proxy before it.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.lease.port()))
    }

    /// `http://host:port`
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The key of the one user that it knows, who may do everything.
    pub fn access_key_id(&self) -> &'static str {
        ACCESS_KEY
    }

    /// The secret of that key.
    pub fn secret_access_key(&self) -> &'static str {
        SECRET_KEY
    }

    /// The region that requests must be signed for.
    pub fn region(&self) -> &'static str {
        REGION
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        // The watcher notices, kills the server, and the shell ends; then nobody writes to the folder any more.
        drop(self.shell.stdin.take());
        let deadline = Instant::now() + Duration::from_secs(5);
        while matches!(self.shell.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                // Nobody is left to tell about a failure.
                let _ = self.shell.kill();
                let _ = self.shell.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn is_healthy(address: SocketAddr, path: &str) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        Ok::<_, std::io::Error>(status.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}
