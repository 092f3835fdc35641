//! The mechanisms with passwords.

use std::time::Duration;

use kafka_wire::{Cluster, Error, SaslConfig, Secret, TopicFilter};
use testkit::{DelegationToken, JavaClient};

use crate::support::{
    Files, PASSWORD, STRANGE_USER, Shared, USER, chain, password, refused_for_good, says, shared, with_login,
    works,
};

type Mechanism = fn(String, Secret) -> SaslConfig;

const MECHANISMS: [(&str, Mechanism); 3] = [
    ("PLAIN", SaslConfig::plain),
    ("SCRAM-SHA-256", SaslConfig::scram_sha_256),
    ("SCRAM-SHA-512", SaslConfig::scram_sha_512),
];

#[tokio::test(flavor = "multi_thread")]
async fn records_go_both_ways_after_a_login() {
    let shared = shared().await;
    for (name, mechanism) in MECHANISMS {
        let config = with_login(shared, "LOGIN", mechanism(USER.into(), password()));
        works(shared, config, &format!("login-{name}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_go_both_ways_after_a_login_over_tls() {
    let (shared, files) = (shared().await, Files::new());
    for (name, mechanism) in MECHANISMS {
        let mut config = with_login(shared, "SECURE", mechanism(USER.into(), password()));
        config.security.tls = Some(files.trusting(&shared.authority));
        works(shared, config, &format!("secure-{name}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_have_to_be_escaped_log_in() {
    let shared = shared().await;
    for (name, mechanism) in &MECHANISMS[1..] {
        let config = with_login(shared, "LOGIN", mechanism(STRANGE_USER.into(), password()));
        works(shared, config, &format!("strange-{name}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_an_unknown_user_are_refused() {
    let shared = shared().await;
    for (name, mechanism) in MECHANISMS {
        for (user, password) in [(USER, "not-the-password"), ("nobody", PASSWORD)] {
            let config = with_login(shared, "LOGIN", mechanism(user.into(), Secret::new(password)));
            let words = refused_for_good(config).await;
            says(&words, &[user, name, "failed", "sasl_username and sasl_password"]);
            assert!(!words.contains(password), "{words}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_tried_at_other_servers_only_where_it_was_not_refused() {
    let shared = shared().await;
    let mut config = with_login(shared, "PLAINONLY", SaslConfig::scram_sha_256(USER, password()));
    config.bootstrap.extend(shared.brokers.listener("LOGIN"));
    Cluster::connect(config).await.unwrap();

    let wrong = SaslConfig::scram_sha_256(USER, Secret::new("not-the-password"));
    let mut config = with_login(shared, "LOGIN", wrong);
    config.bootstrap.extend(shared.brokers.listener("LOGIN"));
    let error = Cluster::connect(config).await.unwrap_err();
    let Error::Bootstrap { failures } = error else {
        panic!("{error:?}")
    };
    assert_eq!(failures.len(), 1, "{failures:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mechanism_that_is_not_enabled_is_answered_with_those_that_are() {
    let shared = shared().await;
    let config = with_login(shared, "PLAINONLY", SaslConfig::scram_sha_256(USER, password()));
    let words = refused_for_good(config).await;
    says(
        &words,
        &[
            "does not take logins by SCRAM-SHA-256, only by PLAIN",
            "sasl_mechanism",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_was_set_with_many_iterations_is_proved() {
    let shared = shared().await;
    shared
        .java
        .set_scram("slow", "SCRAM-SHA-512", "slow-secret", 16_384)
        .await
        .unwrap();
    let login = SaslConfig::scram_sha_512("slow", Secret::new("slow-secret"));
    logs_in_soon(shared, login).await;
}

/// The broker learns of what is new a moment later.
async fn logs_in_soon(shared: &Shared, login: SaslConfig) {
    let config = with_login(shared, "LOGIN", login);
    for _ in 0..100 {
        if Cluster::connect(config.clone()).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{}", refused_for_good(config).await);
}

/// A token of the user that logs in by a password, known to the broker.
async fn delegation_token(shared: &Shared, max_lifetime_ms: Option<u64>) -> DelegationToken {
    let login = format!(
        "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"{USER}\" password=\"{PASSWORD}\";"
    );
    let properties = [
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", "SCRAM-SHA-256"),
        ("sasl.jaas.config", &*login),
    ];
    let java = JavaClient::start_with(&shared.brokers.listener("LOGIN"), &properties)
        .await
        .unwrap();
    let token = java.create_delegation_token(max_lifetime_ms).await.unwrap();
    let login = SaslConfig::scram_sha_256(&token.id, Secret::new(&token.hmac))
        .with_delegation_token()
        .unwrap();
    logs_in_soon(shared, login).await;
    token
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delegation_token_logs_in_by_scram() {
    let shared = shared().await;
    let token = delegation_token(shared, None).await;
    for (name, mechanism) in &MECHANISMS[1..] {
        let login = mechanism(token.id.clone(), Secret::new(&token.hmac));
        let announced = login.clone().with_delegation_token().unwrap();
        works(
            shared,
            with_login(shared, "LOGIN", announced),
            &format!("token-{name}"),
        )
        .await;
        // Without being announced it is taken for a user.
        let words = refused_for_good(with_login(shared, "LOGIN", login)).await;
        says(&words, &[&token.id, name, "failed"]);
        let wrong = mechanism(token.id.clone(), Secret::new("bm90IHRoZSBobWFj"))
            .with_delegation_token()
            .unwrap();
        let words = refused_for_good(with_login(shared, "LOGIN", wrong)).await;
        says(
            &words,
            &["the delegation token", &token.id, name, "failed", "HMAC"],
        );
        assert!(!words.contains("bm90IHRoZSBobWFj"), "{words}");
    }
}

/// As a run sees it that goes on while its token is not renewed. A broker that has not cleared the token away yet takes the
/// login, and closes the connection at the first request.
#[tokio::test(flavor = "multi_thread")]
async fn a_delegation_token_that_has_expired_is_told_and_nothing_to_be_tried_again() {
    let shared = shared().await;
    let token = delegation_token(shared, Some(15_000)).await;
    let login = SaslConfig::scram_sha_256(&token.id, Secret::new(&token.hmac));
    let config = with_login(shared, "LOGIN", login.with_delegation_token().unwrap());
    let cluster = Cluster::connect(config.clone()).await.unwrap();
    let says_so = |error: &Error| {
        assert!(error.is_permanent(), "{}", chain(error));
        let who = format!("the delegation token {:?}", token.id);
        let parts = [&*who, "SCRAM-SHA-256 failed", "has expired", "create another"];
        says(&chain(error), &parts);
    };
    let ends = async {
        loop {
            if let Err(error) = cluster.metadata(TopicFilter::Names(vec![])).await {
                return error;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let patience = Duration::from_secs(120);
    says_so(&tokio::time::timeout(patience, ends).await.expect("an end"));
    says_so(&Cluster::connect(config).await.unwrap_err());
}
