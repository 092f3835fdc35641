//! One broker's folder and command line.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::options::Tuning;
use crate::archives::ClassArchive;
use crate::error::{Error, Result};
use crate::process::{Jvm, tail};

/// For the releases that log through log4j 2, and for those before.
const LOG4J_2: &str = "rootLogger.level=info\nrootLogger.appenderRef.console.ref=console\n\
    appender.console.type=Console\nappender.console.name=console\nappender.console.layout.type=PatternLayout\n\
    appender.console.layout.pattern=%d{HH:mm:ss.SSS} %p %c{1} %m%n\n\
    logger.values.name=org.apache.kafka.common.config\nlogger.values.level=warn\n";
const LOG4J_1: &str = "log4j.rootLogger=INFO, console\nlog4j.appender.console=org.apache.log4j.ConsoleAppender\n\
    log4j.appender.console.layout=org.apache.log4j.PatternLayout\n\
    log4j.appender.console.layout.ConversionPattern=%d{HH:mm:ss.SSS} %p %c{1} %m%n\n";

/// What a JVM is started with.
#[derive(Debug, Clone)]
pub(super) struct Runtime {
    pub(super) class_path: OsString,
    pub(super) archive: ClassArchive,
    pub(super) tuning: Tuning,
}

/// A folder `<name>` with configuration, data and log of one process of a cluster.
#[derive(Debug)]
pub(super) struct Node {
    folder: PathBuf,
    role: &'static str,
    runtime: Runtime,
    format: Vec<String>,
}

impl Node {
    /// Lays out the folder. `format` holds the storage tool's arguments, none when there is nothing to format.
    pub(super) fn prepare(folder: PathBuf, role: &'static str, runtime: Runtime) -> Result<Self> {
        fs::create_dir_all(folder.join("data")).map_err(Error::io("making a broker's folder"))?;
        let write = |name: &str, text: &str| {
            fs::write(folder.join(name), text).map_err(Error::io("writing a broker's files"))
        };
        write("log4j2.properties", LOG4J_2)?;
        write("log4j.properties", LOG4J_1)?;
        Ok(Self {
            folder,
            role,
            runtime,
            format: Vec::new(),
        })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn properties(&self) -> PathBuf {
        self.folder.join("server.properties")
    }

    /// Writes the configuration file.
    pub(super) fn configure(&self, text: &str) -> Result<()> {
        fs::write(self.properties(), text).map_err(Error::io("writing a broker's configuration"))
    }

    /// Adds a line to the configuration file; the last one with a name counts.
    pub(super) fn set(&self, name: &str, value: &str) -> Result<()> {
        let path = self.properties();
        let context = "changing a broker's configuration";
        let mut text = fs::read_to_string(&path).map_err(Error::io(context))?;
        text.push_str(&format!("{name}={value}\n"));
        fs::write(path, text).map_err(Error::io(context))
    }

    /// Has the storage formatted for a cluster at the first start.
    pub(super) fn format_for(&mut self, cluster_id: &str) {
        let properties = self.properties().display().to_string();
        self.format = [
            "format",
            "--ignore-formatted",
            "--cluster-id",
            cluster_id,
            "--config",
            &properties,
        ]
        .map(str::to_owned)
        .to_vec();
    }

    /// Starts the process.
    pub(super) fn start(&self) -> Result<Jvm> {
        let log = File::options()
            .append(true)
            .create(true)
            .open(self.log_path())
            .map_err(Error::io("opening a broker's log"))?;
        let errors = log.try_clone().map_err(Error::io("opening a broker's log"))?;
        let heap: &[&str] = match self.runtime.tuning {
            Tuning::QuickStart => &["-Xmx700m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"],
            Tuning::Throughput => &["-Xms2g", "-Xmx2g", "-XX:+UseG1GC"],
        };
        let mut command = Command::new("java");
        command
            .current_dir(&self.folder)
            .args(heap)
            .args(self.runtime.archive.flags())
            .args([
                "-Djava.awt.headless=true",
                "-Dlog4j2.configurationFile=log4j2.properties",
            ])
            .arg("-Dlog4j.configuration=file:log4j.properties")
            .arg("-cp")
            .arg(&self.runtime.class_path)
            .args(["testkit.BrokerMain", self.role])
            .arg(self.properties())
            .arg(&self.folder)
            .args(if self.is_formatted() {
                &[]
            } else {
                self.format.as_slice()
            })
            .stdout(log)
            .stderr(errors);
        Jvm::start(&mut command)
    }

    fn is_formatted(&self) -> bool {
        self.data().join("meta.properties").exists()
    }

    /// Where topics are kept: a folder per partition.
    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log_path(&self) -> PathBuf {
        self.folder.join("output.log")
    }

    /// The last lines of the log.
    pub(super) fn log_tail(&self) -> String {
        match fs::read(self.log_path()) {
            Ok(bytes) => tail(&String::from_utf8_lossy(&bytes)),
            Err(error) => format!("(no log: {error})"),
        }
    }
}
