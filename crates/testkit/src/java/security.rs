//! Users and their passwords.

use serde::{Deserialize, Serialize};

use super::JavaClient;
use crate::error::Result;

/// What logs in by SCRAM in the place of a user (KIP-48).
#[derive(Debug, Deserialize)]
pub struct DelegationToken {
    /// Stands for the user name.
    pub id: String,
    /// Stands for the password: base64.
    pub hmac: String,
}

impl JavaClient {
    /// A delegation token of the user that this client logs in as. The broker needs `delegation.token.secret.key`; it learns of
    /// the token a moment later. It is good for `max_lifetime_ms`, or for as long as the broker lets it be.
    pub async fn create_delegation_token(&self, max_lifetime_ms: Option<u64>) -> Result<DelegationToken> {
        #[derive(Serialize)]
        struct Args {
            max_lifetime_ms: Option<u64>,
        }
        self.call("delegation_token_create", &Args { max_lifetime_ms })
            .await
    }

    /// Sets the password of a user for a mechanism (`SCRAM-SHA-256` or `SCRAM-SHA-512`), replacing what was set before.
    /// Brokers learn of it a moment later.
    pub async fn set_scram(
        &self,
        user: &str,
        mechanism: &str,
        password: &str,
        iterations: u32,
    ) -> Result<()> {
        #[derive(Serialize)]
        struct Args<'a> {
            user: &'a str,
            mechanism: &'a str,
            password: &'a str,
            iterations: u32,
        }
        let args = Args {
            user,
            mechanism,
            password,
            iterations,
        };
        self.run("scram_set", &args).await
    }
}
