//! Getting tokens, and keeping one for all connections that are made while it is good.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use super::endpoint::Endpoint;
use super::keeper::{Given, Issued, Keeper};
use super::oauth::is_token;
use super::{command, jwt};
use crate::config::TokenSource;
use crate::error::{ConnectionError, Error};
use crate::secret::Secret;

/// Names the setting in messages about the command.
const COMMAND_SETTING: &str = "sasl_oauthbearer_token_command";

/// A token larger than this is none.
pub(super) const LARGEST_TOKEN: u64 = 256 << 10;
/// How long a file may be without a token: whoever writes a new one into it may have to empty it first.
const FILE_GRACE: Duration = Duration::from_secs(1);
/// Between two looks at a file.
const FILE_PAUSE: Duration = Duration::from_millis(50);

/// The tokens of one cluster.
#[derive(Debug)]
pub(super) struct Tokens {
    source: Source,
    /// Whether the file has had a token.
    file_was_good: AtomicBool,
    kept: Keeper<Secret>,
}

#[derive(Debug)]
enum Source {
    /// Whoever renews the file knows when, so it is read each time.
    File(PathBuf),
    /// Asked when there is no token that is good.
    Issuer(Issuer),
}

#[derive(Debug)]
enum Issuer {
    Command(Vec<String>),
    Endpoint(Box<Endpoint>),
}

impl Issuer {
    async fn issue(&self) -> Result<Issued<Secret>, ConnectionError> {
        let mut issued = match self {
            Self::Command(words) => Issued {
                thing: command::run(words, COMMAND_SETTING).await?,
                lifetime: None,
            },
            Self::Endpoint(endpoint) => endpoint.ask().await?,
        };
        if issued.lifetime.is_none() {
            issued.lifetime = jwt::lifetime(issued.thing.reveal(), SystemTime::now());
        }
        Ok(issued)
    }
}

impl Tokens {
    pub(super) fn load(source: &TokenSource) -> Result<Self, Error> {
        let source = match source {
            TokenSource::File(path) => Source::File(path.clone()),
            TokenSource::Command(words) => Source::Issuer(Issuer::Command(words.clone())),
            TokenSource::ClientCredentials(asked) => {
                Source::Issuer(Issuer::Endpoint(Box::new(Endpoint::load(asked)?)))
            }
        };
        Ok(Self {
            source,
            file_was_good: AtomicBool::new(false),
            kept: Keeper::default(),
        })
    }

    /// A token that is good for a while.
    pub(super) async fn get(&self, patience: Duration) -> Result<Given<Secret>, ConnectionError> {
        match &self.source {
            Source::File(path) => {
                let token = self.in_file(path, FILE_GRACE.min(patience)).await?;
                Ok(Given {
                    thing: token,
                    kept: true,
                })
            }
            Source::Issuer(issuer) => self.kept.get(patience, issuer.issue()).await,
        }
    }

    /// A token other than one that was refused, if there is one.
    pub(super) async fn get_other(
        &self,
        refused: &Secret,
        patience: Duration,
    ) -> Result<Option<Secret>, ConnectionError> {
        if matches!(self.source, Source::File(_)) {
            // Only a part of the new one may have been there.
            tokio::time::sleep(FILE_PAUSE).await;
        }
        let Given { thing, .. } = self.get(patience).await?;
        Ok(Some(thing).filter(|token| token != refused))
    }

    /// The token in a file. One that cannot be read, or has none, is looked at again for a moment. That passes if the file has
    /// been good before; else the setting is wrong.
    async fn in_file(&self, path: &Path, patience: Duration) -> Result<Secret, ConnectionError> {
        let give_up = Instant::now() + patience;
        loop {
            let what = match read(path).await {
                Ok(token) if is_token(token.reveal()) => {
                    self.file_was_good.store(true, Ordering::Relaxed);
                    return Ok(token);
                }
                Ok(token) if token.reveal().is_empty() => "is empty".to_owned(),
                Ok(_) => "has characters that a token cannot have (only the token must be in it, without a header and \
                          without quotes)"
                    .to_owned(),
                Err(what) => what,
            };
            if Instant::now() >= give_up {
                let what = format!("the file {} {what} (sasl_oauthbearer_token_file)", path.display());
                return Err(match self.file_was_good.load(Ordering::Relaxed) {
                    true => ConnectionError::Token(what),
                    false => ConnectionError::Authentication(format!("nothing to log in with: {what}")),
                });
            }
            tokio::time::sleep(FILE_PAUSE).await;
        }
    }

    /// Lets the next login fetch another token than this one, which others may have done already.
    pub(super) async fn forget(&self, refused: &Secret) {
        self.kept.forget(|token| token == refused).await;
    }
}

