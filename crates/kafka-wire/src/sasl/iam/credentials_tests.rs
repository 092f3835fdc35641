use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::config::AwsCredentialsFuture;

const PATIENCE: Duration = Duration::from_secs(60);
const REGION: &str = "eu-north-1";

fn shell(script: &str) -> Credentials {
    let words = ["sh", "-c", script].map(str::to_owned).to_vec();
    Credentials::new(&AwsCredentialsSource::Command(words))
}

/// A command that prints another key each time.
fn counting(folder: &std::path::Path, more: &str) -> Credentials {
    let counter = folder.join("counter").display().to_string();
    shell(&format!(
        "echo x >> '{counter}'; n=$(wc -l < '{counter}'); \
         echo '{{\"Version\":1,\"AccessKeyId\":\"AKIA'$n'\",\"SecretAccessKey\":\"secret'$n'\"{more}}}'"
    ))
}

async fn id(credentials: &Credentials) -> String {
    let given = credentials.get(REGION, PATIENCE).await.unwrap();
    given.thing.access_key_id
}

async fn failure(credentials: &Credentials) -> ConnectionError {
    match credentials.get(REGION, PATIENCE).await {
        Ok(_) => panic!("credentials"),
        Err(error) => error,
    }
}

#[test]
fn what_a_credential_process_prints_is_read() {
    let credentials = of_command(
        "{\"Version\": 1, \"AccessKeyId\": \"ASIA\", \"SecretAccessKey\": \"a/b+c\", \"SessionToken\": \"tok==\", \
         \"Expiration\": \"1970-01-01T00:01:00Z\", \"Other\": {}}\n",
    )
    .unwrap();
    let expected = AwsCredentials::new("ASIA", Secret::new("a/b+c"))
        .session_token(Secret::new("tok=="))
        .expires(SystemTime::UNIX_EPOCH + Duration::from_secs(60));
    assert_eq!(credentials, expected);
    let of_user = of_command(
        "{\"Version\":1,\"AccessKeyId\":\"AKIA\",\"SecretAccessKey\":\"x\",\"SessionToken\":null}",
    );
    assert_eq!(of_user.unwrap(), AwsCredentials::new("AKIA", Secret::new("x")));
}

#[test]
fn what_is_something_else_is_said_without_being_shown() {
    for (printed, says) in [
        ("", "something else than JSON"),
        ("marker", "something else than JSON"),
        ("[]", "no \"Version\": 1"),
        (
            "{\"Version\":2,\"SecretAccessKey\":\"marker\"}",
            "no \"Version\": 1",
        ),
        (
            "{\"Version\":1,\"SecretAccessKey\":\"marker\"}",
            "without AccessKeyId",
        ),
        (
            "{\"Version\":1,\"AccessKeyId\":\"marker\"}",
            "without SecretAccessKey",
        ),
        (
            "{\"Version\":1,\"AccessKeyId\":\"A\",\"SecretAccessKey\":[\"marker\"]}",
            "SecretAccessKey that is no text",
        ),
        (
            "{\"Version\":1,\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"marker\",\"Expiration\":\"marker\"}",
            "Expiration that is not like",
        ),
        (
            "{\"Version\":1,\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"marker\",\"Expiration\":5}",
            "Expiration that is no text",
        ),
    ] {
        let words = of_command(printed).unwrap_err();
        assert!(words.contains(says) && !words.contains("marker"), "{words}");
    }
}

fn environment(all: &[(&str, &str)]) -> Result<AwsCredentials, ConnectionError> {
    of_environment(|name| {
        let found = all.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    })
}

#[test]
fn the_environment_has_both_parts_or_says_which_is_missing() {
    let both = [("AWS_ACCESS_KEY_ID", "AKIA\n"), ("AWS_SECRET_ACCESS_KEY", " x ")];
    assert_eq!(
        environment(&[both[0], both[1], ("AWS_SESSION_TOKEN", "")]).unwrap(),
        AwsCredentials::new("AKIA", Secret::new("x"))
    );
    assert_eq!(
        environment(&[both[0], both[1], ("AWS_SESSION_TOKEN", "tok")]).unwrap(),
        AwsCredentials::new("AKIA", Secret::new("x")).session_token(Secret::new("tok"))
    );
    for (all, says) in [
        (&[both[1]][..], "AWS_ACCESS_KEY_ID is not set"),
        (
            &[both[0], ("AWS_SECRET_ACCESS_KEY", "")],
            "AWS_SECRET_ACCESS_KEY is not set",
        ),
        (
            &[both[0], ("AWS_SECRET_ACCESS_KEY", "mar ker")],
            "secret access key has blanks",
        ),
    ] {
        let error = environment(all).unwrap_err();
        assert!(matches!(error, ConnectionError::Authentication(_)), "{error:?}");
        let words = error.to_string();
        assert!(words.contains(says) && !words.contains("mar"), "{words}");
    }
}

