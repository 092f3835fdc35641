//! What an operator types: the YAML document, key by key, before any default or rule is applied.
//!
//! Everything here mirrors the text of the file. [`super`] turns it into what the engine runs with. Unknown keys are
//! errors: a misspelt `reset_consumer_offsets` that is silently ignored is found out on the worst day.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};

use kafka_wire::Secret;

use super::security::{self, SecuritySection};

/// The whole document.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfigFile {
    pub(super) mode: Option<Text>,
    pub(super) backup_id: Option<Text>,
    pub(super) source: Option<ClusterSection>,
    pub(super) target: Option<ClusterSection>,
    pub(super) storage: Option<StorageSection>,
    pub(super) backup: Option<BackupSection>,
    pub(super) restore: Option<RestoreSection>,
}

/// `source:` and `target:`.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClusterSection {
    #[serde(default)]
    pub(super) bootstrap_servers: Vec<Text>,
    pub(super) security: Option<SecuritySection>,
    pub(super) topics: Option<TopicsSection>,
}

/// `topics:` of a cluster: globs.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TopicsSection {
    #[serde(default)]
    pub(super) include: Vec<Text>,
    #[serde(default)]
    pub(super) exclude: Vec<Text>,
}

/// `storage:`.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StorageSection {
    pub(super) backend: Option<Text>,
    pub(super) path: Option<Text>,
    pub(super) prefix: Option<Text>,
    pub(super) bucket: Option<Text>,
    pub(super) region: Option<Text>,
    pub(super) endpoint: Option<Text>,
    pub(super) path_style: Option<Scalar<bool>>,
    pub(super) access_key_id: Option<Text>,
    pub(super) secret_access_key: Option<SecretText>,
    pub(super) session_token: Option<SecretText>,
    pub(super) checksum_mode: Option<Text>,
    pub(super) sse: Option<Text>,
    pub(super) sse_kms_key_id: Option<Text>,
    pub(super) connect_timeout_ms: Option<Scalar<u64>>,
    pub(super) request_timeout_ms: Option<Scalar<u64>>,
}

impl StorageSection {
    /// The first key there is that only `backend: s3` knows.
    pub(super) fn first_of_s3(&self) -> Option<&'static str> {
        let given = [
            ("bucket", self.bucket.is_some()),
            ("region", self.region.is_some()),
            ("endpoint", self.endpoint.is_some()),
            ("path_style", self.path_style.is_some()),
            ("access_key_id", self.access_key_id.is_some()),
            ("secret_access_key", self.secret_access_key.is_some()),
            ("session_token", self.session_token.is_some()),
            ("checksum_mode", self.checksum_mode.is_some()),
            ("sse", self.sse.is_some()),
            ("sse_kms_key_id", self.sse_kms_key_id.is_some()),
            ("connect_timeout_ms", self.connect_timeout_ms.is_some()),
            ("request_timeout_ms", self.request_timeout_ms.is_some()),
        ];
        given.iter().find(|(_, is_there)| *is_there).map(|(key, _)| *key)
    }
}

/// `backup:`.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BackupSection {
    pub(super) include_offset_headers: Option<Scalar<bool>>,
    pub(super) source_cluster_id: Option<Text>,
    pub(super) compression: Option<Text>,
    pub(super) segment_max_bytes: Option<Scalar<u64>>,
    pub(super) continuous: Option<Scalar<bool>>,
    pub(super) segment_max_interval_ms: Option<Scalar<u64>>,
    pub(super) max_bytes_per_second: Option<Scalar<u64>>,
    pub(super) parallelism: Option<Scalar<u64>>,
    pub(super) memory_limit_bytes: Option<Scalar<u64>>,
    pub(super) isolation_level: Option<Text>,
    pub(super) start_from: Option<Text>,
}

/// `restore:`.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RestoreSection {
    pub(super) consumer_group_strategy: Option<Text>,
    pub(super) include_original_offset_header: Option<Scalar<bool>>,
    pub(super) offset_report: Option<Text>,
    #[serde(default)]
    pub(super) consumer_groups: Vec<Text>,
    pub(super) reset_consumer_offsets: Option<Scalar<bool>>,
    pub(super) on_existing_data: Option<Text>,
    pub(super) allow_incomplete_backup: Option<Scalar<bool>>,
    pub(super) consumer_groups_as_of: Option<Text>,
}

/// Every key of the document and the section it belongs to: for "did you mean" and "belongs under".
pub(super) const KEYS: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "mode",
            "backup_id",
            "source",
            "target",
            "storage",
            "backup",
            "restore",
        ],
    ),
    ("source", &["bootstrap_servers", "security", "topics"]),
    ("target", &["bootstrap_servers", "security", "topics"]),
    ("security", security::KEYS),
    ("topics", &["include", "exclude"]),
    (
        "storage",
        &[
            "backend",
            "path",
            "prefix",
            "bucket",
            "region",
            "endpoint",
            "path_style",
            "access_key_id",
            "secret_access_key",
            "session_token",
            "checksum_mode",
            "sse",
            "sse_kms_key_id",
            "connect_timeout_ms",
            "request_timeout_ms",
        ],
    ),
    (
        "backup",
        &[
            "include_offset_headers",
            "source_cluster_id",
            "compression",
            "segment_max_bytes",
            "continuous",
            "segment_max_interval_ms",
            "max_bytes_per_second",
            "parallelism",
            "memory_limit_bytes",
            "isolation_level",
            "start_from",
        ],
    ),
    (
        "restore",
        &[
            "consumer_group_strategy",
            "include_original_offset_header",
            "offset_report",
            "consumer_groups",
            "reset_consumer_offsets",
            "on_existing_data",
            "allow_incomplete_backup",
            "consumer_groups_as_of",
        ],
    ),
];

