//! Broker configuration files.

use std::collections::BTreeMap;
use std::path::Path;

use super::options::ClusterOptions;

/// Where a broker listens.
#[derive(Debug, Clone)]
pub(super) struct Listeners {
    /// For the code under test.
    pub(super) client: u16,
    /// The port that is advertised for the client listener: its own or a proxy's.
    pub(super) advertised: u16,
    /// For the other brokers and the Java client: never through a proxy.
    pub(super) internal: u16,
    /// For the controllers' quorum.
    pub(super) controller: u16,
    /// Those that tests asked for.
    pub(super) further: Vec<FurtherListener>,
}

/// A listener that a test asked for.
#[derive(Debug, Clone)]
pub(super) struct FurtherListener {
    pub(super) name: String,
    pub(super) protocol: String,
    pub(super) host: String,
    pub(super) port: u16,
    /// The port that is advertised.
    pub(super) advertised: u16,
}

/// Who keeps the cluster's metadata.
#[derive(Debug)]
pub(super) enum Quorum {
    /// The first brokers are controllers as well; a line of `id@host:port`.
    Controllers { count: usize, voters: String },
    /// A ZooKeeper on this port.
    ZooKeeper { port: u16 },
}

/// The text of a `server.properties`.
pub(super) fn broker_file(
    options: &ClusterOptions,
    broker: usize,
    listeners: &Listeners,
    quorum: &Quorum,
    folder: &Path,
) -> String {
    let mut all = defaults(options.brokers);
    all.extend(identity(broker, listeners, quorum));
    all.insert("log.dirs".into(), folder.join("data").display().to_string());
    all.extend(options.properties.clone());
    all.extend(
        options
            .broker_properties
            .get(&broker)
            .cloned()
            .unwrap_or_default(),
    );
    lines(&all)
}

/// The text of a `zoo.cfg`.
pub(super) fn zookeeper_file(port: u16, folder: &Path) -> String {
    let all = BTreeMap::from([
        ("dataDir".to_owned(), folder.join("data").display().to_string()),
        ("clientPort".to_owned(), port.to_string()),
        ("clientPortAddress".to_owned(), "127.0.0.1".to_owned()),
        ("admin.enableServer".to_owned(), "false".to_owned()),
        ("maxClientCnxns".to_owned(), "0".to_owned()),
    ]);
    lines(&all)
}

fn lines(properties: &BTreeMap<String, String>) -> String {
    properties
        .iter()
        .map(|(name, value)| format!("{name}={}\n", value.replace('\\', r"\\").replace('\n', r"\n")))
        .collect()
}

fn identity(broker: usize, listeners: &Listeners, quorum: &Quorum) -> BTreeMap<String, String> {
    let Listeners {
        client,
        advertised,
        internal,
        controller,
        further,
    } = listeners;
    let mut listening = format!("CLIENT://127.0.0.1:{client},INTERNAL://127.0.0.1:{internal}");
    let mut advertised = format!("CLIENT://127.0.0.1:{advertised},INTERNAL://127.0.0.1:{internal}");
    let mut protocols = "CLIENT:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned();
    for listener in further {
        let FurtherListener {
            name, protocol, host, ..
        } = listener;
        listening.push_str(&format!(",{name}://{host}:{}", listener.port));
        advertised.push_str(&format!(",{name}://{host}:{}", listener.advertised));
        protocols.push_str(&format!(",{name}:{protocol}"));
    }
    let mut all = BTreeMap::from([
        ("inter.broker.listener.name".to_owned(), "INTERNAL".to_owned()),
        ("listener.security.protocol.map".to_owned(), protocols),
        ("advertised.listeners".to_owned(), advertised),
    ]);
    match quorum {
        Quorum::Controllers { count, voters } => {
            let is_controller = broker < *count;
            let roles = if is_controller {
                "broker,controller"
            } else {
                "broker"
            };
            all.insert("process.roles".into(), roles.into());
            all.insert("node.id".into(), broker.to_string());
            all.insert("controller.listener.names".into(), "CONTROLLER".into());
            all.insert("controller.quorum.voters".into(), voters.clone());
            if is_controller {
                listening.push_str(&format!(",CONTROLLER://127.0.0.1:{controller}"));
            }
        }
        Quorum::ZooKeeper { port } => {
            all.insert("broker.id".into(), broker.to_string());
            all.insert("zookeeper.connect".into(), format!("127.0.0.1:{port}"));
            all.insert("zookeeper.session.timeout.ms".into(), "6000".into());
        }
    }
    all.insert("listeners".into(), listening);
    all
}

/// Small and quick, as far as it does not change what a client sees.
fn defaults(brokers: usize) -> BTreeMap<String, String> {
    let replication = i64::try_from(brokers.min(3)).unwrap_or(3);
    let numbers: [(&str, i64); _] = [
        ("default.replication.factor", 1),
        ("offsets.topic.replication.factor", replication),
        ("offsets.topic.num.partitions", 4),
        ("transaction.state.log.replication.factor", replication),
        ("transaction.state.log.min.isr", 1),
        ("transaction.state.log.num.partitions", 4),
        ("share.coordinator.state.topic.replication.factor", replication),
        ("share.coordinator.state.topic.min.isr", 1),
        ("share.coordinator.state.topic.num.partitions", 4),
        ("group.initial.rebalance.delay.ms", 0),
        ("group.consumer.assignment.interval.ms", 0),
        // Tests write records of any age; without this they would go at the first check for retention.
        ("log.retention.ms", -1),
        // A lost broker is noticed sooner than by default, though not by a pause of a busy machine.
        ("broker.heartbeat.interval.ms", 1_000),
        ("broker.session.timeout.ms", 6_000),
        ("num.network.threads", 2),
        ("num.io.threads", 4),
        // The cleaner takes this from the heap at once; the default is 128 MiB.
        ("log.cleaner.dedupe.buffer.size", 8 << 20),
    ];
    let mut all: BTreeMap<String, String> = numbers
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_string()))
        .collect();
    all.insert("auto.create.topics.enable".into(), "false".into());
    all
}
