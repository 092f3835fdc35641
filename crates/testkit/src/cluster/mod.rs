//! A cluster of real brokers.

mod node;
mod options;
mod prepare;
mod properties;
mod readiness;
mod remote;
mod security;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::sync::{Mutex, OnceCell};

pub use options::{ClusterOptions, Tuning};
pub use security::{IamKeys, Mechanism};

use crate::error::{Error, Result};
use crate::ports::PortLease;
use crate::process::Jvm;
use crate::proxy::FaultProxy;
use node::Node;
use properties::Listeners;

const STOP_PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(25);

/// A running cluster. Dropping it kills its brokers and removes their data.
#[derive(Debug)]
pub struct Cluster {
    // Fields are dropped in this order: first the processes, then their files and ports.
    brokers: Vec<Broker>,
    proxies: Vec<FaultProxy>,
    zookeeper: Option<Jvm>,
    _leases: Vec<PortLease>,
    _folder: TempDir,
    start_timeout: Duration,
}

#[derive(Debug)]
struct Broker {
    jvm: Mutex<Option<Jvm>>,
    node: Node,
    listeners: Listeners,
}

impl Cluster {
    /// The cluster of one broker that all tests of a process share; isolate them by topic and group names.
    ///
    /// It ends with the process. Tests that harm a broker start a cluster of their own.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Cluster> = OnceCell::const_new();
        SHARED
            .get_or_try_init(|| Self::start(ClusterOptions::new()))
            .await
    }

    /// Starts a cluster and waits until every broker knows all brokers.
    ///
    /// The first start on a machine resolves the jars, which takes about half a minute.
    pub async fn start(options: ClusterOptions) -> Result<Self> {
        let (cluster, zookeeper) = tokio::task::spawn_blocking(move || prepare::prepare(&options))
            .await
            .map_err(|error| Error::Io {
                what: "preparing a cluster".into(),
                source: error.into(),
            })??;
        let deadline = Instant::now() + cluster.start_timeout;
        if let Some(port) = zookeeper {
            wait_for_port(port, deadline).await?;
        }
        for broker in &cluster.brokers {
            *broker.jvm.lock().await = Some(broker.node.start()?);
        }
        for index in 0..cluster.brokers.len() {
            cluster.wait_ready(index, cluster.brokers.len(), deadline).await?;
        }
        Ok(cluster)
    }

    /// `host:port` of every broker, as the code under test is to use them: through the proxies, if there are any.
    pub fn bootstrap_servers(&self) -> Vec<String> {
        self.brokers
            .iter()
            .map(|broker| format!("127.0.0.1:{}", broker.listeners.advertised))
            .collect()
    }

    /// `host:port` of every broker on the listener of the brokers among themselves, never through a proxy.
    pub fn direct_bootstrap_servers(&self) -> Vec<String> {
        self.brokers
            .iter()
            .map(|broker| format!("127.0.0.1:{}", broker.listeners.internal))
            .collect()
    }

    /// `host:port` of every broker on a listener of [`ClusterOptions::listener`]; none when there is no such listener.
    pub fn listener(&self, name: &str) -> Vec<String> {
        (self.brokers.iter())
            .flat_map(|broker| &broker.listeners.further)
            .filter(|listener| listener.name == name)
            .map(|listener| format!("{}:{}", listener.host, listener.port))
            .collect()
    }

    /// Number of brokers, running or not.
    pub fn broker_count(&self) -> usize {
        self.brokers.len()
    }

    /// Stops a broker in an orderly way: it hands its leaderships over first.
    pub async fn stop_broker(&self, broker: usize) -> Result<()> {
        let mut jvm = self.running(broker).await?;
        jvm.stop(STOP_PATIENCE).await
    }

    /// Kills a broker (`SIGKILL`).
    pub async fn kill_broker(&self, broker: usize) -> Result<()> {
        self.running(broker).await?.kill()
    }

    /// Starts a broker that was stopped or killed, with the data it had, and waits until it serves clients.
    pub async fn start_broker(&self, broker: usize) -> Result<()> {
        let one = self.broker(broker)?;
        {
            let mut jvm = one.jvm.lock().await;
            if jvm.is_some() {
                return Err(Error::Broker {
                    broker,
                    why: "it is running",
                });
            }
            *jvm = Some(one.node.start()?);
        }
        let deadline = Instant::now() + self.start_timeout;
        loop {
            let started = self.wait_ready(broker, 1, deadline).await;
            if started.is_ok() || self.zookeeper.is_none() || Instant::now() > deadline {
                return started;
            }
            // ZooKeeper takes a killed broker for alive until its session ends, and refuses a second one.
            *one.jvm.lock().await = Some(one.node.start()?);
        }
    }

    /// Stops a broker in an orderly way, if it runs, and starts it again.
    pub async fn restart_broker(&self, broker: usize) -> Result<()> {
        if let Ok(mut jvm) = self.running(broker).await {
            jvm.stop(STOP_PATIENCE).await?;
        }
        self.start_broker(broker).await
    }

    /// Sets a property of a broker, from its next start on.
    pub fn set_property(&self, broker: usize, name: &str, value: &str) -> Result<()> {
        self.broker(broker)?.node.set(name, value)
    }

    /// Freezes a broker (`SIGSTOP`): its connections stay open and nothing is answered.
    pub async fn pause_broker(&self, broker: usize) -> Result<()> {
        match self.broker(broker)?.jvm.lock().await.as_mut() {
            Some(jvm) => jvm.pause(),
            None => Err(Error::Broker {
                broker,
                why: "it is not running",
            }),
        }
    }

    /// Lets a frozen broker go on.
    pub async fn resume_broker(&self, broker: usize) -> Result<()> {
        match self.broker(broker)?.jvm.lock().await.as_mut() {
            Some(jvm) => jvm.resume(),
            None => Err(Error::Broker {
                broker,
                why: "it is not running",
            }),
        }
    }

    /// The proxy before a broker; there is one when the cluster was started with [`ClusterOptions::proxied`].
    pub fn proxy(&self, broker: usize) -> Result<&FaultProxy> {
        self.proxies.get(broker).ok_or(Error::Broker {
            broker,
            why: "there is no proxy before it",
        })
    }

    /// Process id of a broker, while it runs.
    pub async fn broker_pid(&self, broker: usize) -> Result<Option<u32>> {
        Ok(self.broker(broker)?.jvm.lock().await.as_ref().map(Jvm::id))
    }

    /// The folder in which a broker keeps its data: a folder per partition, in it the segments.
    pub fn broker_data(&self, broker: usize) -> Result<PathBuf> {
        Ok(self.broker(broker)?.node.data())
    }

    /// The last lines of a broker's log.
    pub fn broker_log(&self, broker: usize) -> Result<String> {
        Ok(self.broker(broker)?.node.log_tail())
    }

    fn broker(&self, broker: usize) -> Result<&Broker> {
        self.brokers.get(broker).ok_or(Error::Broker {
            broker,
            why: "there is no such broker",
        })
    }

    /// Takes a running broker's process out, for good.
    async fn running(&self, broker: usize) -> Result<Jvm> {
        let taken = self.broker(broker)?.jvm.lock().await.take();
        taken.ok_or(Error::Broker {
            broker,
            why: "it is not running",
        })
    }

    async fn wait_ready(&self, index: usize, brokers: usize, deadline: Instant) -> Result<()> {
        let broker = self.broker(index)?;
        loop {
            if readiness::known_brokers(broker.listeners.internal)
                .await
                .is_ok_and(|known| known >= brokers)
            {
                return Ok(());
            }
            let ended = match broker.jvm.lock().await.as_mut() {
                Some(jvm) => jvm.ended()?,
                None => {
                    return Err(Error::Broker {
                        broker: index,
                        why: "it was stopped while it started",
                    });
                }
            };
            let why = match ended {
                Some(status) => format!("ended ({status})"),
                None if Instant::now() > deadline => "did not become ready in time".to_owned(),
                None => {
                    tokio::time::sleep(POLL).await;
                    continue;
                }
            };
            return Err(Error::BrokerStart {
                broker: index,
                why,
                log: broker.node.log_tail(),
            });
        }
    }
}

async fn wait_for_port(port: u16, deadline: Instant) -> Result<()> {
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        if Instant::now() > deadline {
            return Err(Error::TimedOut {
                what: format!("ZooKeeper on port {port}"),
            });
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}
