//! A cluster that wants TLS and a login: backup, restore, reset, and the script with Kafka's own tool.

use std::process::Command;

use testkit::{Authority, Cluster, ClusterOptions, Commit, JavaClient, Mechanism, ProduceRecord, Validity};

use crate::continuing::{ended, wait_for};
use crate::program::{Ran, Workplace, finish};
use crate::stored::Stored;

const PASSWORD: &str = "a-password-to-be-hidden";

const SECURITY: &str = "  security:
    security_protocol: SASL_SSL
    ssl_ca_location: {folder}/ca.pem
    sasl_mechanism: SCRAM-SHA-512
    sasl_username: backup
    sasl_password: ${TEST_KAFKA_PASSWORD}
";

async fn cluster() -> (Cluster, JavaClient, Authority) {
    let authority = Authority::new("an authority").unwrap();
    let shown = authority.issue(&["127.0.0.1"], Validity::Good).unwrap();
    let options = ClusterOptions::new()
        .listener("SECURE", "SASL_SSL")
        .tls("SECURE", &shown, None)
        .mechanisms("SECURE", &[Mechanism::ScramSha512])
        .property(
            "listener.name.secure.scram-sha-512.connections.max.reauth.ms",
            2_000,
        );
    let cluster = Cluster::start(options).await.unwrap();
    let java = JavaClient::of(&cluster).await.unwrap();
    java.set_scram("backup", "SCRAM-SHA-512", PASSWORD, 4096)
        .await
        .unwrap();
    (cluster, java, authority)
}

async fn fill(java: &JavaClient) {
    java.create_topic("orders", 2, &[]).await.unwrap();
    let records: Vec<ProduceRecord> = (0..400)
        .map(|n| ProduceRecord::new("orders", n % 2).value(format!("order {n}")))
        .collect();
    java.produce(&records).await.unwrap();
    java.delete_records("orders", 0, 50).await.unwrap();
    for (group, partition, offset) in [("shop", 0, 77), ("shop", 1, 123), ("audit", 0, 60)] {
        java.commit(group, &[Commit::new("orders", partition, offset)])
            .await
            .unwrap();
    }
}

/// A backup of all topics.
fn backup_config(id: &str, servers: &[String], security: &str) -> String {
    format!(
        "mode: backup\nbackup_id: {id}\nsource:\n  bootstrap_servers: {servers:?}\n{security}  topics: {{include: ['*']}}\n\
         storage: {{backend: filesystem, path: '{{backups}}'}}\n"
    )
}

