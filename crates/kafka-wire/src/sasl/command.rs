//! A token that a program prints.

use std::process::Stdio;

use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::token::LARGEST_TOKEN;
use crate::error::ConnectionError;
use crate::secret::Secret;

/// Runs the program. It is ended when the future is dropped.
///
/// What it prints besides is not shown: it may be a token as well.
pub(super) async fn run(words: &[String]) -> Result<Secret, ConnectionError> {
    let failed = |what: &str| {
        let program = words.first().map_or("", String::as_str);
        let advice = "run it by hand to see what it prints (sasl_oauthbearer_token_command)";
        ConnectionError::Token(format!("the command ({program} ...) {what}; {advice}"))
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
                "no token for the login: the command {program:?} cannot be started: {error} \
                 (sasl_oauthbearer_token_command)"
            ))
        })?;
    let mut printed = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        let read = stdout.take(LARGEST_TOKEN + 1).read_to_end(&mut printed).await;
        read.map_err(|error| failed(&format!("cannot be read from: {error}")))?;
    }
    if printed.len() as u64 > LARGEST_TOKEN {
        return Err(failed("printed more than a token"));
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
