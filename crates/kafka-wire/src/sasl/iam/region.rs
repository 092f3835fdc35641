//! Which region a login is signed for.

use super::variable;
use crate::config::check_region;
use crate::error::ConnectionError;

/// In the order in which they are asked, as by AWS's tools.
const VARIABLES: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];

/// The region that is configured, else that of the host's name, else that of the environment.
///
/// # Errors
/// [`ConnectionError::NoLoginHere`] when nobody knows it, or the environment has something else in its place.
pub(crate) fn find(
    configured: Option<&str>,
    host: &str,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<String, ConnectionError> {
    if let Some(region) = configured.or_else(|| in_host(host)) {
        return Ok(region.to_owned());
    }
    let found = in_environment(environment).map_err(|what| {
        ConnectionError::NoLoginHere(format!(
            "the AWS region to sign the login for is not known: {what}"
        ))
    })?;
    found.ok_or_else(|| {
        ConnectionError::NoLoginHere(format!(
            "the AWS region to sign the login for is not known, as the host name {host} has none in it: set \
             sasl_aws_region, or AWS_REGION in the environment"
        ))
    })
}

/// The region in the environment, if there is one.
///
/// # Errors
/// What is there instead.
pub(crate) fn in_environment(environment: impl Fn(&str) -> Option<String>) -> Result<Option<String>, String> {
    let set = |name: &'static str| Some((name, variable(&environment, name)?));
    let Some((name, region)) = VARIABLES.into_iter().find_map(set) else {
        return Ok(None);
    };
    check_region(&region, &format!("{name} in the environment, or sasl_aws_region"))?;
    Ok(Some(region))
}

/// The region in a host's name. It is a part of its own in all that Amazon gives out:
///
/// - `b-1.demo.abc123.c2.kafka.us-east-1.amazonaws.com` and, in China, `... .cn-north-1.amazonaws.com.cn`
/// - `boot-abc123.c1.kafka-serverless.eu-west-1.amazonaws.com`
/// - `vpce-0abc-1a2b.vpce-svc-0def.us-gov-west-1.vpce.amazonaws.com`
///
/// Names of one's own often have it as well. The last one counts: names of clusters come before it.
pub(crate) fn in_host(host: &str) -> Option<&str> {
    host.rsplit('.').find(|part| is_region(part))
}

/// As regions are named: an area, perhaps a partition, a direction, a number. Not by a list, which would have to be renewed
/// for every new region.
fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [area, between @ .., direction, number] = parts.as_slice() else {
        return false;
    };
    let is_word = |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_area = (area.len() == 2 && is_word(area)) || *area == "eusc";
    let is_direction = ["north", "south", "east", "west", "central"]
        .iter()
        .any(|side| direction.starts_with(side))
        && is_word(direction);
    let is_number = (1..=2).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    is_area && between.len() <= 1 && between.iter().all(is_word) && is_direction && is_number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_amazon_tell_their_region() {
        for (host, region) in [
            ("b-1.demo.abc123.c2.kafka.us-east-1.amazonaws.com", "us-east-1"),
            (
                "b-1-public.demo.abc123.c2.kafka.ap-southeast-4.amazonaws.com",
                "ap-southeast-4",
            ),
            (
                "b-2.demo.abc123.c2.kafka.cn-northwest-1.amazonaws.com.cn",
                "cn-northwest-1",
            ),
            (
                "boot-abc123.c1.kafka-serverless.eu-west-1.amazonaws.com",
                "eu-west-1",
            ),
            (
                "b-1.iam.demo.abc123.c2.kafka.il-central-1.amazonaws.com",
                "il-central-1",
            ),
            (
                "vpce-0abc-1a2b.vpce-svc-0def.us-gov-west-1.vpce.amazonaws.com",
                "us-gov-west-1",
            ),
            (
                "vpce-0abc-us-east-1a.vpce-svc-0def.us-east-1.vpce.amazonaws.com",
                "us-east-1",
            ),
            (
                "b-1.demo.abc123.c2.kafka.us-iso-east-1.c2s.ic.gov",
                "us-iso-east-1",
            ),
            (
                "b-1.demo.abc123.c2.kafka.eusc-de-east-1.amazonaws.eu",
                "eusc-de-east-1",
            ),
            // The name of a cluster is not a place.
            (
                "b-1.us-west-2.abc123.c2.kafka.eu-north-1.amazonaws.com",
                "eu-north-1",
            ),
            // A name of one's own.
            ("kafka.eu-central-1.corp.example", "eu-central-1"),
        ] {
            assert_eq!(in_host(host), Some(region), "{host}");
        }
    }

    #[test]
    fn other_hosts_do_not() {
        for host in [
            "kafka-1.example.com",
            "my-kafka-1.corp",
            "kafka-us-east-1.example.com",
            "us-east.example.com",
            "us-east-1a.example.com",
            "US-EAST-1.example.com",
            "us east-1.example.com",
            "us-east-1/..",
            "us-east-100.example.com",
            "data-east-1.example.com",
            "us-a-b-east-1.example.com",
            "us--east-1.example.com",
            "10.1.2.3",
            "fd00::2",
            "localhost",
            "",
        ] {
            assert_eq!(in_host(host), None, "{host}");
        }
    }

    #[test]
    fn configuration_comes_before_the_host_and_the_host_before_the_environment() {
        let host = "b-1.demo.abc123.c2.kafka.us-east-1.amazonaws.com";
        let environment = |all: &'static [(&str, &str)]| {
            move |name: &str| {
                let found = all.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| (*value).to_owned())
            }
        };
        let both = environment(&[("AWS_REGION", "eu-west-1"), ("AWS_DEFAULT_REGION", "eu-west-2")]);
        let later = environment(&[("AWS_REGION", " "), ("AWS_DEFAULT_REGION", "eu-west-2")]);
        assert_eq!(find(Some("eu-south-1"), host, both).unwrap(), "eu-south-1");
        assert_eq!(find(None, host, both).unwrap(), "us-east-1");
        assert_eq!(find(None, "kafka-1", both).unwrap(), "eu-west-1");
        assert_eq!(find(None, "kafka-1", later).unwrap(), "eu-west-2");
        // What is not asked does no harm, and what is malformed is not passed over.
        let malformed = environment(&[("AWS_REGION", "eu west"), ("AWS_DEFAULT_REGION", "eu-west-2")]);
        assert_eq!(find(None, host, malformed).unwrap(), "us-east-1");
        let error = find(None, "kafka-1", malformed).unwrap_err();
        assert!(matches!(error, ConnectionError::NoLoginHere(_)), "{error:?}");
        let words = error.to_string();
        for part in ["\"eu west\" is no region", "AWS_REGION in the environment"] {
            assert!(words.contains(part), "{words}");
        }
        let error = find(None, "kafka-1", |_| None).unwrap_err();
        assert!(matches!(error, ConnectionError::NoLoginHere(_)), "{error:?}");
        let words = error.to_string();
        for part in ["kafka-1", "sasl_aws_region", "AWS_REGION"] {
            assert!(words.contains(part), "{words}");
        }
    }
}
