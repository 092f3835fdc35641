use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use segment_format::manifest::{Group, GroupKind, GroupOffset};
use segment_format::{BackupSet, CapturedGroups, Commit, MergePolicy};

use super::*;
use crate::chain;
use crate::storage::{MemoryStorage, ObjectMeta, ObjectWriter, Storage, StorageFuture, Unfinished};

/// Counts objects that are read.
#[derive(Debug)]
struct Counting {
    inner: MemoryStorage,
    read: Arc<AtomicUsize>,
}

impl Storage for Counting {
    fn create<'a>(&'a self, name: &'a str) -> StorageFuture<'a, Box<dyn ObjectWriter>> {
        self.inner.create(name)
    }
    fn put<'a>(&'a self, name: &'a str, bytes: Bytes) -> StorageFuture<'a, ()> {
        self.inner.put(name, bytes)
    }
    fn get<'a>(&'a self, name: &'a str, limit: u64) -> StorageFuture<'a, Bytes> {
        self.read.fetch_add(1, Ordering::Relaxed);
        self.inner.get(name, limit)
    }
    fn get_range<'a>(&'a self, name: &'a str, range: Range<u64>) -> StorageFuture<'a, Bytes> {
        self.read.fetch_add(1, Ordering::Relaxed);
        self.inner.get_range(name, range)
    }
    fn head<'a>(&'a self, name: &'a str) -> StorageFuture<'a, u64> {
        self.inner.head(name)
    }
    fn list<'a>(&'a self, prefix: &'a str) -> StorageFuture<'a, Vec<ObjectMeta>> {
        self.inner.list(prefix)
    }
    fn list_first<'a>(&'a self, prefix: &'a str, limit: usize) -> StorageFuture<'a, Vec<ObjectMeta>> {
        self.inner.list_first(prefix, limit)
    }
    fn list_folders<'a>(&'a self, prefix: &'a str) -> StorageFuture<'a, Vec<String>> {
        self.inner.list_folders(prefix)
    }
    fn delete<'a>(&'a self, name: &'a str) -> StorageFuture<'a, ()> {
        self.inner.delete(name)
    }
    fn list_unfinished<'a>(&'a self, prefix: &'a str) -> StorageFuture<'a, Vec<Unfinished>> {
        self.inner.list_unfinished(prefix)
    }
    fn abort_unfinished<'a>(&'a self, unfinished: &'a Unfinished) -> StorageFuture<'a, ()> {
        self.inner.abort_unfinished(unfinished)
    }
    fn limit_memory(&self, bytes: usize) -> usize {
        self.inner.limit_memory(bytes)
    }
    fn describe(&self) -> String {
        self.inner.describe()
    }
}

/// The hour, in milliseconds.
const HOUR: i64 = 3_600_000;

/// Commits at an hour; with `captured_at` it is a complete one, in which the group stands at that hour.
async fn commit(context: &Context, set: &mut BackupSet, at: i64, captured_at: Option<i64>) {
    let group = |hour| Group {
        group_id: "billing".to_owned(),
        kind: GroupKind::Classic,
        state: "Empty".to_owned(),
        protocol_type: "consumer".to_owned(),
        offsets: vec![GroupOffset {
            topic: "orders".to_owned(),
            partition: 0,
            offset: hour,
            leader_epoch: None,
            metadata: String::new(),
        }],
    };
    let planned = set.plan_commit(Commit {
        created_at: at * HOUR,
        source_cluster_id: Some(at.to_string()),
        complete: captured_at.is_some(),
        groups: captured_at.map(|hour| CapturedGroups {
            captured_at: hour * HOUR,
            groups: vec![group(hour)],
        }),
        ..Commit::default()
    });
    let planned = planned.unwrap().unwrap();
    let stored = context.storage.put(planned.object(), planned.bytes().clone());
    stored.await.unwrap();
    set.apply(planned).unwrap();
}

fn context() -> (Context, Arc<AtomicUsize>) {
    let read = Arc::new(AtomicUsize::new(0));
    let storage = Counting {
        inner: MemoryStorage::new(),
        read: Arc::clone(&read),
    };
    (Context::new(Arc::new(storage), 0), read)
}

/// Where the group stood as of a time in minutes, or what is said when nobody knows.
async fn as_of(context: &Context, minutes: i64) -> std::result::Result<i64, String> {
    let then = Catalog::new(context).open_as_of("b", minutes * 60_000).await;
    then.map(|set| set.group("billing").unwrap().offsets[0].offset)
        .map_err(|error| chain(&error))
}

#[tokio::test]
async fn positions_are_those_that_had_been_read_by_then_whenever_they_were_committed() {
    let (context, _) = context();
    let mut set = BackupSet::empty("b");
    // A run that is cut short, one that reads positions at 10 and commits until 12, one from 13 to 15.
    commit(&context, &mut set, 9, None).await;
    commit(&context, &mut set, 11, None).await;
    let none = as_of(&context, 11 * 60).await.unwrap_err();
    assert!(none.contains("none at all"), "{none}");
    commit(&context, &mut set, 12, Some(10)).await;
    commit(&context, &mut set, 14, None).await;
    commit(&context, &mut set, 15, Some(13)).await;
    for (minutes, hour) in [
        (10 * 60, 10),
        (11 * 60, 10),
        (12 * 60, 10),
        (13 * 60 - 1, 10),
        (13 * 60, 13),
        (14 * 60, 13),
        (99 * 60, 13),
    ] {
        assert_eq!(as_of(&context, minutes).await, Ok(hour), "{minutes} minutes");
    }
    let early = as_of(&context, 10 * 60 - 1).await.unwrap_err();
    assert!(early.contains("were read at 36000000"), "{early}");
}

#[tokio::test]
async fn few_of_many_manifests_are_read() {
    let (context, read) = context();
    let mut set = BackupSet::empty("b");
    // Each manifest takes in those before it: then all others that are read are read to find it.
    set.set_merge_policy(MergePolicy {
        floor_bytes: u64::MAX,
        seal_bytes: u64::MAX,
    });
    for hour in 1..=300 {
        commit(&context, &mut set, hour, (hour % 3 == 0).then_some(hour - 1)).await;
    }
    for hour in [2, 50, 151, 298, 299, 1000] {
        read.store(0, Ordering::Relaxed);
        assert_eq!(
            as_of(&context, hour * 60).await,
            Ok((hour.min(299) + 1) / 3 * 3 - 1)
        );
        let read = read.load(Ordering::Relaxed);
        assert!(read <= 11, "{read} manifests read for hour {hour}");
    }
}