#[tokio::test]
async fn a_key_serves_all_logins_until_it_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let credentials = counting(folder.path(), "");
    let (a, b) = tokio::join!(id(&credentials), id(&credentials));
    assert_eq!([&a, &b, &id(&credentials).await], ["AKIA1"; 3]);
    assert!(credentials.get(REGION, PATIENCE).await.unwrap().kept);
    let (first, second) = (Secret::new("secret1"), Secret::new("secret2"));
    let other = credentials.get_other(&first, REGION, PATIENCE).await.unwrap();
    assert!(other.is_none(), "it was not forgotten");
    credentials.forget(&second).await;
    assert_eq!(id(&credentials).await, "AKIA1");
    credentials.forget(&first).await;
    let other = credentials.get_other(&first, REGION, PATIENCE).await.unwrap();
    assert_eq!(other.unwrap().thing.access_key_id, "AKIA2");
}

/// Gives another key each time, which is good for 100 s.
#[derive(Default)]
struct Counting(AtomicUsize);

impl AwsCredentialsProvider for Counting {
    fn credentials<'a>(&'a self, _region: &'a str) -> AwsCredentialsFuture<'a> {
        let number = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        let expires = SystemTime::now() + Duration::from_secs(100);
        let credentials = AwsCredentials::new(format!("AKIA{number}"), Secret::new("x")).expires(expires);
        Box::pin(std::future::ready(Ok(credentials)))
    }
}

/// Only a part of its time, so that a session is not renewed with the key that it was begun with.
#[tokio::test(start_paused = true)]
async fn a_key_is_looked_for_again_before_it_expires() {
    let provider = Arc::new(Counting::default());
    let credentials = Credentials::new(&AwsCredentialsSource::Provider(provider));
    for (pause, expected) in [(0, "AKIA1"), (60, "AKIA1"), (25, "AKIA2"), (60, "AKIA2")] {
        tokio::time::advance(Duration::from_secs(pause)).await;
        assert_eq!(id(&credentials).await, expected);
    }
}

#[tokio::test]
async fn a_key_that_has_expired_may_be_followed_by_another() {
    let folder = tempfile::tempdir().unwrap();
    let credentials = counting(folder.path(), ",\"Expiration\":\"2001-01-01T00:00:00Z\"");
    let error = failure(&credentials).await;
    assert!(matches!(error, ConnectionError::Token(_)), "{error:?}");
    let words = error.to_string();
    assert!(
        words.contains("AKIA1") && words.contains("has expired") && !words.contains("secret1"),
        "{words}"
    );
}

#[tokio::test]
async fn what_goes_wrong_with_a_command_is_said_without_what_was_printed() {
    for (script, says) in [
        ("echo marker; echo marker >&2; exit 3", "exit status: 3"),
        (
            "echo marker",
            "sasl_aws_credentials_command printed something else than JSON",
        ),
        (
            "echo '{\"Version\":1,\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"mar ker\"}'",
            "secret access key has blanks",
        ),
    ] {
        let words = failure(&shell(script)).await.to_string();
        assert!(words.contains(says) && !words.contains("mar"), "{words}");
        assert!(words.contains("sasl_aws_credentials_command"), "{words}");
    }
}

struct Answers(Result<AwsCredentials, AwsCredentialsError>);

impl AwsCredentialsProvider for Answers {
    fn credentials<'a>(&'a self, region: &'a str) -> AwsCredentialsFuture<'a> {
        assert_eq!(region, REGION);
        Box::pin(std::future::ready(self.0.clone()))
    }
}

#[tokio::test]
async fn a_provider_says_whether_its_trouble_may_pass() {
    let asked = |answer| Credentials::new(&AwsCredentialsSource::Provider(Arc::new(Answers(answer))));
    let good = AwsCredentials::new("AKIA", Secret::new("marker"));
    assert_eq!(id(&asked(Ok(good.clone()))).await, "AKIA");
    let late = asked(Err(AwsCredentialsError::Passing("away".to_owned())));
    assert!(matches!(failure(&late).await, ConnectionError::Token(_)));
    for wrong in [
        Err(AwsCredentialsError::Permanent("nowhere".to_owned())),
        Ok(AwsCredentials::new("", Secret::new("marker"))),
    ] {
        let error = failure(&asked(wrong)).await;
        assert!(matches!(error, ConnectionError::Authentication(_)), "{error:?}");
        assert!(!error.to_string().contains("marker"), "{error}");
    }
    let held = asked(Ok(good));
    id(&held).await;
    assert!(!format!("{held:?} {held:#?}").contains("marker"));
}
