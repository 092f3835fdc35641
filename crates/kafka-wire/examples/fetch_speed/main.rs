//! How fast `FetchStream` reads a topic into nothing, beside plain sockets that replay the very same requests.
//!
//! A topic is filled by the Java client. A first read goes through a proxy that keeps the fetch requests. Then, in several
//! rounds and in a process of its own each time:
//!
//! * plain: blocking sockets, as many as there were connections and in a thread each, send the kept requests with as many in
//!   flight, and read the answers into one buffer each, again and again (`replay`);
//! * stream: `FetchStream` reads the topic and drops what it gets (`read`): every checksum is verified, every batch found;
//! * TLS: the same from a listener that encrypts.
//!
//! The first two on one core, while the broker has the others, and on all, which they share with the broker. Each process goes
//! over the topic as many times as it takes for some gigabytes, so that connecting does not count.
//!
//! Run by `scripts/bench-fetch`. For Linux, as the costs come from /proc.
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

mod cores;
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
        ["read", threads, address, topic, end, passes, ref ca @ ..] => {
            let config = match ca {
                [] => ClusterConfig::new([address]),
                [ca, ..] => read::encrypted(address, ca),
            };
            read::run(
                config,
                topic,
                end.parse()?,
                passes.parse()?,
                threads == SINGLE_THREAD,
            )
        }
        ["replay", address, file, depth, passes] => {
            replay::run(address, file.as_ref(), depth.parse()?, passes.parse()?)
        }
        [] => rounds::run(1500, 7),
        [megabytes, rounds] => rounds::run(megabytes.parse()?, rounds.parse()?),
        _ => Err("usage: fetch_speed [MEGABYTES ROUNDS]".into()),
    }
}

/// How many threads read: one, or one for each core.
const SINGLE_THREAD: &str = "one";
const A_THREAD_PER_CORE: &str = "all";

/// What is measured.
const CODECS: [Codec; 2] = [Codec::None, Codec::Zstd];
