//! A cluster that takes logins by `AWS_MSK_IAM`, and the places where the program finds the credentials for it: those where
//! it finds them for a bucket, too.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use testkit::{Cluster, ClusterOptions, IamKeys, JavaClient, Mechanism, ProduceRecord};

use crate::program::{Ran, Workplace, finish};

const KEY: &str = "a-key/to+be=hidden";
const TOKEN: &str = "a-token/to+be=hidden";
const REGION: &str = "eu-north-1";
/// What the program takes from the environment, in the tests by what they set only.
const VARIABLES: [&str; 12] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
];

async fn cluster() -> (Cluster, JavaClient) {
    let temporary = |id: &str| (id.to_owned(), KEY.to_owned(), Some(TOKEN.to_owned()));
    let keys = IamKeys {
        region: REGION.to_owned(),
        hosts: vec!["127.0.0.1".to_owned()],
        keys: vec![
            ("AKIAUSER".to_owned(), KEY.to_owned(), None),
            temporary("ASIAPROFILE"),
            temporary("ASIAROLE"),
        ],
    };
    let options = ClusterOptions::new()
        .listener("SIGNED", "SASL_PLAINTEXT")
        .mechanisms("SIGNED", &[Mechanism::AwsMskIam(keys)])
        .property(
            "listener.name.signed.aws_msk_iam.connections.max.reauth.ms",
            2_000,
        );
    let cluster = Cluster::start(options).await.unwrap();
    let java = JavaClient::of(&cluster).await.unwrap();
    java.create_topic("orders", 1, &[]).await.unwrap();
    let records: Vec<ProduceRecord> = (0..100)
        .map(|n| ProduceRecord::new("orders", 0).value(format!("order {n}")))
        .collect();
    java.produce(&records).await.unwrap();
    (cluster, java)
}

/// Runs a backup with further lines in `security:` and these variables in the environment, at the most talkative.
async fn backup(work: &Workplace, servers: &[String], lines: &[&str], variables: &[(&str, &str)]) -> Ran {
    let lines: String = lines.iter().map(|line| format!("    {line}\n")).collect();
    work.config(
        "backup.yaml",
        &format!(
            "mode: backup\nbackup_id: night\nsource:\n  bootstrap_servers: {servers:?}\n  security:\n    \
             security_protocol: SASL_PLAINTEXT\n    sasl_mechanism: AWS_MSK_IAM\n{lines}  topics: {{include: ['*']}}\n\
             storage: {{backend: filesystem, path: '{{backups}}'}}\n"
        ),
    );
    let mut command: Command = work.command(&["backup", "--config", "backup.yaml"]);
    for name in VARIABLES {
        command.env_remove(name);
    }
    command
        .env("RUST_LOG", "trace")
        .env("HOME", work.path("nobody"))
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(variables.iter().copied());
    let ran = finish(command).await;
    for hidden in [KEY, TOKEN, "not-the-key"] {
        assert!(
            !format!("{ran:?}").contains(hidden),
            "{hidden} is shown: {ran:#?}"
        );
    }
    ran
}

/// Gives out a key, as the service does that containers get theirs from. Returns its address and a count of the answers.
fn container_service() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answers = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&answers);
    std::thread::spawn(move || {
        let body = format!(
            "{{\"AccessKeyId\":\"ASIAROLE\",\"SecretAccessKey\":\"{KEY}\",\"Token\":\"{TOKEN}\",\
             \"Expiration\":\"2199-01-01T00:00:00Z\"}}"
        );
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() > 0 {
                request.push(byte[0]);
            }
            counted.fetch_add(1, Ordering::Relaxed);
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all((head + &body).as_bytes()).unwrap();
        }
    });
    (format!("http://{address}/credentials"), answers)
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_found_where_those_for_a_bucket_are() {
    let (cluster, _java) = cluster().await;
    let servers = cluster.listener("SIGNED");
    let work = Workplace::new();
    let region = "sasl_aws_region: eu-north-1";

    let user = [("AWS_ACCESS_KEY_ID", "AKIAUSER"), ("AWS_SECRET_ACCESS_KEY", KEY)];
    let ran = backup(&work, &servers, &[], &[user[0], user[1], ("AWS_REGION", REGION)]).await;
    assert_eq!(ran.code, Some(0), "the environment: {ran:#?}");

    let file = work.path("credentials");
    let profile = format!(
        "[nightly]\naws_access_key_id = ASIAPROFILE\naws_secret_access_key = {KEY}\naws_session_token = {TOKEN}\n"
    );
    std::fs::write(&file, profile).unwrap();
    let file = file.display().to_string();
    let profile = [
        ("AWS_SHARED_CREDENTIALS_FILE", file.as_str()),
        ("AWS_PROFILE", "nightly"),
    ];
    let ran = backup(&work, &servers, &[region], &profile).await;
    assert_eq!(ran.code, Some(0), "a profile: {ran:#?}");

    let (address, answers) = container_service();
    let service = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", address.as_str())];
    let ran = backup(&work, &servers, &[region], &service).await;
    assert_eq!(ran.code, Some(0), "a role: {ran:#?}");
    assert_eq!(
        answers.load(Ordering::Relaxed),
        1,
        "it is asked once for all connections"
    );

    let keys = [
        region,
        "sasl_aws_access_key_id: AKIAUSER",
        "sasl_aws_secret_access_key: ${TEST_KEY}",
    ];
    let ran = backup(&work, &servers, &keys, &[("TEST_KEY", KEY)]).await;
    assert_eq!(ran.code, Some(0), "the configuration: {ran:#?}");

    mistakes(&work, &servers).await;
}

/// Each is told with what to change.
async fn mistakes(work: &Workplace, servers: &[String]) {
    let region = "sasl_aws_region: eu-north-1";
    let key = ("AWS_ACCESS_KEY_ID", "AKIAUSER");
    let (right, wrong) = (
        ("AWS_SECRET_ACCESS_KEY", KEY),
        ("AWS_SECRET_ACCESS_KEY", "not-the-key"),
    );
    let ran = backup(work, servers, &[region], &[key, wrong]).await;
    ran.failed_saying(&[
        "the AWS access key AKIAUSER for region eu-north-1",
        "by AWS_MSK_IAM failed",
        "kafka-cluster:Connect",
    ]);
    let ran = backup(work, servers, &[], &[key, right]).await;
    ran.failed_saying(&[
        "the host name 127.0.0.1 has none",
        "sasl_aws_region",
        "AWS_REGION",
    ]);
    let ran = backup(work, servers, &[region], &[]).await;
    ran.failed_saying(&["no AWS credentials", "AWS_ACCESS_KEY_ID", "AWS_PROFILE"]);
    let ran = backup(work, servers, &["sasl_aws_region: Stockholm"], &[key, right]).await;
    ran.failed_saying(&["\"Stockholm\" is no region of AWS", "sasl_aws_region"]);
}
