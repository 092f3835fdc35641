//! Opening connections: every address of a host is tried. A connection is secured, versions are agreed on, and the client
//! logs in; then it is ready for use.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::address::BrokerAddress;
use super::buffers::BufferPool;
use super::driver::{Driver, DriverOptions};
use super::link::Link;
use super::login::log_in;
use super::negotiate::{FIRST, negotiate};
use super::renew::Renewal;
use super::secured::Secured;
use super::stream::Stream;
use crate::config::ClusterConfig;
use crate::error::{ConnectFailure, ConnectionError};
use crate::sasl::Exchange;

/// Opens connections with the settings of one cluster, and can end them all.
#[derive(Debug)]
pub(crate) struct Dialer {
    client_id: Arc<str>,
    secured: Secured,
    connect_timeout: Duration,
    request_timeout: Duration,
    idle_timeout: Duration,
    max_response_bytes: usize,
    pool: BufferPool,
    closed: CancellationToken,
    drivers: TaskTracker,
}

impl Dialer {
    pub(crate) fn new(config: &ClusterConfig, secured: Secured) -> Self {
        Self {
            client_id: config.client_id.as_str().into(),
            secured,
            connect_timeout: config.connect_timeout,
            request_timeout: config.request_timeout,
            idle_timeout: config.idle_timeout,
            max_response_bytes: config.max_response_bytes,
            pool: BufferPool::new(config.recycled_buffer_bytes),
            closed: CancellationToken::new(),
            drivers: TaskTracker::new(),
        }
    }

    /// Connects to the first address of the host that works. A refused login is the end of it: the addresses of one host are
    /// those of one broker, or of brokers of one cluster, and each further try of a wrong password brings the account nearer
    /// to being locked.
    ///
    /// `broker` names the peer in messages.
    ///
    /// # Errors
    /// One entry per address that was tried.
    pub(crate) async fn dial(
        &self,
        address: &BrokerAddress,
        broker: &Arc<str>,
    ) -> Result<Link, Vec<ConnectFailure>> {
        let resolved = match self.resolve(address).await {
            Ok(resolved) => resolved,
            Err(cause) => {
                let address = address.to_string();
                return Err(vec![ConnectFailure { address, cause }]);
            }
        };
        self.dial_each(&resolved, address, broker).await
    }

    /// Connects to the first of the addresses that a host was resolved to.
    async fn dial_each(
        &self,
        resolved: &[SocketAddr],
        address: &BrokerAddress,
        broker: &Arc<str>,
    ) -> Result<Link, Vec<ConnectFailure>> {
        let failed = |address: String, cause| ConnectFailure { address, cause };
        let mut failures = Vec::new();
        for &socket in resolved {
            if self.closed.is_cancelled() {
                failures.push(failed(address.to_string(), ConnectionError::Closed));
                break;
            }
            match self.connect(socket, &address.host, broker).await {
                Ok(link) => return Ok(link),
                Err(cause) => {
                    tracing::debug!(%broker, %socket, %cause, "cannot connect");
                    let is_refused = cause.is_refused_login();
                    failures.push(failed(described(address, socket), cause));
                    if is_refused {
                        break;
                    }
                }
            }
        }
        Err(failures)
    }

    async fn resolve(&self, address: &BrokerAddress) -> Result<Vec<SocketAddr>, ConnectionError> {
        let lookup = lookup_host((address.host.as_str(), address.port));
        let found = tokio::time::timeout(self.connect_timeout, lookup)
            .await
            .map_err(|_| ConnectionError::ConnectTimeout(self.connect_timeout))?
            .map_err(|error| ConnectionError::Resolve(Arc::new(error)))?;
        let mut sockets: Vec<SocketAddr> = Vec::new();
        for socket in found {
            if !sockets.contains(&socket) {
                sockets.push(socket);
            }
        }
        if sockets.is_empty() {
            let nothing = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(ConnectionError::Resolve(Arc::new(nothing)));
        }
        Ok(sockets)
    }

