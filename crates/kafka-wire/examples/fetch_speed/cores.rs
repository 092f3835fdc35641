//! Which cores the broker and a client use.

use std::fs;
use std::process::Command;

use crate::Result;

/// The cores of this machine, in the lists that `taskset` takes.
///
/// When a client is to have one core, the broker gets the others: if the scheduler could put the broker's threads there as
/// well, it would decide what is measured.
pub(crate) struct Cores {
    broker: u32,
    /// The last one: the first has more to do than others.
    pub(crate) client: String,
    /// All but the client's; on a machine with a single one, that.
    pub(crate) others: String,
    pub(crate) all: String,
}

impl Cores {
    /// `broker`: the id of its process.
    pub(crate) fn of_this_process(broker: u32) -> Result<Self> {
        let status = fs::read_to_string("/proc/self/status")?;
        let all = status
            .lines()
            .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
            .ok_or("no Cpus_allowed_list")?
            .trim();
        let mut cores = each(all)?;
        let client = cores.pop().ok_or("no core")?.to_string();
        let others: Vec<String> = cores.iter().map(u32::to_string).collect();
        Ok(Self {
            broker,
            others: if others.is_empty() {
                client.clone()
            } else {
                others.join(",")
            },
            client,
            all: all.to_owned(),
        })
    }

    /// The broker leaves the client's core alone.
    pub(crate) fn broker_leaves_one(&self) -> Result<()> {
        self.broker_uses(&self.others)
    }

    pub(crate) fn broker_has_all(&self) -> Result<()> {
        self.broker_uses(&self.all)
    }

    fn broker_uses(&self, list: &str) -> Result<()> {
        let output = Command::new("taskset")
            .args(["--all-tasks", "--pid", "--cpu-list", list])
            .arg(self.broker.to_string())
            .output()?;
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            return Err(format!("taskset: {}: {errors}", output.status).into());
        }
        Ok(())
    }
}

/// `0-2,5` is 0, 1, 2, 5.
fn each(list: &str) -> Result<Vec<u32>> {
    let mut cores = Vec::new();
    for range in list.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        cores.extend(first.parse::<u32>()?..=last.parse()?);
    }
    Ok(cores)
}
