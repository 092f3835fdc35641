//! Fills the topics, lets the children run in turns, and prints what came out.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kafka_wire::ClusterConfig;
use testkit::{
    Authority, Cluster, ClusterOptions, Codec, Generate, JavaClient, ProducerOptions, Tuning, Validity,
    api_key,
};

use crate::cost::Cost;
use crate::read::{PARTITIONS, options, read};
use crate::{CODECS, Result, replay};

const RECORD_BYTES: u64 = 1024;
/// What a producer that is tuned for throughput has.
const BATCH_BYTES: usize = 256 << 10;
/// The listener that encrypts, and who issued what it shows.
const ENCRYPTED: &str = "TLS";
const CA_FILE: &str = "ca.pem";
const PATIENCE: Duration = Duration::from_secs(20 * 60);

pub(crate) fn run(megabytes: u64, rounds: usize) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let cores = std::thread::available_parallelism()?;
    println!(
        "{cores} cores, load {}",
        fs::read_to_string("/proc/loadavg")?.trim()
    );
    let authority = Authority::new("an authority")?;
    let shown = authority.issue(&["localhost", "127.0.0.1"], Validity::Good)?;
    let options = ClusterOptions::new()
        .tuning(Tuning::Throughput)
        .proxied()
        .listener(ENCRYPTED, "SSL")
        .tls(ENCRYPTED, &shown, None);
    let kafka = runtime.block_on(Cluster::start(options))?;
    for codec in CODECS {
        let (topic, end) = runtime.block_on(fill(&kafka, codec, megabytes))?;
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join(CA_FILE), authority.certificate())?;
        let requests = folder.path().join("requests");
        let connections = runtime.block_on(record(&kafka, &topic, end, &requests))?;
        measure(&kafka, &topic, end, &requests, connections, rounds)?;
    }
    println!("load {}", fs::read_to_string("/proc/loadavg")?.trim());
    Ok(())
}

/// Writes a topic; returns its name and the end of each partition.
async fn fill(kafka: &Cluster, codec: Codec, megabytes: u64) -> Result<(String, i64)> {
    let java = JavaClient::of(kafka).await?;
    let topic = format!("speed-{}", codec.name());
    let end = (megabytes * 1_000_000 / RECORD_BYTES / PARTITIONS as u64).max(1);
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    java.create_topic(&topic, PARTITIONS, &[]).await?;
    let what = Generate {
        topic: topic.clone(),
        partitions: PARTITIONS,
        count: end * PARTITIONS as u64,
        value_bytes: RECORD_BYTES as usize,
        first_timestamp: i64::try_from(now)? - 3_600_000,
        timestamp_step: 1,
        seed: 1,
    };
    let producer = ProducerOptions::new()
        .codec(codec)
        .batch_size(BATCH_BYTES)
        .property("delivery.timeout.ms", PATIENCE.as_millis());
    tokio::time::timeout(PATIENCE, java.generate(&what, &producer)).await??;
    Ok((topic, i64::try_from(end)?))
}

/// Reads the topic through the proxy and keeps the requests; returns on how many connections they came.
async fn record(kafka: &Cluster, topic: &str, end: i64, file: &Path) -> Result<usize> {
    let proxy = kafka.proxy(0)?;
    proxy.start_recording(api_key::FETCH);
    read(ClusterConfig::new(kafka.bootstrap_servers()), topic, end).await?;
    let requests = proxy.stop_recording();
    replay::save(&requests, file)?;
    let mut connections: Vec<u64> = requests.iter().map(|request| request.connection).collect();
    connections.sort_unstable();
    connections.dedup();
    println!(
        "{topic}: {} requests on {} connections",
        requests.len(),
        connections.len()
    );
    Ok(connections.len())
}

fn measure(
    kafka: &Cluster,
    topic: &str,
    end: i64,
    requests: &Path,
    connections: usize,
    rounds: usize,
) -> Result<()> {
    let servers = kafka.direct_bootstrap_servers();
    let address = first(&servers)?;
    let file = requests.to_str().ok_or("a strange folder")?;
    let depth = options().requests_per_connection.to_string();
    let end = end.to_string();
    let plain = || child(&["replay", address, file, &depth]);
    let stream = || child(&["read", address, topic, &end]);
    let servers = kafka.listener(ENCRYPTED);
    let encrypted = first(&servers)?;
    let ca = requests.with_file_name(CA_FILE);
    let ca = ca.to_str().ok_or("a strange folder")?;
    let secure = || child(&["read", encrypted, topic, &end, ca]);
    // The first ones warm up the broker.
    plain()?;
    stream()?;
    secure()?;
    let (mut plains, mut streams, mut secures) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        // Who goes first may be at an advantage.
        if round % 2 == 0 {
            plains.push(plain()?);
            streams.push(stream()?);
        } else {
            streams.push(stream()?);
            plains.push(plain()?);
        }
        secures.push(secure()?);
    }
    let plain = report(&format!("plain sockets ({connections})"), &plains);
    let stream = report("FetchStream", &streams);
    let secure = report("FetchStream, TLS", &secures);
    println!(
        "  FetchStream takes {:.3} of the time of plain sockets, and with TLS {:.3} of its own",
        stream / plain,
        secure / stream
    );
    Ok(())
}

/// Prints the medians; returns that of the time.
fn report(what: &str, costs: &[Cost]) -> f64 {
    let median = |of: fn(&Cost) -> f64| {
        let mut values: Vec<f64> = costs.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let wall = median(|cost| cost.wall);
    let bytes = median(|cost| cost.bytes);
    println!(
        "  {what:<20} {wall:.3} s ({:.0} MB/s), {:.2} CPU seconds, {:.0} MiB at the peak, {:.1} MB",
        bytes / wall / 1e6,
        median(|cost| cost.cpu),
        costs.iter().map(|cost| cost.peak_mib).fold(0.0, f64::max),
        bytes / 1e6,
    );
    wall
}

fn child(arguments: &[&str]) -> Result<Cost> {
    let output = Command::new(std::env::current_exe()?).args(arguments).output()?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{arguments:?}: {}\n{errors}", output.status).into());
    }
    Cost::parse(&String::from_utf8(output.stdout)?)
}

fn first(servers: &[String]) -> Result<&str> {
    Ok(servers.first().ok_or("no broker")?)
}
