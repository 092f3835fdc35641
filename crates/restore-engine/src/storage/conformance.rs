//! What every backend must do, as tests that run over each of them.

use std::sync::Arc;

use bytes::Bytes;

use testkit::{S3Kind, S3Server};

use super::{FilesystemStorage, MemoryStorage, S3Storage, Storage, StorageError};

async fn objects_are_created_once(storage: &dyn Storage) {
    storage.put("a/one", Bytes::from_static(b"first")).await.unwrap();
    let again = storage.put("a/one", Bytes::from_static(b"second")).await;
    assert!(matches!(again, Err(StorageError::Exists { .. })), "{again:?}");

    let mut writer = storage.create("a/one").await.unwrap();
    writer.write(vec![Bytes::from_static(b"third")]).await.unwrap();
    assert!(matches!(writer.finish().await, Err(StorageError::Exists { .. })));

    assert_eq!(storage.get("a/one", 100).await.unwrap(), "first");
    assert_eq!(storage.list("").await.unwrap().len(), 1);
}

async fn a_written_object_appears_whole_at_the_end(storage: &dyn Storage) {
    let mut writer = storage.create("w/object").await.unwrap();
    writer
        .write(vec![
            Bytes::from_static(b"ab"),
            Bytes::new(),
            Bytes::from_static(b"cd"),
        ])
        .await
        .unwrap();
    writer.write(Vec::new()).await.unwrap();
    assert!(storage.list("w/").await.unwrap().is_empty());
    assert!(matches!(
        storage.head("w/object").await,
        Err(StorageError::NotFound { .. })
    ));
    writer.write(vec![Bytes::from_static(b"e")]).await.unwrap();
    writer.finish().await.unwrap();
    assert_eq!(storage.get("w/object", 5).await.unwrap(), "abcde");
    assert_eq!(storage.head("w/object").await.unwrap(), 5);

    let mut dropped = storage.create("w/dropped").await.unwrap();
    dropped.write(vec![Bytes::from_static(b"x")]).await.unwrap();
    drop(dropped);
    assert_eq!(storage.list("w/").await.unwrap().len(), 1);
}

async fn ranges_are_exact_and_limits_hold(storage: &dyn Storage) {
    storage.put("r", Bytes::from_static(b"0123456789")).await.unwrap();
    assert_eq!(storage.get_range("r", 2..5).await.unwrap(), "234");
    assert_eq!(storage.get_range("r", 10..10).await.unwrap(), "");
    assert!(matches!(
        storage.get_range("r", 5..11).await,
        Err(StorageError::Short { end: 11, .. })
    ));
    assert!(matches!(
        storage.get_range("r", 0..u64::MAX).await,
        Err(StorageError::Short { .. })
    ));
    assert!(matches!(
        storage.get("r", 9).await,
        Err(StorageError::TooLarge {
            bytes: 10,
            limit: 9,
            ..
        })
    ));
    assert!(matches!(
        storage.get("none", 9).await,
        Err(StorageError::NotFound { .. })
    ));
    assert!(matches!(
        storage.get_range("none", 0..1).await,
        Err(StorageError::NotFound { .. })
    ));
}

async fn listings_are_sorted_and_complete(storage: &dyn Storage) {
    assert!(storage.list("").await.unwrap().is_empty());
    assert!(storage.list_folders("").await.unwrap().is_empty());
    for name in ["b/2", "b/10", "b/c/1", "a/1", "bb/1"] {
        storage.put(name, Bytes::from_static(b"-")).await.unwrap();
    }
    let names = |list: Vec<super::ObjectMeta>| list.into_iter().map(|o| o.name).collect::<Vec<_>>();
    assert_eq!(names(storage.list("b/").await.unwrap()), ["b/10", "b/2", "b/c/1"]);
    assert_eq!(
        names(storage.list("b").await.unwrap()),
        ["b/10", "b/2", "b/c/1", "bb/1"]
    );
    assert_eq!(names(storage.list("b/1").await.unwrap()), ["b/10"]);
    assert!(storage.exists().await.unwrap());
    assert_eq!(storage.list_folders("").await.unwrap(), ["a", "b", "bb"]);
    assert_eq!(storage.list_folders("b/").await.unwrap(), ["c"]);
    for (prefix, limit, first) in [
        ("", 1, &["a/1"][..]),
        ("b/", 2, &["b/10", "b/2"]),
        ("b/", 3, &["b/10", "b/2", "b/c/1"]),
        ("b/c", 9, &["b/c/1"]),
        ("b", 0, &[]),
        ("none/", 3, &[]),
    ] {
        assert_eq!(
            names(storage.list_first(prefix, limit).await.unwrap()),
            first,
            "{prefix} {limit}"
        );
    }
    storage.delete("b/2").await.unwrap();
    storage.delete("b/2").await.unwrap();
    assert_eq!(names(storage.list("b/").await.unwrap()), ["b/10", "b/c/1"]);
}