    async fn connect(
        &self,
        socket: SocketAddr,
        host: &str,
        broker: &Arc<str>,
    ) -> Result<Link, ConnectionError> {
        let Some(login) = &self.secured.login else {
            return self.connect_as(socket, host, broker, None).await;
        };
        // A token may take its time, and brokers give a new connection little of it.
        let exchange = login.begin(host, self.request_timeout).await?;
        let kept = exchange.kept_token();
        let outcome = self.connect_as(socket, host, broker, Some(exchange)).await;
        match (outcome, kept) {
            // It was good once, and there may be a newer one.
            (Err(cause @ ConnectionError::Authentication(_)), Some(token)) => {
                match login.begin_anew(&token, host, self.request_timeout).await? {
                    None => Err(cause),
                    exchange => self.connect_as(socket, host, broker, exchange).await,
                }
            }
            (outcome, _) => outcome,
        }
    }

    async fn connect_as(
        &self,
        socket: SocketAddr,
        host: &str,
        broker: &Arc<str>,
        mut exchange: Option<Exchange>,
    ) -> Result<Link, ConnectionError> {
        match self
            .connect_with(socket, host, broker, FIRST, &mut exchange)
            .await
        {
            // Some brokers hang up on a version that they do not know.
            Err(ConnectionError::Rejected) => self.connect_with(socket, host, broker, 0, &mut exchange).await,
            outcome => outcome,
        }
    }

    /// The login is taken only when it is its turn.
    async fn connect_with(
        &self,
        socket: SocketAddr,
        host: &str,
        broker: &Arc<str>,
        first_version: i16,
        exchange: &mut Option<Exchange>,
    ) -> Result<Link, ConnectionError> {
        let stream = self.open(socket, host).await?;
        let (link, ends) = Link::new(Arc::clone(broker));
        let (pool, acquaintance) = self.pool.for_stranger();
        let options = self.driver_options(stream.is_buffered(), pool);
        let ended = options.ended.clone();
        self.drivers.spawn(Driver::new(stream, ends, options).run());
        let versions = negotiate(&link, first_version, self.connect_timeout).await?;
        link.set_versions(versions);
        if let Some((login, exchange)) = self.secured.login.as_ref().zip(exchange.take()) {
            let session = log_in(&link, login, exchange, self.connect_timeout).await?;
            if let Some(lifetime) = session {
                let renewal = Renewal {
                    link: link.downgrade(),
                    login: Arc::clone(login),
                    host: host.to_owned(),
                    timeout: self.connect_timeout,
                    ended,
                };
                self.drivers.spawn(renewal.run(lifetime));
            }
        }
        acquaintance.made();
        Ok(link)
    }

    async fn open(&self, socket: SocketAddr, host: &str) -> Result<Stream, ConnectionError> {
        let late = |_| ConnectionError::ConnectTimeout(self.connect_timeout);
        let stream = tokio::time::timeout(self.connect_timeout, TcpStream::connect(socket))
            .await
            .map_err(late)?
            .map_err(|error| ConnectionError::Io(Arc::new(error)))?;
        // Small requests must not wait for acknowledgements of earlier ones.
        stream.set_nodelay(true).map_err(ConnectionError::io)?;
        let Some(tls) = &self.secured.tls else {
            return Ok(Stream::Plain(stream));
        };
        let session = tokio::time::timeout(self.connect_timeout, tls.connect(stream, host)).await;
        Ok(Stream::secured(session.map_err(late)??))
    }

    fn driver_options(&self, buffered: bool, pool: BufferPool) -> DriverOptions {
        DriverOptions {
            client_id: Arc::clone(&self.client_id),
            max_response_bytes: self.max_response_bytes,
            idle_timeout: self.idle_timeout,
            pool,
            buffered,
            logs_in: self.secured.login.is_some(),
            closed: self.closed.child_token(),
            ended: CancellationToken::new(),
        }
    }

    /// Ends every connection and waits until they are gone. Requests in flight fail.
    pub(crate) async fn close(&self) {
        self.closed.cancel();
        self.drivers.close();
        self.drivers.wait().await;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.is_cancelled()
    }
}

impl Drop for Dialer {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}

fn described(address: &BrokerAddress, socket: SocketAddr) -> String {
    let (address, socket) = (address.to_string(), socket.to_string());
    if address == socket {
        address
    } else {
        format!("{address} ({socket})")
    }
}

#[cfg(test)]
#[path = "dial_tests.rs"]
mod tests;
