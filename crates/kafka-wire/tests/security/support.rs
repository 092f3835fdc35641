//! The broker that the tests share, and how they look at it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kafka_wire::batch::{BatchBuilder, NewRecord, RawBatch};
use kafka_wire::{
    ByteBudget, Cluster, ClusterConfig, Error, FetchEventKind, FetchOptions, FetchPartition, FetchStream,
    Producer, ProducerOptions, SaslConfig, Secret, TlsConfig,
};
use tempfile::TempDir;
use testkit::{Authority, ClusterOptions, IamKeys, Identity, JavaClient, Mechanism, Validity};
use tokio::sync::OnceCell;

use crate::capture;
use crate::relay::Relay;

pub(crate) const USER: &str = "alice";
pub(crate) const PASSWORD: &str = "alice-secret";
/// A user whose name has to be escaped.
pub(crate) const STRANGE_USER: &str = "a=b,c=2C";

/// The region that the brokers think that they are in.
pub(crate) const REGION: &str = "eu-north-1";
/// The access key of a user of AWS. There are temporary ones as well, `ASIA1` and `ASIA2`, which need the token.
pub(crate) const KEY_ID: &str = "AKIAUSER";
pub(crate) const KEY: &str = "secret/access+key=";
pub(crate) const SESSION_TOKEN: &str = "session/token+of==a?role&";

/// One broker with a listener for each case.
pub(crate) struct Shared {
    pub(crate) brokers: testkit::Cluster,
    pub(crate) java: JavaClient,
    /// Before the listener `RELAYED`.
    pub(crate) relay: Relay,
    /// Issued what the broker shows, and what it wants to be shown.
    pub(crate) authority: Authority,
}

/// | listener | protocol | what |
/// |---|---|---|
/// | `TLS` | SSL | a good certificate |
/// | `MUTUAL` | SSL | wants a client certificate |
/// | `RELAYED` | SSL | the same, behind a [`Relay`] |
/// | `STRANGER` | SSL | a certificate for another host |
/// | `EXPIRED` | SSL | a certificate of 2001 |
/// | `LOGIN` | `SASL_PLAINTEXT` | all mechanisms |
/// | `SECURE` | `SASL_SSL` | all mechanisms |
/// | `PLAINONLY` | `SASL_PLAINTEXT` | PLAIN |
/// | `SHORT` | `SASL_PLAINTEXT` | sessions of a few seconds |
/// | `NAMED` | `SASL_PLAINTEXT` | `AWS_MSK_IAM`, signed for `localhost` and no other name |
pub(crate) async fn shared() -> &'static Shared {
    static SHARED: OnceCell<Shared> = OnceCell::const_new();
    SHARED.get_or_init(|| start(None)).await
}

