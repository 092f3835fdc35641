//! Errors say what to change; requests carry what was configured; answers that lie are found out.

use testkit::S3Server;

use super::fake::{Fake, error, plain};
use super::*;
use crate::config::{S3Checksums, S3Encryption};

async fn listing_fails(config: S3Config) -> String {
    let problem = S3Storage::new(config).list("backup/").await.unwrap_err();
    assert!(
        matches!(problem, StorageError::Refused { .. }) && !problem.may_pass(),
        "{problem:?}"
    );
    problem.to_string()
}

#[track_caller]
fn says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in {message}");
    }
    assert!(!message.contains("hush") && !message.contains('\n'), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_server_refuses_and_the_error_says_what_to_change() {
    let server = S3Server::shared().await.unwrap();
    let good = config(server, "answers");

    let mut wrong = good.clone();
    wrong.bucket = "no-such-bucket".into();
    says(
        &listing_fails(wrong.clone()).await,
        &[
            "NoSuchBucket",
            "There is no bucket no-such-bucket",
            "storage.bucket",
            "cannot list",
        ],
    );
    let put = S3Storage::new(wrong).put("a", Bytes::new()).await.unwrap_err();
    says(&put.to_string(), &["There is no bucket no-such-bucket"]);

    let mut wrong = good.clone();
    wrong.credentials = Some(S3Credentials::new(server.access_key_id(), Secret::new("hush")));
    says(
        &listing_fails(wrong).await,
        &[
            "SignatureDoesNotMatch",
            "storage.secret_access_key",
            "AWS_SECRET_ACCESS_KEY",
        ],
    );
    let mut wrong = good.clone();
    wrong.credentials = Some(S3Credentials::new("AKIANOBODY", Secret::new("hush")));
    says(
        &listing_fails(wrong).await,
        &["does not know this access key", "storage.access_key_id"],
    );

    let mut wrong = good.clone();
    wrong.region = Some("eu-north-1".into());
    says(
        &listing_fails(wrong).await,
        &["AuthorizationHeaderMalformed", "storage.region"],
    );

    // A wrong address, or a server that is away for now: nobody can tell.
    let mut wrong = good;
    wrong.endpoint = Some("http://127.0.0.1:1".into());
    let away = S3Storage::new(wrong).list("backup/").await.unwrap_err();
    assert!(away.may_pass(), "{away:?}");
    says(
        &away.to_string(),
        &[
            "the connection failed",
            "refused",
            "Is http://127.0.0.1:1 right",
            "storage.endpoint",
        ],
    );
}

#[tokio::test]
async fn answers_of_aws_say_what_to_change() {
    let redirect = error(
        "301 Moved Permanently",
        "x-amz-bucket-region: eu-west-3\r\nx-amz-request-id: REQ7\r\n",
        "PermanentRedirect",
        "The bucket you are attempting to access must be addressed using the specified endpoint.",
    );
    let denied = error("403 Forbidden", "", "AccessDenied", "Access Denied");
    let expired = error(
        "400 Bad Request",
        "",
        "ExpiredToken",
        "The provided token has expired.",
    );
    let unknown = error("403 Forbidden", "", "InvalidAccessKeyId", "Not in our records");
    let skewed = error("403 Forbidden", "", "RequestTimeTooSkewed", "Too far");
    for (answer, parts) in [
        (
            redirect,
            &[
                "PermanentRedirect",
                "set `storage.region: eu-west-3`",
                "request REQ7",
            ][..],
        ),
        (
            denied,
            &[
                "AccessDenied (HTTP 403)",
                "s3:ListBucket (and s3:ListBucketMultipartUploads, for `orphans`) on bucket the-bucket",
                "s3:PutObject",
            ],
        ),
        (expired, &["session token has expired"]),
        (unknown, &["InvalidAccessKeyId (HTTP 403)", "AWS_ACCESS_KEY_ID"]),
        (skewed, &["Set the clock"]),
        (
            plain("200 OK", "", "<html>Welcome</html>"),
            &["not of S3", "Is http://127.0.0.1:", "storage.endpoint"],
        ),
        (
            plain("400 Bad Request", "", "an HTTP request to an HTTPS server"),
            &["HTTP 400", "https://"],
        ),
    ] {
        let fake = Fake::start(move |_| answer.clone());
        says(&listing_fails(fake.config()).await, parts);
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_then_said_to_be_temporary() {
    let fake = Fake::start(|_| {
        error(
            "503 Slow Down",
            "",
            "SlowDown",
            "Please\u{1b}[31m reduce\n your rate.",
        )
    });
    let problem = S3Storage::new(fake.config()).head("a").await.unwrap_err();
    assert!(matches!(problem, StorageError::Unavailable { .. }), "{problem:?}");
    says(&problem.to_string(), &["HTTP 503", "may be temporary"]);
    assert!(!problem.to_string().contains('\u{1b}'));
    assert_eq!(fake.heads().len(), 6);
}

#[tokio::test]
async fn objects_are_encrypted_and_summed_as_configured() {
    let answer = |head: &str| match head.contains(create::PROBE) {
        true => error("412 Precondition Failed", "", "PreconditionFailed", ""),
        false => plain("200 OK", "", ""),
    };
    let fake = Fake::start(answer);
    let put = async |config: S3Config| {
        S3Storage::new(config)
            .put("a", Bytes::from_static(b"-"))
            .await
            .unwrap();
        fake.heads().last().unwrap().to_lowercase()
    };
    let head = put(fake.config()).await;
    assert!(head.starts_with("put /the-bucket/a"), "{head}");
    assert!(
        head.contains("if-none-match: *\r\n") && head.contains("x-amz-checksum-crc32c: "),
        "{head}"
    );
    assert!(!head.contains("server-side-encryption"), "{head}");

    let mut config = fake.config();
    config.encryption = S3Encryption::Kms {
        key_id: Some("the-key".into()),
    };
    config.checksums = S3Checksums::WhenRequired;
    config.credentials.as_mut().unwrap().session_token = Some(Secret::new("sesame"));
    let head = put(config).await;
    assert!(
        head.contains("x-amz-server-side-encryption: aws:kms\r\n"),
        "{head}"
    );
    assert!(
        head.contains("x-amz-server-side-encryption-aws-kms-key-id: the-key\r\n"),
        "{head}"
    );
    assert!(
        head.contains("x-amz-security-token: sesame\r\n") && !head.contains("checksum-crc"),
        "{head}"
    );

    let mut config = fake.config();
    config.encryption = S3Encryption::S3;
    assert!(
        put(config)
            .await
            .contains("x-amz-server-side-encryption: aes256\r\n")
    );
}

#[tokio::test]
async fn the_first_names_cost_one_request_that_asks_for_one_more() {
    let page = "<?xml version=\"1.0\"?><ListBucketResult><IsTruncated>true</IsTruncated>\
                <NextContinuationToken>more</NextContinuationToken>\
                <Contents><Key>b/1</Key><Size>3</Size></Contents><Contents><Key>b/2</Key><Size>4</Size></Contents>\
                </ListBucketResult>";
    let fake = Fake::start(|_| plain("200 OK", "", page));
    let first = S3Storage::new(fake.config()).list_first("b/", 2).await.unwrap();
    assert_eq!((first.len(), first[1].bytes), (2, 4));
    assert_eq!(fake.heads().len(), 1);
    assert!(fake.heads()[0].contains("max-keys=3"), "{:?}", fake.heads());
}

#[tokio::test]
async fn answers_that_do_not_fit_the_question_are_errors() {
    // The whole object where a range was asked for.
    let fake = Fake::start(|_| plain("200 OK", "", "0123456789"));
    let ignored = S3Storage::new(fake.config())
        .get_range("a", 2..4)
        .await
        .unwrap_err();
    says(&ignored.to_string(), &["does not give the range"]);

    let fake = Fake::start(|_| plain("206 Partial Content", "Content-Range: bytes 2-3/4\r\n", "23"));
    let short = S3Storage::new(fake.config()).get_range("a", 2..5).await;
    assert!(
        matches!(short, Err(StorageError::Short { end: 5, .. })),
        "{short:?}"
    );

    // Fewer bytes than announced, every time.
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nConnection: close\r\n\r\n0123";
    let fake = Fake::start(|_| cut.to_owned());
    let broken = S3Storage::new(fake.config()).get("a", 5000).await.unwrap_err();
    says(&broken.to_string(), &["cannot read a"]);
    assert_eq!(fake.heads().len(), 4);

    // A length that only the server believes in is never made room for.
    let vast = "HTTP/1.1 200 OK\r\nContent-Length: 9000000000000000\r\nConnection: close\r\n\r\n0";
    let fake = Fake::start(|_| vast.to_owned());
    let vast = S3Storage::new(fake.config())
        .get("a", u64::MAX)
        .await
        .unwrap_err();
    says(&vast.to_string(), &["cannot read a"]);
}
