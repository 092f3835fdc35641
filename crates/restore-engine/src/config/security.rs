//! `security:` of a cluster: encryption and login, in the words of Kafka's own clients.

mod iam;

use std::collections::BTreeMap;
use std::path::PathBuf;

use kafka_wire::{ClientCredentials, OauthBearer, SaslConfig, Secret, Security, TlsConfig, TokenSource};
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};

use super::error::not_one_of;
use super::file::{Scalar, SecretText, Text};

const PROTOCOLS: [&str; 4] = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];
const MECHANISMS: [&str; 5] = [
    "PLAIN",
    "SCRAM-SHA-256",
    "SCRAM-SHA-512",
    "OAUTHBEARER",
    "AWS_MSK_IAM",
];

/// What is typed.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SecuritySection {
    security_protocol: Option<Text>,
    ssl_ca_location: Option<Text>,
    ssl_certificate_location: Option<Text>,
    ssl_key_location: Option<Text>,
    sasl_mechanism: Option<Text>,
    sasl_username: Option<Text>,
    sasl_password: Option<SecretText>,
    sasl_tokenauth: Option<Scalar<bool>>,
    sasl_oauthbearer_token_file: Option<Text>,
    sasl_oauthbearer_token_command: Option<Command>,
    sasl_oauthbearer_token_endpoint_url: Option<Text>,
    sasl_oauthbearer_token_endpoint_ca_location: Option<Text>,
    sasl_oauthbearer_client_id: Option<Text>,
    sasl_oauthbearer_client_secret: Option<SecretText>,
    sasl_oauthbearer_scope: Option<Text>,
    sasl_oauthbearer_extensions: Option<BTreeMap<String, Text>>,
    sasl_aws_region: Option<Text>,
    sasl_aws_access_key_id: Option<Text>,
    sasl_aws_secret_access_key: Option<SecretText>,
    sasl_aws_session_token: Option<SecretText>,
    sasl_aws_credentials_command: Option<Command>,
}

/// The keys of the section.
pub(super) const KEYS: &[&str] = &[
    "security_protocol",
    "ssl_ca_location",
    "ssl_certificate_location",
    "ssl_key_location",
    "sasl_mechanism",
    "sasl_username",
    "sasl_password",
    "sasl_tokenauth",
    "sasl_oauthbearer_token_file",
    "sasl_oauthbearer_token_command",
    "sasl_oauthbearer_token_endpoint_url",
    "sasl_oauthbearer_token_endpoint_ca_location",
    "sasl_oauthbearer_client_id",
    "sasl_oauthbearer_client_secret",
    "sasl_oauthbearer_scope",
    "sasl_oauthbearer_extensions",
    "sasl_aws_region",
    "sasl_aws_access_key_id",
    "sasl_aws_secret_access_key",
    "sasl_aws_session_token",
    "sasl_aws_credentials_command",
];

/// A program with its arguments, or a line for the shell. Never shown: keys are given in arguments.
pub(super) struct Command(Vec<String>);

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(command)")
    }
}

impl<'de> Deserialize<'de> for Command {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CommandVisitor;
        impl<'de> Visitor<'de> for CommandVisitor {
            type Value = Command;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a command line, or a list of a program and its arguments")
            }
            // What the shell makes of a `$` is its own matter.
            fn visit_str<E: de::Error>(self, line: &str) -> Result<Command, E> {
                if line.trim().is_empty() {
                    return Err(E::custom("the command is empty"));
                }
                Ok(Command(["sh", "-c", line].map(str::to_owned).to_vec()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Command, A::Error> {
                let mut words = Vec::new();
                while let Some(word) = list.next_element::<SecretText>()? {
                    words.push(word.0.reveal().to_owned());
                }
                if words.first().is_none_or(|program| program.trim().is_empty()) {
                    return Err(de::Error::custom("the command is empty"));
                }
                Ok(Command(words))
            }
        }
        deserializer.deserialize_any(CommandVisitor)
    }
}

/// The section of the cluster `name` (`source` or `target`), with every rule checked.
pub(super) fn resolve(section: Option<SecuritySection>, name: &str) -> Result<Security, String> {
    match section {
        None => Ok(Security::default()),
        Some(section) => Resolver { section, name }.resolve(),
    }
}

struct Resolver<'a> {
    section: SecuritySection,
    name: &'a str,
}

