//! Wall time, CPU and memory. For Linux, from /proc, and for child processes from the kernel's account of them.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use testkit::Cluster;

use crate::Result;

/// Of /proc/<pid>/stat; the same on every Linux that this runs on.
const TICKS_PER_SECOND: f64 = 100.0;
/// One step with gigabytes takes a minute; this is for when something hangs.
const PATIENCE: Duration = Duration::from_secs(20 * 60);

/// Runs a program and writes its wall time, CPU seconds and peak memory (KiB) to a file. Only `wait4` tells the peak
/// exactly, and Rust's standard library does not have it.
const WRAPPER: &str = "
import resource, subprocess, sys, time
began = time.monotonic()
status = subprocess.call(sys.argv[3:], timeout=float(sys.argv[2]))
wall = time.monotonic() - began
used = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(sys.argv[1], 'w') as out:
    print(wall, used.ru_utime + used.ru_stime, used.ru_maxrss, file=out)
sys.exit(status if status >= 0 else 1)
";

/// What something took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) wall: f64,
    pub(crate) cpu: f64,
    /// CPU seconds of the broker that it spoke with.
    pub(crate) broker_cpu: f64,
    /// Of child processes.
    pub(crate) peak_mib: Option<f64>,
}

/// Measures what happens in this process.
pub(crate) struct Meter {
    began: Instant,
    broker: u32,
    cpu: f64,
    broker_cpu: f64,
}

impl Meter {
    pub(crate) async fn start(cluster: &Cluster) -> Result<Self> {
        let broker = cluster.broker_pid(0).await?.ok_or("the broker does not run")?;
        Ok(Self {
            broker,
            cpu: cpu_seconds("self")?,
            broker_cpu: cpu_seconds(&broker.to_string())?,
            began: Instant::now(),
        })
    }

    pub(crate) fn stop(self) -> Result<Cost> {
        Ok(Cost {
            wall: self.began.elapsed().as_secs_f64(),
            cpu: cpu_seconds("self")? - self.cpu,
            broker_cpu: cpu_seconds(&self.broker.to_string())? - self.broker_cpu,
            peak_mib: None,
        })
    }
}

/// Runs a program in `folder` until it ends, and measures it and the broker of `cluster`.
pub(crate) async fn child(program: &Path, args: &[&str], folder: &Path, cluster: &Cluster) -> Result<Cost> {
    let used = folder.join("used");
    let meter = Meter::start(cluster).await?;
    let mut command = tokio::process::Command::new("python3");
    command
        .args(["-c", WRAPPER])
        .arg(&used)
        .arg(PATIENCE.as_secs().to_string())
        .arg(program)
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let output = command.output().await?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{} {args:?}: {}\n{errors}", program.display(), output.status).into());
    }
    let around = meter.stop()?;
    let used = fs::read_to_string(used)?;
    let numbers: Vec<f64> = used
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let [wall, cpu, peak_kib] = numbers[..] else {
        return Err(format!("not three numbers: {used}").into());
    };
    Ok(Cost {
        wall,
        cpu,
        broker_cpu: around.broker_cpu,
        peak_mib: Some(peak_kib / 1024.0),
    })
}

/// User and system time of a process, in all its threads.
fn cpu_seconds(process: &str) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name of the program, in parentheses, may hold anything.
    let (_, fields) = stat
        .rsplit_once(')')
        .ok_or("an unknown form of /proc/<pid>/stat")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / TICKS_PER_SECOND)
}

/// Cores and load of this machine, now.
pub(crate) fn machine() -> String {
    let cores = available_parallelism().map_or(0, usize::from);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Vec<&str> = load.split_whitespace().take(3).collect();
    format!("{cores} cores, load {}", load.join(" "))
}
