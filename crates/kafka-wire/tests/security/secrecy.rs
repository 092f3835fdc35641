//! Nothing that is secret is shown anywhere: not in errors, not by `Debug`, not in the log at its finest.

use std::fmt::Debug;

use kafka_wire::{
    AwsCredentials, AwsCredentialsSource, ClientCredentials, Cluster, ClusterConfig, SaslConfig, Secret,
    TokenSource,
};
use testkit::Validity;

use crate::capture::logged;
use crate::iam;
use crate::support::{Files, USER, chain, config, password, shared, with_login};
use crate::token_endpoint::{TokenEndpoint, token};

const MARKER: &str = "mArKeR";

/// The marker, and what it looks like in base64 at any position, as which it might hide.
fn disguises() -> Vec<String> {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD_NO_PAD;
    let mut all = vec![MARKER.to_owned()];
    for before in ["", "x", "xx"] {
        let encoded = STANDARD_NO_PAD.encode(format!("{before}{MARKER}{MARKER}"));
        // The first and the last letters depend on what is around it.
        all.push(encoded[4..encoded.len() - 4].to_owned());
    }
    all
}

#[track_caller]
fn hides(text: &str, what: &str) {
    for disguise in disguises() {
        if let Some(at) = text.find(&disguise) {
            let from = text[..at].rfind('\n').unwrap_or(0);
            panic!("{what} shows {disguise}: {}", &text[from..at + disguise.len()]);
        }
    }
}

fn secret() -> Secret {
    Secret::new(format!("{MARKER}{MARKER}"))
}

/// Tries a configuration, which may fail or not, and looks at all that is shown of it.
async fn tried(config: ClusterConfig) -> Option<String> {
    hides(&format!("{config:?} {config:#?}"), "Debug of the configuration");
    match Cluster::connect(config).await {
        Ok(cluster) => {
            shown(&cluster);
            cluster.close().await;
            None
        }
        Err(error) => {
            shown(&error);
            hides(&chain(&error), "an error");
            Some(chain(&error))
        }
    }
}

