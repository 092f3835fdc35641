//! What a process has used, from /proc.

use std::fs;
use std::time::Instant;

use crate::Result;

/// Of /proc/<pid>/stat; the same on every Linux that this runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// What one read of the topic took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) wall: f64,
    pub(crate) cpu: f64,
    pub(crate) peak_mib: f64,
    pub(crate) bytes: f64,
}

/// A process that measures itself.
pub(crate) struct Meter {
    began: Instant,
    cpu: f64,
}

impl Meter {
    pub(crate) fn start() -> Result<Self> {
        Ok(Self {
            cpu: cpu_seconds()?,
            began: Instant::now(),
        })
    }

    /// Prints what it took, for [`Cost::parse`].
    pub(crate) fn stop(self, bytes: u64) -> Result<()> {
        let wall = self.began.elapsed().as_secs_f64();
        println!("{wall} {} {} {bytes}", cpu_seconds()? - self.cpu, peak_mib()?);
        Ok(())
    }
}

impl Cost {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let numbers: Vec<f64> = text
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        let [wall, cpu, peak_mib, bytes] = numbers[..] else {
            return Err(format!("not four numbers: {text}").into());
        };
        Ok(Self {
            wall,
            cpu,
            peak_mib,
            bytes,
        })
    }
}

/// User and system time of this process, in all its threads.
fn cpu_seconds() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name of the program, in parentheses, may hold anything.
    let (_, fields) = stat
        .rsplit_once(')')
        .ok_or("an unknown form of /proc/self/stat")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / TICKS_PER_SECOND)
}

fn peak_mib() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line
        .and_then(|line| line.split_whitespace().next())
        .ok_or("no VmHWM")?;
    Ok(kib.parse::<f64>()? / 1024.0)
}
