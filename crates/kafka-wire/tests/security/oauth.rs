//! Tokens from files, commands and an endpoint.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_wire::{ClientCredentials, Cluster, SaslConfig, Secret, TokenSource};
use testkit::{Authority, Validity};

use crate::support::{
    Files, USER, chain, password, read, refused, refused_for_good, says, shared, with_login, works, write,
};
use crate::token_endpoint::{TokenEndpoint, silent, token};

fn with_extension(source: TokenSource) -> SaslConfig {
    let SaslConfig::OauthBearer(mut oauth) = SaslConfig::oauth_bearer(source) else {
        panic!("another mechanism")
    };
    oauth.extensions = BTreeMap::from([("logicalCluster".to_owned(), "lkc-1".to_owned())]);
    SaslConfig::OauthBearer(oauth)
}

fn credentials(url: &str) -> ClientCredentials {
    let mut asked = ClientCredentials::new(url, "client:1", Secret::new("sec ret%"));
    asked.scope = Some("kafka read".to_owned());
    asked
}

fn command(script: &str) -> TokenSource {
    TokenSource::Command(["sh", "-c", script].map(str::to_owned).to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_from_a_file_logs_in() {
    let (shared, files) = (shared().await, Files::new());
    let file = files.write("token", token("alice", 3600) + "\n");
    let mut config = with_login(shared, "SECURE", with_extension(TokenSource::File(file)));
    config.security.tls = Some(files.trusting(&shared.authority));
    works(shared, config, "oauth-file").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_from_a_command_logs_in_and_serves_many_connections() {
    let (shared, files) = (shared().await, Files::new());
    let calls = files.path("calls");
    let script = format!(
        "echo called >> '{}'; echo '{}'",
        calls.display(),
        token("alice", 3600)
    );
    let config = with_login(shared, "LOGIN", SaslConfig::oauth_bearer(command(&script)));
    works(shared, config, "oauth-command").await;
    assert_eq!(std::fs::read_to_string(&calls).unwrap().lines().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_is_asked_as_the_standard_says() {
    let (shared, files) = (shared().await, Files::new());
    let identity = shared.authority.issue(&["127.0.0.1"], Validity::Good).unwrap();
    for tls in [None, Some(&identity)] {
        let endpoint = TokenEndpoint::start(tls, 3600).await;
        let mut asked = credentials(&endpoint.url);
        asked.ca_file = Some(files.write("endpoint-ca.pem", shared.authority.certificate()));
        let login = with_extension(TokenSource::ClientCredentials(asked));
        let topic = format!("oauth-endpoint-{}", tls.is_some());
        works(shared, with_login(shared, "LOGIN", login), &topic).await;

        let requests = endpoint.asked();
        assert_eq!(requests.len(), 1, "one token serves all connections");
        assert_eq!(requests[0].line, "POST /oauth2/token HTTP/1.1");
        assert_eq!(requests[0].body, "grant_type=client_credentials&scope=kafka+read");
        let header = |name: &str| {
            let found = requests[0].headers.iter().find_map(|line| {
                let (key, value) = line.split_once(": ")?;
                key.eq_ignore_ascii_case(name).then(|| value.to_owned())
            });
            found.unwrap_or_default()
        };
        // "client%3A1:sec+ret%25"
        assert_eq!(header("authorization"), "Basic Y2xpZW50JTNBMTpzZWMrcmV0JTI1");
        assert_eq!(header("content-type"), "application/x-www-form-urlencoded");
        assert_eq!(header("accept"), "application/json");
        assert!(endpoint.url.contains(&header("host")), "{requests:?}");
    }
}

/// The endpoint says that a token is good for an hour, and the broker finds that it is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_kept_token_that_is_refused_is_replaced_once() {
    let (shared, files) = (shared().await, Files::new());
    let endpoint = TokenEndpoint::start(None, 3600).await;
    let login = SaslConfig::oauth_bearer(TokenSource::ClientCredentials(credentials(&endpoint.url)));
    let issue = |seconds: i64| {
        let token = token("alice", seconds);
        endpoint.answer(
            200,
            &format!("{{\"access_token\":\"{token}\",\"expires_in\":3600}}"),
        );
        token
    };
    // Everything that takes its time is done before, by somebody else.
    shared.java.create_topic("oauth-replaced", 1, &[]).await.unwrap();
    shared.java.end_offset("oauth-replaced", 0).await.unwrap();
    let writer = with_login(shared, "LOGIN", SaslConfig::scram_sha_256(USER, password()));
    let writer = Cluster::connect(writer).await.unwrap();
    assert_eq!(write(&writer, "oauth-replaced", 0, &[10]).await.unwrap(), 1);
    writer.close().await;
    let mut config = with_login(shared, "LOGIN", login);
    // No connection is left when the token has expired: a renewal would find out that it has.
    config.idle_timeout = Duration::from_secs(1);
    // Long for one connection, on whatever machine.
    let kept = issue(20);
    let cluster = Cluster::connect(config).await.unwrap();
    assert_eq!(endpoint.asked().len(), 1);
    let same = SaslConfig::oauth_bearer(TokenSource::File(files.write("kept", kept)));
    let is_good = async || {
        let login = with_login(shared, "LOGIN", same.clone());
        Cluster::connect(login).await.is_ok()
    };
    let has_expired = async {
        while is_good().await {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), has_expired)
        .await
        .expect("a token that expires");
    // A new connection is made for this.
    assert_eq!(read(&cluster, "oauth-replaced", 0, 1).await, [10]);
    assert_eq!(endpoint.asked().len(), 2);
    cluster.close().await;

    // One that is refused when it is new is not followed by another.
    let endpoint = TokenEndpoint::start(None, 3600).await;
    let expired = token("alice", -3600);
    endpoint.answer(
        200,
        &format!("{{\"access_token\":\"{expired}\",\"expires_in\":3600}}"),
    );
    let login = SaslConfig::oauth_bearer(TokenSource::ClientCredentials(credentials(&endpoint.url)));
    refused_for_good(with_login(shared, "LOGIN", login)).await;
    assert_eq!(endpoint.asked().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_refuses_is_quoted() {
    let shared = shared().await;
    let endpoint = TokenEndpoint::start(None, 3600).await;
    let login = || SaslConfig::oauth_bearer(TokenSource::ClientCredentials(credentials(&endpoint.url)));
    endpoint.answer(
        401,
        "{\"error\":\"invalid_client\",\"error_description\":\"unknown client\"}",
    );
    let words = refused_for_good(with_login(shared, "LOGIN", login())).await;
    says(
        &words,
        &[
            "status 401: invalid_client: unknown client",
            "sasl_oauthbearer_client_secret",
            &endpoint.url,
        ],
    );
    endpoint.answer(302, "");
    says(
        &refused_for_good(with_login(shared, "LOGIN", login())).await,
        &["redirects are not followed"],
    );
    endpoint.answer(200, "<html>");
    says(
        &refused_for_good(with_login(shared, "LOGIN", login())).await,
        &["without an access_token"],
    );
    endpoint.answer(503, "try later");
    let error = Cluster::connect(with_login(shared, "LOGIN", login()))
        .await
        .unwrap_err();
    assert!(error.is_retriable());
    says(&chain(&error), &["status 503"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_cannot_be_asked_is_named() {
    let (shared, files) = (shared().await, Files::new());
    let config = |asked: ClientCredentials| {
        let login = SaslConfig::oauth_bearer(TokenSource::ClientCredentials(asked));
        let mut config = with_login(shared, "LOGIN", login);
        config.request_timeout = Duration::from_secs(2);
        config
    };
    says(
        &refused(config(credentials("http://127.0.0.1:1/token"))).await,
        &["http://127.0.0.1:1/token cannot be reached"],
    );
    says(
        &refused(config(credentials(&silent().await))).await,
        &["not done so within 2 s"],
    );

    let other = Authority::new("another authority").unwrap();
    let identity = other.issue(&["127.0.0.1"], Validity::Good).unwrap();
    let endpoint = TokenEndpoint::start(Some(&identity), 3600).await;
    let mut asked = credentials(&endpoint.url);
    asked.ca_file = Some(files.write("ca.pem", shared.authority.certificate()));
    let words = refused_for_good(config(asked.clone())).await;
    says(
        &words,
        &[
            "not issued by one of the trusted authorities",
            "sasl_oauthbearer_token_endpoint_ca_location",
        ],
    );
    asked.endpoint_url = endpoint.url.replace("https", "http");
    says(&refused(config(asked)).await, &["cannot be asked"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_the_broker_does_not_accept_is_answered_with_its_reason() {
    let (shared, files) = (shared().await, Files::new());
    let file = files.write("token", token("alice", -3600));
    let login = SaslConfig::oauth_bearer(TokenSource::File(file.clone()));
    let words = refused_for_good(with_login(shared, "LOGIN", login.clone())).await;
    says(&words, &["OAUTHBEARER failed", "invalid_token", "time of expiry"]);
    std::fs::write(&file, "opaque").unwrap();
    says(
        &refused_for_good(with_login(shared, "LOGIN", login)).await,
        &["OAUTHBEARER failed"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_has_no_token_is_named() {
    let (shared, files) = (shared().await, Files::new());
    for (source, parts) in [
        (
            TokenSource::File(files.path("missing")),
            &["missing cannot be read", "sasl_oauthbearer_token_file"][..],
        ),
        (
            TokenSource::File(files.write("empty", "\n")),
            &["empty is empty", "sasl_oauthbearer_token_file"],
        ),
        (
            TokenSource::File(files.write("json", "{\"access_token\": \"x\"}")),
            &["only the token"],
        ),
        (
            command("exit 4"),
            &["exit status: 4", "sasl_oauthbearer_token_command"],
        ),
        (
            TokenSource::Command(vec!["no-such-program".into()]),
            &["cannot be started"],
        ),
    ] {
        let login = SaslConfig::oauth_bearer(source);
        says(&refused(with_login(shared, "LOGIN", login)).await, parts);
    }
}
