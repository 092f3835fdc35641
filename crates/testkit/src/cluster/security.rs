//! Listeners that want encryption and logins.

use super::options::{ClusterOptions, ListenerOptions};
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
    /// `AWS_MSK_IAM`, checked by a class of our own in the place of Amazon's brokers.
    AwsMskIam(IamKeys),
}

/// What a listener knows for `AWS_MSK_IAM`.
#[derive(Debug, Clone)]
pub struct IamKeys {
    /// The region that clients have to sign for.
    pub region: String,
    /// The names under which they may have connected.
    pub hosts: Vec<String>,
    /// Access key id, secret access key and, for temporary ones, session token.
    pub keys: Vec<(String, String, Option<String>)>,
}

impl Mechanism {
    fn name(&self) -> &'static str {
        match self {
            Self::Plain(_) => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::OauthBearer => "OAUTHBEARER",
            Self::AwsMskIam(_) => "AWS_MSK_IAM",
        }
    }

    fn login_module(&self) -> String {
        let module = match self {
            Self::Plain(_) => "plain.PlainLoginModule",
            Self::ScramSha256 | Self::ScramSha512 => "scram.ScramLoginModule",
            Self::OauthBearer => "oauthbearer.OAuthBearerLoginModule",
            Self::AwsMskIam(keys) => return keys.login_module(),
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

impl IamKeys {
    fn login_module(&self) -> String {
        let (region, hosts) = (&self.region, self.hosts.join(","));
        let mut login = format!("testkit.IamLoginModule required region=\"{region}\" hosts=\"{hosts}\"");
        for (id, secret, token) in &self.keys {
            login.push_str(&format!(" secret_{id}=\"{secret}\""));
            if let Some(token) = token {
                login.push_str(&format!(" token_{id}=\"{token}\""));
            }
        }
        login + ";"
    }
}

impl ClusterOptions {
    /// A further listener on each broker, beside the usual ones: its name (capital letters) and its protocol, one of
    /// `SSL`, `SASL_PLAINTEXT` and `SASL_SSL`. Its addresses: [`Cluster::listener`](crate::Cluster::listener).
    #[must_use]
    pub fn listener(self, name: &str, protocol: &str) -> Self {
        self.listener_at(name, protocol, "127.0.0.1")
    }

    /// Like [`listener`](Self::listener), on another loopback address, such as `[::1]`; `PLAINTEXT` is a protocol as well.
    #[must_use]
    pub fn listener_at(mut self, name: &str, protocol: &str, host: &str) -> Self {
        self.listeners.push(ListenerOptions {
            name: name.to_owned(),
            protocol: protocol.to_owned(),
            host: host.to_owned(),
        });
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
            if let Mechanism::AwsMskIam(_) = mechanism {
                let key = format!("{prefix}.aws_msk_iam.sasl.server.callback.handler.class");
                self = self.property(key, "testkit.IamCallbackHandler");
            }
        }
        self.property(format!("{prefix}.sasl.enabled.mechanisms"), names.join(","))
    }
}