/// A string in which `${NAME}` stands for an environment variable. `$${` is a plain `${`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text(pub(super) String);

/// A string that is not shown, with environment variables as in [`Text`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SecretText(pub(super) Secret);

/// A number or a truth value, typed as such or as a string with `${NAME}` in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scalar<T>(pub(super) T);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl Visitor<'_> for TextVisitor {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<Text, E> {
                expand(value, |name| std::env::var(name).ok())
                    .map(Text)
                    .map_err(E::custom)
            }
            // An id such as 2024 is a number to YAML and a name to its author.
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Text, E> {
                Ok(Text(value.to_string()))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Text, E> {
                Ok(Text(value.to_string()))
            }
        }
        deserializer.deserialize_any(TextVisitor)
    }
}

/// As `Text`, but what was typed is in no error either.
impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SecretVisitor;
        impl SecretVisitor {
            fn refuse<E: de::Error>() -> Result<SecretText, E> {
                Err(E::custom("a secret must be a string: put it in quotes"))
            }
        }
        impl<'de> Visitor<'de> for SecretVisitor {
            type Value = SecretText;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<SecretText, E> {
                expand(value, |name| std::env::var(name).ok())
                    .map(|value| SecretText(Secret::new(value)))
                    .map_err(|message| match message.starts_with("environment variable") {
                        true => E::custom(message),
                        false => E::custom("a secret with a `${` that names no environment variable"),
                    })
            }
            fn visit_bool<E: de::Error>(self, _: bool) -> Result<SecretText, E> {
                Self::refuse()
            }
            fn visit_i64<E: de::Error>(self, _: i64) -> Result<SecretText, E> {
                Self::refuse()
            }
            fn visit_u64<E: de::Error>(self, _: u64) -> Result<SecretText, E> {
                Self::refuse()
            }
            fn visit_f64<E: de::Error>(self, _: f64) -> Result<SecretText, E> {
                Self::refuse()
            }
        }
        deserializer.deserialize_any(SecretVisitor)
    }
}

impl<'de, T> Deserialize<'de> for Scalar<T>
where
    T: FromStr + fmt::Display,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarVisitor<T>(PhantomData<T>);
        impl<T: FromStr> ScalarVisitor<T> {
            fn parse<E: de::Error>(text: &str) -> Result<Scalar<T>, E> {
                let wanted = match std::any::type_name::<T>() {
                    "bool" => "true or false",
                    _ => "a whole number, 0 or more",
                };
                text.parse()
                    .map(Scalar)
                    .map_err(|_| E::custom(format!("`{text}` is not {wanted}")))
            }
        }
        impl<T: FromStr> Visitor<'_> for ScalarVisitor<T> {
            type Value = Scalar<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or a truth value")
            }
            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Scalar<T>, E> {
                Self::parse(if value { "true" } else { "false" })
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Scalar<T>, E> {
                Self::parse(&value.to_string())
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Scalar<T>, E> {
                Self::parse(&value.to_string())
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Scalar<T>, E> {
                Self::parse(&value.to_string())
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<Scalar<T>, E> {
                Self::parse(
                    expand(value, |name| std::env::var(name).ok())
                        .map_err(E::custom)?
                        .trim(),
                )
            }
        }
        deserializer.deserialize_any(ScalarVisitor(PhantomData))
    }
}

/// Replaces `${NAME}` by the value of `lookup(NAME)`. The message of an error names the variable, never a value.
pub(super) fn expand(text: &str, lookup: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = &after[2..];
            continue;
        }
        out.push_str(before);
        let Some((name, tail)) = after[2..].split_once('}') else {
            return Err("`${` without a closing `}` (write `$${` for a plain `${`)".into());
        };
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(format!("`${{{name}}}` does not name an environment variable"));
        }
        let value = lookup(name).ok_or_else(|| format!("environment variable {name} is not set"))?;
        out.push_str(&value);
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::expand;

    fn lookup(name: &str) -> Option<String> {
        (name == "HOST").then(|| "kafka-1".to_owned())
    }

    #[test]
    fn variables_are_replaced_once_and_not_again_in_their_values() {
        assert_eq!(expand("${HOST}:9092", lookup).unwrap(), "kafka-1:9092");
        assert_eq!(expand("a${HOST}b${HOST}", lookup).unwrap(), "akafka-1bkafka-1");
        assert_eq!(expand("$${HOST}", lookup).unwrap(), "${HOST}");
        assert_eq!(expand("$HOST and $5", lookup).unwrap(), "$HOST and $5");
        assert_eq!(expand("${X}", |_| Some("${Y}".into())).unwrap(), "${Y}");
    }

    #[test]
    fn what_cannot_be_replaced_is_an_error_that_names_the_variable() {
        assert!(expand("${NOPE}", lookup).unwrap_err().contains("NOPE"));
        assert!(expand("${", lookup).is_err());
        assert!(expand("${}", lookup).is_err());
    }
}
