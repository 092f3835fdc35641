use testkit::{Codec, ProducerOptions, RawFetch};

use crate::{batches, java, records};

#[tokio::test]
async fn a_flush_ends_a_batch_and_the_codec_is_the_producers() {
    let java = java().await;
    java.create_topic("batches-codecs", 1, &[]).await.unwrap();
    let groups = [records("batches-codecs", 0, 3), records("batches-codecs", 0, 5)];
    for codec in Codec::ALL {
        java.produce_with(&ProducerOptions::new().codec(codec), &groups)
            .await
            .unwrap();
    }
    let fetched = java
        .fetch_raw("batches-codecs", 0, RawFetch::from(0))
        .await
        .unwrap();
    assert_eq!(fetched.error_code, 0);
    assert_eq!(
        (
            fetched.log_start_offset,
            fetched.high_watermark,
            fetched.last_stable_offset
        ),
        (0, 40, 40)
    );
    let expected: Vec<(i64, i32, i16)> = (0..5)
        .flat_map(|codec| {
            [
                (i64::from(codec) * 8, 3, codec),
                (i64::from(codec) * 8 + 3, 5, codec),
            ]
        })
        .collect();
    assert_eq!(batches(&fetched.records), expected);
}

#[tokio::test]
async fn one_group_makes_one_batch_in_each_partition() {
    let java = java().await;
    java.create_topic("batches-partitions", 3, &[]).await.unwrap();
    let mixed: Vec<_> = (0..30)
        .flat_map(|i| records("batches-partitions", i % 3, 10))
        .collect();
    java.produce_with(&ProducerOptions::new().codec(Codec::Zstd), &[&mixed])
        .await
        .unwrap();
    for partition in 0..3 {
        let fetched = java
            .fetch_raw("batches-partitions", partition, RawFetch::from(0))
            .await
            .unwrap();
        assert_eq!(batches(&fetched.records), [(0, 100, 4)]);
    }
}

#[tokio::test]
async fn raw_bytes_are_stored_as_they_are_or_refused_with_a_code() {
    let java = java().await;
    java.create_topic("batches-raw", 2, &[]).await.unwrap();
    java.produce(&records("batches-raw", 0, 4)).await.unwrap();
    let fetched = java
        .fetch_raw("batches-raw", 0, RawFetch::from(0))
        .await
        .unwrap()
        .records;

    let written = java.produce_raw("batches-raw", 1, &fetched).await.unwrap();
    assert_eq!((written.error_code, written.base_offset), (0, 0));
    let written = java.produce_raw("batches-raw", 1, &fetched).await.unwrap();
    assert_eq!(
        (written.error_code, written.base_offset),
        (0, 0),
        "a duplicate is answered, not stored"
    );
    let copied = java
        .fetch_raw("batches-raw", 1, RawFetch::from(0))
        .await
        .unwrap()
        .records;
    assert_eq!(copied[16..], fetched[16..]);
    assert_eq!(java.consume_all("batches-raw", 1).await.unwrap().len(), 4);

    let mut moved = fetched.clone();
    moved[7] = 1;
    let refused = java.produce_raw("batches-raw", 1, &moved).await.unwrap();
    assert_eq!(refused.error_code, 87);

    let mut damaged = fetched;
    *damaged.last_mut().unwrap() ^= 1;
    let refused = java.produce_raw("batches-raw", 1, &damaged).await.unwrap();
    assert_eq!(refused.error_code, 2);
}

#[tokio::test]
async fn a_raw_fetch_out_of_range_has_the_brokers_code() {
    let java = java().await;
    java.create_topic("batches-range", 1, &[]).await.unwrap();
    let fetched = java
        .fetch_raw("batches-range", 0, RawFetch::from(7))
        .await
        .unwrap();
    assert_eq!(fetched.error_code, 1);
    assert!(fetched.records.is_empty());
}
