//! Writing.

use kafka_wire::{Producer, ProducerOptions};
use testkit::{Codec, ProduceRecord};

use crate::support::{read_one, seen, shared};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_and_written_again_is_byte_for_byte_the_same() {
    let bench = shared().await;
    let cluster = bench.connect().await;
    let producer = Producer::start(&cluster, ProducerOptions::default())
        .await
        .unwrap();
    for codec in Codec::ALL {
        let (source, target) = (
            format!("copy-from-{}", codec.name()),
            format!("copy-to-{}", codec.name()),
        );
        bench.create(&source, 1).await;
        bench.create(&target, 1).await;
        let record = |i: i64| {
            ProduceRecord::new(&source, 0)
                .timestamp(i)
                .key(format!("{i}"))
                .value("v".repeat(i as usize))
                .header("h", "")
        };
        let groups: Vec<Vec<_>> = (0..30)
            .map(|i| (i * 9..(i + 1) * 9).map(record).collect())
            .collect();
        bench
            .java
            .produce_with(&testkit::ProducerOptions::new().codec(codec), &groups)
            .await
            .unwrap();
        let read = read_one(&cluster, &source, 0, 0).await;

        let mut writer = producer.partition(target.as_str(), 0, 0).await.unwrap();
        for batch in &read.batches {
            assert_eq!(
                writer.append(batch.clone()).await.unwrap(),
                batch.header.base_offset
            );
        }
        assert_eq!(writer.flush().await.unwrap(), 270);

        let java = (
            bench.java.consume_all(&source, 0).await.unwrap(),
            bench.java.consume_all(&target, 0).await.unwrap(),
        );
        assert_eq!(seen(&java.0), seen(&java.1));
        let written = read_one(&cluster, &target, 0, 0).await;
        for (from, to) in read.batches.iter().zip(&written.batches) {
            assert_eq!(from.stored_records(), to.stored_records());
            assert_eq!(to.header.producer_id, producer.producer_id());
        }
    }
}
