//! What was measured, as a table.

use crate::clusters::{PARTITIONS, Topic};
use crate::measure::Cost;

const MB: f64 = 1_000_000.0;
const COLUMNS: [&str; 9] = [
    "step",
    "wall s",
    "slowest",
    "MB/s",
    "CPU s",
    "CPU s/GB",
    "broker CPU s",
    "peak MiB",
    "x floor",
];

/// The costs of each step, a number per round.
#[derive(Debug, Default)]
pub(crate) struct Table {
    fetch_floor: Vec<Cost>,
    client_fetch: Vec<Cost>,
    zstd_alone: Vec<Cost>,
    backup: Vec<Cost>,
    digest_alone: Vec<Cost>,
    write_alone: Vec<Cost>,
    produce_floor: Vec<Cost>,
    restore: Vec<Cost>,
    backup_bytes: u64,
    report_bytes: u64,
}

impl Table {
    pub(crate) fn fetch_floor(&mut self, cost: Cost) {
        self.fetch_floor.push(cost);
    }

    pub(crate) fn client_fetch(&mut self, cost: Cost) {
        self.client_fetch.push(cost);
    }

    pub(crate) fn zstd_alone(&mut self, cost: Cost) {
        self.zstd_alone.push(cost);
    }

    pub(crate) fn digest_alone(&mut self, cost: Cost) {
        self.digest_alone.push(cost);
    }

    pub(crate) fn write_alone(&mut self, cost: Cost) {
        self.write_alone.push(cost);
    }

    pub(crate) fn backup(&mut self, cost: Cost, bytes: u64) {
        self.backup.push(cost);
        self.backup_bytes = bytes;
    }

    pub(crate) fn produce_floor(&mut self, cost: Cost) {
        self.produce_floor.push(cost);
    }

    pub(crate) fn restore(&mut self, cost: Cost, report_bytes: u64) {
        self.restore.push(cost);
        self.report_bytes = report_bytes;
    }

    /// A row per step. Rates are in bytes of records, before a producer's compression, so that tables can be compared.
    pub(crate) fn render(&self, topic: &Topic) -> String {
        let megabytes = topic.record_bytes as f64 / MB;
        let steps = [
            ("fetch floor", &self.fetch_floor, None),
            ("client fetch", &self.client_fetch, Some(&self.fetch_floor)),
            ("zstd alone", &self.zstd_alone, None),
            ("digest alone", &self.digest_alone, None),
            ("write alone", &self.write_alone, None),
            ("backup", &self.backup, Some(&self.fetch_floor)),
            ("produce floor", &self.produce_floor, None),
            ("restore", &self.restore, Some(&self.produce_floor)),
        ];
        let measured = steps.into_iter().filter(|(_, costs, _)| !costs.is_empty());
        let rows = measured.map(|(name, costs, floor)| row(name, costs, floor, megabytes));
        let lines: String = std::iter::once(COLUMNS.map(str::to_owned))
            .chain(rows)
            .map(|cells| line(&cells))
            .collect();
        format!(
            "producer {}: {} records, {megabytes:.0} MB, {PARTITIONS} partitions; the fastest of {} rounds\n{lines}\
             backup {:.1} MB, offset report {:.1} KB\n",
            topic.codec.name(),
            topic.records,
            self.backup.len(),
            self.backup_bytes as f64 / MB,
            self.report_bytes as f64 / 1000.0,
        )
    }
}

fn row(name: &str, costs: &[Cost], floor: Option<&Vec<Cost>>, megabytes: f64) -> [String; 9] {
    let Some(best) = fastest(costs) else {
        return COLUMNS.map(|_| String::new());
    };
    let worst = costs.iter().map(|cost| cost.wall).fold(best.wall, f64::max);
    // Memory is what must be there, so here the largest counts.
    let peak = costs.iter().filter_map(|cost| cost.peak_mib).reduce(f64::max);
    let ratio = floor
        .and_then(|floor| fastest(floor))
        .map(|floor| best.wall / floor.wall);
    [
        name.to_owned(),
        format!("{:.2}", best.wall),
        format!("{worst:.2}"),
        format!("{:.0}", megabytes / best.wall),
        format!("{:.2}", best.cpu),
        format!("{:.2}", best.cpu / megabytes * 1000.0),
        format!("{:.2}", best.broker_cpu),
        peak.map_or(String::new(), |peak| format!("{peak:.0}")),
        ratio.map_or(String::new(), |ratio| format!("{ratio:.2}")),
    ]
}

fn line(cells: &[String; 9]) -> String {
    let [name, numbers @ ..] = cells;
    let numbers: String = numbers.iter().map(|number| format!("{number:>13}")).collect();
    format!("{name:<14}{numbers}\n")
}

fn fastest(costs: &[Cost]) -> Option<Cost> {
    costs.iter().copied().min_by(|a, b| a.wall.total_cmp(&b.wall))
}
