//! TLS: what is trusted, what is shown, and what went wrong in words that say what to change.

mod failure;
mod pem;

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CipherSuite, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::config::{ClientCertificate, TlsConfig};
use crate::error::{ConnectionError, Error};

pub(crate) use failure::{of_io, words};

/// Makes TLS sessions with the settings of one cluster.
#[derive(Clone)]
pub(crate) struct Tls {
    connector: TlsConnector,
    words: Words,
}

/// For messages.
#[derive(Debug, Clone)]
struct Words {
    /// Where the trusted authorities come from.
    trusted: Arc<str>,
    /// The setting that says which they are.
    ca_setting: &'static str,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("trusted", &self.words.trusted)
            .finish_non_exhaustive()
    }
}

impl Tls {
    /// For brokers. Reads the files, which blocks.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] when a file cannot be used; it names the file and what is wrong with it.
    pub(crate) fn load(config: &TlsConfig) -> Result<Self, Error> {
        Self::load_with(config, "ssl_ca_location")
    }

    /// For a token endpoint; like [`load`](Self::load).
    pub(crate) fn load_for_endpoint(config: &TlsConfig) -> Result<Self, Error> {
        Self::load_with(config, "sasl_oauthbearer_token_endpoint_ca_location")
    }

    fn load_with(config: &TlsConfig, ca_setting: &'static str) -> Result<Self, Error> {
        let (roots, trusted) = roots(config.ca_file.as_deref())
            .map_err(|reason| invalid("security", format!("{reason} ({ca_setting})")))?;
        let builder = ClientConfig::builder_with_provider(Arc::new(provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| invalid("security.tls", error.to_string()))?
            .with_root_certificates(roots);
        let client = match &config.client_certificate {
            None => builder.with_no_client_auth(),
            Some(shown) => {
                let (chain, key) = identity(shown)?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| invalid("security.tls", failure::of_identity(&error, shown)))?
            }
        };
        Ok(Self {
            connector: TlsConnector::from(Arc::new(client)),
            words: Words {
                trusted: trusted.into(),
                ca_setting,
            },
        })
    }

    /// Makes a session with the server that has this name or address. There is no limit of time.
    pub(crate) async fn connect(
        &self,
        stream: TcpStream,
        host: &str,
    ) -> Result<TlsStream<TcpStream>, ConnectionError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            ConnectionError::Tls(format!(
                "{host:?} is neither a host name nor an address that a certificate can be for"
            ))
        })?;
        self.connector
            .connect(name, stream)
            .await
            .map_err(|error: io::Error| failure::of_handshake(error, host, &self.words))
    }
}

/// AES comes first: with the instructions that processors have for it, it is several times as fast as ChaCha20.
fn provider() -> CryptoProvider {
    let mut provider = ring::default_provider();
    provider.cipher_suites.sort_by_key(|suite| match suite.suite() {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => 0,
        CipherSuite::TLS13_AES_256_GCM_SHA384 => 1,
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => 2,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
        | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => 3,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
        | CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => 4,
        _ => 5,
    });
    provider
}

/// The authorities to trust, and where they come from.
fn roots(file: Option<&Path>) -> Result<(RootCertStore, String), String> {
    let mut store = RootCertStore::empty();
    if let Some(path) = file {
        for (at, certificate) in pem::certificates(path)?.into_iter().enumerate() {
            store
                .add(certificate)
                .map_err(|_| format!("certificate number {} of {} is damaged", at + 1, path.display()))?;
        }
        return Ok((store, format!("those of {}", path.display())));
    }
    // A system may have some certificates that cannot be read, and many that can.
    let native = rustls_native_certs::load_native_certs();
    let (added, _) = store.add_parsable_certificates(native.certs);
    if added == 0 {
        let why = native
            .errors
            .first()
            .map_or(String::new(), |error| format!(" ({error})"));
        return Err(format!(
            "the operating system has no certificates of authorities to trust{why}: install its package of CA \
             certificates, or give a file"
        ));
    }
    Ok((store, "those of the operating system".to_owned()))
}

fn identity(
    shown: &ClientCertificate,
) -> Result<
    (
        Vec<CertificateDer<'static>>,
        rustls::pki_types::PrivateKeyDer<'static>,
    ),
    Error,
> {
    let wrong = |setting| move |reason| invalid("security.tls", format!("{reason} ({setting})"));
    let chain = pem::certificates(&shown.certificate_file).map_err(wrong("ssl_certificate_location"))?;
    let key = pem::private_key(&shown.key_file).map_err(wrong("ssl_key_location"))?;
    Ok((chain, key))
}

fn invalid(setting: &'static str, reason: String) -> Error {
    Error::InvalidConfig { setting, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aes_is_preferred() {
        let suites = provider().cipher_suites;
        assert_eq!(suites[0].suite(), CipherSuite::TLS13_AES_128_GCM_SHA256);
        assert_eq!(suites.len(), ring::default_provider().cipher_suites.len());
    }
}