/// Starts a broker of a release, or of the usual one.
pub(crate) async fn start(version: Option<&str>) -> Shared {
    capture::start();
    let authority = Authority::new("the cluster's authority").unwrap();
    let good = authority
        .issue(&["localhost", "127.0.0.1"], Validity::Good)
        .unwrap();
    let stranger = authority
        .issue(&["other.example", "10.1.2.3"], Validity::Good)
        .unwrap();
    let expired = authority
        .issue(&["localhost", "127.0.0.1"], Validity::Expired)
        .unwrap();
    let plain = Mechanism::Plain(vec![(USER.to_owned(), PASSWORD.to_owned())]);
    let all = [
        plain.clone(),
        Mechanism::ScramSha256,
        Mechanism::ScramSha512,
        Mechanism::OauthBearer,
        Mechanism::AwsMskIam(keys(&["127.0.0.1", "localhost"])),
    ];
    let named = Mechanism::AwsMskIam(keys(&["localhost"]));
    let options = match version {
        Some(version) => ClusterOptions::new().version(version),
        // Everything that no entry is about is allowed. Older releases have another class for it.
        None => ClusterOptions::new()
            .property(
                "authorizer.class.name",
                "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            )
            .property("allow.everyone.if.no.acl.found", true)
            .property("super.users", "User:ANONYMOUS"),
    };
    let relay = Relay::bind();
    let options = options
        .listener("TLS", "SSL")
        .tls("TLS", &good, None)
        .listener("RELAYED", "SSL")
        .tls("RELAYED", &good, Some(&authority))
        .advertise("RELAYED", relay.port())
        .listener("MUTUAL", "SSL")
        .tls("MUTUAL", &good, Some(&authority))
        .listener("STRANGER", "SSL")
        .tls("STRANGER", &stranger, None)
        .listener("EXPIRED", "SSL")
        .tls("EXPIRED", &expired, None)
        .listener("LOGIN", "SASL_PLAINTEXT")
        .mechanisms("LOGIN", &all)
        .listener("SECURE", "SASL_SSL")
        .tls("SECURE", &good, None)
        .mechanisms("SECURE", &all)
        .listener("PLAINONLY", "SASL_PLAINTEXT")
        .mechanisms("PLAINONLY", &all[..1])
        .listener("SHORT", "SASL_PLAINTEXT")
        .mechanisms("SHORT", &all[1..])
        .listener("NAMED", "SASL_PLAINTEXT")
        .mechanisms("NAMED", &[named])
        .property("listener.name.short.aws_msk_iam.connections.max.reauth.ms", 2_500)
        .property(
            "listener.name.short.scram-sha-256.connections.max.reauth.ms",
            2_500,
        )
        .property(
            "listener.name.short.oauthbearer.connections.max.reauth.ms",
            60_000,
        );
    let options = options.property("delegation.token.secret.key", "for tests");
    let brokers = testkit::Cluster::start(options).await.expect("a cluster");
    let java = JavaClient::of(&brokers).await.expect("a Java client");
    for (user, mechanism) in [
        (USER, "SCRAM-SHA-256"),
        (USER, "SCRAM-SHA-512"),
        (STRANGE_USER, "SCRAM-SHA-256"),
        (STRANGE_USER, "SCRAM-SHA-512"),
    ] {
        java.set_scram(user, mechanism, PASSWORD, 4096).await.unwrap();
    }
    relay.serve(&brokers.listener("RELAYED")[0]);
    Shared {
        brokers,
        java,
        relay,
        authority,
    }
}

fn keys(hosts: &[&str]) -> IamKeys {
    let of_user = (KEY_ID.to_owned(), KEY.to_owned(), None);
    let of_role = |id: &str| (id.to_owned(), KEY.to_owned(), Some(SESSION_TOKEN.to_owned()));
    IamKeys {
        region: REGION.to_owned(),
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        keys: vec![of_user, of_role("ASIA1"), of_role("ASIA2")],
    }
}

/// A folder with PEM files of a test.
pub(crate) struct Files(TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, contents).unwrap();
        path
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// TLS that trusts the authority of the shared broker.
    pub(crate) fn trusting(&self, authority: &Authority) -> TlsConfig {
        TlsConfig::new().ca_file(self.write("ca.pem", authority.certificate()))
    }

    /// The same, and shows a certificate.
    pub(crate) fn showing(&self, authority: &Authority, shown: &Identity) -> TlsConfig {
        self.trusting(authority).client_certificate(
            self.write("client.pem", &shown.certificate),
            self.write("client.key", &shown.key),
        )
    }
}

/// How to reach a listener, by address.
pub(crate) fn config(shared: &Shared, listener: &str) -> ClusterConfig {
    let mut config = ClusterConfig::new(shared.brokers.listener(listener));
    // A test fails soon, and what does not pass by trying again does not make use of it.
    config.connect_timeout = Duration::from_secs(5);
    config
}

/// How to reach a listener with a login.
pub(crate) fn with_login(shared: &Shared, listener: &str, sasl: SaslConfig) -> ClusterConfig {
    let mut config = config(shared, listener);
    config.security.sasl = Some(sasl);
    config
}

pub(crate) fn password() -> Secret {
    Secret::new(PASSWORD)
}

/// Writes and reads through the client under test, and has the Java client look at what was written.
pub(crate) async fn works(shared: &Shared, config: ClusterConfig, topic: &str) {
    shared.java.create_topic(topic, 2, &[]).await.unwrap();
    for partition in 0..2 {
        shared.java.end_offset(topic, partition).await.unwrap();
    }
    let cluster = Cluster::connect(config)
        .await
        .unwrap_or_else(|error| panic!("{}", chain(&error)));
    for partition in 0..2 {
        write(&cluster, topic, partition, &[10, 200_000]).await.unwrap();
        let java = shared.java.consume_all(topic, partition).await.unwrap();
        let lengths: Vec<usize> = java
            .iter()
            .map(|record| record.value.as_ref().unwrap().len())
            .collect();
        assert_eq!(lengths, [10, 200_000]);
        assert_eq!(read(&cluster, topic, partition, 2).await, [10, 200_000]);
    }
    assert!(cluster.list_groups().await.is_ok());
    cluster.close().await;
}

