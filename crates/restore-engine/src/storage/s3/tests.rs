//! What S3 has beyond the conformance suite, on a real server: parts, lost replies, servers that ignore conditions.

mod answers;
mod fake;
mod speed;

use std::time::Duration;

use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::types::ServerSideEncryption;
use testkit::{Direction, FaultProxy, Rule, S3Kind, S3Server};

use super::upload::Upload;
use super::*;
use crate::config::{S3Credentials, S3Encryption, Secret};

/// The least that S3 takes.
const SMALL_PART: usize = 5 * 1024 * 1024;

pub(crate) fn config(server: &S3Server, bucket: &str) -> S3Config {
    server.create_bucket(bucket).unwrap();
    let mut config = S3Config::new(bucket);
    config.endpoint = Some(server.endpoint());
    config.region = Some(server.region().to_owned());
    config.credentials = Some(S3Credentials::new(
        server.access_key_id(),
        Secret::new(server.secret_access_key()),
    ));
    config
}

fn small(config: S3Config) -> S3Storage {
    let limits = Limits {
        part_bytes: SMALL_PART,
        keys_per_page: Some(2),
    };
    S3Storage::with_limits(config, limits)
}

async fn storage(bucket: &str) -> S3Storage {
    small(config(S3Server::shared().await.unwrap(), bucket))
}

/// Bytes that differ from part to part.
fn bytes(length: usize) -> Bytes {
    (0..length).map(|n| (n / 1000) as u8).collect()
}

/// By full names, as MinIO does not list them by a prefix.
async fn unfinished_uploads(storage: &S3Storage, names: &[&str]) -> usize {
    let mut count = 0;
    for name in names {
        count += storage.list_unfinished(name).await.unwrap().len();
    }
    count
}

