use super::*;
use crate::config::Config;

fn yaml(storage: &str) -> String {
    format!(
        "mode: restore\nbackup_id: b\ntarget:\n  bootstrap_servers: [k:9092]\n  topics: {{include: ['*']}}\nstorage:\n{storage}"
    )
}

fn s3(lines: &str) -> S3Config {
    let yaml = yaml(&format!("  backend: s3\n  bucket: kafka-backups\n{lines}"));
    match Config::from_yaml(&yaml, "s3.yaml").unwrap().storage {
        StorageConfig::S3(s3) => *s3,
        other => panic!("{other:?}"),
    }
}

fn refused(storage: &str) -> String {
    Config::from_yaml(&yaml(storage), "s3.yaml")
        .unwrap_err()
        .to_string()
}

#[test]
fn a_bucket_and_a_prefix_are_enough() {
    assert_eq!(s3(""), S3Config::new("kafka-backups"));
    let config = s3("  prefix: /prod/\n");
    assert_eq!(config.prefix, "prod");
    assert_eq!(config.path_style, None);
    assert_eq!(config.connect_timeout, Duration::from_secs(5));
    assert_eq!(config.request_timeout, Duration::from_secs(60));
}

#[test]
fn every_key_arrives() {
    let config = s3(
        "  region: eu-central-1\n  endpoint: https://minio:9000/\n  path_style: false\n  \
        access_key_id: 1234\n  secret_access_key: 'hush'\n  session_token: sesame\n  checksum_mode: off\n  \
        sse: aws:kms\n  sse_kms_key_id: the-key\n  connect_timeout_ms: 100\n  request_timeout_ms: 2000\n",
    );
    let mut expected = S3Config::new("kafka-backups");
    expected.region = Some("eu-central-1".into());
    expected.endpoint = Some("https://minio:9000".into());
    expected.path_style = Some(false);
    expected.credentials = Some(S3Credentials {
        session_token: Some(Secret::new("sesame")),
        ..S3Credentials::new("1234", Secret::new("hush"))
    });
    expected.checksums = S3Checksums::WhenRequired;
    expected.encryption = S3Encryption::Kms {
        key_id: Some("the-key".into()),
    };
    expected.connect_timeout = Duration::from_millis(100);
    expected.request_timeout = Duration::from_secs(2);
    assert_eq!(config, expected);
    assert_eq!(s3("  sse: AES256\n").encryption, S3Encryption::S3);
    assert_eq!(s3("  sse: none\n").encryption, S3Encryption::BucketDefault);
}

#[test]
fn secrets_are_in_no_message() {
    let config = s3("  access_key_id: AKIA\n  secret_access_key: hush-hush\n  session_token: sesame\n");
    let shown = format!("{config:?}");
    assert!(
        shown.contains("AKIA") && !shown.contains("hush") && !shown.contains("sesame"),
        "{shown}"
    );

    let start = "  backend: s3\n  bucket: b\n  access_key_id: a\n  secret_access_key: ";
    for value in [
        "[hush]",
        "{hush: hush}",
        "7e77",
        "-77777",
        "true",
        "!hush hush",
        "| \n hush",
    ] {
        let message = refused(&format!("{start}{value}\n  no_such_key: 1\n"));
        for part in ["hush", "7e77", "77777", "true"] {
            assert!(!message.contains(part), "{value}: {message}");
        }
    }
    let message = refused(&format!("{start}${{NO_SUCH_VARIABLE}}\n"));
    assert!(message.contains("NO_SUCH_VARIABLE"), "{message}");
    let message = refused("  backend: s3\n  bucket: b\n  endpoint: https://a:hush@minio\n");
    assert!(!message.contains("hush"), "{message}");
    let message = refused("  backend: s3\n  bucket: b\n  endpoint: a:hush@minio\n");
    assert!(!message.contains("hush"), "{message}");
}

#[test]
fn what_cannot_be_meant_says_what_can() {
    let s3 = |lines: &str| refused(&format!("  backend: s3\n{lines}"));
    assert!(s3("  prefix: p\n").contains("`storage.bucket` is missing"));
    assert!(s3("  bucket: s3://b/prod\n").contains("the rest as `prefix`"));
    assert!(s3("  bucket: b\n  path: /backups\n").contains("storage.path has no meaning"));
    assert!(s3("  bucket: b\n  endpoint: minio:9000\n").contains("https://"));
    assert!(s3("  bucket: b\n  access_key_id: a\n").contains("belong together"));
    assert!(s3("  bucket: b\n  session_token: a\n").contains("belong together"));
    assert!(s3("  bucket: b\n  region: ''\n").contains("storage.region is empty"));
    assert!(s3("  bucket: b\n  sse: aes256\n").contains("AES256"));
    assert!(s3("  bucket: b\n  sse_kms_key_id: k\n").contains("needs `sse: aws:kms`"));
    assert!(s3("  bucket: b\n  checksum_mode: on\n").contains("when_supported"));
    assert!(s3("  bucket: b\n  request_timeout_ms: 0\n").contains("request_timeout_ms"));
    assert!(s3("  bucket: b\n  buckets: b\n").contains("did you mean `bucket`?"));
    let files = |line: &str| refused(&format!("  backend: filesystem\n  path: /b\n  {line}\n"));
    for line in ["bucket: b", "region: r", "secret_access_key: s", "sse: none"] {
        let key = line.split(':').next().unwrap();
        assert!(
            files(line).contains(&format!("storage.{key} has no meaning")),
            "{line}"
        );
    }
    assert!(refused("  backend: s4\n").contains("is not one of filesystem, s3"));
}