/// Larger than the parts of an upload: the server has some of it.
const LARGE: usize = 17 * 1024 * 1024;

/// `listed` is false where a backend keeps nothing of an object before its end.
async fn what_a_killed_writer_leaves_is_found_and_removed(storage: &dyn Storage, listed: bool) {
    storage.put("k/e/pt", Bytes::from_static(b"-")).await.unwrap();
    assert!(storage.list_unfinished("k/").await.unwrap().is_empty());
    let mut killed = storage.create("k/e/object").await.unwrap();
    killed.write(vec![vec![7; LARGE].into()]).await.unwrap();
    // A process that is killed drops nothing.
    std::mem::forget(killed);
    let left = storage.list_unfinished("k/").await.unwrap();
    assert_eq!(left.len(), usize::from(listed), "{left:?}");
    assert!(
        left.iter()
            .all(|l| l.name.starts_with("k/e/") && l.last_seen_ms.is_some_and(|ms| ms > 0))
    );
    assert!(storage.list_unfinished("other/").await.unwrap().is_empty());
    assert_eq!(storage.list("").await.unwrap().len(), 1);

    // Parts that are under way bring an upload back.
    for left in &left {
        for _ in 0..50 {
            storage.abort_unfinished(left).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
    assert!(storage.list_unfinished("").await.unwrap().is_empty());
    storage
        .put("k/e/object", Bytes::from_static(b"new"))
        .await
        .unwrap();
    assert_eq!(storage.list("k/").await.unwrap().len(), 2);
}

async fn of_many_creators_one_wins(storage: Arc<dyn Storage>) {
    for round in 0..20 {
        let name = format!("race/{round}");
        let race = (0..8u8).map(|n| {
            let (storage, name) = (Arc::clone(&storage), name.clone());
            tokio::spawn(async move { storage.put(&name, vec![n; 1000].into()).await.map(|()| n) })
        });
        let mut winners = Vec::new();
        for creator in race.collect::<Vec<_>>() {
            winners.extend(creator.await.unwrap().ok());
        }
        assert_eq!(winners.len(), 1);
        assert_eq!(storage.get(&name, 1000).await.unwrap(), vec![winners[0]; 1000]);
    }
}

async fn conforms(new: impl Fn() -> Arc<dyn Storage>, leaves_unfinished: bool) {
    objects_are_created_once(&*new()).await;
    a_written_object_appears_whole_at_the_end(&*new()).await;
    ranges_are_exact_and_limits_hold(&*new()).await;
    listings_are_sorted_and_complete(&*new()).await;
    of_many_creators_one_wins(new()).await;
    what_a_killed_writer_leaves_is_found_and_removed(&*new(), leaves_unfinished).await;
}

#[tokio::test]
async fn memory_conforms() {
    conforms(|| Arc::new(MemoryStorage::new()), false).await;
}

#[tokio::test]
async fn filesystem_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let next = std::sync::atomic::AtomicU32::new(0);
    let new = || {
        let n = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Arc::new(FilesystemStorage::new(folder.path().join(format!("deep/er/{n}")))) as Arc<dyn Storage>
    };
    conforms(new, true).await;
}

async fn s3_conforms_on(server: &S3Server, lists_unfinished: bool) {
    let next = std::sync::atomic::AtomicU32::new(0);
    let new = || {
        let n = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        // By turns the root of a bucket and a prefix in it.
        let mut config = super::s3::tests::config(server, &format!("conformance-{}", n / 2));
        if n % 2 == 1 {
            config.prefix = "deep/er".to_owned();
        }
        Arc::new(S3Storage::new(config)) as Arc<dyn Storage>
    };
    conforms(new, lists_unfinished).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_conforms() {
    let server = S3Server::shared().await.unwrap();
    // MinIO lists the uploads of one object, and none by a prefix.
    s3_conforms_on(server, server.kind() != S3Kind::Minio).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long suite: scripts/test-long"]
async fn s3_conforms_on_minio() {
    let server = S3Server::start_kind(S3Kind::Minio).await.unwrap();
    s3_conforms_on(&server, false).await;
}

#[tokio::test]
async fn files_leave_no_stage_behind_and_say_why_they_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let storage = FilesystemStorage::new(folder.path());
    storage.put("x/y", Bytes::from_static(b"-")).await.unwrap();
    drop(storage.create("x/z").await.unwrap());
    let left: Vec<_> = std::fs::read_dir(folder.path().join("x"))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left, ["y"]);

    // A file where a folder should be.
    let blocked = storage.put("x/y/z", Bytes::new()).await.unwrap_err().to_string();
    assert!(
        blocked.contains("x/y/z") && blocked.contains(&folder.path().display().to_string()),
        "{blocked}"
    );
}
