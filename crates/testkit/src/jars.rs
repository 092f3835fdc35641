//! Kafka's jars, resolved by Maven, and our Java classes, compiled against them.

use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache;
use crate::error::{Error, Result};
use crate::{DEFAULT_KAFKA_VERSION, process};

/// Kafka 4 logs through an API only; earlier releases bring a backend along.
const LOG_BACKEND: &str = "<dependency><groupId>org.apache.logging.log4j</groupId>\
    <artifactId>log4j-slf4j-impl</artifactId><version>2.25.1</version></dependency>";

/// Kafka 4 needs it.
const OLDEST_JAVA: u32 = 17;

const OUR_JAR: &str = "testkit.jar";

const SOURCES: &[(&str, &str)] = &[
    (
        "AdminCommands.java",
        include_str!("../java/testkit/AdminCommands.java"),
    ),
    ("BrokerMain.java", include_str!("../java/testkit/BrokerMain.java")),
    ("Clients.java", include_str!("../java/testkit/Clients.java")),
    (
        "ConsumeCommands.java",
        include_str!("../java/testkit/ConsumeCommands.java"),
    ),
    ("Driver.java", include_str!("../java/testkit/Driver.java")),
    ("Generator.java", include_str!("../java/testkit/Generator.java")),
    (
        "GroupCommands.java",
        include_str!("../java/testkit/GroupCommands.java"),
    ),
    (
        "IamCallbackHandler.java",
        include_str!("../java/testkit/IamCallbackHandler.java"),
    ),
    (
        "IamLoginModule.java",
        include_str!("../java/testkit/IamLoginModule.java"),
    ),
    (
        "IamSaslServer.java",
        include_str!("../java/testkit/IamSaslServer.java"),
    ),
    (
        "MemberCommands.java",
        include_str!("../java/testkit/MemberCommands.java"),
    ),
    ("OrderEvent.java", include_str!("../java/testkit/OrderEvent.java")),
    ("NamePolicy.java", include_str!("../java/testkit/NamePolicy.java")),
    (
        "PositionCommands.java",
        include_str!("../java/testkit/PositionCommands.java"),
    ),
    (
        "ProduceCommands.java",
        include_str!("../java/testkit/ProduceCommands.java"),
    ),
    (
        "QuotaCommands.java",
        include_str!("../java/testkit/QuotaCommands.java"),
    ),
    (
        "RawCommands.java",
        include_str!("../java/testkit/RawCommands.java"),
    ),
    ("Records.java", include_str!("../java/testkit/Records.java")),
    ("Reply.java", include_str!("../java/testkit/Reply.java")),
    (
        "SecurityCommands.java",
        include_str!("../java/testkit/SecurityCommands.java"),
    ),
    (
        "ShareCommands.java",
        include_str!("../java/testkit/ShareCommands.java"),
    ),
    (
        "StreamsCommands.java",
        include_str!("../java/testkit/StreamsCommands.java"),
    ),
    (
        "TopicCommands.java",
        include_str!("../java/testkit/TopicCommands.java"),
    ),
];

/// The folder with the jars of a Kafka release.
pub(crate) fn of_version(version: &str) -> Result<PathBuf> {
    cache::once(&format!("kafka-{version}"), |folder| {
        resolve(&project_file(&dependencies(version)), folder)
    })
}

/// A class path of our classes and a release's jars, always in the same order: class archives depend on it.
pub(crate) fn class_path(version: &str) -> Result<OsString> {
    let folder = of_version(version)?;
    let mut jars = Vec::new();
    for entry in fs::read_dir(&folder).map_err(Error::io("listing the jars"))? {
        jars.push(entry.map_err(Error::io("listing the jars"))?.path());
    }
    jars.sort();
    let mut path = classes()?.join(OUR_JAR).into_os_string();
    for jar in jars {
        path.push(":");
        path.push(jar);
    }
    Ok(path)
}

