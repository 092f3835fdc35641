//! How to reach a cluster, and how patient to be with it.

mod aws;
mod sasl;
mod security;

use std::time::Duration;

use crate::connection::BrokerAddress;
use crate::error::Error;

pub(crate) use aws::check_region;
pub use aws::{
    AwsCredentials, AwsCredentialsError, AwsCredentialsFuture, AwsCredentialsProvider, AwsCredentialsSource,
    AwsMskIam,
};
pub use sasl::{ClientCredentials, OauthBearer, Password, SaslConfig, TokenSource};
pub use security::{ClientCertificate, Security, TlsConfig};

/// Settings of a [`Cluster`](crate::Cluster).
///
/// Start from [`ClusterConfig::new`] and assign what should differ from the defaults:
///
/// ```
/// use std::time::Duration;
/// use kafka_wire::ClusterConfig;
///
/// let mut config = ClusterConfig::new(["kafka-1:9092", "[fd00::2]:9092"]);
/// config.client_id = "nightly-backup".to_owned();
/// config.request_timeout = Duration::from_secs(60);
/// assert!(config.validate().is_ok());
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClusterConfig {
    /// `host:port` of the brokers to ask first, tried in this order. IPv6 literals are written in brackets.
    pub bootstrap: Vec<String>,
    /// Name that the brokers show in their logs, quotas and metrics for this client.
    pub client_id: String,
    /// Encryption and login.
    pub security: Security,
    /// Time to establish one TCP connection to one address; again for the TLS handshake, to agree on protocol versions,
    /// and to log in.
    pub connect_timeout: Duration,
    /// Time without any progress (no byte written of it, none received for it) after which a request that the
    /// broker is due to answer is given up and its connection closed. One that does move has this time in all, and one
    /// more second for each 16 KiB of it or of its answer: a line may be slow, but not as slow as one pleases.
    pub request_timeout: Duration,
    /// Total time that one operation may spend on repeating requests that failed in a way that passes.
    pub retry_timeout: Duration,
    /// First pause between two attempts; it doubles up to [`retry_backoff_max`](Self::retry_backoff_max), with
    /// random jitter.
    pub retry_backoff: Duration,
    /// Longest pause between two attempts.
    pub retry_backoff_max: Duration,
    /// How long a topic, partition or topic id that the brokers do not know is asked for again. Brokers learn of
    /// a new topic one after the other, so the first answer may be wrong; a misspelt name should still fail soon.
    pub unknown_topic_grace: Duration,
    /// Largest response accepted. A frame that announces more closes the connection before anything is allocated.
    /// Has to exceed the largest `max.message.bytes` of the topics that are read.
    pub max_response_bytes: usize,
    /// Memory that may rest in buffers kept for reuse, for all connections of the cluster together.
    pub recycled_buffer_bytes: usize,
    /// Connections without traffic are closed after this time. Has to be shorter than the brokers'
    /// `connections.max.idle.ms` (10 minutes by default), or requests are written to connections that are
    /// about to be closed, and end in doubt.
    pub idle_timeout: Duration,
    /// Shortest time between two metadata requests that refresh the leader cache.
    pub metadata_min_age: Duration,
}

impl ClusterConfig {
    /// The defaults, for a cluster that is found through `bootstrap`.
    pub fn new<S: Into<String>>(bootstrap: impl IntoIterator<Item = S>) -> Self {
        Self {
            bootstrap: bootstrap.into_iter().map(Into::into).collect(),
            client_id: "kafka-backup".to_owned(),
            security: Security::default(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            retry_timeout: Duration::from_secs(60),
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_secs(3),
            unknown_topic_grace: Duration::from_secs(4),
            max_response_bytes: 160 << 20,
            recycled_buffer_bytes: 128 << 20,
            idle_timeout: Duration::from_secs(4 * 60),
            metadata_min_age: Duration::from_millis(100),
        }
    }

    /// Checks the settings without connecting to anything. Of the environment only what a login would take from it: the region
    /// of AWS, where neither the settings nor the names of the servers tell it.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] names the first setting that cannot work.
    pub fn validate(&self) -> Result<(), Error> {
        let addresses = self.addresses()?;
        if self.client_id.len() > i16::MAX as usize {
            return Err(invalid("client_id", "longer than 32767 bytes"));
        }
        let nonzero = [
            ("connect_timeout", self.connect_timeout),
            ("request_timeout", self.request_timeout),
            ("retry_timeout", self.retry_timeout),
            ("retry_backoff", self.retry_backoff),
            ("idle_timeout", self.idle_timeout),
        ];
        for (setting, value) in nonzero {
            if value.is_zero() {
                return Err(invalid(setting, "must be greater than zero"));
            }
        }
        if self.max_response_bytes < 1024 {
            return Err(invalid("max_response_bytes", "must be at least 1024"));
        }
        if let Some(sasl) = &self.security.sasl {
            sasl.validate()?;
            let hosts = addresses.iter().map(|address| &*address.host);
            sasl.validate_environment(hosts, |name| std::env::var(name).ok())?;
        }
        Ok(())
    }

    /// The bootstrap list, parsed.
    pub(crate) fn addresses(&self) -> Result<Vec<BrokerAddress>, Error> {
        if self.bootstrap.is_empty() {
            return Err(invalid("bootstrap", "the list of servers is empty"));
        }
        self.bootstrap
            .iter()
            .map(|text| {
                text.parse()
                    .map_err(|reason: String| invalid("bootstrap", &reason))
            })
            .collect()
    }
}

fn invalid(setting: &'static str, reason: &str) -> Error {
    Error::InvalidConfig {
        setting,
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_bootstrap_list_is_named() {
        let error = ClusterConfig::new(Vec::<String>::new()).validate().unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid setting bootstrap: the list of servers is empty"
        );
    }

    #[test]
    fn the_address_that_cannot_be_read_is_named() {
        let error = ClusterConfig::new(["a:9092", "b"]).validate().unwrap_err();
        assert!(error.to_string().contains("\"b\""), "{error}");
    }

    #[test]
    fn a_zero_timeout_is_refused() {
        let mut config = ClusterConfig::new(["a:9092"]);
        config.request_timeout = Duration::ZERO;
        let error = config.validate().unwrap_err();
        assert!(error.to_string().contains("request_timeout"), "{error}");
    }
}
