//! Fills the topics, lets the children run in turns, and prints what came out.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kafka_wire::ClusterConfig;
use testkit::{
    Authority, Cluster, ClusterOptions, Codec, Generate, JavaClient, ProducerOptions, Tuning, Validity,
    api_key,
};

use crate::cores::Cores;
use crate::cost::Cost;
use crate::read::{PARTITIONS, options, read};
use crate::{A_THREAD_PER_CORE, CODECS, Result, SINGLE_THREAD, replay};

const RECORD_BYTES: u64 = 1024;
/// A child process reads about so much, in as many passes as it takes.
const BYTES_OF_A_RUN: u64 = 4_000_000_000;
/// What a producer that is tuned for throughput has.
const BATCH_BYTES: usize = 256 << 10;
/// The listener that encrypts, and who issued what it shows.
const ENCRYPTED: &str = "TLS";
const CA_FILE: &str = "ca.pem";
const PATIENCE: Duration = Duration::from_secs(20 * 60);

pub(crate) fn run(megabytes: u64, rounds: usize) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    println!("load {}", fs::read_to_string("/proc/loadavg")?.trim());
    let authority = Authority::new("an authority")?;
    let shown = authority.issue(&["localhost", "127.0.0.1"], Validity::Good)?;
    let options = ClusterOptions::new()
        .tuning(Tuning::Throughput)
        .proxied()
        .listener(ENCRYPTED, "SSL")
        .tls(ENCRYPTED, &shown, None);
    let kafka = runtime.block_on(Cluster::start(options))?;
    let broker = runtime.block_on(kafka.broker_pid(0))?.ok_or("no broker")?;
    let cores = Cores::of_this_process(broker)?;
    println!(
        "one core: {} for the client, {} for the broker; all: {}",
        cores.client, cores.others, cores.all
    );
    for codec in CODECS {
        let (topic, end) = runtime.block_on(fill(&kafka, codec, megabytes))?;
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join(CA_FILE), authority.certificate())?;
        let requests = folder.path().join("requests");
        let recorded = runtime.block_on(record(&kafka, topic, end, requests))?;
        measure(&kafka, &cores, &recorded, rounds)?;
    }
    println!("load {}", fs::read_to_string("/proc/loadavg")?.trim());
    Ok(())
}

