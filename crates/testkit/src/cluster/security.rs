//! Listeners that want encryption and logins.

use super::options::ClusterOptions;
use crate::certificates::{Authority, Identity};

/// A way to log in at a listener.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Mechanism {
    /// `PLAIN` with these pairs of name and password.
    Plain(Vec<(String, String)>),
    /// `SCRAM-SHA-256`; users are set with [`JavaClient::set_scram`](crate::JavaClient::set_scram).
    ScramSha256,
    /// `SCRAM-SHA-512`; likewise.
    ScramSha512,
    /// `OAUTHBEARER` with tokens that nobody signed (Kafka's own validator for tests).
    OauthBearer,
}

impl Mechanism {
    fn name(&self) -> &'static str {
        match self {
            Self::Plain(_) => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::OauthBearer => "OAUTHBEARER",
        }
    }

    fn login_module(&self) -> String {
        let module = match self {
            Self::Plain(_) => "plain.PlainLoginModule",
            Self::ScramSha256 | Self::ScramSha512 => "scram.ScramLoginModule",
            Self::OauthBearer => "oauthbearer.OAuthBearerLoginModule",
        };
        let mut login = format!("org.apache.kafka.common.security.{module} required");
        if let Self::Plain(users) = self {
            for (name, password) in users {
                login.push_str(&format!(" user_{name}=\"{password}\""));
            }
        }
        login + ";"
    }
}

impl ClusterOptions {
    /// A further listener on each broker, beside the usual ones: its name (capital letters) and its protocol, one of
    /// `SSL`, `SASL_PLAINTEXT` and `SASL_SSL`. Its addresses: [`Cluster::listener`](crate::Cluster::listener).
    #[must_use]
    pub fn listener(mut self, name: &str, protocol: &str) -> Self {
        self.listeners.push((name.to_owned(), protocol.to_owned()));
        self
    }

    /// Has clients told that a further listener has this port, where something of the test stands before the only broker.
    #[must_use]
    pub fn advertise(mut self, listener: &str, port: u16) -> Self {
        self.advertised.insert(listener.to_owned(), port);
        self
    }

    /// What a listener of `SSL` or `SASL_SSL` shows to its clients, and whose certificates clients have to show, if any.
    #[must_use]
    pub fn tls(self, listener: &str, shown: &Identity, clients: Option<&Authority>) -> Self {
        let key = |name: &str| format!("listener.name.{}.ssl.{name}", listener.to_lowercase());
        let options = self
            .property(key("keystore.type"), "PEM")
            .property(key("keystore.certificate.chain"), &shown.certificate)
            .property(key("keystore.key"), &shown.key);
        match clients {
            None => options,
            Some(clients) => options
                .property(key("client.auth"), "required")
                .property(key("truststore.type"), "PEM")
                .property(key("truststore.certificates"), clients.certificate()),
        }
    }

    /// How clients log in at a listener of `SASL_PLAINTEXT` or `SASL_SSL`.
    #[must_use]
    pub fn mechanisms(mut self, listener: &str, mechanisms: &[Mechanism]) -> Self {
        let prefix = format!("listener.name.{}", listener.to_lowercase());
        let names: Vec<&str> = mechanisms.iter().map(Mechanism::name).collect();
        for mechanism in mechanisms {
            let key = format!("{prefix}.{}.sasl.jaas.config", mechanism.name().to_lowercase());
            self = self.property(key, mechanism.login_module());
        }
        self.property(format!("{prefix}.sasl.enabled.mechanisms"), names.join(","))
    }
}
