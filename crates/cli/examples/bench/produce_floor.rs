//! The batches of a topic, from memory, over four blocking sockets.

use bytes::Bytes;
use kafka_wire::batch::{BatchIter, LogEntry, ProducePatch, RawBatch};

use crate::Result;
use crate::clusters::{Clusters, PARTITIONS, Topic, address, create};
use crate::fetch_floor::fetch_all;
use crate::measure::{Cost, Meter};
use crate::wire::{Connection, put_i16, put_i32, put_string};

const PRODUCE: i16 = 0;
/// The last version that is not flexible; 7 is the first with zstd.
const VERSION: i16 = 8;
/// As many as the measured client has: a broker serves one request per connection at a time.
const CONNECTIONS: usize = 4;
const IN_FLIGHT: i32 = 4;

/// A batch with the header that a producer gives it.
struct Ready {
    header: [u8; 61],
    records: Bytes,
}

/// Produces the topic's batches, with acks=all, to a topic of its own on the target, which is deleted afterwards.
///
/// The topic has a name of its own in each round: while a broker still takes a topic of the same name away, it answers for
/// that one.
pub(crate) async fn measure(clusters: &Clusters, topic: &Topic, round: usize) -> Result<Cost> {
    let name = format!("{}-floor-{round}", topic.name);
    let batches = {
        let (address, topic) = (address(&clusters.source)?, topic.clone());
        tokio::task::spawn_blocking(move || read(&address, &topic)).await??
    };
    create(&clusters.target_java, &name).await?;
    let target = address(&clusters.target)?;
    let meter = Meter::start(&clusters.target).await?;
    let produced = {
        let name = name.clone();
        tokio::task::spawn_blocking(move || produce_all(&target, &name, &batches)).await?
    };
    let cost = meter.stop()?;
    produced?;
    clusters.target_java.delete_topic(&name).await?;
    Ok(cost)
}

/// The batches of each partition.
fn read(address: &str, topic: &Topic) -> Result<Vec<Vec<Ready>>> {
    let mut partitions: Vec<Vec<Ready>> = (0..PARTITIONS).map(|_| Vec::new()).collect();
    fetch_all(address, topic, |partition, bytes| {
        let batches = &mut partitions[usize::try_from(partition)?];
        for entry in BatchIter::new(Bytes::copy_from_slice(bytes)) {
            match entry? {
                LogEntry::Batch(batch) => batches.push(ready(&batch)?),
                LogEntry::Legacy(_) => return Err("an old message format".into()),
            }
        }
        Ok(())
    })?;
    Ok(partitions)
}

fn ready(batch: &RawBatch) -> Result<Ready> {
    let header = ProducePatch::NONE.patched_header(batch)?;
    Ok(Ready {
        header,
        records: batch.bytes.slice(header.len()..),
    })
}

/// Each partition stays on one connection, which keeps its batches in order.
fn produce_all(address: &str, topic: &str, partitions: &[Vec<Ready>]) -> Result<()> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS)
            .map(|shard| {
                let mine: Vec<_> = partitions
                    .iter()
                    .enumerate()
                    .skip(shard)
                    .step_by(CONNECTIONS)
                    .collect();
                scope.spawn(move || produce(address, topic, &mine))
            })
            .collect();
        for thread in threads {
            thread.join().map_err(|_| "a producing thread ended")??;
        }
        Ok(())
    })
}

/// A request takes one batch of each partition.
fn produce(address: &str, topic: &str, partitions: &[(usize, &Vec<Ready>)]) -> Result<()> {
    let mut connection = Connection::open(address)?;
    let rounds = partitions
        .iter()
        .map(|(_, batches)| batches.len())
        .max()
        .unwrap_or(0);
    for round in 0..rounds {
        let batches = partitions
            .iter()
            .filter_map(|(partition, batches)| Some((*partition, batches.get(round)?)));
        let batches: Vec<_> = batches.collect();
        let mut envelopes = Vec::with_capacity(batches.len());
        for (partition, batch) in &batches {
            let mut envelope = if envelopes.is_empty() {
                start(topic, batches.len())?
            } else {
                Vec::new()
            };
            put_i32(&mut envelope, i32::try_from(*partition)?);
            put_i32(
                &mut envelope,
                i32::try_from(batch.header.len() + batch.records.len())?,
            );
            envelope.extend(batch.header);
            envelopes.push(envelope);
        }
        let pieces = envelopes.iter().zip(&batches);
        let pieces: Vec<&[u8]> = pieces
            .flat_map(|(envelope, (_, batch))| [envelope.as_slice(), &batch.records])
            .collect();
        while connection.in_flight() >= IN_FLIGHT {
            acknowledged(&mut connection)?;
        }
        connection.send(PRODUCE, VERSION, &pieces)?;
    }
    while connection.in_flight() > 0 {
        acknowledged(&mut connection)?;
    }
    Ok(())
}

fn start(topic: &str, partitions: usize) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    put_i16(&mut body, -1); // no transaction
    put_i16(&mut body, -1); // acks=all
    put_i32(&mut body, 30_000); // milliseconds to wait for replicas
    put_i32(&mut body, 1); // topics
    put_string(&mut body, topic)?;
    put_i32(&mut body, i32::try_from(partitions)?);
    Ok(body)
}

fn acknowledged(connection: &mut Connection) -> Result<()> {
    let mut response = connection.receive()?;
    for _topic in 0..response.length()? {
        response.skip_string()?;
        for _partition in 0..response.length()? {
            let (partition, error) = (response.i32()?, response.i16()?);
            if error != 0 {
                return Err(format!("producing to partition {partition} failed with error {error}").into());
            }
            let (_base, _append_time, _start) = (response.i64()?, response.i64()?, response.i64()?);
            for _refused in 0..response.length()? {
                response.i32()?;
                response.skip_string()?;
            }
            response.skip_string()?;
        }
    }
    Ok(())
}
