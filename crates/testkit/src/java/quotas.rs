//! Quotas: how much a client may do.

use serde::Serialize;

use super::JavaClient;
use crate::error::Result;

/// What a quota limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Quota {
    /// Bytes per second that may be fetched from a broker.
    ConsumerBytes,
    /// Bytes per second that may be produced to a broker.
    ProducerBytes,
}

impl JavaClient {
    /// Sets a quota for a client id; with `None`, removes it.
    pub async fn limit_client(&self, client_id: &str, quota: Quota, per_second: Option<u64>) -> Result<()> {
        #[derive(Serialize)]
        struct Args<'a> {
            client_id: &'a str,
            quota: &'a str,
            value: Option<u64>,
        }
        let quota = match quota {
            Quota::ConsumerBytes => "consumer_byte_rate",
            Quota::ProducerBytes => "producer_byte_rate",
        };
        let args = Args {
            client_id,
            quota,
            value: per_second,
        };
        self.run("quota_alter", &args).await
    }
}