async fn write(storage: &S3Storage, name: &str, content: &Bytes, piece: usize) -> Result<(), StorageError> {
    let mut writer = storage.create(name).await?;
    for start in (0..content.len()).step_by(piece) {
        let end = content.len().min(start + piece);
        writer
            .write(vec![content.slice(start..end), Bytes::new()])
            .await?;
    }
    writer.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn large_objects_go_in_parts_and_are_created_once_too() {
    let storage = storage("parts").await;
    let sizes = [SMALL_PART, SMALL_PART + 1, 2 * SMALL_PART, 3 * SMALL_PART + 77];
    for (number, size) in sizes.into_iter().enumerate() {
        let content = bytes(size);
        let name = format!("segments/{number}");
        write(&storage, &name, &content, 777_777).await.unwrap();
        assert!(storage.get(&name, size as u64).await.unwrap() == content);
        let again = write(&storage, &name, &bytes(2 * SMALL_PART), SMALL_PART).await;
        assert!(matches!(again, Err(StorageError::Exists { .. })), "{again:?}");
        let again = storage.put(&name, bytes(2 * SMALL_PART)).await;
        assert!(matches!(again, Err(StorageError::Exists { .. })), "{again:?}");
        assert!(storage.get(&name, size as u64).await.unwrap() == content);
    }
    storage.put("whole", bytes(2 * SMALL_PART + 5)).await.unwrap();
    assert_eq!(storage.head("whole").await.unwrap(), 2 * SMALL_PART as u64 + 5);
    let names = ["segments/1", "segments/2", "segments/3", "whole", create::PROBE];
    assert_eq!(unfinished_uploads(&storage, &names).await, 0);
    assert_eq!(
        *storage.shared.complete_preconditions.get().unwrap(),
        Preconditions::Enforced
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_leaves_no_parts_behind() {
    let storage = storage("given-up").await;
    let content = bytes(3 * SMALL_PART);
    let mut writer = storage.create("a").await.unwrap();
    writer.write(vec![content.clone()]).await.unwrap();
    assert_eq!(unfinished_uploads(&storage, &["a", "b"]).await, 1);
    drop(writer);
    let mut writer = storage.create("b").await.unwrap();
    writer.write(vec![content.clone()]).await.unwrap();
    let unfinished = writer.finish();
    drop(unfinished);
    for _ in 0..200 {
        if unfinished_uploads(&storage, &["a", "b"]).await == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(unfinished_uploads(&storage, &["a", "b"]).await, 0);
    assert!(storage.list("").await.unwrap().is_empty());
}

#[test]
fn an_upload_is_aborted_even_when_the_program_ends_with_it() {
    let runtime = || tokio::runtime::Runtime::new().unwrap();
    let first = runtime();
    first.block_on(async {
        let storage = storage("program-ends").await;
        let mut writer = storage.create("a").await.unwrap();
        writer.write(vec![bytes(3 * SMALL_PART)]).await.unwrap();
        assert_eq!(unfinished_uploads(&storage, &["a"]).await, 1);
    });
    first.shutdown_timeout(Duration::from_secs(2));
    let left = runtime().block_on(async { unfinished_uploads(&storage("program-ends").await, &["a"]).await });
    assert_eq!(left, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_was_cancelled_half_way_is_never_published() {
    let storage = storage("half").await;
    let mut writer = storage.create("a").await.unwrap();
    drop(writer.write(vec![bytes(3 * SMALL_PART)]));
    let error = writer.write(vec![bytes(1)]).await.unwrap_err().to_string();
    assert!(error.contains("an earlier write to it failed"), "{error}");
    assert!(writer.finish().await.is_err());
    assert!(storage.list("").await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn listings_go_over_pages_and_skip_what_is_not_ours() {
    let server = S3Server::shared().await.unwrap();
    let mut config = config(server, "pages");
    config.prefix = "prod".into();
    let storage = small(config);
    let mut names: Vec<String> = (0..7).map(|n| format!("b/{n}/x")).collect();
    names.extend((0..5).map(|n| format!("c/{n}")));
    for name in &names {
        storage.put(name, Bytes::from_static(b"-")).await.unwrap();
    }
    // What others have put next to the prefix, and a "folder" as consoles make them.
    let client = storage.client().await.unwrap();
    for key in ["production/b/9/x", "prod/d/"] {
        client.put_object().bucket("pages").key(key).send().await.unwrap();
    }
    let found = storage.list("").await.unwrap();
    assert_eq!(found.iter().map(|o| o.name.as_str()).collect::<Vec<_>>(), names);
    assert!(found.iter().all(|o| o.bytes == 1));
    assert_eq!(
        storage.list_folders("b/").await.unwrap(),
        ["0", "1", "2", "3", "4", "5", "6"]
    );
    assert_eq!(storage.list("c/3").await.unwrap().len(), 1);
    // A "folder" comes first and is not ours: the first name is behind it.
    client
        .put_object()
        .bucket("pages")
        .key("prod/b/")
        .send()
        .await
        .unwrap();
    let first = storage.list_first("b/", 1).await.unwrap();
    assert_eq!(
        first.iter().map(|o| o.name.as_str()).collect::<Vec<_>>(),
        ["b/0/x"]
    );
}

/// What is written and not acknowledged never exceeds the limit, and everything comes to its end, also with one part only.
#[tokio::test(flavor = "multi_thread")]
async fn parts_hold_no_more_memory_than_they_are_given() {
    const PIECE: usize = 256 * 1024;
    for (number, parts) in [1, 3].into_iter().enumerate() {
        let bucket = format!("bounded-{number}");
        let (proxy, storage) = proxied(&bucket).await;
        // Connected and probed.
        storage.put("first", Bytes::from_static(b"1")).await.unwrap();
        let limit = storage.limit_memory(parts * SMALL_PART + SMALL_PART / 2);
        assert_eq!(limit, parts * SMALL_PART);
        let content = bytes(5 * SMALL_PART + 77);
        let mut writer = storage.create("large").await.unwrap();
        let mut given = 0;
        // What follows on the first part brings the upload about; then the server takes nothing in.
        let next = |given: usize| vec![content.slice(given..content.len().min(given + PIECE))];
        while given < SMALL_PART + PIECE {
            writer.write(next(given)).await.unwrap();
            given += next(given)[0].len();
        }
        let stalled = proxy.add(Rule::stall(Direction::ToBroker));
        let held = storage.parts();
        let most;
        let written = {
            let filling = async {
                let mut given = given;
                while given < content.len() {
                    writer.write(next(given)).await?;
                    given += next(given)[0].len();
                }
                writer.finish().await
            };
            let mut filling = Box::pin(filling);
            let stuck = tokio::time::timeout(Duration::from_secs(2), &mut filling).await;
            assert!(stuck.is_err(), "the server has taken nothing in");
            most = held.total() - held.available();
            stalled.remove();
            filling.await
        };
        written.unwrap();
        assert_eq!(most, limit, "all of it is used, and no more");
        assert_eq!(held.available(), limit, "all of it is given back");
        assert_eq!(storage.get("large", u64::MAX).await.unwrap(), content);
    }
}

/// Writers that share one part wait for each other, and not for ever.
#[tokio::test(flavor = "multi_thread")]
async fn many_writers_get_along_with_one_part() {
    let storage = storage("sharing").await;
    storage.limit_memory(0);
    let content = bytes(2 * SMALL_PART + 9);
    let writers = (0..6).map(|n| {
        let (storage, content) = (storage.clone(), content.clone());
        tokio::spawn(async move { write(&storage, &format!("w{n}"), &content, 300_000).await })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap().unwrap();
    }
    for n in 0..6 {
        assert_eq!(storage.get(&format!("w{n}"), u64::MAX).await.unwrap(), content);
    }
    // One that is given up gives back what it holds.
    let mut dropped = storage.create("dropped").await.unwrap();
    dropped.write(vec![content.clone()]).await.unwrap();
    drop(dropped);
    write(&storage, "after", &content, 300_000).await.unwrap();
}

/// A storage behind a proxy.
async fn proxied(bucket: &str) -> (FaultProxy, S3Storage) {
    let server = S3Server::shared().await.unwrap();
    let proxy = FaultProxy::start(server.address()).unwrap();
    let mut config = config(server, bucket);
    config.endpoint = Some(format!("http://{}", proxy.address()));
    (proxy, small(config))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_to_a_create_is_not_a_conflict() {
    let (proxy, storage) = proxied("lost-replies").await;
    storage.put("first", Bytes::from_static(b"1")).await.unwrap();
    // The server has created the object, and says so to nobody.
    let lost = proxy.add(Rule::cut_after(Direction::ToClient, 0));
    storage.put("second", Bytes::from_static(b"2")).await.unwrap();
    assert_eq!(lost.hits(), 1);
    assert_eq!(storage.get("second", 9).await.unwrap(), "2");

    let lost = proxy.add(Rule::cut_after(Direction::ToClient, 0));
    let taken = storage.put("second", Bytes::from_static(b"2")).await;
    assert!(matches!(taken, Err(StorageError::Exists { .. })), "{taken:?}");
    assert_eq!(lost.hits(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_to_a_completion_is_not_a_conflict() {
    let (proxy, storage) = proxied("lost-completions").await;
    for winner in [true, false] {
        let token = Token::new();
        let begun = Upload::begin(&storage, "segment", &token).await.unwrap();
        let mut upload = begun.send(bytes(SMALL_PART)).await.unwrap();
        let parts = upload.all_sent().await.unwrap();
        let lost = proxy.add(Rule::cut_after(Direction::ToClient, 0));
        let published = upload.publish(&parts, &token).await;
        assert_eq!(lost.hits(), 1);
        match winner {
            true => published.unwrap(),
            false => assert!(
                matches!(published, Err(StorageError::Exists { .. })),
                "{published:?}"
            ),
        }
    }
    assert_eq!(storage.head("segment").await.unwrap(), SMALL_PART as u64);
    assert_eq!(unfinished_uploads(&storage, &["segment"]).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_is_read_again() {
    let (proxy, storage) = proxied("bodies").await;
    let content = bytes(4 * 1024 * 1024);
    storage.put("object", content.clone()).await.unwrap();
    let cut = proxy.add(Rule::cut_after(Direction::ToClient, 1_000_000).times(2));
    assert!(storage.get("object", content.len() as u64).await.unwrap() == content);
    let range = storage.get_range("object", 1_000_000..4_000_000).await.unwrap();
    assert!(range == content.slice(1_000_000..4_000_000));
    assert_eq!(cut.hits(), 2);
}

/// Takes the condition out of requests before they are signed: to the code this looks like a server that ignores it.
#[derive(Debug)]
struct IgnoresConditions;

impl Intercept for IgnoresConditions {
    fn name(&self) -> &'static str {
        "IgnoresConditions"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        context.request_mut().headers_mut().remove("if-none-match");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_ignore_conditions_are_found_out_and_guarded() {
    let storage = storage("ignoring").await;
    let Connection { client, server } = client::connect(&storage.shared.config).await.unwrap();
    let ignoring = client
        .config()
        .to_builder()
        .interceptor(IgnoresConditions)
        .build();
    let connection = Connection {
        client: Client::from_conf(ignoring),
        server,
    };
    storage.shared.connection.set(connection).unwrap();

    storage.put("object", Bytes::from_static(b"1")).await.unwrap();
    assert_eq!(
        *storage.shared.put_preconditions.get().unwrap(),
        Preconditions::Ignored
    );
    for content in [Bytes::from_static(b"2"), bytes(2 * SMALL_PART)] {
        let taken = storage.put("object", content).await;
        assert!(matches!(taken, Err(StorageError::Exists { .. })), "{taken:?}");
    }
    assert_eq!(storage.get("object", 9).await.unwrap(), "1");
    storage.put("large", bytes(2 * SMALL_PART)).await.unwrap();

    // Written over between the write and the look behind it.
    let lost = storage.confirm("object", &Token::new()).await;
    assert!(matches!(lost, Err(StorageError::Exists { .. })), "{lost:?}");
    assert_eq!(storage.list("").await.unwrap().len(), 2);
    assert_eq!(unfinished_uploads(&storage, &["object", "large"]).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_checksums_everything_works_too() {
    let mut config = config(S3Server::shared().await.unwrap(), "no-checksums");
    config.checksums = crate::config::S3Checksums::WhenRequired;
    let storage = small(config);
    let content = bytes(2 * SMALL_PART);
    storage.put("small", Bytes::from_static(b"1")).await.unwrap();
    storage.put("large", content.clone()).await.unwrap();
    assert!(storage.get("large", content.len() as u64).await.unwrap() == content);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long suite: scripts/test-long"]
async fn minio_encrypts_as_configured_and_lists_unfinished_uploads_by_name() {
    let server = S3Server::start_kind(S3Kind::Minio).await.unwrap();
    let key_id = Some("testkit".to_owned());
    for (bucket, encryption, seen) in [
        ("aes256", S3Encryption::S3, ServerSideEncryption::Aes256),
        ("kms", S3Encryption::Kms { key_id }, ServerSideEncryption::AwsKms),
    ] {
        let mut config = config(&server, bucket);
        config.encryption = encryption;
        let storage = small(config);
        let content = bytes(2 * SMALL_PART);
        storage.put("small", Bytes::from_static(b"1")).await.unwrap();
        storage.put("large", content.clone()).await.unwrap();
        for name in ["small", "large"] {
            let head = storage.client().await.unwrap().head_object();
            let head = head.bucket(bucket).key(name).send().await.unwrap();
            assert_eq!(head.server_side_encryption(), Some(&seen), "{name}");
        }
        assert!(storage.get("large", content.len() as u64).await.unwrap() == content);

        let mut killed = storage.create("killed").await.unwrap();
        killed.write(vec![content]).await.unwrap();
        std::mem::forget(killed);
        let left = storage.list_unfinished("killed").await.unwrap();
        assert_eq!(left.len(), 1, "{left:?}");
        storage.abort_unfinished(&left[0]).await.unwrap();
    }
}
