//! Signatures of AWS, checked by a class of the test equipment that makes them in its own way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use kafka_wire::{
    AwsCredentials, AwsCredentialsFuture, AwsCredentialsProvider, AwsCredentialsSource, Cluster, SaslConfig,
    Secret, TopicFilter,
};

use crate::capture::logged;
use crate::support::{
    Files, KEY, KEY_ID, REGION, SESSION_TOKEN, by_name, config, read, refused_for_good, says, shared,
    with_login, works, write,
};

/// A login for the region of the brokers.
pub(crate) fn login(source: AwsCredentialsSource) -> SaslConfig {
    in_region(source, REGION)
}

fn in_region(source: AwsCredentialsSource, region: &str) -> SaslConfig {
    let SaslConfig::AwsMskIam(mut iam) = SaslConfig::aws_msk_iam(source) else {
        panic!("another mechanism")
    };
    iam.region = Some(region.to_owned());
    SaslConfig::AwsMskIam(iam)
}

fn user_key() -> AwsCredentialsSource {
    AwsCredentialsSource::Static(AwsCredentials::new(KEY_ID, Secret::new(KEY)))
}

/// One that brokers take with its token only.
pub(crate) fn temporary_key(id: &str) -> AwsCredentialsSource {
    AwsCredentialsSource::Static(temporary(id))
}

fn temporary(id: &str) -> AwsCredentials {
    AwsCredentials::new(id, Secret::new(KEY)).session_token(Secret::new(SESSION_TOKEN))
}

/// Gives another temporary key in turn, with a life of seconds.
#[derive(Default)]
struct Turns {
    asked: AtomicUsize,
}

impl AwsCredentialsProvider for Turns {
    fn credentials<'a>(&'a self, region: &'a str) -> AwsCredentialsFuture<'a> {
        assert_eq!(region, REGION);
        let turn = self.asked.fetch_add(1, Ordering::Relaxed);
        let id = ["ASIA1", "ASIA2"][turn % 2];
        let expires = SystemTime::now() + Duration::from_secs(2);
        Box::pin(async move { Ok(temporary(id).expires(expires)) })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_users_and_of_roles_log_in() {
    let (shared, files) = (shared().await, Files::new());
    works(shared, with_login(shared, "LOGIN", login(user_key())), "iam-user").await;
    let mut config = with_login(shared, "SECURE", login(temporary_key("ASIA1")));
    config.security.tls = Some(files.trusting(&shared.authority));
    works(shared, config, "iam-role").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_asked_once_for_many_connections() {
    let (shared, files) = (shared().await, Files::new());
    let calls = files.path("calls");
    let script = format!(
        "echo called >> '{}'; echo '{{\"Version\":1,\"AccessKeyId\":\"ASIA2\",\"SecretAccessKey\":\"{KEY}\",\
         \"SessionToken\":\"{SESSION_TOKEN}\",\"Expiration\":\"2199-01-01T00:00:00Z\"}}'",
        calls.display()
    );
    let words = ["sh", "-c", &script].map(str::to_owned).to_vec();
    let config = with_login(shared, "LOGIN", login(AwsCredentialsSource::Command(words)));
    works(shared, config, "iam-command").await;
    assert_eq!(std::fs::read_to_string(&calls).unwrap().lines().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_login_says_who_where_and_what_to_look_at() {
    let shared = shared().await;
    let key = |id: &str, key: &str| AwsCredentials::new(id, Secret::new(key));
    for (credentials, region, why) in [
        (
            key(KEY_ID, "not-the-key"),
            REGION,
            "the signature is not (secret)",
        ),
        (key("AKIAOTHER", KEY), REGION, "no key AKIAOTHER"),
        (key(KEY_ID, KEY), "eu-west-1", "the credential is not for"),
        (key("ASIA1", KEY), REGION, "the token of ASIA1 is not"),
        (
            key("ASIA1", KEY).session_token(Secret::new("not-the-token")),
            REGION,
            "the token of ASIA1 is not (secret)",
        ),
    ] {
        let id = credentials.access_key_id.clone();
        let sasl = in_region(AwsCredentialsSource::Static(credentials), region);
        let words = refused_for_good(with_login(shared, "LOGIN", sasl)).await;
        let who =
            format!("the login of the AWS access key {id} for region {region} at 127.0.0.1 by AWS_MSK_IAM");
        says(
            &words,
            &[
                &who,
                "failed",
                why,
                "kafka-cluster:Connect",
                "sasl_aws_region",
                "clock",
            ],
        );
        assert!(!words.contains("not-the-") && !words.contains(KEY), "{words}");
    }
    let config = with_login(shared, "PLAINONLY", login(user_key()));
    let words = refused_for_good(config).await;
    says(&words, &["does not take logins by AWS_MSK_IAM, only by PLAIN"]);
}

/// Not for the address to which it was resolved.
#[tokio::test(flavor = "multi_thread")]
async fn the_name_that_is_connected_to_is_signed() {
    let shared = shared().await;
    let by_address = with_login(shared, "NAMED", login(user_key()));
    let words = refused_for_good(by_address.clone()).await;
    says(&words, &["this is not the host 127.0.0.1"]);
    let cluster = Cluster::connect(by_name(by_address)).await.unwrap();
    cluster.close().await;
}

/// Sessions of 2.5 s, and keys of 2 s: each login has a signature of its own, often by another key.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_renewed_with_new_signatures_and_new_keys() {
    let shared = shared().await;
    shared.java.create_topic("iam-renewed", 1, &[]).await.unwrap();
    shared.java.end_offset("iam-renewed", 0).await.unwrap();
    let turns = Arc::new(Turns::default());
    let provider: Arc<dyn AwsCredentialsProvider> = turns.clone();
    let config = with_login(shared, "SHORT", login(AwsCredentialsSource::Provider(provider)));
    let cluster = Cluster::connect(config).await.unwrap();
    let broker = &shared.brokers.listener("SHORT")[0];
    let renewed = || {
        let log = logged();
        let of_it = |line: &&str| line.contains("login renewed") && line.contains(broker.as_str());
        log.lines().filter(of_it).count()
    };
    let (before, asked) = (renewed(), turns.asked.load(Ordering::Relaxed));
    let work = async {
        while renewed() < before + 3 || turns.asked.load(Ordering::Relaxed) < asked + 3 {
            cluster.metadata(TopicFilter::Names(vec![])).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), work)
        .await
        .expect("renewed logins");
    assert_eq!(write(&cluster, "iam-renewed", 0, &[10]).await.unwrap(), 1);
    assert_eq!(read(&cluster, "iam-renewed", 0, 1).await, [10]);
    cluster.close().await;
}

/// A login of nobody is told so by the broker.
#[tokio::test(flavor = "multi_thread")]
async fn a_listener_with_signatures_wants_a_login() {
    let shared = shared().await;
    says(
        &crate::support::refused(config(shared, "NAMED")).await,
        &["security_protocol"],
    );
}