/// Writes a topic; returns its name and the end of each partition.
async fn fill(kafka: &Cluster, codec: Codec, megabytes: u64) -> Result<(String, i64)> {
    let java = JavaClient::of(kafka).await?;
    let topic = format!("speed-{}", codec.name());
    let end = (megabytes * 1_000_000 * shrinks(codec) / RECORD_BYTES / PARTITIONS as u64).max(1);
    let count = end * PARTITIONS as u64;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    java.create_topic(&topic, PARTITIONS, &[]).await?;
    let what = Generate {
        topic: topic.clone(),
        partitions: PARTITIONS,
        count,
        value_bytes: RECORD_BYTES as usize,
        // The last one is not later than now: a broker refuses what is far in the future.
        first_timestamp: i64::try_from(now)? - i64::try_from(count)?,
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

/// Into about which part of its size a codec shrinks the records, so that each topic has about as many bytes: a read of few of
/// them would be its own beginning and end above all.
fn shrinks(codec: Codec) -> u64 {
    match codec {
        Codec::Zstd => 4,
        _ => 1,
    }
}

/// A topic, and what a read of it through the proxy told.
struct Recorded {
    topic: String,
    end: i64,
    /// The file that has the requests.
    requests: PathBuf,
    connections: usize,
    bytes: u64,
}

/// Reads the topic through the proxy and keeps the requests.
async fn record(kafka: &Cluster, topic: String, end: i64, file: PathBuf) -> Result<Recorded> {
    let proxy = kafka.proxy(0)?;
    proxy.start_recording(api_key::FETCH);
    let bytes = read(
        ClusterConfig::new(kafka.bootstrap_servers()),
        topic.clone(),
        end,
        1,
    )
    .await?;
    let requests = proxy.stop_recording();
    replay::save(&requests, &file)?;
    let mut connections: Vec<u64> = requests.iter().map(|request| request.connection).collect();
    connections.sort_unstable();
    connections.dedup();
    println!(
        "{topic}: {} requests on {} connections",
        requests.len(),
        connections.len()
    );
    Ok(Recorded {
        topic,
        end,
        requests: file,
        connections: connections.len(),
        bytes,
    })
}

fn measure(kafka: &Cluster, cores: &Cores, recorded: &Recorded, rounds: usize) -> Result<()> {
    let Recorded { topic, requests, .. } = recorded;
    let servers = kafka.direct_bootstrap_servers();
    let address = first(&servers)?;
    let servers = kafka.listener(ENCRYPTED);
    let encrypted = first(&servers)?;
    let file = requests.to_str().ok_or("a strange folder")?;
    let ca = requests.with_file_name(CA_FILE);
    let ca = ca.to_str().ok_or("a strange folder")?;
    let depth = options().requests_per_connection.to_string();
    let passes = BYTES_OF_A_RUN.div_ceil(recorded.bytes).to_string();
    let end = recorded.end.to_string();
    let core = Some(cores.client.as_str());
    let plain = ["replay", address, file, &depth, &passes];
    let stream = |threads, address| ["read", threads, address, topic, &end, &passes];
    let secure = stream(A_THREAD_PER_CORE, encrypted);
    let secure: Vec<&str> = secure.into_iter().chain([ca]).collect();
    let plain_name = format!("plain sockets ({})", recorded.connections);
    let one_core = [
        Subject::new(&format!("{plain_name}, one core"), &plain, core),
        Subject::new("FetchStream, one core", &stream(SINGLE_THREAD, address), core),
    ];
    let all_cores = [
        Subject::new(&plain_name, &plain, None),
        Subject::new("FetchStream", &stream(A_THREAD_PER_CORE, address), None),
    ];
    let tls = [Subject::new("FetchStream, TLS", &secure, None)];
    cores.broker_leaves_one()?;
    let one_core = compare(&one_core, rounds)?;
    cores.broker_has_all()?;
    let all_cores = compare(&all_cores, rounds)?;
    let tls = compare(&tls, rounds.min(3))?;
    println!(
        "  FetchStream takes {:.3} of the time of plain sockets on one core, {:.3} on all, and with TLS {:.3} of its own",
        one_core[1] / one_core[0],
        all_cores[1] / all_cores[0],
        tls[0] / all_cores[1],
    );
    Ok(())
}

/// A child process that is measured.
struct Subject {
    name: String,
    arguments: Vec<String>,
    core: Option<String>,
}

impl Subject {
    /// `core`: the only one that it may use.
    fn new(name: &str, arguments: &[&str], core: Option<&str>) -> Self {
        Self {
            name: name.to_owned(),
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
            core: core.map(str::to_owned),
        }
    }

    fn run(&self) -> Result<Cost> {
        let program = std::env::current_exe()?;
        let mut command = match &self.core {
            None => Command::new(program),
            Some(core) => {
                let mut command = Command::new("taskset");
                command.args(["-c", core]).arg(program);
                command
            }
        };
        let output = command.args(&self.arguments).output()?;
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{:?}: {}\n{errors}", self.arguments, output.status).into());
        }
        Cost::parse(&String::from_utf8(output.stdout)?)
    }
}

/// Lets each run in every round, prints the medians, and returns that of the time.
fn compare<const N: usize>(subjects: &[Subject; N], rounds: usize) -> Result<[f64; N]> {
    let mut costs: [Vec<Cost>; N] = std::array::from_fn(|_| Vec::new());
    // The first ones warm up the broker.
    for subject in subjects {
        subject.run()?;
    }
    for round in 0..rounds {
        for turn in 0..N {
            // Who goes first may be at an advantage.
            let at = (round + turn) % N;
            costs[at].push(subjects[at].run()?);
        }
    }
    let mut walls = [0.0; N];
    for ((wall, subject), costs) in walls.iter_mut().zip(subjects).zip(&costs) {
        *wall = report(&subject.name, costs);
    }
    Ok(walls)
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
        "  {what:<28} {wall:.3} s ({:.0} MB/s), {:.2} CPU seconds, {:.0} MiB at the peak, {:.1} MB",
        bytes / wall / 1e6,
        median(|cost| cost.cpu),
        costs.iter().map(|cost| cost.peak_mib).fold(0.0, f64::max),
        bytes / 1e6,
    );
    wall
}

fn first(servers: &[String]) -> Result<&str> {
    Ok(servers.first().ok_or("no broker")?)
}
