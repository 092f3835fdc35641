use std::time::Duration;

use super::*;

const HOST: &str = "b-1.demo.abc123.c2.kafka.us-east-1.amazonaws.com";
const GOOD: &[u8] = b"{\"version\":\"2020_10_22\",\"request-id\":\"1b4e28ba\"}";

fn given(thing: AwsCredentials) -> Given<AwsCredentials> {
    Given { thing, kept: false }
}

fn exchange() -> IamExchange {
    let credentials = AwsCredentials::new("AKIA", Secret::new("a-secret-key"))
        .session_token(Secret::new("a-session-token"));
    IamExchange::new(given(credentials), HOST, "us-east-1", SystemTime::now())
}

fn message(exchange: &IamExchange) -> Value {
    serde_json::from_slice(&exchange.first()).unwrap()
}

/// What Amazon's own client sends for the same hosts, keys and times.
#[test]
fn messages_are_those_of_amazons_client() {
    let golden = include_str!("../../../../../testdata/iam/payloads.json");
    let golden: Vec<Value> = serde_json::from_str(golden).unwrap();
    assert_eq!(golden.len(), 5);
    for login in golden {
        let text = |key: &str| login[key].as_str().map(str::to_owned);
        let needed = |key: &str| text(key).unwrap();
        let secret = Secret::new(needed("secret_access_key"));
        let mut credentials = AwsCredentials::new(needed("access_key_id"), secret);
        credentials.session_token = text("session_token").map(Secret::new);
        assert_eq!(credentials.check(), Ok(()));
        let mut expected = login["payload"].clone();
        let (host, now) = (needed("host"), written(expected["x-amz-date"].as_str().unwrap()));
        let region = region::find(None, &host, |_| None).unwrap();
        assert_eq!(region, needed("region"));
        let exchange = IamExchange::new(given(credentials), &host, &region, now);
        // Everybody gives a name of their own.
        let members = expected.as_object_mut().unwrap();
        assert!(members.contains_key("user-agent"));
        members.insert("user-agent".to_owned(), NAME.into());
        assert_eq!(message(&exchange), expected, "{host}");
    }
}

/// The time that is written as `20260131T235959Z`.
fn written(compact: &str) -> SystemTime {
    let (date, rest) = compact.split_at(8);
    let (time, zone) = rest[1..].split_at(6);
    let apart = |text: &str, by: &str| {
        let at = text.len() - 4;
        [&text[..at], &text[at..at + 2], &text[at + 2..]].join(by)
    };
    time::parse(&format!("{}T{}{zone}", apart(date, "-"), apart(time, ":"))).unwrap()
}

#[test]
fn every_second_has_a_signature_of_its_own() {
    let now = SystemTime::now();
    let signature = |now| {
        let credentials = AwsCredentials::new("AKIA", Secret::new("x"));
        let exchange = IamExchange::new(given(credentials), HOST, "us-east-1", now);
        message(&exchange)["x-amz-signature"].clone()
    };
    assert_eq!(signature(now), signature(now));
    assert_ne!(signature(now), signature(now + Duration::from_secs(1)));
}

#[test]
fn an_answer_with_an_id_ends_the_login() {
    assert_eq!(exchange().respond(GOOD), Ok(Step::Done));
}

#[test]
fn an_answer_that_is_none_is_a_failure() {
    for (answer, says) in [
        (&b""[..], "empty"),
        (b"Access denied", "no answer of Amazon MSK"),
        (b"{}", "no answer of Amazon MSK"),
        (b"{\"version\":\"2020_10_22\"}", "no answer of Amazon MSK"),
        (b"{\"request-id\":\"1\"}", "no answer of Amazon MSK"),
        (
            b"{\"version\":\"2020_10_22\",\"request-id\":1}",
            "no answer of Amazon MSK",
        ),
        (
            b"{\"version\":\"2030_01_01\",\"request-id\":\"1\"}",
            "\"2030_01_01\"",
        ),
        (b"\xff", "no answer of Amazon MSK"),
    ] {
        let words = exchange().respond(answer).unwrap_err();
        assert!(words.contains(says), "{words}");
    }
}

#[test]
fn what_a_broker_repeats_is_hidden() {
    let exchange = exchange();
    let signature = message(&exchange)["x-amz-signature"].as_str().unwrap().to_owned();
    let words = format!("no a-secret-key, no a-session-token, no {signature}");
    assert_eq!(exchange.hide_in(&words), "no (secret), no (secret), no (secret)");
}

#[test]
fn who_logs_in_is_the_key_the_region_and_the_host() {
    assert_eq!(
        exchange().who(),
        format!("the AWS access key AKIA for region us-east-1 at {HOST}")
    );
}
