//! What was issued for logins, kept for all connections that are made while it is good.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::ConnectionError;

/// How much of its life a thing is used for new logins. The rest is for the login itself, and keeps a session that is
/// renewed when 85 % of it are over from being renewed with what it was begun with.
const USABLE: f64 = 0.8;
/// How long a thing is used that does not say how long it is good: long enough for the connections that are made together.
const UNKNOWN: Duration = Duration::from_secs(30);

/// Keeps one thing.
#[derive(Debug)]
pub(super) struct Keeper<T> {
    /// Held while one is fetched, so that this happens once for all who need it.
    kept: tokio::sync::Mutex<Option<Kept<T>>>,
}

#[derive(Debug)]
struct Kept<T> {
    thing: T,
    until: Instant,
}

/// A thing to log in with.
pub(super) struct Given<T> {
    pub(super) thing: T,
    /// Whether it was not got for this login, so that there may be a newer one.
    pub(super) kept: bool,
}

/// A thing, and how long it is good.
pub(super) struct Issued<T> {
    pub(super) thing: T,
    pub(super) lifetime: Option<Duration>,
}

impl<T> Default for Keeper<T> {
    fn default() -> Self {
        Self {
            kept: tokio::sync::Mutex::default(),
        }
    }
}

impl<T: Clone> Keeper<T> {
    /// What is kept, or what comes within `patience`.
    ///
    /// # Errors
    /// Those of `issue`, and [`ConnectionError::Token`] when it takes too long.
    pub(super) async fn get(
        &self,
        patience: Duration,
        issue: impl Future<Output = Result<Issued<T>, ConnectionError>>,
    ) -> Result<Given<T>, ConnectionError> {
        let mut kept = self.kept.lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| kept.until > Instant::now()) {
            let thing = kept.thing.clone();
            return Ok(Given { thing, kept: true });
        }
        *kept = None;
        let late = |_| {
            let seconds = patience.as_secs_f32();
            ConnectionError::Token(format!("whoever gives it out has not done so within {seconds} s"))
        };
        let issued = tokio::time::timeout(patience, issue).await.map_err(late)?;
        let Issued { thing, lifetime } = issued?;
        let usable = lifetime.map_or(UNKNOWN, |lifetime| lifetime.mul_f64(USABLE));
        *kept = Instant::now().checked_add(usable).map(|until| Kept {
            thing: thing.clone(),
            until,
        });
        Ok(Given { thing, kept: false })
    }

    /// Lets the next login fetch another thing, unless others have done so already.
    pub(super) async fn forget(&self, is_refused: impl FnOnce(&T) -> bool) {
        let mut kept = self.kept.lock().await;
        if kept.as_ref().is_some_and(|kept| is_refused(&kept.thing)) {
            *kept = None;
        }
    }
}
