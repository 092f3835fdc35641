//! Passes bytes on, and damages them. TLS hides from it what they are.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// More than a handshake and the first answers take: they are left alone.
const HANDSHAKE: usize = 50_000;

/// What happens to the bytes for clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// One bit is another.
    Flip,
    /// The connection ends in the middle.
    Cut,
}

/// Something between clients and a broker.
pub(crate) struct Relay {
    listener: TcpListener,
    harm: Arc<Mutex<Harm>>,
}

#[derive(Default)]
struct Harm {
    damage: Option<Damage>,
    /// So many bytes pass on all connections together before each damage.
    every: usize,
    passed: usize,
    /// How often it is to happen, and how often it has.
    times: u64,
    done: u64,
}

impl Relay {
    pub(crate) fn bind() -> Self {
        Self {
            listener: TcpListener::bind("127.0.0.1:0").unwrap(),
            harm: Arc::default(),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    /// Begins to pass bytes on, for as long as the process runs: each test has a runtime of its own, and the broker is for all
    /// of them.
    pub(crate) fn serve(&self, upstream: &str) {
        let (listener, harm, upstream) = (
            self.listener.try_clone().unwrap(),
            Arc::clone(&self.harm),
            upstream.to_owned(),
        );
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, broker) = (client.unwrap(), TcpStream::connect(&upstream).unwrap());
                let (from, to) = (client.try_clone().unwrap(), broker.try_clone().unwrap());
                thread::spawn(move || pass(from, to, |_| true));
                let harm = Arc::clone(&harm);
                let mut before = 0;
                thread::spawn(move || {
                    pass(broker, client, |bytes| {
                        before += bytes.len();
                        before < HANDSHAKE || harm.lock().unwrap().harm(bytes)
                    });
                });
            }
        });
    }

    /// From now on there is damage after each `every` bytes for clients, so many times.
    pub(crate) fn damage(&self, damage: Damage, every: usize, times: u64) {
        *self.harm.lock().unwrap() = Harm {
            damage: Some(damage),
            every,
            times,
            ..Harm::default()
        };
    }

    /// How often that has happened.
    pub(crate) fn damaged(&self) -> u64 {
        self.harm.lock().unwrap().done
    }
}

impl Harm {
    /// Whether the connection goes on.
    fn harm(&mut self, bytes: &mut [u8]) -> bool {
        self.passed += bytes.len();
        if self.passed < self.every || self.done == self.times {
            return true;
        }
        let damage = self.damage;
        self.passed = 0;
        self.done += u64::from(damage.is_some());
        if damage == Some(Damage::Flip) {
            bytes[bytes.len() / 2] ^= 0x10;
        }
        damage != Some(Damage::Cut)
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, mut see: impl FnMut(&mut [u8]) -> bool) {
    let mut bytes = [0; 8 << 10];
    while let Ok(read @ 1..) = from.read(&mut bytes) {
        if !see(&mut bytes[..read]) || to.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    // An end on one side is one on the other.
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
