//! How fast `FetchStream` reads a topic into nothing, beside plain sockets that replay the very same requests.
//!
//! A topic is filled by the Java client. A first read goes through a proxy that keeps the fetch requests. Then, in several
//! rounds and in a process of its own each time:
//!
//! * plain: blocking sockets, as many as there were connections, send the kept requests with as many in flight, and read the
//!   answers into one buffer each, again and again (`replay`);
//! * stream: `FetchStream` reads the topic and drops what it gets (`read`): every checksum is verified, every batch found;
//! * TLS: the same from a listener that encrypts.
//!
//! Run by `scripts/bench-fetch`. For Linux, as the costs come from /proc.
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

mod cost;
mod read;
mod replay;
mod rounds;

use std::error::Error;

use kafka_wire::ClusterConfig;
use testkit::Codec;

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["read", address, topic, end] => read::run(ClusterConfig::new([address]), topic, end.parse()?),
        ["read", address, topic, end, ca] => read::run(read::encrypted(address, ca), topic, end.parse()?),
        ["replay", address, file, depth] => replay::run(address, file.as_ref(), depth.parse()?),
        [] => rounds::run(1500, 7),
        [megabytes, rounds] => rounds::run(megabytes.parse()?, rounds.parse()?),
        _ => Err("usage: fetch_speed [MEGABYTES ROUNDS]".into()),
    }
}

/// What is measured.
const CODECS: [Codec; 2] = [Codec::None, Codec::Zstd];
