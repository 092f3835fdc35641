//! Partitions that are written for as long as a test disturbs them, however fast that goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kafka_wire::batch::Codec;
use kafka_wire::{Producer, ProducerOptions};
use tokio::task::JoinHandle;

use crate::support::{Bench, batch, holds_exactly_once};

pub(crate) const PARTITIONS: i32 = 6;
/// While brokers are away much is appended, and a busy machine takes its time to write it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// Writes all partitions of a topic until it is told to stop; then tells how many records each has.
pub(crate) struct Writing {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<i64>>,
}

impl Writing {
    pub(crate) async fn start(bench: &Bench, topic: &'static str) -> Self {
        let cluster = bench.connect().await;
        let mut options = ProducerOptions::default();
        options.request_timeout = Duration::from_secs(3);
        Self::by(&Producer::start(&cluster, options).await.unwrap(), topic)
    }

    /// The same by a producer of the test's.
    pub(crate) fn by(producer: &Producer, topic: &'static str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let writers = (0..PARTITIONS).map(|partition| {
            let (producer, stop) = (producer.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut writer = producer.partition(topic, partition, 0).await.unwrap();
                for index in 0..100_000 {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    writer
                        .append(batch(partition, index, 10, Codec::None))
                        .await
                        .unwrap();
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                writer.flush().await.unwrap()
            })
        });
        let tasks = writers.collect();
        Self { stop, tasks }
    }

    /// Ends the writing; checks that each record is there once. Returns the number of records of each partition.
    pub(crate) async fn finish(self, bench: &Bench, topic: &str) -> Vec<i64> {
        let finished = self.tasks.iter().any(JoinHandle::is_finished);
        assert!(
            !finished,
            "the writing ended before what it was to be disturbed by"
        );
        self.stop.store(true, Ordering::Relaxed);
        let mut ends = Vec::new();
        for (partition, task) in self.tasks.into_iter().enumerate() {
            let end = tokio::time::timeout(PATIENCE, task)
                .await
                .expect("an end")
                .unwrap();
            holds_exactly_once(bench, topic, partition as i32, end as usize).await;
            ends.push(end);
        }
        ends
    }
}
