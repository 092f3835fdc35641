//! Certificates, authorities, names.

use kafka_wire::{Cluster, Error, TlsConfig};
use testkit::{Authority, Validity};

use crate::support::{
    Files, by_name, config, refused, refused_for_good, says, shared, shown, unwrapped, works,
};

/// PKCS#8; of no use anywhere else.
const RSA_KEY: &str = include_str!("rsa-2048.pem");

#[tokio::test(flavor = "multi_thread")]
async fn records_go_both_ways_over_tls() {
    let (shared, files) = (shared().await, Files::new());
    let mut config = config(shared, "TLS");
    config.security.tls = Some(files.trusting(&shared.authority));
    works(shared, by_name(config), "over-tls").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_among_others_is_found() {
    let (shared, files) = (shared().await, Files::new());
    let other = Authority::new("another authority").unwrap();
    let bundle = format!(
        "# two authorities\n{}\n{}",
        other.certificate(),
        shared.authority.certificate()
    );
    let mut config = config(shared, "TLS");
    config.security.tls = Some(TlsConfig::new().ca_file(files.write("bundle.pem", bundle)));
    Cluster::connect(config).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn client_certificates_are_shown_with_keys_of_every_form() {
    let (shared, files) = (shared().await, Files::new());
    let ecdsa = shared.authority.issue(&["client"], Validity::Good).unwrap();
    let rsa = shared.authority.issue_for_key(RSA_KEY, &["client"]).unwrap();
    for (number, (identity, key)) in [
        (&ecdsa, ecdsa.key.clone()),
        (&ecdsa, unwrapped(&ecdsa.key, "EC PRIVATE KEY")),
        (&rsa, RSA_KEY.to_owned()),
        (&rsa, unwrapped(RSA_KEY, "RSA PRIVATE KEY")),
    ]
    .into_iter()
    .enumerate()
    {
        let mut config = config(shared, "MUTUAL");
        let mut shown = identity.clone();
        shown.key = key;
        config.security.tls = Some(files.showing(&shared.authority, &shown));
        works(shared, config, &format!("mutual-{number}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_wants_a_client_certificate_says_so() {
    let (shared, files) = (shared().await, Files::new());
    let mut config = config(shared, "MUTUAL");
    config.security.tls = Some(files.trusting(&shared.authority));
    let words = refused_for_good(config).await;
    says(
        &words,
        &[
            "wants a client certificate",
            "ssl_certificate_location",
            "ssl_key_location",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_that_the_broker_does_not_trust_is_refused() {
    let (shared, files) = (shared().await, Files::new());
    let strangers = Authority::new("another authority")
        .unwrap()
        .issue(&["client"], Validity::Good)
        .unwrap();
    let expired = shared.authority.issue(&["client"], Validity::Expired).unwrap();
    for identity in [strangers, expired] {
        let mut config = config(shared, "MUTUAL");
        config.security.tls = Some(files.showing(&shared.authority, &identity));
        let words = refused_for_good(config).await;
        says(
            &words,
            &[
                "client certificate that it trusts",
                "has not expired",
                "truststore",
            ],
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_did_not_issue_the_certificate_is_named() {
    let (shared, files) = (shared().await, Files::new());
    let other = Authority::new("another authority").unwrap();
    let mut config = config(shared, "TLS");
    config.security.tls = Some(files.trusting(&other));
    let words = refused_for_good(config.clone()).await;
    says(
        &words,
        &[
            "not issued by one of the trusted authorities",
            &shown(&files.path("ca.pem")),
            "ssl_ca_location",
        ],
    );

    config.security.tls = Some(TlsConfig::new());
    let words = refused_for_good(config).await;
    says(&words, &["those of the operating system", "ssl_ca_location"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_another_host_is_refused_with_its_names() {
    let (shared, files) = (shared().await, Files::new());
    for (named, host) in [(false, "127.0.0.1"), (true, "localhost")] {
        let mut config = config(shared, "STRANGER");
        config.security.tls = Some(files.trusting(&shared.authority));
        let config = if named { by_name(config) } else { config };
        let words = refused(config).await;
        says(
            &words,
            &[
                &format!("is not for {host}"),
                "other.example",
                "advertised.listeners",
            ],
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_refused() {
    let (shared, files) = (shared().await, Files::new());
    let mut config = config(shared, "EXPIRED");
    config.security.tls = Some(files.trusting(&shared.authority));
    let words = refused_for_good(config).await;
    says(&words, &["has expired", "days ago", "renew it on the broker"]);
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named_before_anything_is_connected() {
    let files = Files::new();
    let authority = Authority::new("an authority").unwrap();
    let (one, other) = (
        authority.issue(&["one"], Validity::Good).unwrap(),
        authority.issue(&["other"], Validity::Good).unwrap(),
    );
    let certificate = files.write("client.pem", &one.certificate);
    let key = files.write("client.key", &one.key);
    let others_key = files.write("other.key", &other.key);
    let nonsense = files.write("nonsense.pem", "nonsense");
    let encrypted = files.write(
        "encrypted.key",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIF\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let missing = files.path("missing.pem");
    for (tls, parts) in [
        (
            TlsConfig::new().ca_file(&missing),
            &["missing.pem", "No such file", "ssl_ca_location"][..],
        ),
        (
            TlsConfig::new().ca_file(files.path("")),
            &["cannot read", "ssl_ca_location"],
        ),
        (
            TlsConfig::new().ca_file(&nonsense),
            &["nonsense.pem has no certificate", "ssl_ca_location"],
        ),
        (TlsConfig::new().ca_file(&key), &["client.key has no certificate"]),
        (
            TlsConfig::new().client_certificate(&missing, &key),
            &["missing.pem", "ssl_certificate_location"],
        ),
        (
            TlsConfig::new().client_certificate(&certificate, &missing),
            &["missing.pem", "ssl_key_location"],
        ),
        (
            TlsConfig::new().client_certificate(&certificate, &nonsense),
            &["nonsense.pem has no private key"],
        ),
        (
            TlsConfig::new().client_certificate(&certificate, &encrypted),
            &["encrypted.key is encrypted", "openssl pkey"],
        ),
        (
            TlsConfig::new().client_certificate(&certificate, &others_key),
            &["other.key does not belong to", "client.pem"],
        ),
    ] {
        let mut config = kafka_wire::ClusterConfig::new(["no-such-host.invalid:9093"]);
        config.security.tls = Some(tls);
        let error = Cluster::connect(config).await.unwrap_err();
        assert!(matches!(error, Error::InvalidConfig { .. }), "{error}");
        says(&error.to_string(), parts);
    }
}
