//! What a program prints for a login.

use std::process::Stdio;

use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::token::LARGEST_TOKEN;
use crate::error::ConnectionError;
use crate::secret::Secret;

/// Runs the program. It is ended when the future is dropped. `setting` is where it is configured, for messages.
///
/// What it prints besides is not shown: it may be secret as well.
pub(super) async fn run(words: &[String], setting: &str) -> Result<Secret, ConnectionError> {
    let failed = |what: &str| {
        let program = words.first().map_or("", String::as_str);
        ConnectionError::Token(format!(
            "the command ({program} ...) {what}; run it by hand to see what it prints ({setting})"
        ))
    };
    let [program, arguments @ ..] = words else {
        return Err(failed("is empty"));
    };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| {
            ConnectionError::Authentication(format!(
                "nothing to log in with: the command {program:?} cannot be started: {error} ({setting})"
            ))
        })?;
    let mut printed = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        let read = stdout.take(LARGEST_TOKEN + 1).read_to_end(&mut printed).await;
        read.map_err(|error| failed(&format!("cannot be read from: {error}")))?;
    }
    if printed.len() as u64 > LARGEST_TOKEN {
        return Err(failed("printed more than 256 KiB"));
    }
    let status = child
        .wait()
        .await
        .map_err(|error| failed(&format!("cannot be waited for: {error}")))?;
    if !status.success() {
        return Err(failed(&format!("failed ({status})")));
    }
    let printed = String::from_utf8(printed).map_err(|_| failed("printed something else than text"))?;
    Ok(Secret::new(printed.trim()))
}
