//! What takes a real broker to be believed, and cannot be brought about from outside.

use std::time::Duration;

use testkit::{ClusterOptions, JavaClient, RequestFault, Rule, api_key};

use super::*;
use crate::batch::{BatchBuilder, NewRecord};
use crate::config::ClusterConfig;

/// Two thousand million records are too many to be written by a test.
#[tokio::test(flavor = "multi_thread")]
async fn sequence_numbers_start_again_after_the_largest_also_when_answers_are_lost() {
    let kafka = testkit::Cluster::start(ClusterOptions::new().proxied())
        .await
        .unwrap();
    let java = JavaClient::of(&kafka).await.unwrap();
    java.create_topic("wrap", 1, &[("retention.ms", "-1")])
        .await
        .unwrap();
    let cluster = Cluster::connect(ClusterConfig::new(kafka.bootstrap_servers()))
        .await
        .unwrap();
    let options = ProducerOptions {
        request_timeout: Duration::from_secs(2),
        ..ProducerOptions::default()
    };
    let producer = Producer::start(&cluster, options).await.unwrap();
    // The third batch has records on both sides.
    let ledger = Ledger::new(producer.producer_id(), 0, 0).with_sequence(i32::MAX - 25);
    let name = TopicPartition::new("wrap", 0);
    let claim = producer.inner.claims.take(&name, 0).unwrap();
    let mut writer = producer.open(name, ledger, claim).await.unwrap();
    let lost = Rule::request(api_key::PRODUCE, RequestFault::CutBeforeResponse);
    let rule = kafka.proxy(0).unwrap().add(lost.skip(1).times(3));
    for batch in 0..10 {
        let mut builder = BatchBuilder::new();
        for record in 0..10 {
            let value = format!("{}", batch * 10 + record);
            builder
                .push(&NewRecord {
                    timestamp: 1_600_000_000_000,
                    value: Some(value.as_bytes()),
                    ..NewRecord::default()
                })
                .unwrap();
        }
        writer.append(builder.build().unwrap()).await.unwrap();
        // One request each, so that the answers of those around the largest number are lost.
        writer.flush().await.unwrap();
    }
    assert_eq!(rule.hits(), 3);
    let values = java.consume_all("wrap", 0).await.unwrap();
    let values: Vec<_> = values.into_iter().map(|record| record.value.unwrap()).collect();
    let expected: Vec<_> = (0..100).map(|record| record.to_string().into_bytes()).collect();
    assert_eq!(values, expected);
}
