//! How fast objects are written, beside a plain `PutObject` of the same bytes with the SDK. Prints; asserts no speed.

use std::time::Instant;

use super::*;

const OBJECTS: usize = 4;
const OBJECT_BYTES: usize = 64 * 1024 * 1024;
/// As the blocks of a backup come.
const PIECE: usize = 1024 * 1024;

async fn measure(kind: S3Kind) {
    let server = S3Server::start_kind(kind).await.unwrap();
    let storage = S3Storage::new(config(&server, "speed"));
    let content = bytes(OBJECT_BYTES);
    // Connects, probes and warms up.
    write(&storage, "warm", &content, PIECE).await.unwrap();
    for round in 0..2 {
        let begun = Instant::now();
        for n in 0..OBJECTS {
            let put = storage.client().await.unwrap().put_object();
            let put = put.bucket("speed").key(format!("plain-{round}/{n}"));
            put.body(content.clone().into()).send().await.unwrap();
        }
        let plain = begun.elapsed().as_secs_f64();
        let begun = Instant::now();
        for n in 0..OBJECTS {
            write(&storage, &format!("parts-{round}/{n}"), &content, PIECE)
                .await
                .unwrap();
        }
        let parts = begun.elapsed().as_secs_f64();
        let megabytes = (OBJECTS * OBJECT_BYTES) as f64 / 1e6;
        println!(
            "{kind:?}: plain put {:.0} MB/s, in parts {:.0} MB/s, ratio {:.2}",
            megabytes / plain,
            megabytes / parts,
            plain / parts
        );
        for n in 0..OBJECTS {
            let name = format!("parts-{round}/{n}");
            assert_eq!(storage.head(&name).await.unwrap(), OBJECT_BYTES as u64);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long suite: scripts/test-long"]
async fn upload_speed_on_versitygw() {
    measure(S3Kind::Versitygw).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long suite: scripts/test-long"]
async fn upload_speed_on_minio() {
    measure(S3Kind::Minio).await;
}
