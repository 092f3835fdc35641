//! What a cluster is to be like.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::DEFAULT_KAFKA_VERSION;
use crate::archives::ClassArchive;

/// How the JVMs of brokers are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Tuning {
    /// A small heap and a quick start.
    #[default]
    QuickStart,
    /// A heap of 2 GiB and the optimising compiler: for measurements.
    Throughput,
}

/// A listener beside the usual ones.
#[derive(Debug, Clone)]
pub(super) struct ListenerOptions {
    pub(super) name: String,
    pub(super) protocol: String,
    /// A loopback address, in brackets if it has colons.
    pub(super) host: String,
}

/// How a [`Cluster`](crate::Cluster) is to be started.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    pub(super) brokers: usize,
    pub(super) version: String,
    pub(super) properties: BTreeMap<String, String>,
    pub(super) broker_properties: BTreeMap<usize, BTreeMap<String, String>>,
    pub(super) proxied: bool,
    pub(super) remote_storage: bool,
    pub(super) listeners: Vec<ListenerOptions>,
    /// Ports that listeners are said to have.
    pub(super) advertised: BTreeMap<String, u16>,
    pub(super) tuning: Tuning,
    pub(super) start_timeout: Duration,
    pub(super) class_archive: Option<ClassArchive>,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl ClusterOptions {
    /// One broker of the default release.
    pub fn new() -> Self {
        Self {
            brokers: 1,
            version: DEFAULT_KAFKA_VERSION.to_owned(),
            properties: BTreeMap::new(),
            broker_properties: BTreeMap::new(),
            proxied: false,
            remote_storage: false,
            listeners: Vec::new(),
            advertised: BTreeMap::new(),
            tuning: Tuning::default(),
            start_timeout: Duration::from_secs(120),
            class_archive: None,
        }
    }

    /// Number of brokers, at least one; their node ids are 0, 1, 2, ...
    #[must_use]
    pub fn brokers(mut self, brokers: usize) -> Self {
        self.brokers = brokers.max(1);
        self
    }

    /// Kafka release, such as `3.9.2`. Releases before 3.3 get a ZooKeeper of their own.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// A property of all brokers; wins over the defaults of this crate.
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "numbers and strings are passed as literals"
    )]
    pub fn property(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.properties.insert(name.into(), value.to_string());
        self
    }

    /// A property of one broker; wins over those of all brokers.
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "numbers and strings are passed as literals"
    )]
    pub fn broker_property(mut self, broker: usize, name: impl Into<String>, value: impl ToString) -> Self {
        self.broker_properties
            .entry(broker)
            .or_default()
            .insert(name.into(), value.to_string());
        self
    }

    /// Puts a fault-injecting proxy before every broker; [`Cluster::bootstrap_servers`](crate::Cluster::bootstrap_servers)
    /// and what brokers advertise there name the proxies.
    #[must_use]
    pub fn proxied(mut self) -> Self {
        self.proxied = true;
        self
    }

    /// How the JVMs are run.
    #[must_use]
    pub fn tuning(mut self, tuning: Tuning) -> Self {
        self.tuning = tuning;
        self
    }

    /// How long a start may take; two minutes unless set.
    #[must_use]
    pub fn start_timeout(mut self, timeout: Duration) -> Self {
        self.start_timeout = timeout;
        self
    }

    /// Has clients log in with a name and a password (SASL/PLAIN, in the clear); `users` are such pairs.
    ///
    /// The Java client is not concerned by it, as it uses the listener of the brokers.
    #[must_use]
    pub fn sasl_plain(self, users: &[(&str, &str)]) -> Self {
        let mut login = "org.apache.kafka.common.security.plain.PlainLoginModule required".to_owned();
        for (name, password) in users {
            login.push_str(&format!(" user_{name}=\"{password}\""));
        }
        login.push(';');
        let protocols = "CLIENT:SASL_PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT";
        self.property("listener.security.protocol.map", protocols)
            .property("sasl.enabled.mechanisms", "PLAIN")
            .property("listener.name.client.plain.sasl.jaas.config", login)
    }

    /// Another class archive than that of the cache.
    pub(crate) fn class_archive(mut self, archive: ClassArchive) -> Self {
        self.class_archive = Some(archive);
        self
    }

    /// Topics with `cleanup.policy=compact` are compacted within about a second of a segment's end, and tombstones go soon.
    ///
    /// A segment ends with `segment.bytes`, or when a record comes whose timestamp is `segment.ms` after the first one's:
    /// set `segment.ms` on the topic and produce one late record to end the segment under test.
    #[must_use]
    pub fn quick_compaction(self) -> Self {
        self.quick_retention()
            .property("log.cleaner.backoff.ms", 100)
            .property("log.cleaner.min.cleanable.ratio", "0.0")
            .property("log.cleaner.delete.retention.ms", 0)
    }

    /// Retention is enforced every 200 ms from the start on, and removed files go at once.
    #[must_use]
    pub fn quick_retention(self) -> Self {
        self.property("log.initial.task.delay.ms", 100)
            .property("log.retention.check.interval.ms", 200)
            .property("log.segment.delete.delay.ms", 100)
    }
}
