use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::config::{AwsCredentialsFuture, AwsCredentialsProvider, AwsCredentialsSource};

const HOST: &str = "b-1.demo.abc123.c2.kafka.us-east-1.amazonaws.com";
const PATIENCE: Duration = Duration::from_secs(60);

fn login(source: AwsCredentialsSource) -> Login {
    Login::load(SaslConfig::aws_msk_iam(source)).unwrap()
}

fn member(exchange: &mut Exchange, name: &str) -> String {
    let message: serde_json::Value = serde_json::from_slice(&exchange.first()).unwrap();
    message[name].as_str().unwrap().to_owned()
}

/// Gives another key each time.
#[derive(Default)]
struct Counting(AtomicUsize);

impl AwsCredentialsProvider for Counting {
    fn credentials<'a>(&'a self, region: &'a str) -> AwsCredentialsFuture<'a> {
        assert_eq!(region, "us-east-1");
        let number = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        let credentials = AwsCredentials::new(format!("KEY{number}"), Secret::new(format!("secret{number}")));
        Box::pin(std::future::ready(Ok(credentials)))
    }
}

/// The renewal of a login begins one like any other.
#[tokio::test]
async fn each_login_is_signed_at_its_own_time_for_its_own_host() {
    let credentials = AwsCredentials::new("KEY", Secret::new("secret"));
    let login = login(AwsCredentialsSource::Static(credentials));
    let mut first = login.begin(HOST, PATIENCE).await.unwrap();
    let other_host = HOST.replace("b-1", "b-2");
    // The dates have whole seconds.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let mut second = login.begin(&other_host, PATIENCE).await.unwrap();
    assert_eq!(member(&mut first, "host"), HOST);
    assert_eq!(member(&mut second, "host"), other_host);
    for name in ["x-amz-date", "x-amz-signature"] {
        assert_ne!(member(&mut first, name), member(&mut second, name), "{name}");
    }
    let id = "KEY/";
    assert!(member(&mut second, "x-amz-credential").starts_with(id));
}

#[tokio::test]
async fn a_kept_key_that_is_refused_is_followed_by_another() {
    let login = login(AwsCredentialsSource::Provider(Arc::new(Counting::default())));
    let mut first = login.begin(HOST, PATIENCE).await.unwrap();
    assert!(first.kept_token().is_none(), "it is new");
    let again = login.begin(HOST, PATIENCE).await.unwrap();
    let key = again.kept_token().unwrap();
    assert_eq!(key.reveal(), "secret1");
    // Nobody has said that it was refused.
    assert!(login.begin_anew(&key, HOST, PATIENCE).await.unwrap().is_none());
    login.was_refused(&key).await;
    let mut other = login.begin_anew(&key, HOST, PATIENCE).await.unwrap().unwrap();
    assert!(member(&mut first, "x-amz-credential").starts_with("KEY1/"));
    assert!(member(&mut other, "x-amz-credential").starts_with("KEY2/"));
}

#[tokio::test]
async fn keys_that_do_not_change_are_not_tried_again() {
    let credentials = AwsCredentials::new("KEY", Secret::new("secret"));
    let login = login(AwsCredentialsSource::Static(credentials));
    let exchange = login.begin(HOST, PATIENCE).await.unwrap();
    assert!(exchange.kept_token().is_none());
    let key = exchange.token().unwrap();
    login.was_refused(&key).await;
    assert!(login.begin_anew(&key, HOST, PATIENCE).await.unwrap().is_none());
}
