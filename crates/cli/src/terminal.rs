//! What a person sees while a phase runs: a progress bar on a terminal, plain lines elsewhere. All of it on stderr.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use restore_engine::{Event, Observer, Phase};

/// Plain progress lines come at most this often.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Sends log lines to stderr when they are asked for.
pub(crate) fn start_logging(verbose: u8) {
    let default = match verbose {
        0 => "off",
        1 => "info",
        _ => "debug",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| default.into());
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init();
}

/// An observer for people.
#[derive(Debug)]
pub(crate) struct Terminal {
    view: Mutex<View>,
    /// Whether a phase was announced. A continuous backup begins again and again.
    announced: AtomicBool,
}

#[derive(Debug)]
enum View {
    Bar(ProgressBar),
    Lines {
        total: u64,
        last: Instant,
        began: Instant,
    },
}

impl Terminal {
    pub(crate) fn new() -> Self {
        let view = if std::io::stderr().is_terminal() {
            View::Bar(ProgressBar::hidden())
        } else {
            View::Lines {
                total: 0,
                last: Instant::now(),
                began: Instant::now(),
            }
        };
        Self {
            view: Mutex::new(view),
            announced: AtomicBool::new(false),
        }
    }
}

impl Observer for Terminal {
    fn event(&self, event: &Event) {
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Started {
                phase,
                topics,
                partitions,
                total,
            } => {
                view.start(*phase, *total);
                if *phase == Phase::Backup && self.announced.swap(true, Ordering::Relaxed) {
                    return;
                }
                let unit = unit(*phase);
                let total = HumanCount(*total);
                view.line(&format!(
                    "{}: {topics} topic(s), {partitions} partition(s), {total} {unit}",
                    name(*phase)
                ));
            }
            Event::Progress { done, bytes } => view.progress(*done, *bytes),
            Event::Committed {
                generation,
                complete,
                records,
                segments,
                bytes,
            } => {
                let (records, bytes) = (HumanCount(*records), HumanBytes(*bytes));
                let state = if *complete { "complete" } else { "not complete yet" };
                view.line(&format!(
                    "committed generation {generation}, {state}: {records} more records, {bytes} in {segments} segment(s)"
                ));
            }
            Event::Warning(text) => view.line(&format!("warning: {text}")),
            Event::Finished { .. } => view.finish(),
            _ => {}
        }
    }
}

impl View {
    fn start(&mut self, phase: Phase, of: u64) {
        match self {
            Self::Bar(bar) => {
                *bar = ProgressBar::new(of);
                let template = format!(
                    "{{bar:30}} {{percent:>3}}%  {{human_pos}}/{{human_len}} {}  {{msg}}  {{eta}} left",
                    unit(phase)
                );
                if let Ok(style) = ProgressStyle::with_template(&template) {
                    bar.set_style(style);
                }
            }
            Self::Lines { total, last, began } => {
                (*total, *last, *began) = (of, Instant::now(), Instant::now());
            }
        }
    }

    fn progress(&mut self, done: u64, bytes: u64) {
        match self {
            Self::Bar(bar) => {
                bar.set_position(done);
                let rate = bytes as f64 / bar.elapsed().as_secs_f64().max(0.001);
                bar.set_message(format!("{}  {}/s", HumanBytes(bytes), HumanBytes(rate as u64)));
            }
            Self::Lines { total, last, began } if last.elapsed() >= LINE_EVERY => {
                *last = Instant::now();
                let rate = HumanBytes((bytes as f64 / began.elapsed().as_secs_f64().max(0.001)) as u64);
                let percent = (done * 100).checked_div(*total).unwrap_or(100);
                let line = format!(
                    "{percent}% ({}), {} at {rate}/s",
                    HumanCount(done),
                    HumanBytes(bytes)
                );
                self.line(&line);
            }
            Self::Lines { .. } => {}
        }
    }

    fn line(&self, text: &str) {
        match self {
            Self::Bar(bar) if !bar.is_hidden() => bar.suspend(|| say(text)),
            _ => say(text),
        }
    }

    fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn say(text: &str) {
    // Nobody reads stderr: nothing to be done, and no reason to stop a restore.
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Backup => "backup",
        Phase::Restore => "restore",
        Phase::Verify => "verify",
    }
}

fn unit(phase: Phase) -> &'static str {
    match phase {
        Phase::Backup => "offsets",
        Phase::Restore => "records",
        Phase::Verify => "bytes",
    }
}
