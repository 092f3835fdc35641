//! What went wrong, in words that say what to change.

use std::io;
use std::time::Duration;

use rustls::pki_types::{ServerName, UnixTime};
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

use super::Words;
use crate::config::ClientCertificate;
use crate::error::ConnectionError;

const NOT_TLS: &str = "the listener does not speak TLS: check the port, or set security_protocol to PLAINTEXT or \
                       SASL_PLAINTEXT";

/// The failure of a handshake with `host`.
pub(super) fn of_handshake(error: io::Error, host: &str, words: &Words) -> ConnectionError {
    if let Some(tls) = tls_error(&error) {
        return ConnectionError::Tls(match tls {
            Error::InvalidCertificate(wrong) => certificate(wrong, host, words),
            other => describe(other),
        });
    }
    match ConnectionError::io(error) {
        // Brokers without TLS do that, and brokers that stop.
        cause if cause.is_hang_up() => ConnectionError::NoTls,
        cause => cause,
    }
}

/// The failure of a session that the broker has not said anything in, if it is one of TLS.
///
/// With TLS 1.3 this is how a client learns that its certificate was refused.
pub(crate) fn of_io(error: &io::Error) -> Option<ConnectionError> {
    tls_error(error).map(|tls| ConnectionError::Tls(describe(tls)))
}

/// The failure of a session in the library's own words, if it is one of TLS.
pub(crate) fn words(error: &io::Error) -> Option<String> {
    tls_error(error).map(ToString::to_string)
}

/// Why a certificate and a key cannot be used.
pub(super) fn of_identity(error: &Error, shown: &ClientCertificate) -> String {
    let (certificate, key) = (shown.certificate_file.display(), shown.key_file.display());
    match error {
        Error::InconsistentKeys(_) => {
            format!("the private key in {key} does not belong to the certificate in {certificate}")
        }
        Error::InvalidCertificate(_) => format!("the certificate in {certificate} is damaged"),
        // The library's own words speak of the kind of key that it expects, never of the key.
        _ => format!(
            "the private key in {key} is damaged, or of a kind that is not supported (use RSA of 2048 bits or more, ECDSA P-256 or P-384, or Ed25519)"
        ),
    }
}

fn tls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

fn describe(error: &Error) -> String {
    match error {
        Error::AlertReceived(alert) => refused(*alert),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => NOT_TLS.to_owned(),
        // Seen from Kafka 2.8, where newer releases send an alert.
        Error::DecryptError => format!(
            "the TLS session failed: {error}; brokers of older releases answer like this when the broker wants a client certificate \
             that it trusts: give one (ssl_certificate_location, ssl_key_location); if one is given, check that it has \
             not expired, and that the CA that issued it is in the broker's truststore"
        ),
        Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13) => {
            "the broker knows neither TLS 1.2 nor TLS 1.3: enable one of them (ssl.enabled.protocols)"
                .to_owned()
        }
        other => format!("the TLS session failed: {other}"),
    }
}

fn certificate(wrong: &CertificateError, host: &str, words: &Words) -> String {
    match wrong {
        CertificateError::UnknownIssuer => format!(
            "the certificate of {host} was not issued by one of the trusted authorities, {}: give the certificate of the \
             authority that issued it ({})",
            words.trusted, words.ca_setting
        ),
        CertificateError::ExpiredContext { time, not_after } => format!(
            "the certificate of {host} has expired {} ago: renew it on the broker, or set this host's clock if that is \
             wrong",
            span(time, not_after)
        ),
        CertificateError::Expired => {
            format!(
                "the certificate of {host} has expired: renew it on the broker, or set this host's clock if that is wrong"
            )
        }
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "the certificate of {host} is valid only in {}: check the clock of this host",
            span(not_before, time)
        ),
        CertificateError::NotValidYet => {
            format!("the certificate of {host} is not valid yet: check the clock of this host")
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            format!(
                "the certificate is not for {}, but for {}: connect by that name (bootstrap_servers, advertised.listeners of \
                 the broker), or add the name to the certificate",
                name(expected),
                names(presented)
            )
        }
        CertificateError::NotValidForName => {
            format!("the certificate is not for {host}: connect by the name it is for, or add the name to it")
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            format!("the certificate of {host} is not one of a server (extended key usage)")
        }
        other => format!("the certificate of {host} cannot be trusted: {other}"),
    }
}

fn refused(alert: AlertDescription) -> String {
    use AlertDescription as Alert;
    match alert {
        Alert::CertificateRequired
        | Alert::BadCertificate
        | Alert::CertificateUnknown
        | Alert::CertificateExpired
        | Alert::CertificateRevoked
        | Alert::UnsupportedCertificate
        | Alert::UnknownCA
        | Alert::AccessDenied
        | Alert::DecryptError => format!(
            "the broker wants a client certificate that it trusts (it answered with the TLS alert {alert:?}): give one \
             (ssl_certificate_location, ssl_key_location); if one is given, check that it has not expired, and that \
             the CA that issued it is in the broker's truststore"
        ),
        Alert::UnrecognisedName => {
            "the broker has no certificate for the name by which it is reached: check bootstrap_servers and the \
             advertised.listeners of the broker"
                .to_owned()
        }
        Alert::ProtocolVersion => {
            "the broker accepts neither TLS 1.2 nor TLS 1.3: enable one of them (ssl.enabled.protocols)".to_owned()
        }
        alert => format!(
            "the broker refused the TLS session (alert {alert:?}): check its ssl.enabled.protocols, ssl.cipher.suites \
             and keystore"
        ),
    }
}

/// How much later one time is than another.
fn span(later: &UnixTime, earlier: &UnixTime) -> String {
    let seconds = Duration::from_secs(later.as_secs().saturating_sub(earlier.as_secs())).as_secs();
    match (seconds / 86_400, seconds / 3_600) {
        (0, 0) => format!("{} minutes", seconds.div_ceil(60)),
        (0, hours) => format!("{hours} hours"),
        (days, _) => format!("{days} days"),
    }
}

fn name(name: &ServerName<'_>) -> String {
    match name {
        ServerName::IpAddress(address) => std::net::IpAddr::from(*address).to_string(),
        other => other.to_str().into_owned(),
    }
}

/// The library writes them as `DnsName("kafka")`.
fn names(presented: &[String]) -> String {
    const MOST: usize = 5;
    if presented.is_empty() {
        return "no name at all (it has no subject alternative names)".to_owned();
    }
    let mut shown: Vec<&str> = (presented.iter().take(MOST))
        .map(|name| {
            name.split_once('(')
                .map_or(name.as_str(), |(_, inner)| inner.trim_matches(['"', ')']))
        })
        .collect();
    if presented.len() > MOST {
        shown.push("...");
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_as_they_are_written() {
        let presented = [
            "DnsName(\"kafka-1\")".to_owned(),
            "IpAddress(10.0.0.1)".to_owned(),
        ];
        assert_eq!(names(&presented), "kafka-1, 10.0.0.1");
        assert!(names(&vec!["x".to_owned(); 9]).ends_with("x, ..."));
        assert!(names(&[]).contains("no name"));
    }

    #[test]
    fn spans_are_rounded_to_what_one_wants_to_know() {
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        for (seconds, words) in [(30, "1 minutes"), (7_300, "2 hours"), (172_800, "2 days")] {
            assert_eq!(span(&at(1_000_000 + seconds), &at(1_000_000)), words);
        }
    }
}
