//! A connection to a cluster, made first and opened later.

use std::sync::{Arc, OnceLock};

use kafka_wire::Cluster;
pub use kafka_wire::{
    AwsCredentials, AwsCredentialsError, AwsCredentialsFuture, AwsCredentialsProvider, AwsCredentialsSource,
    AwsMskIam, ClientCertificate, ClientCredentials, ClusterConfig, OauthBearer, Password, SaslConfig,
    Secret, Security, TlsConfig, TokenSource,
};
use restore_engine::{Error, Result};

/// A client of one Kafka cluster. Clones share the connection.
#[derive(Debug, Clone)]
pub struct KafkaClient {
    config: ClusterConfig,
    cluster: Arc<OnceLock<Cluster>>,
}

impl KafkaClient {
    /// A client that is not connected yet.
    pub fn new(config: impl Into<ClusterConfig>) -> Self {
        Self {
            config: config.into(),
            cluster: Arc::default(),
        }
    }

    /// Connects; does nothing when it is connected already.
    pub async fn connect(&self) -> Result<()> {
        if self.cluster.get().is_none() {
            let cluster = Cluster::connect(self.config.clone()).await;
            let cluster = cluster.map_err(|source| Error::Kafka {
                action: "connecting to the cluster".to_owned(),
                source,
            })?;
            // Somebody else may have connected meanwhile; one connection is enough.
            let _ = self.cluster.set(cluster);
        }
        Ok(())
    }

    /// The cluster behind it, connecting first where that has not been done.
    pub(crate) async fn cluster(&self) -> Result<Cluster> {
        self.connect().await?;
        let connected = self.cluster.get().cloned();
        connected.ok_or_else(|| Error::Internal("a connected client has no connection".to_owned()))
    }
}
