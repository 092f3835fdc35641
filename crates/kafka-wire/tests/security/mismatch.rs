//! The wrong protocol for a port.

use kafka_wire::SaslConfig;

use crate::support::{Files, USER, config, password, refused, says, shared, with_login};

#[tokio::test(flavor = "multi_thread")]
async fn tls_against_a_listener_without() {
    let (shared, files) = (shared().await, Files::new());
    for listener in ["LOGIN", "PLAINTEXT"] {
        let mut config = config(shared, listener);
        if listener == "PLAINTEXT" {
            config.bootstrap = shared.brokers.bootstrap_servers();
        }
        config.security.tls = Some(files.trusting(&shared.authority));
        says(&refused(config).await, &["without TLS", "security_protocol"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plaintext_against_a_listener_of_tls() {
    let shared = shared().await;
    for listener in ["TLS", "MUTUAL", "SECURE"] {
        says(
            &refused(config(shared, listener)).await,
            &["TLS", "security_protocol", "SSL"],
        );
        let login = SaslConfig::plain(USER, password());
        says(
            &refused(with_login(shared, listener, login)).await,
            &["TLS", "security_protocol", "SSL"],
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_login_against_a_listener_that_wants_one() {
    let (shared, files) = (shared().await, Files::new());
    says(
        &refused(config(shared, "LOGIN")).await,
        &["have to log in", "SASL_PLAINTEXT or SASL_SSL"],
    );
    let mut config = config(shared, "SECURE");
    config.security.tls = Some(files.trusting(&shared.authority));
    says(
        &refused(config).await,
        &["have to log in", "SASL_PLAINTEXT or SASL_SSL"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_against_a_listener_that_takes_none() {
    let (shared, files) = (shared().await, Files::new());
    for login in [
        SaslConfig::plain(USER, password()),
        SaslConfig::scram_sha_512(USER, password()),
    ] {
        let mut config = with_login(shared, "TLS", login);
        config.security.tls = Some(files.trusting(&shared.authority));
        says(
            &refused(config.clone()).await,
            &["does not take logins", "PLAINTEXT or SSL"],
        );
        config.security.tls = None;
        config.bootstrap = shared.brokers.bootstrap_servers();
        says(
            &refused(config).await,
            &["does not take logins", "PLAINTEXT or SSL"],
        );
    }
}