/// Writes a record of each length, as a batch each.
pub(crate) async fn write(
    cluster: &Cluster,
    topic: &str,
    partition: i32,
    lengths: &[usize],
) -> Result<i64, Error> {
    let producer = Producer::start(cluster, ProducerOptions::default()).await?;
    let mut writer = producer.partition(topic, partition, 0).await?;
    for length in lengths {
        writer.append(batch(*length)).await?;
    }
    writer.flush().await
}

/// A batch of one record.
pub(crate) fn batch(length: usize) -> RawBatch {
    let value: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
    let mut builder = BatchBuilder::new();
    let record = NewRecord {
        timestamp: 1_700_000_000_000,
        value: Some(&value),
        ..NewRecord::default()
    };
    builder.push(&record).unwrap();
    builder.build().unwrap()
}

/// Reads a partition until an offset; the lengths of the values.
pub(crate) async fn read(cluster: &Cluster, topic: &str, partition: i32, until: i64) -> Vec<usize> {
    let wanted = FetchPartition::new(topic, partition, 0).until(until);
    let options = FetchOptions::new(ByteBudget::new(32 << 20));
    let mut stream = FetchStream::start(cluster, [wanted], options);
    let mut lengths = Vec::new();
    while let Some(event) = stream.next().await {
        match event.kind {
            FetchEventKind::Batches(fetched) => {
                for entry in fetched.batches {
                    lengths.extend(values(entry));
                }
            }
            FetchEventKind::Finished { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    lengths
}

fn values(entry: kafka_wire::batch::LogEntry) -> Vec<usize> {
    let kafka_wire::batch::LogEntry::Batch(batch) = entry else {
        panic!("an old format")
    };
    let mut scratch = Vec::new();
    let mut decompressor = kafka_wire::codec::Decompressor::new();
    let records = decompressor.records(&batch, 64 << 20, &mut scratch).unwrap();
    records
        .map(|record| record.unwrap().value.unwrap().len())
        .collect()
}

/// Why a connection cannot be made. Being told takes no retries.
pub(crate) async fn refused(config: ClusterConfig) -> String {
    let error = Cluster::connect(config)
        .await
        .map(|_| ())
        .expect_err("no connection");
    chain(&error)
}

/// Likewise; and it is known that nothing passes by trying again.
pub(crate) async fn refused_for_good(config: ClusterConfig) -> String {
    let error = Cluster::connect(config)
        .await
        .map(|_| ())
        .expect_err("no connection");
    assert!(!error.is_retriable(), "{}", chain(&error));
    chain(&error)
}

/// An error with its causes, as an operator would see it.
pub(crate) fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[track_caller]
pub(crate) fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

/// The DER of a private key without what PKCS#8 wraps around it: PKCS#1 for RSA, SEC1 for elliptic curves.
pub(crate) fn unwrapped(pkcs8: &str, label: &str) -> String {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    let base64: String = pkcs8.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = STANDARD.decode(base64).unwrap();
    // Version and algorithm, then the key in an octet string, which is what comes last here.
    let (_, outer) = element(&der);
    let (version, after_version) = split(outer);
    assert_eq!(version[0], 0x02);
    let (algorithm, after_algorithm) = split(after_version);
    assert_eq!(algorithm[0], 0x30);
    let (tag, key) = element(after_algorithm);
    assert_eq!(tag, 0x04);
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        STANDARD.encode(key)
    )
}

/// Tag and contents of the first DER element.
fn element(der: &[u8]) -> (u8, &[u8]) {
    let (header, length) = match der[1] {
        short @ 0..=0x7f => (2, usize::from(short)),
        long => {
            let count = usize::from(long & 0x7f);
            let length = der[2..2 + count]
                .iter()
                .fold(0, |length, byte| length << 8 | usize::from(*byte));
            (2 + count, length)
        }
    };
    (der[0], &der[header..header + length])
}

/// The first DER element, and what follows.
fn split(der: &[u8]) -> (&[u8], &[u8]) {
    let (_, contents) = element(der);
    let end = contents.as_ptr() as usize - der.as_ptr() as usize + contents.len();
    der.split_at(end)
}

/// By name instead of address.
pub(crate) fn by_name(mut config: ClusterConfig) -> ClusterConfig {
    for server in &mut config.bootstrap {
        *server = server.replace("127.0.0.1", "localhost");
    }
    config
}

pub(crate) fn shown(path: &Path) -> String {
    path.display().to_string()
}