/// The jar with Kafka's own remote storage for tests, [`LocalTieredStorage`](crate::ClusterOptions::remote_storage).
pub(crate) fn remote_storage(version: &str) -> Result<PathBuf> {
    let dependency = format!(
        "<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-storage</artifactId>\
         <version>{version}</version><classifier>test</classifier>\
         <exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions></dependency>"
    );
    let name = format!("kafka-remote-storage-{version}");
    let folder = cache::once(&name, |folder| resolve(&project_file(&dependency), folder))?;
    Ok(folder.join(format!("kafka-storage-{version}-test.jar")))
}

fn resolve(project_file: &str, folder: &Path) -> Result<()> {
    let project = tempfile::tempdir().map_err(Error::io("making a folder for Maven"))?;
    let pom = project.path().join("pom.xml");
    fs::write(&pom, project_file).map_err(Error::io("writing pom.xml"))?;
    process::run(
        "mvn",
        Command::new("mvn")
            .args(["-B", "-q", "-f"])
            .arg(&pom)
            .args(["dependency:copy-dependencies", "-DincludeScope=runtime"])
            .arg(format!("-DoutputDirectory={}", folder.display())),
    )
}

fn project_file(dependencies: &str) -> String {
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
         <groupId>testkit</groupId><artifactId>jars</artifactId><version>1</version><packaging>pom</packaging>\
         <dependencies>{dependencies}</dependencies></project>"
    )
}

/// A release's brokers and tools.
fn dependencies(version: &str) -> String {
    let log_backend = if version_number(version) >= (4, 0) {
        LOG_BACKEND
    } else {
        ""
    };
    let dependency = |artifact: &str| {
        format!(
            "<dependency><groupId>org.apache.kafka</groupId><artifactId>{artifact}</artifactId>\
             <version>{version}</version></dependency>"
        )
    };
    format!(
        "{}{}{log_backend}",
        dependency("kafka_2.13"),
        dependency("kafka-tools")
    )
}

/// Major and minor version; what is no number counts as 0.
pub(crate) fn version_number(version: &str) -> (u32, u32) {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// Names what our classes are made of: another source or release makes another id.
pub(crate) fn classes_id() -> String {
    let mut hasher = DefaultHasher::new();
    (SOURCES, DEFAULT_KAFKA_VERSION).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// A folder with our classes as a jar, compiled against the newest jars.
fn classes() -> Result<PathBuf> {
    cache::once(&format!("classes-{}", classes_id()), compile)
}

fn compile(folder: &Path) -> Result<()> {
    let jars = of_version(DEFAULT_KAFKA_VERSION)?;
    let work = tempfile::tempdir().map_err(Error::io("making a folder for javac"))?;
    let classes = work.path().join("classes");
    let mut command = Command::new("javac");
    command
        .args(["-nowarn", "-encoding", "UTF-8", "-d"])
        .arg(&classes)
        .arg("-cp")
        .arg(jars.join("*"));
    for (name, text) in SOURCES {
        let path = work.path().join(name);
        fs::write(&path, text).map_err(Error::io("writing a Java source"))?;
        command.arg(path);
    }
    process::run("javac", &mut command)?;
    let jar = folder.join(OUR_JAR);
    process::run(
        "jar",
        Command::new("jar")
            .arg("cf")
            .arg(jar)
            .arg("-C")
            .arg(&classes)
            .arg("."),
    )
}

/// The version of the machine's Java, which must be new enough.
pub(crate) fn java_version() -> Result<String> {
    let output = Command::new("java")
        .arg("-version")
        .output()
        .map_err(|source| process::starting("java", source))?;
    let printed = String::from_utf8_lossy(&output.stderr);
    let version = printed.split('"').nth(1).unwrap_or_default().to_owned();
    let major = version
        .split(['.', '-', '+'])
        .next()
        .and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(major) if major >= OLDEST_JAVA => Ok(version),
        _ => Err(Error::OldJava { found: version }),
    }
}
