//! Getting tokens, and keeping one for all connections that are made while it is good.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use super::endpoint::Endpoint;
use super::{command, jwt};
use crate::config::TokenSource;
use crate::error::{ConnectionError, Error};
use crate::secret::Secret;

/// A token larger than this is none.
pub(super) const LARGEST_TOKEN: u64 = 256 << 10;
/// How much of a token's life it is used for new logins. The rest is for the login itself, and keeps a session that is
/// renewed when 85 % of it are over from being renewed with the token that it was begun with.
const USABLE: f64 = 0.8;
/// How long a token is used that does not say how long it is good: long enough for the connections that are made together.
const UNKNOWN: Duration = Duration::from_secs(30);

/// A token, and how long it is good.
pub(super) struct Issued {
    pub(super) token: Secret,
    pub(super) lifetime: Option<Duration>,
}

/// The tokens of one cluster.
#[derive(Debug)]
pub(super) struct Tokens {
    source: Source,
    /// Held while one is fetched, so that this happens once for all who need it.
    kept: tokio::sync::Mutex<Option<Kept>>,
}

#[derive(Debug)]
enum Source {
    File(PathBuf),
    Command(Vec<String>),
    Endpoint(Box<Endpoint>),
}

#[derive(Debug)]
struct Kept {
    token: Secret,
    until: Instant,
}

impl Tokens {
    pub(super) fn load(source: &TokenSource) -> Result<Self, Error> {
        let source = match source {
            TokenSource::File(path) => Source::File(path.clone()),
            TokenSource::Command(words) => Source::Command(words.clone()),
            TokenSource::ClientCredentials(asked) => Source::Endpoint(Box::new(Endpoint::load(asked)?)),
        };
        Ok(Self {
            source,
            kept: tokio::sync::Mutex::default(),
        })
    }

    /// A token that is good for a while.
    pub(super) async fn get(&self, patience: Duration) -> Result<Secret, ConnectionError> {
        // Whoever renews the file knows when.
        if let Source::File(path) = &self.source {
            return read(path).await;
        }
        let mut kept = self.kept.lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| kept.until > Instant::now()) {
            return Ok(kept.token.clone());
        }
        *kept = None;
        let Issued { token, lifetime } =
            tokio::time::timeout(patience, self.fetch()).await.map_err(|_| {
                ConnectionError::Token(format!("none came within {} s", patience.as_secs_f32()))
            })??;
        let lifetime = lifetime.or_else(|| jwt::lifetime(token.reveal(), SystemTime::now()));
        let usable = lifetime.map_or(UNKNOWN, |lifetime| lifetime.mul_f64(USABLE));
        *kept = Instant::now().checked_add(usable).map(|until| Kept {
            token: token.clone(),
            until,
        });
        Ok(token)
    }

    /// Lets the next login fetch another token.
    pub(super) async fn forget(&self) {
        *self.kept.lock().await = None;
    }

    async fn fetch(&self) -> Result<Issued, ConnectionError> {
        let token = match &self.source {
            Source::File(path) => read(path).await?,
            Source::Command(words) => command::run(words).await?,
            Source::Endpoint(endpoint) => return endpoint.ask().await,
        };
        Ok(Issued {
            token,
            lifetime: None,
        })
    }
}

async fn read(path: &Path) -> Result<Secret, ConnectionError> {
    let failed = |what: String| {
        ConnectionError::Authentication(format!(
            "no token for the login: the file {} {what} (sasl_oauthbearer_token_file)",
            path.display()
        ))
    };
    let file = tokio::fs::File::open(path).await;
    let file = file.map_err(|error| failed(format!("cannot be read: {error}")))?;
    let mut bytes = Vec::new();
    let read = file.take(LARGEST_TOKEN + 1).read_to_end(&mut bytes).await;
    read.map_err(|error| failed(format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > LARGEST_TOKEN {
        return Err(failed("is too large for a token".to_owned()));
    }
    let text = String::from_utf8(bytes).map_err(|_| failed("is no text".to_owned()))?;
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

    async fn word(tokens: &Tokens) -> String {
        tokens.get(PATIENCE).await.unwrap().reveal().to_owned()
    }

    #[tokio::test]
    async fn one_token_serves_all_until_it_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = counting(folder.path(), "echo \" token-$n \"");
        let (a, b) = tokio::join!(word(&tokens), word(&tokens));
        assert_eq!([&a, &b, &word(&tokens).await], ["token-1"; 3]);
        tokens.forget().await;
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
            ("yes marker | head -c 400000", "more than a token"),
            ("printf 'marker\\377'", "something else than text"),
        ] {
            let words = ["sh", "-c", script].map(str::to_owned).to_vec();
            let tokens = Tokens::load(&TokenSource::Command(words)).unwrap();
            let error = tokens.get(PATIENCE).await.unwrap_err().to_string();
            assert!(error.contains(says) && !error.contains("marker"), "{error}");
        }
        let nobody = TokenSource::Command(vec!["no-such-program-anywhere".to_owned(), "marker".to_owned()]);
        let error = Tokens::load(&nobody)
            .unwrap()
            .get(PATIENCE)
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("cannot be started") && !error.contains("marker"),
            "{error}"
        );
        let error = Tokens::load(&TokenSource::File("/no/such/token".into())).unwrap();
        let error = error.get(PATIENCE).await.unwrap_err().to_string();
        assert!(
            error.contains("/no/such/token cannot be read: No such file"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_command_that_does_not_end_is_given_up() {
        let words = ["sh", "-c", "sleep 600"].map(str::to_owned).to_vec();
        let tokens = Tokens::load(&TokenSource::Command(words)).unwrap();
        let error = tokens.get(Duration::from_millis(50)).await.unwrap_err();
        assert!(matches!(error, ConnectionError::Token(_)), "{error}");
    }
}
