//! Everything about a cluster that is settled before its processes start: ports, proxies, folders, configuration.

use std::ffi::OsString;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::Mutex;

use super::node::{Node, Runtime};
use super::options::{ClusterOptions, ListenerOptions};
use super::properties::{self, FurtherListener, Listeners, Quorum};
use super::remote;
use super::{Broker, Cluster};
use crate::DEFAULT_KAFKA_VERSION;
use crate::archives::ClassArchive;
use crate::error::{Error, Result};
use crate::jars::{self, version_number};
use crate::ports::PortLease;
use crate::process::Jvm;
use crate::proxy::FaultProxy;

/// The first release that keeps its metadata itself.
const FIRST_WITHOUT_ZOOKEEPER: (u32, u32) = (3, 3);

/// A cluster whose brokers are not running yet, and the port of its ZooKeeper, which is starting, if it needs one.
pub(super) fn prepare(options: &ClusterOptions) -> Result<(Cluster, Option<u16>)> {
    let runtime = runtime(options)?;
    let folder = tempfile::Builder::new()
        .prefix("kafka-backup-testkit-")
        .tempdir()
        .map_err(Error::io("making a folder for a cluster"))?;
    let mut ports = Ports::default();
    let (listeners, proxies) = listeners(options, &mut ports)?;
    let (mut zookeeper, mut zookeeper_port) = (None, None);
    let quorum = if version_number(&options.version) < FIRST_WITHOUT_ZOOKEEPER {
        let port = ports.take()?;
        zookeeper = Some(start_zookeeper(runtime.clone(), port, folder.path())?);
        zookeeper_port = Some(port);
        Quorum::ZooKeeper { port }
    } else {
        controllers(&listeners)
    };
    // With the first broker's files, so that they go together.
    let options = remote::settled(options, &folder.path().join("broker-0/remote"))?;
    let cluster = Cluster {
        brokers: brokers(&options, &runtime, &listeners, &quorum, folder.path())?,
        proxies,
        zookeeper,
        _leases: ports.leases,
        _folder: folder,
        start_timeout: options.start_timeout,
    };
    Ok((cluster, zookeeper_port))
}

fn runtime(options: &ClusterOptions) -> Result<Runtime> {
    let archive = match &options.class_archive {
        Some(archive) => archive.clone(),
        None if options.version == DEFAULT_KAFKA_VERSION => ClassArchive::broker()?,
        None => ClassArchive::None,
    };
    let class_path: OsString = jars::class_path(&options.version)?;
    Ok(Runtime {
        class_path,
        archive,
        tuning: options.tuning,
    })
}

#[derive(Default)]
struct Ports {
    leases: Vec<PortLease>,
}

impl Ports {
    fn take(&mut self) -> Result<u16> {
        let lease = PortLease::take()?;
        let port = lease.port();
        self.leases.push(lease);
        Ok(port)
    }
}

fn listeners(options: &ClusterOptions, ports: &mut Ports) -> Result<(Vec<Listeners>, Vec<FaultProxy>)> {
    let (mut listeners, mut proxies) = (Vec::new(), Vec::new());
    for _ in 0..options.brokers {
        let client = ports.take()?;
        let mut advertised = client;
        if options.proxied {
            let proxy = FaultProxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, client)))?;
            advertised = proxy.port();
            proxies.push(proxy);
        }
        let (internal, controller) = (ports.take()?, ports.take()?);
        let mut further = Vec::new();
        for ListenerOptions { name, protocol, host } in &options.listeners {
            let port = ports.take()?;
            further.push(FurtherListener {
                name: name.clone(),
                protocol: protocol.clone(),
                host: host.clone(),
                port,
                advertised: options.advertised.get(name).copied().unwrap_or(port),
            });
        }
        listeners.push(Listeners {
            client,
            advertised,
            internal,
            controller,
            further,
        });
    }
    Ok((listeners, proxies))
}

fn brokers(
    options: &ClusterOptions,
    runtime: &Runtime,
    listeners: &[Listeners],
    quorum: &Quorum,
    folder: &Path,
) -> Result<Vec<Broker>> {
    let cluster_id = random_id();
    let mut brokers = Vec::new();
    for (index, listeners) in listeners.iter().enumerate() {
        let mut node = Node::prepare(folder.join(format!("broker-{index}")), "broker", runtime.clone())?;
        node.configure(&properties::broker_file(
            options,
            index,
            listeners,
            quorum,
            node.folder(),
        ))?;
        if matches!(quorum, Quorum::Controllers { .. }) {
            node.format_for(&cluster_id);
        }
        brokers.push(Broker {
            jvm: Mutex::new(None),
            node,
            listeners: listeners.clone(),
        });
    }
    Ok(brokers)
}

/// One controller for one or two brokers, three for more: the quorum then survives the loss of a broker.
fn controllers(listeners: &[Listeners]) -> Quorum {
    let count = if listeners.len() < 3 { 1 } else { 3 };
    let voters: Vec<String> = listeners[..count]
        .iter()
        .enumerate()
        .map(|(id, listener)| format!("{id}@127.0.0.1:{}", listener.controller))
        .collect();
    Quorum::Controllers {
        count,
        voters: voters.join(","),
    }
}

fn start_zookeeper(runtime: Runtime, port: u16, folder: &Path) -> Result<Jvm> {
    let node = Node::prepare(folder.join("zookeeper"), "zookeeper", runtime)?;
    node.configure(&properties::zookeeper_file(port, node.folder()))?;
    node.start()
}

/// 16 random bytes in the form that Kafka uses for cluster ids.
fn random_id() -> String {
    let mut bytes = [0; 16];
    for half in bytes.chunks_exact_mut(8) {
        half.copy_from_slice(&RandomState::new().build_hasher().finish().to_be_bytes());
    }
    // An id that begins with a dash would be taken for an option.
    bytes[0] &= 0x7f;
    URL_SAFE_NO_PAD.encode(bytes)
}