fn shown(value: &impl Debug) {
    hides(&format!("{value:?} {value:#?}"), "Debug");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_failure_and_no_success_shows_a_secret() {
    let (shared, files) = (shared().await, Files::new());
    let mut logins = vec![
        SaslConfig::plain(USER, secret()),
        SaslConfig::plain(USER, Secret::new(format!("{MARKER}\0"))),
        SaslConfig::scram_sha_256(USER, secret()),
        SaslConfig::scram_sha_512("nobody", secret()),
        // A token that says so itself: base64 of the marker is in it.
        SaslConfig::oauth_bearer(TokenSource::File(files.write("good", token(MARKER, 3600)))),
        SaslConfig::oauth_bearer(TokenSource::File(files.write("expired", token(MARKER, -3600)))),
        SaslConfig::oauth_bearer(TokenSource::File(files.write("opaque", MARKER))),
        SaslConfig::oauth_bearer(TokenSource::File(
            files.write("words", format!("{MARKER} {MARKER}")),
        )),
    ];
    for script in [
        format!("echo {MARKER}; echo {MARKER} >&2; exit 1"),
        format!("echo {MARKER} {MARKER}"),
        format!("echo '{}'", token(MARKER, -1)),
    ] {
        let words = ["sh".to_owned(), "-c".to_owned(), script];
        logins.push(SaslConfig::oauth_bearer(TokenSource::Command(words.to_vec())));
    }
    let words = ["no-such-program".to_owned(), format!("--key={MARKER}")];
    logins.push(SaslConfig::oauth_bearer(TokenSource::Command(words.to_vec())));
    let endpoint = TokenEndpoint::start(None, 3600).await;
    let refusal = format!("{{\"error\":\"invalid_client\",\"error_description\":\"not {MARKER}{MARKER}\"}}");
    endpoint.answer(200, &format!("{{\"access_token\":\"{MARKER}\"}}"));
    for status in [400, 401, 500] {
        for _ in 0..4 {
            endpoint.answer(status, &refusal);
        }
    }
    for url in [
        &endpoint.url,
        &format!("http://user:{MARKER}@127.0.0.1:1/"),
        "http://127.0.0.1:1/",
        &format!("http://127.0.0.1:1/?key={MARKER}"),
    ] {
        let asked = ClientCredentials::new(url, "client", secret());
        logins.push(SaslConfig::oauth_bearer(TokenSource::ClientCredentials(asked)));
    }
    logins.extend(signed());
    let mut failures = 0;
    for login in logins {
        for listener in ["LOGIN", "SECURE", "PLAINONLY", "TLS"] {
            failures += usize::from(tried(with_login(shared, listener, login.clone())).await.is_some());
            let mut config = with_login(shared, listener, login.clone());
            config.security.tls = Some(files.trusting(&shared.authority));
            failures += usize::from(tried(config).await.is_some());
        }
    }
    assert!(failures > 120, "{failures}");
    keys(&files).await;
    let log = logged();
    assert!(
        log.contains("cannot connect") && log.contains("connection ended"),
        "the log is kept"
    );
    hides(&log, "the log");
}

/// Logins by a signature. The broker repeats tokens that it does not know.
fn signed() -> Vec<SaslConfig> {
    let marked = |id: &str| AwsCredentials::new(id, secret());
    let mut sources = vec![
        AwsCredentialsSource::Static(marked("AKIAUSER")),
        AwsCredentialsSource::Static(marked("ASIA1").session_token(secret())),
        AwsCredentialsSource::Static(AwsCredentials::new("A", Secret::new(format!("{MARKER} ")))),
    ];
    let printed = format!(
        "{{\"Version\":1,\"AccessKeyId\":\"ASIA1\",\"SecretAccessKey\":\"{MARKER}\",\"SessionToken\":\"{MARKER}\""
    );
    for script in [
        format!("echo '{printed}}}'"),
        format!("echo '{printed}'"),
        format!("echo '{printed},\"Expiration\":\"2001-01-01T00:00:00Z\"}}'"),
        format!("echo '{printed},\"Expiration\":\"{MARKER}\"}}'"),
        format!("echo {MARKER}; echo {MARKER} >&2; exit 1"),
    ] {
        let words = ["sh".to_owned(), "-c".to_owned(), script];
        sources.push(AwsCredentialsSource::Command(words.to_vec()));
    }
    sources.into_iter().map(iam::login).collect()
}

/// Keys, good and bad ones. The marker for these is the key itself.
async fn keys(files: &Files) {
    let shared = shared().await;
    let identity = shared.authority.issue(&["client"], Validity::Good).unwrap();
    let damaged = identity.key.replace("-----END", MARKER);
    let lines = [&identity.key, &damaged].map(|key| key.lines().nth(1).unwrap().to_owned());
    for key in [
        &identity.key,
        &damaged,
        &format!("-----BEGIN PRIVATE KEY {MARKER}\n"),
    ] {
        let mut shown = identity.clone();
        shown.key.clone_from(key);
        for listener in ["MUTUAL", "TLS"] {
            let mut config = config(shared, listener);
            config.security.tls = Some(files.showing(&shared.authority, &shown));
            if let Some(words) = tried(config).await {
                assert!(!lines.iter().any(|line| words.contains(line)), "{words}");
            }
        }
    }
    let log = logged();
    assert!(
        !lines.iter().any(|line| log.contains(line)),
        "a key is in the log"
    );
}

/// A broker's own secrets stay with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_names_its_secrets_and_does_not_tell_them() {
    let shared = shared().await;
    let login = SaslConfig::scram_sha_256(USER, password());
    let cluster = Cluster::connect(with_login(shared, "LOGIN", login))
        .await
        .unwrap();
    let configs = cluster.describe_broker_configs(0).await.unwrap();
    let keys = configs
        .iter()
        .filter(|entry| entry.name.ends_with("ssl.keystore.key") && entry.name.starts_with("listener.name"));
    let mut found = 0;
    for entry in keys {
        assert_eq!(
            (entry.sensitive, entry.value.as_deref()),
            (true, None),
            "{}",
            entry.name
        );
        found += 1;
    }
    assert!(found > 3);
    let retention = configs
        .iter()
        .find(|entry| entry.name == "log.retention.ms")
        .unwrap();
    assert_eq!(
        (retention.sensitive, retention.value.as_deref()),
        (false, Some("-1"))
    );
    cluster.close().await;
}
