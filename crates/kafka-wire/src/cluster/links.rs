//! The connections of a cluster, by broker, role and shard.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::metadata::Broker;
use crate::config::ClusterConfig;
use crate::connection::{BrokerAddress, Dialer, Link, Role, Secured};
use crate::error::Error;

#[derive(Debug)]
pub(super) struct Links {
    bootstrap: Vec<BrokerAddress>,
    /// Which of them is tried first, counted on and on.
    first: AtomicUsize,
    dialer: Dialer,
    state: Mutex<State>,
    /// Held while the bootstrap list is tried, so that this happens once at a time.
    bootstrap_slot: Slot,
}

#[derive(Debug, Default)]
struct State {
    brokers: BTreeMap<i32, Address>,
    slots: HashMap<(i32, Role, usize), Slot>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Address {
    address: BrokerAddress,
    /// For messages.
    label: Arc<str>,
}

/// One connection, made by whoever needs it first while the others wait.
type Slot = Arc<tokio::sync::Mutex<Content>>;

#[derive(Default)]
struct Content {
    link: Option<Link>,
    /// The last attempt to connect, if it failed, and when it ended.
    failed: Option<(Instant, Error)>,
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content")
            .field("link", &self.link)
            .finish_non_exhaustive()
    }
}

impl Content {
    fn open(&self) -> Option<Link> {
        self.link.clone().filter(Link::is_open)
    }
}

impl Links {
    pub(super) fn new(config: &ClusterConfig, secured: Secured) -> Result<Self, Error> {
        Ok(Self {
            bootstrap: config.addresses()?,
            first: AtomicUsize::new(0),
            dialer: Dialer::new(config, secured),
            state: Mutex::default(),
            bootstrap_slot: Slot::default(),
        })
    }

    /// Takes note of where brokers are. Connections to those that are no longer named, or have moved, are forgotten: they
    /// end when nobody uses them any more.
    pub(super) fn set_brokers(&self, brokers: &BTreeMap<i32, Broker>) {
        let addresses = brokers.iter().map(|(&node, broker)| {
            let address = BrokerAddress {
                host: broker.host.clone(),
                port: broker.port,
            };
            (node, Address::new(node, address))
        });
        let mut state = self.lock();
        let State { brokers, slots } = &mut *state;
        let before = std::mem::replace(brokers, addresses.collect());
        slots.retain(|(node, ..), _| brokers.contains_key(node) && brokers.get(node) == before.get(node));
    }

    /// Forgets the brokers, which told that they are not those of this cluster any more. The server of the bootstrap list that
    /// is connected may be one of them: next time another one is tried first.
    pub(super) async fn start_again(&self) {
        self.set_brokers(&BTreeMap::new());
        if self.bootstrap_slot.lock().await.link.take().is_some() {
            self.first.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes note of where one broker is. When it has moved, the connections to where it was are forgotten.
    pub(super) fn add_broker(&self, node: i32, address: BrokerAddress) {
        let address = Address::new(node, address);
        let mut state = self.lock();
        let State { brokers, slots } = &mut *state;
        let before = brokers.insert(node, address);
        if before.is_some() && before.as_ref() != brokers.get(&node) {
            slots.retain(|(of, ..), _| *of != node);
        }
    }

    /// Whether it is known where a broker is.
    pub(super) fn knows(&self, node: i32) -> bool {
        self.lock().brokers.contains_key(&node)
    }

    /// Node ids of the known brokers.
    pub(super) fn nodes(&self) -> Vec<i32> {
        self.lock().brokers.keys().copied().collect()
    }

    /// The connection to a broker.
    pub(super) async fn to_broker(&self, node: i32, role: Role, shard: usize) -> Result<Link, Error> {
        let (target, slot) = {
            let mut state = self.lock();
            let target = state
                .brokers
                .get(&node)
                .cloned()
                .ok_or(Error::UnknownBroker { node })?;
            (
                target,
                Arc::clone(state.slots.entry((node, role, shard)).or_default()),
            )
        };
        let asked = Instant::now();
        let mut content = slot.lock().await;
        if let Some(link) = content.open() {
            return Ok(link);
        }
        // Whoever waited while an attempt failed shares its outcome, instead of trying again one after the other.
        if let Some((at, error)) = &content.failed
            && *at >= asked
        {
            return Err(error.clone());
        }
        let outcome = self.connect(&target).await;
        content.failed = outcome
            .as_ref()
            .err()
            .map(|error| (Instant::now(), error.clone()));
        content.link = outcome.as_ref().ok().cloned();
        outcome
    }

    async fn connect(&self, target: &Address) -> Result<Link, Error> {
        if self.dialer.is_closed() {
            return Err(Error::Closed);
        }
        self.dialer
            .dial(&target.address, &target.label)
            .await
            .map_err(|failures| Error::Unreachable {
                broker: Arc::clone(&target.label),
                failures,
            })
    }

    /// A connection to any broker, for what every broker can answer: an open one if there is, else to a broker that
    /// is known, else to the first server of the bootstrap list that answers.
    ///
    /// A refused login is the end of it, as in Kafka's own clients: the next broker would refuse it, too.
    pub(super) async fn to_any(&self) -> Result<Link, Error> {
        if self.dialer.is_closed() {
            return Err(Error::Closed);
        }
        if let Some(link) = self.open_control_link() {
            return Ok(link);
        }
        let mut nodes = self.nodes();
        rand::seq::SliceRandom::shuffle(nodes.as_mut_slice(), &mut rand::rng());
        for node in nodes {
            match self.to_broker(node, Role::Control, 0).await {
                Ok(link) => return Ok(link),
                Err(error) if error.is_refused_login() => return Err(error),
                Err(error) => tracing::debug!(node, %error, "cannot ask this broker"),
            }
        }
        self.to_bootstrap().await
    }

    /// Control links are held only for a moment, so a slot that is locked is being connected.
    fn open_control_link(&self) -> Option<Link> {
        let state = self.lock();
        let control = state
            .slots
            .iter()
            .filter(|((_, role, _), _)| *role == Role::Control);
        control
            .filter_map(|(_, slot)| slot.try_lock().ok()?.open())
            .next()
    }

    async fn to_bootstrap(&self) -> Result<Link, Error> {
        let mut content = self.bootstrap_slot.lock().await;
        if let Some(link) = content.open() {
            return Ok(link);
        }
        let mut failures = Vec::new();
        let first = self.first.load(Ordering::Relaxed) % self.bootstrap.len().max(1);
        let (later, sooner) = self.bootstrap.split_at(first);
        for address in sooner.iter().chain(later) {
            let label: Arc<str> = format!("bootstrap server {address}").into();
            match self.dialer.dial(address, &label).await {
                Ok(link) => {
                    content.link = Some(link.clone());
                    return Ok(link);
                }
                Err(causes) => failures.extend(causes),
            }
            if failures.iter().any(|failure| failure.cause.is_refused_login()) {
                break;
            }
        }
        Err(if self.dialer.is_closed() {
            Error::Closed
        } else {
            Error::Bootstrap { failures }
        })
    }

    pub(super) async fn close(&self) {
        self.dialer.close().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Address {
    fn new(node: i32, address: BrokerAddress) -> Self {
        let label = format!("broker {node} at {address}").into();
        Self { address, label }
    }
}
