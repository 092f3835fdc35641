//! A TCP proxy before a broker that injects faults.

pub mod api_key;
mod connection;
mod frame;
mod rule;
mod rules;

#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

pub use rule::{Alteration, Direction, RequestFault, Rule};
pub use rules::RecordedRequest;

use crate::error::{Error, Result};
use crate::ports::PortLease;
use rules::Rules;

/// A proxy that passes everything on, until rules are added. It ends with this value; its connections are cut then.
///
/// It runs on a thread of its own, so that it outlives the runtime of the test that made it.
#[derive(Debug)]
pub struct FaultProxy {
    lease: PortLease,
    rules: Arc<Rules>,
    _running: watch::Sender<()>,
}

/// A rule that was added to a proxy. Dropping the handle does not remove the rule.
#[derive(Debug)]
pub struct RuleHandle {
    id: u64,
    hits: watch::Receiver<u64>,
    rules: Arc<Rules>,
}

impl FaultProxy {
    /// Starts a proxy on a free loopback port before the port of a broker.
    pub fn start(upstream: SocketAddr) -> Result<Self> {
        let lease = PortLease::take()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, lease.port()));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Error::io("starting a proxy's runtime"))?;
        let listener = std::net::TcpListener::bind(address).map_err(Error::io("binding a proxy's port"))?;
        listener
            .set_nonblocking(true)
            .map_err(Error::io("binding a proxy's port"))?;
        let rules = Arc::new(Rules::default());
        let (running, mut stopped) = watch::channel(());
        let accepting = Arc::clone(&rules);
        thread::Builder::new()
            .name("fault-proxy".into())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = accept(listener, address, upstream, accepting) => {}
                        _ = stopped.changed() => {}
                    }
                });
            })
            .map_err(Error::io("starting a proxy's thread"))?;
        Ok(Self {
            lease,
            rules,
            _running: running,
        })
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.lease.port()
    }

    /// `host:port` to connect to.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    /// Adds a rule; it holds from the return of this call on.
    pub fn add(&self, rule: Rule) -> RuleHandle {
        let (id, hits) = self.rules.add(rule);
        RuleHandle {
            id,
            hits,
            rules: Arc::clone(&self.rules),
        }
    }

    /// Removes all rules.
    pub fn clear(&self) {
        self.rules.clear();
    }

    /// Cuts all connections that are open.
    pub fn cut_all(&self) {
        self.rules.cut_all();
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.rules.connections()
    }

    /// Keeps the requests with an API key that come from now on.
    pub fn start_recording(&self, api_key: i16) {
        self.rules.record(Some(api_key));
    }

    /// Ends the recording; returns the requests in the order in which they came.
    pub fn stop_recording(&self) -> Vec<RecordedRequest> {
        self.rules.record(None)
    }

    /// How many requests with an API key have come since the start.
    pub fn requests(&self, api_key: i16) -> u64 {
        self.rules.requests(api_key)
    }
}

impl RuleHandle {
    /// How often it has happened. (A stall or a delay counts what it held up.)
    pub fn hits(&self) -> u64 {
        *self.hits.borrow()
    }

    /// Waits until it has happened `times` times in all.
    pub async fn wait_for_hits(&self, times: u64, patience: Duration) -> Result<()> {
        let mut hits = self.hits.clone();
        let waited = tokio::time::timeout(patience, hits.wait_for(|hits| *hits >= times)).await;
        match waited {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Error::TimedOut {
                what: format!("{times} hits of a proxy's rule"),
            }),
        }
    }

    /// Removes the rule.
    pub fn remove(self) {
        self.rules.remove(self.id);
    }
}

/// Accepts connections; listens only while no rule refuses them.
async fn accept(
    listener: std::net::TcpListener,
    address: SocketAddr,
    upstream: SocketAddr,
    rules: Arc<Rules>,
) {
    let mut changes = rules.watch_changes();
    let mut listening = TcpListener::from_std(listener).ok();
    loop {
        match (&listening, rules.refusing()) {
            (Some(_), true) => listening = None,
            // The port is leased, so that nobody else has taken it; try again if the system is not ready.
            (None, false) => listening = TcpListener::bind(address).await.ok(),
            _ => {}
        }
        rules.set_listening(listening.is_some());
        let Some(listener) = &listening else {
            tokio::select! {
                _ = changes.changed() => {}
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
            continue;
        };
        tokio::select! {
            _ = changes.changed() => {}
            accepted = listener.accept() => {
                if let Ok((client, _)) = accepted {
                    let rules = Arc::clone(&rules);
                    tokio::spawn(async move {
                        let number = rules.connection_opened();
                        // However a connection ends: its two peers notice, and react as they are tested to.
                        let _ = connection::serve(client, number, upstream, &rules).await;
                        rules.connection_closed();
                    });
                }
            }
        }
    }
}
