//! Users and their passwords.

use serde::Serialize;

use super::JavaClient;
use crate::error::Result;

impl JavaClient {
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
