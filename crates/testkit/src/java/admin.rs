//! What users may do, and the configuration of brokers.

use std::collections::BTreeMap;

use serde::Serialize;

use super::JavaClient;
use crate::error::Result;

/// An entry of an access control list, in the words of Kafka's enums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Acl<'a> {
    /// `TOPIC`, `GROUP`, ...
    pub resource: &'a str,
    /// Name, or what names begin with.
    pub name: &'a str,
    /// `LITERAL` or `PREFIXED`.
    pub pattern: &'a str,
    /// Such as `User:alice`.
    pub principal: &'a str,
    /// `*` for any.
    pub host: &'a str,
    /// `READ`, `WRITE`, ...
    pub operation: &'a str,
    /// `ALLOW` or `DENY`.
    pub permission: &'a str,
}

impl JavaClient {
    /// Adds an entry to an access control list; the brokers need an authorizer.
    pub async fn create_acl(&self, acl: Acl<'_>) -> Result<()> {
        self.run("acl_create", &acl).await
    }

    /// Sets a client quota; `entity` has `user`, `client-id` or `ip`, and a name or none for the default.
    pub async fn set_quota(&self, entity: &[(&str, Option<&str>)], quota: &str, limit: f64) -> Result<()> {
        #[derive(Serialize)]
        struct Args<'a> {
            entity: BTreeMap<&'a str, Option<&'a str>>,
            quota: &'a str,
            limit: f64,
        }
        let entity = entity.iter().copied().collect();
        self.run("quota_set", &Args { entity, quota, limit }).await
    }

    /// The configs that were set at run time for a broker, or with `None` for all brokers.
    pub async fn broker_configs(&self, broker: Option<i32>) -> Result<BTreeMap<String, String>> {
        #[derive(Serialize)]
        struct Args {
            broker: String,
        }
        let broker = broker.map(|id| id.to_string()).unwrap_or_default();
        let found: Vec<(String, String)> = self.call("broker_configs", &Args { broker }).await?;
        Ok(found.into_iter().collect())
    }
}