/// What a file has.
///
/// # Errors
/// Why it cannot be a token.
async fn read(path: &Path) -> Result<Secret, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    let mut bytes = Vec::new();
    let read = file.take(LARGEST_TOKEN + 1).read_to_end(&mut bytes).await;
    read.map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST_TOKEN {
        return Err("is too large for a token".to_owned());
    }
    let text = String::from_utf8(bytes).map_err(|_| "is no text")?;
    Ok(Secret::new(text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// A command that prints another word each time.
    fn counting(folder: &Path, print: &str) -> Tokens {
        let counter = folder.join("counter").display().to_string();
        let script = format!("echo x >> '{counter}'; n=$(wc -l < '{counter}'); {print}");
        let words = ["sh", "-c", &script].map(str::to_owned).to_vec();
        Tokens::load(&TokenSource::Command(words)).unwrap()
    }

    async fn failure(tokens: &Tokens) -> ConnectionError {
        match tokens.get(PATIENCE).await {
            Ok(_) => panic!("a token"),
            Err(error) => error,
        }
    }

    async fn word(tokens: &Tokens) -> String {
        tokens.get(PATIENCE).await.unwrap().thing.reveal().to_owned()
    }

    #[tokio::test]
    async fn one_token_serves_all_until_it_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = counting(folder.path(), "echo \" token-$n \"");
        let (a, b) = tokio::join!(word(&tokens), word(&tokens));
        assert_eq!([&a, &b, &word(&tokens).await], ["token-1"; 3]);
        tokens.forget(&Secret::new("token-1")).await;
        assert_eq!(word(&tokens).await, "token-2");
        // Another connection was told so a moment later.
        tokens.forget(&Secret::new("token-1")).await;
        assert_eq!(word(&tokens).await, "token-2");
    }

    #[tokio::test]
    async fn a_token_that_has_expired_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        // {"exp":1}
        let tokens = counting(folder.path(), "echo \"$n.eyJleHAiOjF9.\"");
        assert_eq!(word(&tokens).await, "1.eyJleHAiOjF9.");
        assert_eq!(word(&tokens).await, "2.eyJleHAiOjF9.");
    }

    #[tokio::test]
    async fn a_file_is_read_each_time() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let tokens = Tokens::load(&TokenSource::File(file.path().to_owned())).unwrap();
        for token in ["one", "two"] {
            std::fs::write(file.path(), format!("{token}\n")).unwrap();
            assert_eq!(word(&tokens).await, token);
        }
    }

    #[tokio::test]
    async fn what_goes_wrong_is_said_without_what_was_printed() {
        for (script, says) in [
            ("echo marker; echo marker >&2; exit 3", "exit status: 3"),
            ("yes marker | head -c 400000", "more than 256 KiB"),
            ("printf 'marker\\377'", "something else than text"),
        ] {
            let words = ["sh", "-c", script].map(str::to_owned).to_vec();
            let tokens = Tokens::load(&TokenSource::Command(words)).unwrap();
            let error = failure(&tokens).await.to_string();
            assert!(error.contains(says) && !error.contains("marker"), "{error}");
        }
        let nobody = TokenSource::Command(vec!["no-such-program-anywhere".to_owned(), "marker".to_owned()]);
        let error = failure(&Tokens::load(&nobody).unwrap()).await.to_string();
        assert!(
            error.contains("cannot be started") && !error.contains("marker"),
            "{error}"
        );
        let error = Tokens::load(&TokenSource::File("/no/such/token".into())).unwrap();
        let error = failure(&error).await;
        assert!(matches!(error, ConnectionError::Authentication(_)), "{error:?}");
        let error = error.to_string();
        assert!(
            error.contains("/no/such/token cannot be read: No such file"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_command_that_does_not_end_is_given_up() {
        let words = ["sh", "-c", "sleep 600"].map(str::to_owned).to_vec();
        let tokens = Tokens::load(&TokenSource::Command(words)).unwrap();
        let Err(error) = tokens.get(Duration::from_millis(50)).await else {
            panic!("a token")
        };
        assert!(matches!(error, ConnectionError::Token(_)), "{error}");
    }

    /// As somebody does it who empties the file and then writes into it.
    #[tokio::test]
    async fn a_file_that_is_being_written_is_looked_at_again() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let tokens = Tokens::load(&TokenSource::File(file.path().to_owned())).unwrap();
        let (token, ()) = tokio::join!(word(&tokens), async {
            tokio::time::sleep(2 * FILE_PAUSE).await;
            std::fs::write(file.path(), "one").unwrap();
        });
        assert_eq!(token, "one");
        // When it stays so, it may pass all the same: there was a token once.
        for unfit in ["", "two words"] {
            std::fs::write(file.path(), unfit).unwrap();
            let error = failure(&tokens).await;
            assert!(matches!(error, ConnectionError::Token(_)), "{error:?}");
            assert!(!error.to_string().contains("words"), "{error}");
        }
        std::fs::remove_file(file.path()).unwrap();
        let error = failure(&tokens).await;
        assert!(matches!(error, ConnectionError::Token(_)), "{error:?}");
    }

    #[tokio::test]
    async fn after_a_refusal_only_another_token_is_of_use() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = counting(folder.path(), "echo token-$n");
        assert!(!tokens.get(PATIENCE).await.unwrap().kept);
        let kept = tokens.get(PATIENCE).await.unwrap();
        assert!(kept.kept);
        let other = tokens.get_other(&kept.thing, PATIENCE).await.unwrap();
        assert!(other.is_none(), "it was not forgotten");
        tokens.forget(&kept.thing).await;
        let other = tokens.get_other(&kept.thing, PATIENCE).await.unwrap();
        assert_eq!(other.unwrap().reveal(), "token-2");
    }
}
