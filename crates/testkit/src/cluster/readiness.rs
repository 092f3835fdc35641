//! Asks a broker whether it serves clients: a Metadata answer that lists the brokers, not a line in its log.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(5);
const LARGEST_ANSWER: i32 = 1 << 24;

/// Metadata, version 1, correlation id 1, no client id, no topics: every release understands it.
const REQUEST: [u8; 18] = [0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0];

/// How many live brokers the broker behind a port knows.
pub(super) async fn known_brokers(port: u16) -> io::Result<usize> {
    tokio::time::timeout(PATIENCE, ask(port))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

async fn ask(port: u16) -> io::Result<usize> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.write_all(&REQUEST).await?;
    let length = stream.read_i32().await?;
    // Correlation id and the number of brokers.
    if !(8..=LARGEST_ANSWER).contains(&length) {
        return Err(io::Error::from(io::ErrorKind::InvalidData));
    }
    stream.read_i32().await?;
    let brokers = stream.read_i32().await?;
    usize::try_from(brokers).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))
}
