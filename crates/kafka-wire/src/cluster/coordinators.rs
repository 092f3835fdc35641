//! Finding and remembering the coordinators of groups.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kafka_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse};

use super::Cluster;
use crate::connection::{Api, BrokerAddress, Link, Role, text};
use crate::error::{Error, ErrorCode};
use crate::retry::Effect;

/// The kind of a coordinator, as written in requests.
const GROUP: i8 = 0;

#[derive(Debug, Default)]
pub(super) struct CoordinatorCache {
    nodes: Mutex<HashMap<String, i32>>,
}

impl CoordinatorCache {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, i32>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cluster {
    /// Sends a request to the coordinator of a group, and to its successor when the group moved.
    ///
    /// `build` makes the request for the version that is spoken; `outcome` tells an error code by which the
    /// coordinator refused all of it.
    pub(crate) async fn ask_coordinator<R: Api>(
        &self,
        group: &str,
        effect: Effect,
        build: impl Fn(i16) -> R,
        outcome: impl Fn(&R::Response) -> Option<ErrorCode>,
    ) -> Result<(Link, R::Response), Error> {
        let mut retry = self.retry(effect);
        loop {
            let error = match self.ask_coordinator_once(group, &build).await {
                Ok((link, response)) => match outcome(&response) {
                    None => return Ok((link, response)),
                    Some(code) => Error::kafka(code, R::NAME, link.broker(), subject(group)),
                },
                Err(error) => error,
            };
            if error.code().is_none_or(ErrorCode::is_stale_coordinator) {
                self.forget_coordinator(group);
            }
            retry.pause(error).await?;
        }
    }

    async fn ask_coordinator_once<R: Api>(
        &self,
        group: &str,
        build: &impl Fn(i16) -> R,
    ) -> Result<(Link, R::Response), Error> {
        let link = self.coordinator_link(group).await?;
        let version = link.version_of::<R>()?;
        let response = link
            .call_at(version, &build(version), self.inner.config.request_timeout)
            .await?;
        Ok((link, response))
    }

    /// A connection to the coordinator of a group. Asks once, if the cache does not know.
    pub(crate) async fn coordinator_link(&self, group: &str) -> Result<Link, Error> {
        let node = self.coordinator(group).await?;
        self.link(node, Role::Group, 0).await
    }

    /// The node id of the coordinator of a group. Asks once, if the cache does not know.
    pub(super) async fn coordinator(&self, group: &str) -> Result<i32, Error> {
        let cached = self.inner.coordinators.lock().get(group).copied();
        match cached {
            Some(node) => Ok(node),
            None => self.find_coordinator(group).await,
        }
    }

    /// Says that a group has another coordinator now.
    pub(crate) fn forget_coordinator(&self, group: &str) {
        self.inner.coordinators.lock().remove(group);
    }

    async fn find_coordinator(&self, group: &str) -> Result<i32, Error> {
        let link = self.any_link().await?;
        let version = link.version_of::<FindCoordinatorRequest>()?;
        let request = find_request(version, group);
        let response = link
            .call_at(version, &request, self.inner.config.request_timeout)
            .await?;
        let found = Found::of(response, group)
            .ok_or_else(|| link.malformed(FindCoordinatorRequest::NAME, version, "the group is not in it"))?;
        if let Some(code) = found.error {
            return Err(
                Error::kafka(code, FindCoordinatorRequest::NAME, link.broker(), subject(group))
                    .with_message(found.message),
            );
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
            .insert(group.to_owned(), found.node);
        Ok(found.node)
    }
}

fn find_request(version: i16, group: &str) -> FindCoordinatorRequest {
    let key = text(group);
    let request = FindCoordinatorRequest::default().with_key_type(GROUP);
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
    fn of(response: FindCoordinatorResponse, group: &str) -> Option<Self> {
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
            .find(|found| &*found.key == group)?;
        Some(Self {
            error: ErrorCode::new(found.error_code),
            message: found.error_message.map(|words| words.to_string()),
            node: found.node_id.0,
            host: found.host.to_string(),
            port: found.port,
        })
    }
}

/// For messages.
fn subject(group: &str) -> String {
    format!("group {group}")
}
