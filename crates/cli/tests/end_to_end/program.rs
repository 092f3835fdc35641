//! Runs the binary in a folder of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

/// A folder with configurations, backups and reports.
pub(crate) struct Workplace {
    folder: TempDir,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs to the end, on a thread of its own so that the test's cluster handles stay alive.
pub(crate) async fn finish(mut command: Command) -> Ran {
    tokio::task::spawn_blocking(move || Ran::of(command.output().unwrap()))
        .await
        .unwrap()
}

impl Workplace {
    pub(crate) fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn backups(&self) -> PathBuf {
        self.path("backups")
    }

    /// Writes a configuration; `{backups}` and `{folder}` in it are filled in.
    pub(crate) fn config(&self, name: &str, yaml: &str) -> PathBuf {
        let yaml = yaml.replace("{backups}", &self.backups().display().to_string());
        let yaml = yaml.replace("{folder}", &self.folder.path().display().to_string());
        let path = self.path(name);
        std::fs::write(&path, yaml).unwrap();
        path
    }

    /// Starts the program, to be waited for or ended later.
    pub(crate) fn start(&self, args: &[&str]) -> Child {
        self.command(args).spawn().unwrap()
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-backup"));
        command
            .args(args)
            .current_dir(self.folder.path())
            .env_remove("KAFKA_BACKUP_STORAGE_PATH");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs to the end.
    pub(crate) async fn run(&self, args: &[&str]) -> Ran {
        finish(self.command(args)).await
    }

    /// Runs and expects success.
    pub(crate) async fn must(&self, args: &[&str]) -> Ran {
        let ran = self.run(args).await;
        assert_eq!(ran.code, Some(0), "{args:?}: {ran:#?}");
        ran
    }
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Asserts that it failed with an error that says all of `parts`, and without a panic.
    #[track_caller]
    pub(crate) fn failed_saying(&self, parts: &[&str]) {
        assert_eq!(self.code, Some(1), "{self:#?}");
        assert!(
            self.stderr.contains("error: ") && !self.stderr.contains("panicked"),
            "{self:#?}"
        );
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is not in {}", self.stderr);
        }
    }
}

/// The backup configuration of the tests.
pub(crate) fn backup_yaml(backup_id: &str, bootstrap: &[String], include: &[&str]) -> String {
    format!(
        "mode: backup\nbackup_id: {backup_id}\nsource:\n  bootstrap_servers: {bootstrap:?}\n  topics:\n    include: {include:?}\n\
         storage:\n  backend: filesystem\n  path: {{backups}}\n"
    )
}

/// The restore configuration of the tests; `restore` holds lines of the section of that name.
pub(crate) fn restore_yaml(backup_id: &str, bootstrap: &[String], restore: &[&str]) -> String {
    let lines: String = restore.iter().map(|line| format!("  {line}\n")).collect();
    let section = if lines.is_empty() {
        String::new()
    } else {
        format!("restore:\n{lines}")
    };
    format!(
        "mode: restore\nbackup_id: {backup_id}\ntarget:\n  bootstrap_servers: {bootstrap:?}\n  topics:\n    include: ['*']\n\
         storage:\n  backend: filesystem\n  path: {{backups}}\n{section}"
    )
}

/// All files below a folder.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}
