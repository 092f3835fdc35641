//! The programs that serve S3: how each is had, started and asked whether it is up.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{ACCESS_KEY, REGION, SECRET_KEY};
use crate::cache;
use crate::error::{Error, Result};
use crate::process::run;

/// Names the kind that is started when a test does not.
const VARIABLE: &str = "KAFKA_BACKUP_TEST_S3";

/// A program that serves S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum S3Kind {
    /// versitygw on a folder: two minutes to build. Refuses an object `a` next to `a/b`.
    #[default]
    Versitygw,
    /// MinIO on a single drive: four minutes to build. Can encrypt what it stores, with a key of its own.
    Minio,
}

impl S3Kind {
    /// What the environment names; versitygw when it names nothing.
    pub(super) fn of_environment() -> Result<Self> {
        match std::env::var(VARIABLE).as_deref() {
            Err(_) | Ok("" | "versitygw") => Ok(Self::Versitygw),
            Ok("minio") => Ok(Self::Minio),
            Ok(other) => Err(Error::S3Start {
                why: format!("is of no known kind: {VARIABLE} is `{other}`, not `versitygw` or `minio`"),
                log: String::new(),
            }),
        }
    }

    /// The Go package and the release that is built.
    fn package(self) -> (&'static str, &'static str) {
        match self {
            Self::Versitygw => ("github.com/versity/versitygw/cmd/versitygw", "v1.8.0"),
            Self::Minio => ("github.com/minio/minio", "v0.0.0-20260212201848-7aac2a2c5b7c"),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Versitygw => "versitygw",
            Self::Minio => "minio",
        }
    }

    /// The program, built if it is not there yet.
    pub(super) fn program(self) -> Result<PathBuf> {
        let (package, version) = self.package();
        let folder = cache::once(&format!("{}-{version}", self.name()), |folder| {
            let mut build = Command::new("go");
            build.args(["install", &format!("{package}@{version}")]);
            run("go", build.env("GOBIN", folder))
        })?;
        Ok(folder.join(self.name()))
    }

    /// A path that answers 200 once requests are served.
    pub(super) fn health(self) -> &'static str {
        match self {
            Self::Versitygw => "/health",
            Self::Minio => "/minio/health/ready",
        }
    }

    /// Has it listen on `address` and serve `folder/data`.
    pub(super) fn arguments(self, command: &mut Command, address: &str, folder: &Path) {
        match self {
            Self::Versitygw => {
                command
                    .args(["--access", ACCESS_KEY, "--secret", SECRET_KEY, "--region", REGION])
                    .args([
                        "--port",
                        address,
                        "--health",
                        "/health",
                        "--keep-alive",
                        "--quiet",
                    ])
                    // Metadata in files: not every file system that holds temporary folders has extended attributes.
                    .args(["posix", "--sidecar"])
                    .args([folder.join("meta"), folder.join("data")]);
            }
            Self::Minio => {
                command
                    .args(["server", "--quiet", "--address", address, "--certs-dir"])
                    .args([folder.join("meta"), folder.join("data")])
                    .env("MINIO_ROOT_USER", ACCESS_KEY)
                    .env("MINIO_ROOT_PASSWORD", SECRET_KEY)
                    .env("MINIO_SITE_REGION", REGION)
                    .env("MINIO_KMS_SECRET_KEY", KMS_KEY)
                    .env("MINIO_BROWSER", "off")
                    .env("MINIO_UPDATE", "off");
            }
        }
    }
}

/// Name and bytes of the key that MinIO encrypts with when it is asked to.
const KMS_KEY: &str = "testkit:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
