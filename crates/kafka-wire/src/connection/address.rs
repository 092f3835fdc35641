//! `host:port` of a broker.

use std::fmt;
use std::str::FromStr;

/// Where a broker listens: a host name, an IPv4 or an IPv6 literal, and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct BrokerAddress {
    /// Without brackets, also for an IPv6 literal.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl BrokerAddress {
    /// The address that a broker announced for itself; `None` when the port cannot be one.
    pub(crate) fn announced(host: &str, port: i32) -> Option<Self> {
        let port = u16::try_from(port).ok().filter(|port| *port != 0)?;
        (!host.is_empty()).then(|| Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for BrokerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for BrokerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        if trimmed.contains("://") {
            return Err(format!(
                "{text:?}: write the address without a protocol, as host:port"
            ));
        }
        let (host, port) = if let Some(rest) = trimmed.strip_prefix('[') {
            rest.split_once("]:")
                .ok_or_else(|| format!("{text:?} is not of the form [ipv6]:port"))?
        } else {
            let (host, port) = trimmed
                .rsplit_once(':')
                .ok_or_else(|| format!("{text:?} has no port; write host:port"))?;
            if host.contains(':') {
                return Err(format!(
                    "{text:?}: write an IPv6 address in brackets, as [{host}]:{port}"
                ));
            }
            (host, port)
        };
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c == '/' || c == ',') {
            return Err(format!("{text:?} has no valid host name"));
        }
        match port.parse::<u16>() {
            Ok(port) if port != 0 => Ok(Self {
                host: host.to_owned(),
                port,
            }),
            _ => Err(format!("{text:?}: {port:?} is not a port (1 to 65535)")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_literals_survive_a_round_trip() {
        for text in [
            "kafka-1.example.com:9092",
            "10.0.0.7:1",
            "[::1]:65535",
            "[fe80::1%eth0]:9092",
        ] {
            assert_eq!(text.parse::<BrokerAddress>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, says) in [
            ("kafka", "no port"),
            ("::1:9092", "brackets"),
            ("[::1]", "[ipv6]:port"),
            ("kafka:0", "is not a port"),
            ("kafka:65536", "is not a port"),
            (":9092", "host name"),
            ("a b:9092", "host name"),
            ("SSL://kafka:9092", "without a protocol"),
        ] {
            let error = text.parse::<BrokerAddress>().unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn a_broker_that_announces_no_usable_port_has_no_address() {
        assert_eq!(BrokerAddress::announced("a", -1), None);
        assert_eq!(BrokerAddress::announced("", 9092), None);
        assert!(BrokerAddress::announced("a", 9092).is_some());
    }
}
