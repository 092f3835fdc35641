//! The kept requests through plain blocking sockets.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::thread;

use testkit::RecordedRequest;

use crate::Result;
use crate::cost::Meter;

/// No response that was asked for is larger.
const MOST_BYTES: usize = 64 << 20;

/// Writes requests to a file: for each the number of its connection, and its frame, whose length is in front of it.
pub(crate) fn save(requests: &[RecordedRequest], file: &Path) -> Result<()> {
    let mut bytes = Vec::new();
    for RecordedRequest { connection, frame } in requests {
        bytes.extend(connection.to_be_bytes());
        bytes.extend(frame);
    }
    Ok(fs::write(file, bytes)?)
}

/// The frames of each connection.
fn load(file: &Path) -> Result<Vec<Vec<Vec<u8>>>> {
    let bytes = fs::read(file)?;
    let mut rest = &bytes[..];
    let mut connections: Vec<(u64, Vec<Vec<u8>>)> = Vec::new();
    while let Some((number, after)) = rest.split_first_chunk::<8>() {
        let number = u64::from_be_bytes(*number);
        let length = after.first_chunk::<4>().ok_or("a file that is cut off")?;
        let length = 4 + usize::try_from(u32::from_be_bytes(*length))?;
        let (frame, after) = after.split_at_checked(length).ok_or("a file that is cut off")?;
        match connections.iter_mut().find(|(other, _)| *other == number) {
            Some((_, frames)) => frames.push(frame.to_vec()),
            None => connections.push((number, vec![frame.to_vec()])),
        }
        rest = after;
    }
    Ok(connections.into_iter().map(|(_, frames)| frames).collect())
}

/// As a child process: sends the requests of each connection `passes` times, `depth` of them in flight, and tells what it took.
pub(crate) fn run(address: &str, file: &Path, depth: usize, passes: usize) -> Result<()> {
    let connections = load(file)?;
    let meter = Meter::start()?;
    let threads: Vec<_> = connections
        .into_iter()
        .map(|frames| {
            let address = address.to_owned();
            thread::spawn(move || exchange(&address, &frames, depth, passes))
        })
        .collect();
    let mut bytes = 0;
    for thread in threads {
        bytes += thread.join().map_err(|_| "a thread panicked")??;
    }
    meter.stop(bytes)
}

fn exchange(address: &str, frames: &[Vec<u8>], depth: usize, passes: usize) -> Result<u64> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    let mut bytes = 0;
    let answers = frames.len() * passes;
    let mut frames = frames.iter().cycle().take(answers);
    for frame in frames.by_ref().take(depth) {
        stream.write_all(frame)?;
    }
    for _ in 0..answers {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let length = usize::try_from(u32::from_be_bytes(length))?;
        if length > MOST_BYTES {
            return Err(format!("a response of {length} bytes").into());
        }
        if buffer.len() < length {
            buffer.resize(length, 0);
        }
        stream.read_exact(&mut buffer[..length])?;
        bytes += length as u64;
        if let Some(frame) = frames.next() {
            stream.write_all(frame)?;
        }
    }
    Ok(bytes)
}
