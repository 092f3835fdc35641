//! Free loopback ports, reserved for as long as a cluster may want to bind them again.

use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};

use crate::cache;
use crate::error::{Error, Result};

/// Below the range from which systems take the ports of outgoing connections.
const FIRST: u16 = 15_000;
const COUNT: u16 = 15_000;

/// A port that no other cluster of this user takes, even while nobody listens on it.
#[derive(Debug)]
pub(crate) struct PortLease {
    port: u16,
    /// Holds the lock; the system lets go of it with the process.
    _lock: File,
}

impl PortLease {
    /// Reserves a port that is free right now.
    pub(crate) fn take() -> Result<Self> {
        let folder = cache::folder()?.join("ports");
        fs::create_dir_all(&folder).map_err(Error::io("making the folder for port locks"))?;
        let start = RandomState::new().build_hasher().finish() % u64::from(COUNT);
        for step in 0..u64::from(COUNT) {
            // The sum is taken modulo COUNT, which fits.
            let port = FIRST + ((start + step) % u64::from(COUNT)) as u16;
            let lock =
                File::create(folder.join(port.to_string())).map_err(Error::io("opening a port lock"))?;
            if lock.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Ok(Self { port, _lock: lock });
            }
        }
        Err(Error::NoFreePort)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}
