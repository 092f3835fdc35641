use std::time::Instant;

use testkit::{Codec, ConsumeOptions, Generate, ProduceRecord, ProducerOptions, TimestampType};

use crate::{java, records};

#[tokio::test]
async fn records_come_back_as_they_were_written() {
    let java = java().await;
    java.create_topic("produce-odd", 1, &[]).await.unwrap();
    let odd = [
        ProduceRecord::new("produce-odd", 0).timestamp(0),
        ProduceRecord::new("produce-odd", 0)
            .key(b"")
            .value(b"")
            .timestamp(1),
        ProduceRecord::new("produce-odd", 0)
            .key([0, 255, 128])
            .timestamp(i64::from(u32::MAX)),
        ProduceRecord::new("produce-odd", 0)
            .value("v")
            .header("twice", "1")
            .null_header("null")
            .header("twice", "2")
            .header("", b"")
            .header("schlüssel", [200, 1])
            .timestamp(5),
    ];
    for codec in Codec::ALL {
        let written = java
            .produce_with(&ProducerOptions::new().codec(codec), &[&odd])
            .await
            .unwrap();
        let options = ConsumeOptions {
            from: Some(written[0].offset),
            ..ConsumeOptions::default()
        };
        let read = java.consume("produce-odd", 0, &options).await.unwrap();
        assert_eq!(read.len(), odd.len());
        for ((record, expected), place) in read.iter().zip(&odd).zip(&written) {
            assert_eq!(
                (&record.key, &record.value, &record.headers),
                (&expected.key, &expected.value, &expected.headers)
            );
            assert_eq!(
                (record.timestamp, record.offset),
                (expected.timestamp.unwrap(), place.offset)
            );
            assert_eq!(record.timestamp_type, TimestampType::CreateTime);
        }
    }
}

#[tokio::test]
async fn append_times_are_the_brokers() {
    let java = java().await;
    java.create_topic(
        "produce-append",
        1,
        &[("message.timestamp.type", "LogAppendTime")],
    )
    .await
    .unwrap();
    let written = java
        .produce(&[ProduceRecord::new("produce-append", 0).value("v").timestamp(1)])
        .await
        .unwrap();
    let read = java.consume_all("produce-append", 0).await.unwrap();
    assert_eq!(read[0].timestamp_type, TimestampType::LogAppendTime);
    assert_eq!(read[0].timestamp, written[0].timestamp);
    assert!(read[0].timestamp > 1);
}

#[tokio::test]
async fn a_hundred_thousand_records_pass_in_order() {
    let java = java().await;
    java.create_topic("produce-many", 1, &[]).await.unwrap();
    let many = records("produce-many", 0, 100_000);
    let begin = Instant::now();
    let written = java.produce(&many).await.unwrap();
    println!("100,000 records written in {:?}", begin.elapsed());
    assert!(
        written
            .iter()
            .enumerate()
            .all(|(i, place)| place.offset == i as i64)
    );
    let begin = Instant::now();
    let read = java.consume_all("produce-many", 0).await.unwrap();
    println!("100,000 records read in {:?}", begin.elapsed());
    assert_eq!(read.len(), many.len());
    assert!(read.iter().zip(&many).enumerate().all(|(i, (read, written))| {
        read.offset == i as i64 && read.key == written.key && read.value == written.value
    }));
}

#[tokio::test]
async fn a_part_is_read_from_an_offset_with_a_limit() {
    let java = java().await;
    java.create_topic("produce-part", 1, &[]).await.unwrap();
    java.produce(&records("produce-part", 0, 50)).await.unwrap();
    let options = ConsumeOptions {
        from: Some(20),
        limit: Some(7),
        ..ConsumeOptions::default()
    };
    let read = java.consume("produce-part", 0, &options).await.unwrap();
    assert_eq!(
        read.iter().map(|record| record.offset).collect::<Vec<_>>(),
        (20..27).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn generated_records_depend_on_their_number_and_the_seed() {
    let java = java().await;
    let mut contents = Vec::new();
    for topic in ["produce-generated-a", "produce-generated-b"] {
        java.create_topic(topic, 3, &[]).await.unwrap();
        let what = Generate {
            topic: topic.to_owned(),
            partitions: 3,
            count: 3_000,
            value_bytes: 300,
            first_timestamp: 1_000,
            timestamp_step: 10,
            seed: 7,
        };
        java.generate(&what, &ProducerOptions::new().codec(Codec::Lz4))
            .await
            .unwrap();
        contents.push(java.consume_topic(topic).await.unwrap());
    }
    for (partition, (a, b)) in contents[0].iter().zip(&contents[1]).enumerate() {
        assert_eq!(a.len(), 1_000);
        assert!(a.iter().zip(b).all(|(a, b)| a.content() == b.content()));
        assert_eq!(
            a[1].key.as_deref(),
            Some(format!("key-{}", partition + 3).as_bytes())
        );
        assert_eq!(a[1].timestamp, 1_000 + (partition as i64 + 3) * 10);
        assert_eq!(a[1].value.as_ref().unwrap().len(), 300);
    }
}
