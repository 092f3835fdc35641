//! Reading.

use testkit::{Codec, ProduceRecord, ProducerOptions};

use crate::support::{KEEP, read_one, seen, shared};

fn records(topic: &str, partition: i32, range: std::ops::Range<i64>) -> Vec<ProduceRecord> {
    let record = |i: i64| {
        let record = ProduceRecord::new(topic, partition).timestamp(1_700_000_000_000 + i * 7);
        match i % 4 {
            0 => record
                .key(format!("key-{i}"))
                .value(format!("value-{i}").repeat(20)),
            1 => record
                .value("")
                .header("a", "1")
                .header("a", "2")
                .null_header("b"),
            2 => record.key("tombstone"),
            _ => record.key("").value([0xff, 0, 0x80]).header("", ""),
        }
    };
    range.map(record).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_codec_reads_as_the_java_consumer_sees_it() {
    let bench = shared().await;
    let cluster = bench.connect().await;
    for codec in Codec::ALL {
        let topic = format!("codec-{}", codec.name());
        bench.java.create_topic(&topic, 1, KEEP).await.unwrap();
        let groups: Vec<_> = (0..8).map(|i| records(&topic, 0, i * 50..(i + 1) * 50)).collect();
        bench
            .java
            .produce_with(&ProducerOptions::new().codec(codec), &groups)
            .await
            .unwrap();
        let java = bench.java.consume_all(&topic, 0).await.unwrap();
        let read = read_one(&cluster, &topic, 0, 0).await;
        assert_eq!(read.records.len(), 400);
        assert_eq!(read.records, seen(&java), "{topic}");
        assert_eq!(read.batches.len(), 8);
        assert_eq!(read.next_offset, 400);
    }
}
