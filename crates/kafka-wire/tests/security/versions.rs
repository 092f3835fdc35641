//! The same on older releases, each with a broker of its own.

use std::time::Duration;

use kafka_wire::{Cluster, SaslConfig, Secret, TokenSource, TopicFilter};
use testkit::Validity;

use crate::capture::logged;
use crate::iam;
use crate::support::{
    Files, PASSWORD, USER, by_name, config, password, read, refused, refused_for_good, says, start,
    with_login, works, write,
};
use crate::token_endpoint::token;

async fn everything_once(version: &str) {
    let shared = start(Some(version)).await;
    let files = Files::new();
    let trusting = || Some(files.trusting(&shared.authority));

    let mut tls = config(&shared, "TLS");
    says(&refused(tls.clone()).await, &["TLS", "security_protocol"]);
    tls.security.tls = trusting();
    works(&shared, by_name(tls), "over-tls").await;
    let mut mutual = config(&shared, "MUTUAL");
    let shown = shared.authority.issue(&["client"], Validity::Good).unwrap();
    mutual.security.tls = Some(files.showing(&shared.authority, &shown));
    works(&shared, mutual.clone(), "mutual").await;
    mutual.security.tls = trusting();
    let words = refused_for_good(mutual).await;
    says(
        &words,
        &["wants a client certificate", "ssl_certificate_location"],
    );
    let mut stranger = config(&shared, "STRANGER");
    stranger.security.tls = trusting();
    says(&refused_for_good(stranger).await, &["other.example"]);

    let of_file = || TokenSource::File(files.write("token", token("alice", 3600)));
    let logins = [
        ("plain", SaslConfig::plain(USER, password())),
        ("scram-256", SaslConfig::scram_sha_256(USER, password())),
        ("scram-512", SaslConfig::scram_sha_512(USER, password())),
        ("oauth", SaslConfig::oauth_bearer(of_file())),
        ("iam", iam::login(iam::temporary_key("ASIA1"))),
    ];
    for (name, login) in logins {
        works(&shared, with_login(&shared, "LOGIN", login.clone()), name).await;
        let mut secure = with_login(&shared, "SECURE", login);
        secure.security.tls = trusting();
        works(&shared, secure, &format!("{name}-over-tls")).await;
    }

    let wrong = || Secret::new("not-the-password");
    for (login, name) in [
        (SaslConfig::plain(USER, wrong()), "PLAIN"),
        (SaslConfig::scram_sha_256(USER, wrong()), "SCRAM-SHA-256"),
        (SaslConfig::scram_sha_512(USER, wrong()), "SCRAM-SHA-512"),
    ] {
        let words = refused_for_good(with_login(&shared, "LOGIN", login)).await;
        says(&words, &[USER, name, "failed", "sasl_username and sasl_password"]);
    }
    let disabled = with_login(&shared, "PLAINONLY", SaslConfig::scram_sha_256(USER, password()));
    says(&refused_for_good(disabled).await, &["only by PLAIN"]);
    let late = TokenSource::File(files.write("late", token("alice", -3600)));
    let late = with_login(&shared, "LOGIN", SaslConfig::oauth_bearer(late));
    says(
        &refused_for_good(late).await,
        &["OAUTHBEARER failed", "invalid_token"],
    );
    says(&refused(config(&shared, "LOGIN")).await, &["security_protocol"]);

    // Sessions of 2.5 s.
    let login = SaslConfig::scram_sha_256(USER, Secret::new(PASSWORD));
    let cluster = Cluster::connect(with_login(&shared, "SHORT", login))
        .await
        .unwrap();
    shared.java.create_topic("renewed", 1, &[]).await.unwrap();
    shared.java.end_offset("renewed", 0).await.unwrap();
    write(&cluster, "renewed", 0, &[1000]).await.unwrap();
    let renewed = || {
        logged()
            .lines()
            .filter(|line| line.contains("login renewed"))
            .count()
    };
    let before = renewed();
    let work = async {
        while renewed() < before + 4 {
            cluster.metadata(TopicFilter::Names(vec![])).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), work)
        .await
        .expect("renewed logins");
    assert_eq!(read(&cluster, "renewed", 0, 1).await, [1000]);
    cluster.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_3_9_is_spoken_to() {
    everything_once("3.9.2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_2_8_is_spoken_to() {
    everything_once("2.8.2").await;
}
