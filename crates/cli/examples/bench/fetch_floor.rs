//! Every byte of a topic through one blocking socket, into nothing.

use std::collections::VecDeque;

use testkit::Cluster;

use crate::Result;
use crate::clusters::{PARTITIONS, Topic, address};
use crate::measure::{Cost, Meter};
use crate::wire::{Connection, put_i32, put_i64, put_string};

const FETCH: i16 = 1;
/// The last version that is not flexible; 10 is the first with zstd.
const VERSION: i16 = 11;
/// What the measured client asks for.
const MAX_BYTES: i32 = 8 << 20;
const PARTITION_MAX_BYTES: i32 = 1 << 20;

/// Fetches the topic, as `backup` reads it.
pub(crate) async fn measure(source: &Cluster, topic: &Topic) -> Result<Cost> {
    let (address, topic) = (address(source)?, topic.clone());
    let meter = Meter::start(source).await?;
    tokio::task::spawn_blocking(move || fetch_all(&address, &topic, |_, _| Ok(()))).await??;
    meter.stop()
}

/// Fetches the topic and shows each partition's bytes, of whole batches, to `take`.
pub(crate) fn fetch_all(
    address: &str,
    topic: &Topic,
    mut take: impl FnMut(i32, &[u8]) -> Result<()>,
) -> Result<()> {
    let end = i64::try_from(topic.records)? / i64::from(PARTITIONS);
    let mut connection = Connection::open(address)?;
    let mut open: VecDeque<(i32, i64)> = (0..PARTITIONS).map(|partition| (partition, 0)).collect();
    while !open.is_empty() {
        connection.send(FETCH, VERSION, &[&request(&topic.name, &open)?])?;
        let mut response = connection.receive()?;
        let _throttle = response.i32()?;
        let (error, _session) = (response.i16()?, response.i32()?);
        if error != 0 {
            return Err(format!("fetching failed with error {error}").into());
        }
        for _topic in 0..response.length()? {
            response.skip_string()?;
            for _partition in 0..response.length()? {
                let partition = response.i32()?;
                let error = response.i16()?;
                if error != 0 {
                    return Err(format!("fetching partition {partition} failed with error {error}").into());
                }
                let (_high, _stable, _start) = (response.i64()?, response.i64()?, response.i64()?);
                let aborted = response.length()?;
                response.bytes(16 * aborted)?;
                let _replica = response.i32()?;
                let length = response.length()?;
                let records = response.bytes(length)?;
                let Some((whole, next)) = whole_batches(records) else {
                    continue;
                };
                take(partition, &records[..whole])?;
                // Who had something comes last in the next request, as responses are filled in their order.
                open.retain(|(other, _)| *other != partition);
                if next < end {
                    open.push_back((partition, next));
                }
            }
        }
    }
    Ok(())
}

/// Bytes of the whole batches, and the offset after them.
fn whole_batches(records: &[u8]) -> Option<(usize, i64)> {
    let (mut whole, mut next) = (0, None);
    while let Some(batch) = records.get(whole..).filter(|rest| rest.len() >= 61) {
        let base_offset = i64::from_be_bytes(*batch.first_chunk()?);
        let length = i32::from_be_bytes(batch[8..12].try_into().ok()?);
        let last_offset_delta = i32::from_be_bytes(batch[23..27].try_into().ok()?);
        let length = usize::try_from(length).ok()? + 12;
        if length > batch.len() {
            break;
        }
        whole += length;
        next = Some(base_offset + i64::from(last_offset_delta) + 1);
    }
    Some((whole, next?))
}

fn request(topic: &str, open: &VecDeque<(i32, i64)>) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    put_i32(&mut body, -1); // replica
    put_i32(&mut body, 500); // milliseconds to wait
    put_i32(&mut body, 1); // least bytes
    put_i32(&mut body, MAX_BYTES);
    body.push(1); // read committed
    put_i32(&mut body, 0); // no session
    put_i32(&mut body, -1);
    put_i32(&mut body, 1); // topics
    put_string(&mut body, topic)?;
    put_i32(&mut body, i32::try_from(open.len())?);
    for (partition, offset) in open {
        put_i32(&mut body, *partition);
        put_i32(&mut body, -1); // leader epoch
        put_i64(&mut body, *offset);
        put_i64(&mut body, -1); // log start, of followers
        put_i32(&mut body, PARTITION_MAX_BYTES);
    }
    put_i32(&mut body, 0); // forgotten topics
    put_string(&mut body, "")?; // rack
    Ok(body)
}
