//! One connection: frames are read, judged by the rules, and passed on in order.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Instant, sleep, sleep_until};

use super::frame::{FrameReader, LENGTH_BYTES, Piece, repair_length, request_header, response_correlation};
use super::rule::{Alteration, Direction, RequestFault};
use super::rules::Rules;

/// Frames that may wait for their time in one direction.
const QUEUE: usize = 64;

/// Bytes to be passed on.
struct Parcel {
    bytes: Vec<u8>,
    due: Instant,
    /// The connection is cut after them.
    last: bool,
}

/// What is to happen to responses, by correlation id.
type Expected = Mutex<HashMap<i32, RequestFault>>;

/// Serves a connection until the broker closes it or a rule cuts it. When the client does, the broker is told behind all
/// that is on its way to it, and what it has to say until it closes, too, is passed on.
pub(super) async fn serve(
    client: TcpStream,
    number: u64,
    upstream: SocketAddr,
    rules: &Rules,
) -> io::Result<()> {
    let mut cuts = rules.watch_cuts();
    let mut broker = TcpStream::connect(upstream).await?;
    let mut client = client;
    client.set_nodelay(true)?;
    broker.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_broker, to_broker) = broker.split();
    let expected = Expected::default();
    let (to_broker_queue, broker_parcels) = channel(QUEUE);
    let (to_client_queue, client_parcels) = channel(QUEUE);
    let requests = async {
        let read = read_requests(number, from_client, to_broker_queue, rules, &expected);
        tokio::try_join!(read, write(to_broker, broker_parcels, Direction::ToBroker, rules))
    };
    let responses = async {
        let read = read_responses(from_broker, to_client_queue, rules, &expected);
        tokio::try_join!(read, write(to_client, client_parcels, Direction::ToClient, rules))
    };
    tokio::select! {
        Err(cut) = requests => Err(cut),
        ended = responses => ended.map(drop),
        _ = cuts.changed() => Ok(()),
    }
}

async fn read_requests(
    connection: u64,
    from: impl AsyncRead + Unpin,
    queue: Sender<Parcel>,
    rules: &Rules,
    expected: &Expected,
) -> io::Result<()> {
    let mut reader = FrameReader::new(from);
    while let Some(piece) = reader.next().await? {
        let mut due = Instant::now() + rules.delay(Direction::ToBroker);
        let (mut bytes, fault) = match piece {
            Piece::Chunk(bytes) => (bytes, None),
            Piece::Frame(bytes) => {
                let header = request_header(&bytes);
                if let Some((api_key, _)) = header {
                    rules.keep(connection, api_key, &bytes);
                }
                let fault = header.and_then(|(api_key, _)| rules.request(api_key));
                (bytes, fault.zip(header.map(|(_, correlation)| correlation)))
            }
        };
        let mut last = false;
        match fault {
            None => {}
            Some((RequestFault::DropRequest, _)) => continue,
            Some((RequestFault::CutBeforeRequest, _)) => (last, bytes) = (true, Vec::new()),
            Some((RequestFault::CutInsideRequest(count), _)) => {
                last = true;
                bytes.truncate(count);
            }
            Some((RequestFault::DelayRequest(delay), _)) => due += delay,
            Some((RequestFault::AlterRequest(change), _)) => alter(&mut bytes, &change),
            Some((fault, correlation)) => {
                // Nothing but a lock is done with the map, so that it is whole even after a panic.
                expected
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(correlation, fault);
            }
        }
        if queue.send(Parcel { bytes, due, last }).await.is_err() {
            break;
        }
    }
    Ok(())
}

async fn read_responses(
    from: impl AsyncRead + Unpin,
    queue: Sender<Parcel>,
    rules: &Rules,
    expected: &Expected,
) -> io::Result<()> {
    let mut reader = FrameReader::new(from);
    while let Some(piece) = reader.next().await? {
        let mut due = Instant::now() + rules.delay(Direction::ToClient);
        let (mut bytes, fault) = match piece {
            Piece::Chunk(bytes) => (bytes, None),
            Piece::Frame(bytes) => {
                let mut expected = expected.lock().unwrap_or_else(PoisonError::into_inner);
                let fault =
                    response_correlation(&bytes).and_then(|correlation| expected.remove(&correlation));
                (bytes, fault)
            }
        };
        let mut last = false;
        match fault {
            Some(RequestFault::DropResponse) => continue,
            Some(RequestFault::CutBeforeResponse) => (last, bytes) = (true, Vec::new()),
            Some(RequestFault::CutInsideResponse(count)) => {
                last = true;
                bytes.truncate(count);
            }
            Some(RequestFault::DelayResponse(delay)) => due += delay,
            Some(RequestFault::AlterResponse(change)) => alter(&mut bytes, &change),
            _ => {}
        }
        if queue.send(Parcel { bytes, due, last }).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Changes the payload of a frame.
fn alter(frame: &mut Vec<u8>, change: &Alteration) {
    let mut payload = frame.split_off(LENGTH_BYTES);
    change(&mut payload);
    frame.append(&mut payload);
    repair_length(frame);
}

async fn write(
    mut to: impl AsyncWrite + Unpin,
    mut parcels: Receiver<Parcel>,
    direction: Direction,
    rules: &Rules,
) -> io::Result<()> {
    while let Some(Parcel {
        mut bytes,
        due,
        mut last,
    }) = parcels.recv().await
    {
        sleep_until(due).await;
        pass_stall(direction, rules).await;
        if let Some(allowed) = rules.cut(direction, bytes.len() as u64) {
            bytes.truncate(usize::try_from(allowed).unwrap_or(usize::MAX));
            last = true;
        }
        paced(&mut to, &bytes, direction, rules).await?;
        if last {
            // An error ends the other half at once, whatever it still has to pass on.
            to.shutdown().await?;
            return Err(io::Error::from(io::ErrorKind::ConnectionAborted));
        }
    }
    pass_stall(direction, rules).await;
    to.shutdown().await
}

async fn pass_stall(direction: Direction, rules: &Rules) {
    let mut changes = rules.watch_changes();
    while rules.stalled(direction) {
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Writes at the rate that the rules allow, a tenth of a second's worth at a time.
async fn paced(
    to: &mut (impl AsyncWrite + Unpin),
    bytes: &[u8],
    direction: Direction,
    rules: &Rules,
) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let Some(rate) = rules.rate(direction) else {
            return to.write_all(rest).await;
        };
        let step = usize::try_from(rate.div_ceil(10))
            .unwrap_or(usize::MAX)
            .min(rest.len());
        let (now, later) = rest.split_at(step);
        to.write_all(now).await?;
        sleep(Duration::from_secs_f64(step as f64 / rate as f64)).await;
        rest = later;
    }
    Ok(())
}
