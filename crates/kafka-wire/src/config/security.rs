//! How connections are secured: encryption and login.

use std::path::PathBuf;

use super::SaslConfig;

/// How the connections to a cluster are secured. By default they are in the clear and nobody logs in.
///
/// ```
/// use kafka_wire::{ClusterConfig, SaslConfig, Secret, TlsConfig};
///
/// let mut config = ClusterConfig::new(["kafka-1:9093"]);
/// config.security.tls = Some(TlsConfig::new().ca_file("/etc/kafka/ca.pem"));
/// config.security.sasl = Some(SaslConfig::scram_sha_512("backup", Secret::new("s3cret")));
/// assert_eq!(config.security.protocol(), "SASL_SSL");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Security {
    /// Encrypts, and makes sure that the brokers are the right ones.
    pub tls: Option<TlsConfig>,
    /// Logs in.
    pub sasl: Option<SaslConfig>,
}

impl Security {
    /// Kafka's name for the combination: `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`.
    pub fn protocol(&self) -> &'static str {
        match (&self.tls, &self.sasl) {
            (None, None) => "PLAINTEXT",
            (Some(_), None) => "SSL",
            (None, Some(_)) => "SASL_PLAINTEXT",
            (Some(_), Some(_)) => "SASL_SSL",
        }
    }
}

/// TLS 1.2 or 1.3. A broker's certificate has to be valid for the name or the address by which it is reached.
///
/// Files are read once, when the cluster is connected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsConfig {
    /// PEM file with the certificates of the authorities to trust; those of the operating system when there is none.
    pub ca_file: Option<PathBuf>,
    /// Shown to brokers that ask for it.
    pub client_certificate: Option<ClientCertificate>,
}

/// Files of a certificate and its private key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientCertificate {
    /// PEM file with the certificate, followed by those of intermediate authorities, if any.
    pub certificate_file: PathBuf,
    /// PEM file with the private key (PKCS#8, PKCS#1 or SEC1), not encrypted.
    pub key_file: PathBuf,
}

impl TlsConfig {
    /// Trusts the authorities of the operating system, and has no client certificate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts the certificates of a PEM file, and no others.
    #[must_use]
    pub fn ca_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(file.into());
        self
    }

    /// Shows a certificate to brokers that ask for it. Both files are PEM; the key must not be encrypted.
    #[must_use]
    pub fn client_certificate(
        mut self,
        certificate_file: impl Into<PathBuf>,
        key_file: impl Into<PathBuf>,
    ) -> Self {
        self.client_certificate = Some(ClientCertificate {
            certificate_file: certificate_file.into(),
            key_file: key_file.into(),
        });
        self
    }
}
