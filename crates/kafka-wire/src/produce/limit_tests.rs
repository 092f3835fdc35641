//! A broker with a small limit for requests: what fits is written once, what does not ends its partition.

use kafka_protocol::messages::DescribeConfigsRequest;
use kafka_protocol::messages::DescribeConfigsResponse;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};

use super::*;
use crate::connection::text;
use crate::error::Error;
use crate::problem::PartitionProblem;

const LIMIT: usize = 1_500_000;
const SMALL: usize = 600_000;
const LARGE: usize = 2_000_000;

fn configs(told: Option<usize>) -> DescribeConfigsResponse {
    let result = match told {
        Some(limit) => {
            let entry = DescribeConfigsResourceResult::default()
                .with_name(text("socket.request.max.bytes"))
                .with_value(Some(text(&limit.to_string())));
            DescribeConfigsResult::default().with_configs(vec![entry])
        }
        None => DescribeConfigsResult::default().with_error_code(31),
    };
    DescribeConfigsResponse::default().with_results(vec![result])
}

/// The size that a request announces: its header, with the client id and no tagged fields, and its body.
fn frame(seen: &Seen) -> usize {
    2 + 2 + 4 + 2 + "kafka-backup".len() + 1 + seen.body.len()
}

fn of_size(bytes: usize) -> RawBatch {
    let mut builder = BatchBuilder::new();
    let value = vec![b'x'; bytes];
    let record = NewRecord {
        timestamp: 1,
        value: Some(&value),
        ..NewRecord::default()
    };
    builder.push(&record).unwrap();
    builder.build().unwrap()
}

/// Writes three small batches to each partition, and a large one to partition 1 behind them. Returns the error that ended
/// that partition, and the sizes of the requests that were too large.
async fn write(told: Option<usize>) -> (Error, Vec<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let broker = Broker::new(0, 0, false, listener.local_addr().unwrap().port());
    let broker = Arc::new(Mutex::new(broker));
    let serving = Arc::clone(&broker);
    let fake = FakeBroker::serve(listener, move |seen| {
        if seen.is::<DescribeConfigsRequest>() {
            seen.answer(&configs(told))
        } else if seen.is::<ProduceRequest>() && frame(seen) > LIMIT {
            Reply::HangUp
        } else {
            serving.lock().unwrap().serve(seen)
        }
    });
    let mut config = ClusterConfig::new([fake.server()]);
    config.retry_backoff = Duration::from_millis(1);
    config.retry_backoff_max = Duration::from_millis(5);
    let cluster = Cluster::connect(config).await.unwrap();
    let options = ProducerOptions {
        connections_per_broker: 1,
        ..ProducerOptions::default()
    };
    let producer = Producer::start(&cluster, options).await.unwrap();
    let mut writers = Vec::new();
    for partition in 0..PARTITIONS {
        let mut writer = producer.partition(TOPIC, partition as i32, 0).await.unwrap();
        for _ in 0..3 {
            writer.append(of_size(SMALL)).await.unwrap();
        }
        writers.push(writer);
    }
    writers[1].append(of_size(LARGE)).await.unwrap();
    let mut failure = None;
    for (partition, writer) in writers.iter_mut().enumerate() {
        match writer.flush().await {
            Ok(end) => assert_eq!((partition != 1, end), (true, 3)),
            Err(error) => assert!(partition == 1 && failure.replace(error).is_none()),
        }
        assert_eq!(writer.acknowledged(), 3, "partition {partition}");
    }
    for log in &broker.lock().unwrap().logs {
        assert_eq!((log.batches.len(), log.end), (3, 3));
    }
    let seen = fake.seen();
    let sizes = seen.iter().filter(|seen| seen.is::<ProduceRequest>()).map(frame);
    (failure.unwrap(), sizes.filter(|&size| size > LIMIT).collect())
}

#[tokio::test]
async fn a_batch_above_the_limit_that_the_broker_tells_ends_its_partition() {
    let (error, sizes) = tokio::time::timeout(Duration::from_secs(60), write(Some(LIMIT)))
        .await
        .expect("an end");
    let words = error.to_string();
    let Error::Partition { problem, .. } = error else {
        panic!("{words}")
    };
    let PartitionProblem::RequestTooLarge { bytes, limit } = *problem else {
        panic!("{words}")
    };
    assert_eq!(limit, Some(LIMIT as u64));
    assert!(bytes > LARGE as u64, "{words}");
    assert!(
        words.contains("raise its socket.request.max.bytes, which is 1500000"),
        "{words}"
    );
    // The first request that combines batches, and what was sent behind it; then the large one, once.
    assert!(sizes.len() <= 5, "{sizes:?}");
    assert_eq!(sizes.last().map(|&size| size as u64), Some(bytes));
}

#[tokio::test]
async fn a_batch_above_a_limit_that_the_broker_hides_is_tried_some_times() {
    let (error, sizes) = tokio::time::timeout(Duration::from_secs(60), write(None))
        .await
        .expect("an end");
    let words = error.to_string();
    assert!(
        words.contains("its socket.request.max.bytes may be too small"),
        "{words}"
    );
    assert!((9..=15).contains(&sizes.len()), "{sizes:?}");
}
