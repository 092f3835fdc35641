//! Older brokers: other protocol versions, other formats on disk.

use std::time::Duration;

use kafka_wire::batch::{Codec as WireCodec, LogEntry};
use kafka_wire::codec::Decompressor;
use kafka_wire::{FetchEventKind, FetchPartition, FetchStream, Producer, ProducerOptions};
use testkit::{ClusterOptions, Codec, ProduceRecord};

use crate::support::{Bench, Seen, batches, holds_exactly_once, options, read_one, seen, write};

async fn round_trip(bench: &Bench) {
    let cluster = bench.connect().await;
    let producer = Producer::start(&cluster, ProducerOptions::default())
        .await
        .unwrap();
    for codec in [WireCodec::None, WireCodec::Zstd] {
        let topic = format!("round-trip-{codec:?}");
        bench.create(&topic, 1).await;
        assert_eq!(
            write(&producer, &topic, 0, batches(0, 50, 10, codec))
                .await
                .unwrap(),
            500
        );
        holds_exactly_once(bench, &topic, 0, 500).await;
        let java = bench.java.consume_all(&topic, 0).await.unwrap();
        assert_eq!(read_one(&cluster, &topic, 0, 0).await.records, seen(&java));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_3_9() {
    let bench = Bench::start(ClusterOptions::new().version("3.9.2")).await;
    round_trip(&bench).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_2_8_and_the_formats_before_record_batches() {
    let bench = Bench::start(ClusterOptions::new().version("2.8.2")).await;
    round_trip(&bench).await;

    let cluster = bench.connect().await;
    let mut decompressor = Decompressor::new();
    for (format, codec) in [
        ("0.9.0", Codec::None),
        ("0.10.0", Codec::Gzip),
        ("0.10.2", Codec::Lz4),
    ] {
        let topic = format!("format-{format}");
        let configs = [("message.format.version", format), ("retention.ms", "-1")];
        bench.java.create_topic(&topic, 1, &configs).await.unwrap();
        bench.java.end_offset(&topic, 0).await.unwrap();
        let record = |i: i64| {
            let record = ProduceRecord::new(&topic, 0).timestamp(1_500_000_000_000 + i);
            if i % 3 == 0 {
                record.key("k")
            } else {
                record.value(format!("value {i}"))
            }
        };
        let groups: Vec<Vec<_>> = (0..5)
            .map(|i| (i * 8..(i + 1) * 8).map(record).collect())
            .collect();
        // Record batches are converted by the broker; idempotence is not to be had with these formats.
        let producer = testkit::ProducerOptions::new()
            .codec(codec)
            .property("enable.idempotence", "false");
        bench.java.produce_with(&producer, &groups).await.unwrap();
        let java = bench.java.consume_all(&topic, 0).await.unwrap();
        assert_eq!(java.len(), 40);

        let asked = FetchPartition::new(topic.as_str(), 0, 10).until(30);
        let mut stream = FetchStream::start(&cluster, [asked], options());
        let mut records = Vec::new();
        while let Some(event) = tokio::time::timeout(Duration::from_secs(10), stream.next())
            .await
            .unwrap()
        {
            match event.kind {
                FetchEventKind::Batches(fetched) => {
                    for entry in fetched.batches {
                        let LogEntry::Legacy(entry) = entry else {
                            panic!("{topic}: a record batch")
                        };
                        let mut scratch = Vec::new();
                        for record in entry.records(&mut decompressor, 1 << 20, &mut scratch).unwrap() {
                            let record = record.unwrap();
                            records.push(Seen {
                                offset: record.offset,
                                timestamp: record.timestamp,
                                key: record.key.map(<[u8]>::to_vec),
                                value: record.value.map(<[u8]>::to_vec),
                                headers: Vec::new(),
                            });
                        }
                    }
                }
                FetchEventKind::Finished { next_offset } => assert!(next_offset >= 30),
                other => panic!("{other:?}"),
            }
        }
        records.retain(|record| (10..30).contains(&record.offset));
        assert_eq!(records, seen(&java)[10..30], "{topic}");
    }
}
