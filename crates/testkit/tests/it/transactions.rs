use testkit::{Commit, ConsumeOptions, Isolation, ProducerOptions, RawFetch, TransactionEnd};

use crate::{batches, java, records};

fn uncommitted() -> ConsumeOptions {
    ConsumeOptions {
        isolation: Isolation::ReadUncommitted,
        ..ConsumeOptions::default()
    }
}

#[tokio::test]
async fn committed_records_are_seen_and_aborted_ones_are_not() {
    let java = java().await;
    // Markers carry the broker's time, years after these records: a new segment would begin, and a fetch ends with one.
    let one_segment = [("segment.ms", "9223372036854775807")];
    java.create_topic("transactions-ends", 1, &one_segment)
        .await
        .unwrap();
    let three = records("transactions-ends", 0, 3);
    java.transaction("transactions-ends", &three, TransactionEnd::Commit)
        .await
        .unwrap();
    let aborted = java
        .transaction("transactions-ends", &three, TransactionEnd::Abort)
        .await
        .unwrap();
    assert_eq!(aborted[0].offset, 4, "a marker stands at 3");
    java.produce(&three).await.unwrap();
    let seen = java.consume_all("transactions-ends", 0).await.unwrap();
    assert_eq!(
        seen.iter().map(|record| record.offset).collect::<Vec<_>>(),
        [0, 1, 2, 8, 9, 10]
    );
    assert_eq!(
        java.consume("transactions-ends", 0, &uncommitted())
            .await
            .unwrap()
            .len(),
        9
    );

    let fetch = RawFetch {
        isolation: Isolation::ReadCommitted,
        ..RawFetch::from(0)
    };
    let raw = java.fetch_raw("transactions-ends", 0, fetch).await.unwrap();
    assert_eq!(
        raw.aborted.iter().map(|(_, first)| *first).collect::<Vec<_>>(),
        [4]
    );
    let attributes: Vec<i16> = batches(&raw.records)
        .into_iter()
        .map(|(_, _, attributes)| attributes)
        .collect();
    assert_eq!(attributes, [0x10, 0x30, 0x10, 0x30, 0]);
}

#[tokio::test]
async fn an_open_transaction_holds_the_last_stable_offset_back() {
    let java = java().await;
    java.create_topic("transactions-open", 1, &[]).await.unwrap();
    let producer = java
        .producer(&ProducerOptions::new().transactional_id("transactions-open"))
        .await
        .unwrap();
    producer.begin().await.unwrap();
    producer.send(&records("transactions-open", 0, 2)).await.unwrap();
    producer.flush().await.unwrap();
    java.produce(&records("transactions-open", 0, 2)).await.unwrap();
    assert_eq!(java.last_stable_offset("transactions-open", 0).await.unwrap(), 0);
    assert_eq!(java.end_offset("transactions-open", 0).await.unwrap(), 4);
    assert!(java.consume_all("transactions-open", 0).await.unwrap().is_empty());

    let commit = Commit::new("transactions-open", 0, 1).metadata("in the transaction");
    producer
        .send_offsets("transactions-open", &[commit])
        .await
        .unwrap();
    producer.commit().await.unwrap();
    assert_eq!(java.consume_all("transactions-open", 0).await.unwrap().len(), 4);
    let committed = java.committed("transactions-open").await.unwrap();
    assert_eq!(
        (committed[0].offset, committed[0].metadata.as_str()),
        (1, "in the transaction")
    );

    producer.begin().await.unwrap();
    producer.send(&records("transactions-open", 0, 2)).await.unwrap();
    producer.flush().await.unwrap();
    producer.abort().await.unwrap();
    producer.close().await.unwrap();
    assert_eq!(java.consume_all("transactions-open", 0).await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_second_producer_of_an_id_fences_the_first() {
    let java = java().await;
    java.create_topic("transactions-fence", 1, &[]).await.unwrap();
    let options = ProducerOptions::new().transactional_id("transactions-fence");
    let first = java.producer(&options).await.unwrap();
    first.begin().await.unwrap();
    first.send(&records("transactions-fence", 0, 1)).await.unwrap();
    first.flush().await.unwrap();
    let second = java.producer(&options).await.unwrap();
    let fenced = first.commit().await.unwrap_err();
    assert!(fenced.to_string().contains("Fenced"), "{fenced}");
    second.close().await.unwrap();
    assert!(
        java.consume_all("transactions-fence", 0)
            .await
            .unwrap()
            .is_empty()
    );
}
