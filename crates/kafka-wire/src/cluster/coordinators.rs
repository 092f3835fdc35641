//! Finding and remembering the coordinators of groups and transactions.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kafka_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse};

use super::Cluster;
use crate::connection::{Api, BrokerAddress, Link, Role, text};
use crate::error::{Error, ErrorCode};
use crate::retry::Effect;

/// What a coordinator coordinates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum CoordinatorKind {
    /// A consumer group.
    Group,
    /// A transactional producer.
    Transaction,
}

#[derive(Debug, Default)]
pub(super) struct CoordinatorCache {
    nodes: Mutex<HashMap<(CoordinatorKind, String), i32>>,
}

impl CoordinatorCache {
    fn lock(&self) -> MutexGuard<'_, HashMap<(CoordinatorKind, String), i32>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cluster {
    /// Sends a request to the coordinator of `key`, and to its successor when it moved.
    ///
    /// `build` makes the request for the version that is spoken; `outcome` tells an error code by which the
    /// coordinator refused all of it.
    pub(crate) async fn ask_coordinator<R: Api>(
        &self,
        (kind, key): (CoordinatorKind, &str),
        effect: Effect,
        build: impl Fn(i16) -> R,
        outcome: impl Fn(&R::Response) -> Option<ErrorCode>,
    ) -> Result<(Link, R::Response), Error> {
        let mut retry = self.retry(effect);
        loop {
            let error = match self.ask_coordinator_once((kind, key), &build).await {
                Ok((link, response)) => match outcome(&response) {
                    None => return Ok((link, response)),
                    Some(code) => Error::kafka(code, R::NAME, link.broker(), subject(kind, key)),
                },
                Err(error) => error,
            };
            if error.code().is_none_or(ErrorCode::is_stale_coordinator) {
                self.forget_coordinator(kind, key);
            }
            retry.pause(error).await?;
        }
    }

    async fn ask_coordinator_once<R: Api>(
        &self,
        (kind, key): (CoordinatorKind, &str),
        build: &impl Fn(i16) -> R,
    ) -> Result<(Link, R::Response), Error> {
        let link = self.coordinator_link(kind, key).await?;
        let version = link.version_of::<R>()?;
        let response = link
            .call_at(version, &build(version), self.inner.config.request_timeout)
            .await?;
        Ok((link, response))
    }

    /// A connection to the coordinator of `key`. Asks once, if the cache does not know.
    pub(crate) async fn coordinator_link(&self, kind: CoordinatorKind, key: &str) -> Result<Link, Error> {
        let cached = self
            .inner
            .coordinators
            .lock()
            .get(&(kind, key.to_owned()))
            .copied();
        let node = match cached {
            Some(node) => node,
            None => self.find_coordinator(kind, key).await?,
        };
        self.link(node, Role::Group, 0).await
    }

    /// Says that the coordinator of `key` is another one now.
    pub(crate) fn forget_coordinator(&self, kind: CoordinatorKind, key: &str) {
        self.inner.coordinators.lock().remove(&(kind, key.to_owned()));
    }

    async fn find_coordinator(&self, kind: CoordinatorKind, key: &str) -> Result<i32, Error> {
        let link = self.any_link().await?;
        let version = link.version_of::<FindCoordinatorRequest>()?;
        let request = find_request(version, kind, key);
        let response = link
            .call_at(version, &request, self.inner.config.request_timeout)
            .await?;
        let found = Found::of(response, key)
            .ok_or_else(|| link.malformed(FindCoordinatorRequest::NAME, version, "the key is not in it"))?;
        if let Some(code) = found.error {
            return Err(Error::kafka(
                code,
                FindCoordinatorRequest::NAME,
                link.broker(),
                subject(kind, key),
            )
            .with_message(found.message));
        }
        let address = BrokerAddress::announced(&found.host, found.port).ok_or_else(|| {
            link.malformed(
                FindCoordinatorRequest::NAME,
                version,
                "the coordinator has no usable address",
            )
        })?;
        self.inner.links.add_broker(found.node, address);
        self.inner
            .coordinators
            .lock()
            .insert((kind, key.to_owned()), found.node);
        Ok(found.node)
    }
}

fn find_request(version: i16, kind: CoordinatorKind, key: &str) -> FindCoordinatorRequest {
    let key = text(key);
    let request = FindCoordinatorRequest::default().with_key_type(match kind {
        CoordinatorKind::Group => 0,
        CoordinatorKind::Transaction => 1,
    });
    // From version 4 on a request carries many keys, in another field.
    if version >= 4 {
        request.with_coordinator_keys(vec![key])
    } else {
        request.with_key(key)
    }
}

struct Found {
    error: Option<ErrorCode>,
    message: Option<String>,
    node: i32,
    host: String,
    port: i32,
}

impl Found {
    fn of(response: FindCoordinatorResponse, key: &str) -> Option<Self> {
        if response.coordinators.is_empty() {
            return Some(Self {
                error: ErrorCode::new(response.error_code),
                message: response.error_message.map(|words| words.to_string()),
                node: response.node_id.0,
                host: response.host.to_string(),
                port: response.port,
            });
        }
        let found = response
            .coordinators
            .into_iter()
            .find(|found| &*found.key == key)?;
        Some(Self {
            error: ErrorCode::new(found.error_code),
            message: found.error_message.map(|words| words.to_string()),
            node: found.node_id.0,
            host: found.host.to_string(),
            port: found.port,
        })
    }
}

fn subject(kind: CoordinatorKind, key: &str) -> String {
    match kind {
        CoordinatorKind::Group => format!("group {key}"),
        CoordinatorKind::Transaction => format!("transactional id {key}"),
    }
}