impl Resolver<'_> {
    fn resolve(mut self) -> Result<Security, String> {
        let protocol = match self.section.security_protocol.take() {
            None => self.missing_protocol()?,
            Some(Text(protocol)) => protocol,
        };
        let (tls, sasl) = match protocol.as_str() {
            "PLAINTEXT" => (false, false),
            "SSL" => (true, false),
            "SASL_PLAINTEXT" => (false, true),
            "SASL_SSL" => (true, true),
            other => return Err(not_one_of(&self.key("security_protocol"), other, &PROTOCOLS)),
        };
        if !tls {
            self.refuse(
                &self.first_of_ssl(),
                &format!("`security_protocol: {protocol}`, which does not encrypt"),
            )?;
        }
        if !sasl {
            self.refuse(
                &self.first_of_sasl(),
                &format!("`security_protocol: {protocol}`, which does not log in"),
            )?;
        }
        let mut security = Security::default();
        if tls {
            security.tls = Some(self.tls()?);
        }
        if sasl {
            security.sasl = Some(self.sasl()?);
        }
        Ok(security)
    }

    /// Nothing is encrypted or logged in to by accident, and nothing is left out by accident either.
    fn missing_protocol(&self) -> Result<String, String> {
        match self.first_of_ssl().or_else(|| self.first_of_sasl()) {
            None => Ok("PLAINTEXT".to_owned()),
            Some(given) => Err(format!(
                "{} is missing, and {given} is given: add one of {}",
                self.key("security_protocol"),
                PROTOCOLS.join(", ")
            )),
        }
    }

    fn tls(&mut self) -> Result<TlsConfig, String> {
        let section = &mut self.section;
        let (ca, certificate, key) = (
            section.ssl_ca_location.take(),
            section.ssl_certificate_location.take(),
            section.ssl_key_location.take(),
        );
        let mut tls = TlsConfig::new();
        if let Some(file) = self.path(ca, "ssl_ca_location")? {
            tls = tls.ca_file(file);
        }
        let certificate = self.path(certificate, "ssl_certificate_location")?;
        match (certificate, self.path(key, "ssl_key_location")?) {
            (None, None) => Ok(tls),
            (Some(certificate), Some(key)) => Ok(tls.client_certificate(certificate, key)),
            (Some(_), None) => Err(self.belongs("ssl_certificate_location", "ssl_key_location")),
            (None, Some(_)) => Err(self.belongs("ssl_key_location", "ssl_certificate_location")),
        }
    }

    fn sasl(&mut self) -> Result<SaslConfig, String> {
        let Some(Text(mechanism)) = self.section.sasl_mechanism.take() else {
            return Err(format!(
                "{} is missing: give one of {}",
                self.key("sasl_mechanism"),
                MECHANISMS.join(", ")
            ));
        };
        let is_delegation_token = matches!(self.section.sasl_tokenauth, Some(Scalar(true)));
        if is_delegation_token && ["PLAIN", "OAUTHBEARER", "AWS_MSK_IAM"].contains(&&*mechanism) {
            return Err(format!(
                "{} has no meaning with `sasl_mechanism: {mechanism}`: delegation tokens log in by SCRAM-SHA-256 or \
                 SCRAM-SHA-512; use one of these, or remove it",
                self.key("sasl_tokenauth")
            ));
        }
        let by_password: fn(String, Secret) -> SaslConfig = match mechanism.as_str() {
            "PLAIN" => SaslConfig::plain,
            "SCRAM-SHA-256" => SaslConfig::scram_sha_256,
            "SCRAM-SHA-512" => SaslConfig::scram_sha_512,
            "OAUTHBEARER" => {
                self.refuse(
                    &self.first_of_password().or_else(|| self.first_of_aws()),
                    "`sasl_mechanism: OAUTHBEARER`, which takes a token",
                )?;
                return self.oauth();
            }
            "AWS_MSK_IAM" => {
                self.refuse(
                    &self.first_of_password().or_else(|| self.first_of_oauth()),
                    "`sasl_mechanism: AWS_MSK_IAM`, which takes credentials of AWS",
                )?;
                return self.iam();
            }
            other => return Err(not_one_of(&self.key("sasl_mechanism"), other, &MECHANISMS)),
        };
        self.refuse(
            &self.first_of_oauth().or_else(|| self.first_of_aws()),
            &format!("`sasl_mechanism: {mechanism}`, which takes sasl_username and sasl_password"),
        )?;
        let (username, password) = (
            self.section.sasl_username.take(),
            self.section.sasl_password.take(),
        );
        let username = self.needed(username.map(|text| text.0), "sasl_username")?;
        let login = by_password(username, self.needed_secret(password, "sasl_password")?);
        match is_delegation_token {
            true => login.with_delegation_token().map_err(|error| error.to_string()),
            false => Ok(login),
        }
    }

    fn oauth(&mut self) -> Result<SaslConfig, String> {
        let extensions = self
            .section
            .sasl_oauthbearer_extensions
            .take()
            .unwrap_or_default();
        let SaslConfig::OauthBearer(mut oauth) = SaslConfig::oauth_bearer(self.token_source()?) else {
            return Err(self.key("sasl_mechanism"));
        };
        oauth.extensions = extensions
            .into_iter()
            .map(|(name, Text(value))| (name, value))
            .collect();
        self.check_extensions(&oauth)?;
        Ok(SaslConfig::OauthBearer(oauth))
    }

    fn token_source(&mut self) -> Result<TokenSource, String> {
        let section = &mut self.section;
        let sources = (
            section.sasl_oauthbearer_token_file.take(),
            section.sasl_oauthbearer_token_command.take(),
            section.sasl_oauthbearer_token_endpoint_url.take(),
        );
        let source = match sources {
            (Some(file), None, None) => {
                let file = self.needed(Some(file.0), "sasl_oauthbearer_token_file")?;
                TokenSource::File(PathBuf::from(file))
            }
            (None, Some(Command(words)), None) => TokenSource::Command(words),
            (None, None, Some(url)) => return self.client_credentials(url.0),
            _ => {
                return Err(format!(
                    "{}: sasl_mechanism OAUTHBEARER needs one source of tokens, and only one: give \
                     sasl_oauthbearer_token_file, sasl_oauthbearer_token_command or \
                     sasl_oauthbearer_token_endpoint_url",
                    self.key("sasl_mechanism")
                ));
            }
        };
        self.refuse(
            &self.first_of_endpoint(),
            "this source of tokens: it belongs to sasl_oauthbearer_token_endpoint_url",
        )?;
        Ok(source)
    }

    fn client_credentials(&mut self, url: String) -> Result<TokenSource, String> {
        let key = "sasl_oauthbearer_token_endpoint_url";
        let url = self.needed(Some(url), key)?;
        let rest = url
            .strip_prefix("https://")
            .or_else(|| url.strip_prefix("http://"));
        let Some(rest) = rest.filter(|rest| !rest.is_empty()) else {
            return Err(format!(
                "{} does not begin with https:// or http://",
                self.key(key)
            ));
        };
        if rest
            .split('/')
            .next()
            .is_some_and(|authority| authority.contains('@'))
        {
            return Err(format!(
                "{} must not contain a name or a password: use sasl_oauthbearer_client_id and \
                 sasl_oauthbearer_client_secret",
                self.key(key)
            ));
        }
        let section = &mut self.section;
        let (id, secret) = (
            section.sasl_oauthbearer_client_id.take().map(|text| text.0),
            section.sasl_oauthbearer_client_secret.take(),
        );
        let (scope, ca) = (
            section.sasl_oauthbearer_scope.take(),
            section.sasl_oauthbearer_token_endpoint_ca_location.take(),
        );
        let id = self.needed(id, "sasl_oauthbearer_client_id")?;
        let secret = self.needed_secret(secret, "sasl_oauthbearer_client_secret")?;
        let mut asked = ClientCredentials::new(url, id, secret);
        asked.scope = scope.map(|text| text.0);
        asked.ca_file = self.path(ca, "sasl_oauthbearer_token_endpoint_ca_location")?;
        Ok(TokenSource::ClientCredentials(asked))
    }

    fn check_extensions(&self, oauth: &OauthBearer) -> Result<(), String> {
        for name in oauth.extensions.keys() {
            if name.is_empty() || name == "auth" || !name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
                return Err(format!(
                    "{}: `{name}` cannot be the name of an extension: it has letters only, and is not `auth`",
                    self.key("sasl_oauthbearer_extensions")
                ));
            }
        }
        Ok(())
    }

    fn first_of_ssl(&self) -> Option<&'static str> {
        let section = &self.section;
        first(&[
            ("ssl_ca_location", section.ssl_ca_location.is_some()),
            (
                "ssl_certificate_location",
                section.ssl_certificate_location.is_some(),
            ),
            ("ssl_key_location", section.ssl_key_location.is_some()),
        ])
    }

    fn first_of_sasl(&self) -> Option<&'static str> {
        first(&[("sasl_mechanism", self.section.sasl_mechanism.is_some())])
            .or_else(|| self.first_of_password())
            .or_else(|| self.first_of_oauth())
            .or_else(|| self.first_of_aws())
    }

    fn first_of_password(&self) -> Option<&'static str> {
        first(&[
            ("sasl_username", self.section.sasl_username.is_some()),
            ("sasl_password", self.section.sasl_password.is_some()),
            ("sasl_tokenauth", self.section.sasl_tokenauth.is_some()),
        ])
    }

    fn first_of_oauth(&self) -> Option<&'static str> {
        let section = &self.section;
        first(&[
            (
                "sasl_oauthbearer_token_file",
                section.sasl_oauthbearer_token_file.is_some(),
            ),
            (
                "sasl_oauthbearer_token_command",
                section.sasl_oauthbearer_token_command.is_some(),
            ),
            (
                "sasl_oauthbearer_token_endpoint_url",
                section.sasl_oauthbearer_token_endpoint_url.is_some(),
            ),
            (
                "sasl_oauthbearer_extensions",
                section.sasl_oauthbearer_extensions.is_some(),
            ),
        ])
        .or_else(|| self.first_of_endpoint())
    }

    fn first_of_endpoint(&self) -> Option<&'static str> {
        let section = &self.section;
        first(&[
            (
                "sasl_oauthbearer_client_id",
                section.sasl_oauthbearer_client_id.is_some(),
            ),
            (
                "sasl_oauthbearer_client_secret",
                section.sasl_oauthbearer_client_secret.is_some(),
            ),
            ("sasl_oauthbearer_scope", section.sasl_oauthbearer_scope.is_some()),
            (
                "sasl_oauthbearer_token_endpoint_ca_location",
                section.sasl_oauthbearer_token_endpoint_ca_location.is_some(),
            ),
        ])
    }

    /// A key that is not used would be a wish silently ignored.
    fn refuse(&self, given: &Option<&'static str>, with: &str) -> Result<(), String> {
        match given {
            None => Ok(()),
            Some(key) => Err(format!(
                "{} has no meaning with {with}: remove it, or change the other",
                self.key(key)
            )),
        }
    }

    fn needed(&self, value: Option<String>, key: &str) -> Result<String, String> {
        self.not_blank(value, String::as_str, key)
    }

    fn needed_secret(&self, value: Option<SecretText>, key: &str) -> Result<Secret, String> {
        self.not_blank(value.map(|text| text.0), Secret::reveal, key)
    }

    fn not_blank<T>(&self, value: Option<T>, text: fn(&T) -> &str, key: &str) -> Result<T, String> {
        match value {
            Some(value) if !text(&value).trim().is_empty() => Ok(value),
            Some(_) => Err(format!("{} is empty: give a value", self.key(key))),
            None => Err(format!("{} is missing", self.key(key))),
        }
    }

    fn path(&self, value: Option<Text>, key: &str) -> Result<Option<PathBuf>, String> {
        let path = value.map(|text| self.needed(Some(text.0), key)).transpose()?;
        Ok(path.map(PathBuf::from))
    }

    fn belongs(&self, given: &str, missing: &str) -> String {
        format!("{} needs {missing}, too", self.key(given))
    }

    fn key(&self, key: &str) -> String {
        format!("{}.security.{key}", self.name)
    }
}

fn first(keys: &[(&'static str, bool)]) -> Option<&'static str> {
    keys.iter().find(|(_, given)| *given).map(|(key, _)| *key)
}

#[cfg(test)]
#[path = "security_tests.rs"]
mod tests;