async fn run(work: &Workplace, password: &str, args: &[&str]) -> Ran {
    let mut command = work.command(args);
    command
        .env("TEST_KAFKA_PASSWORD", password)
        .env("RUST_LOG", "trace");
    let ran = finish(command).await;
    assert!(
        !format!("{ran:?}").contains(password),
        "a password is shown: {ran:#?}"
    );
    ran
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secured_cluster_is_backed_up_restored_and_reset() {
    let (cluster, java, authority) = cluster().await;
    fill(&java).await;
    let servers = cluster.listener("SECURE");
    let work = Workplace::new();
    std::fs::write(work.path("ca.pem"), authority.certificate()).unwrap();
    work.config("backup.yaml", &backup_config("night", &servers, SECURITY));
    let restore = |groups: &str| {
        format!(
            "mode: restore\nbackup_id: night\ntarget:\n  bootstrap_servers: {servers:?}\n{SECURITY}  topics: {{include: ['*']}}\n\
             storage: {{backend: filesystem, path: '{{backups}}'}}\n\
             restore:\n  consumer_group_strategy: header-based\n  reset_consumer_offsets: true\n  consumer_groups: [{groups}]\n"
        )
    };

    let ran = run(&work, "not-the-password", &["backup", "--config", "backup.yaml"]).await;
    ran.failed_saying(&["user \"backup\" by SCRAM-SHA-512 failed", "sasl_password"]);
    those_whom_the_system_trusts_are_trusted(&work, &servers).await;
    let ran = run(&work, PASSWORD, &["backup", "--config", "backup.yaml"]).await;
    assert_eq!(ran.code, Some(0), "{ran:#?}");

    let positions = [
        ("shop", "orders", 0),
        ("shop", "orders", 1),
        ("audit", "orders", 0),
    ];
    let before = java.next_records(&positions).await.unwrap();
    java.delete_topic("orders").await.unwrap();
    for group in ["shop", "audit"] {
        java.delete_group(group).await.unwrap();
    }
    work.config("restore.yaml", &restore("shop"));
    let ran = run(
        &work,
        PASSWORD,
        &["three-phase-restore", "--config", "restore.yaml"],
    )
    .await;
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    the_script_resets(&work, &servers[0]).await;

    for (before, after) in before.iter().zip(java.next_records(&positions).await.unwrap()) {
        let value = |next: &testkit::NextRecord| next.record.as_ref().and_then(|record| record.value.clone());
        assert!(value(before).is_some());
        assert_eq!(value(before), value(&after), "{before:?} {after:?}");
    }
}

/// Without `ssl_ca_location`: whoever the operating system trusts, and nobody else.
async fn those_whom_the_system_trusts_are_trusted(work: &Workplace, servers: &[String]) {
    let security = SECURITY.replace("    ssl_ca_location: {folder}/ca.pem\n", "");
    assert_ne!(security, SECURITY);
    work.config("system.yaml", &backup_config("system", servers, &security));
    let args = ["backup", "--config", "system.yaml"];
    run(work, PASSWORD, &args)
        .await
        .failed_saying(&["ssl_ca_location"]);
    let mut command = work.command(&args);
    command
        .env("TEST_KAFKA_PASSWORD", PASSWORD)
        .env("SSL_CERT_FILE", work.path("ca.pem"));
    let ran = finish(command).await;
    assert_eq!(ran.code, Some(0), "{ran:#?}");
}

/// Sessions end every two seconds here. Nothing passes by itself: the run must not go on, and save nothing, for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_changed_ends_a_continuous_run() {
    let (cluster, java, authority) = cluster().await;
    fill(&java).await;
    let work = Workplace::new();
    std::fs::write(work.path("ca.pem"), authority.certificate()).unwrap();
    let config = backup_config("night", &cluster.listener("SECURE"), SECURITY);
    let continuous = "backup: {continuous: true, segment_max_interval_ms: 200}\n";
    work.config("backup.yaml", &(config + continuous));
    let mut command = work.command(&["backup", "--config", "backup.yaml"]);
    let child = command.env("TEST_KAFKA_PASSWORD", PASSWORD).spawn().unwrap();
    let folder = work.backups();
    wait_for(&folder, "night", |stored| stored.set.facts().complete).await;
    java.set_scram("backup", "SCRAM-SHA-512", "another-password", 4096)
        .await
        .unwrap();
    let ran = ended(child).await;
    ran.failed_saying(&["user \"backup\" by SCRAM-SHA-512 failed", "sasl_password"]);
    let stored = Stored::open(&folder, "night").await.unwrap();
    stored.has_no_orphans();
    for partition in 0..2 {
        stored.is_same(&java, "orders", partition).await;
    }
}

/// `COMMAND_CONFIG` names the properties for TLS and the login.
async fn the_script_resets(work: &Workplace, server: &str) {
    let backups = work.backups().display().to_string();
    let args = [
        "offset-mapping",
        "--backup-id",
        "night",
        "--storage-path",
        &backups,
        "--groups",
        "audit",
    ];
    let args = [&args[..], &["--format", "shell-script", "--output", "reset.sh"]].concat();
    work.must(&args).await;
    let tool = testkit::consumer_groups_script(&work.path("")).unwrap();
    let properties = format!(
        "security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\nssl.truststore.type=PEM\nssl.truststore.location={}\n\
         sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username=\"backup\" \
         password=\"{PASSWORD}\";\n",
        work.path("ca.pem").display()
    );
    std::fs::write(work.path("client.properties"), properties).unwrap();
    let mut command = Command::new("bash");
    command
        .arg(work.path("reset.sh"))
        .env("KAFKA_CONSUMER_GROUPS", tool)
        .env("COMMAND_CONFIG", work.path("client.properties"))
        .env("BOOTSTRAP_SERVERS", server);
    let ran = finish(command).await;
    assert_eq!(ran.code, Some(0), "{ran:#?}");
}
