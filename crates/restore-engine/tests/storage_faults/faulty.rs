//! A storage that fails, delays, truncates and flips bits, as it is told.

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use restore_engine::storage::{ObjectMeta, ObjectWriter, Storage, StorageError, StorageFuture, Unfinished};

fn of_kind(operations: &[String], kind: &str) -> usize {
    let same = |operation: &&String| operation.split(' ').next() == Some(kind);
    operations.iter().filter(same).count()
}

/// What happens to an operation.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// It is not done, and an error says so.
    Fail,
    /// It is done, and an error says that it is not: a lost reply.
    FailAfter,
    /// It is not done, for want of room.
    Full,
    /// It is not done, and never will be.
    Refuse,
    /// It never ends.
    Hang,
    /// It is done later.
    Delay(Duration),
    /// What is read lacks its last byte.
    Truncate,
    /// A bit in the middle of what is read is another.
    Flip,
}

/// An inner storage, the operations that it was asked for, and a fault for some of them.
#[derive(Debug, Clone)]
pub(crate) struct Faulty {
    inner: Arc<dyn Storage>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    operations: Vec<String>,
    fault: Option<(Fault, When)>,
    hits: usize,
}

/// An operation by its kind, and how many of that kind were before it: of other kinds there may be more in another run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) kind: String,
    pub(crate) before: usize,
}

/// Which operations have the fault.
#[derive(Debug, Clone)]
pub(crate) enum When {
    /// The one of this number among those of its kind, as in [`Operation`].
    Nth(Operation),
    /// Those of this kind on names that end so.
    Of(&'static str, &'static str),
    /// All.
    Always,
}

impl Faulty {
    pub(crate) fn at(inner: Arc<dyn Storage>, operation: Operation, fault: Fault) -> Self {
        Self::with(inner, Some((fault, When::Nth(operation))))
    }

    pub(crate) fn reads_of(inner: Arc<dyn Storage>, end: &'static str, fault: Fault) -> Self {
        Self::with(inner, Some((fault, When::Of("get", end))))
    }

    pub(crate) fn counting(inner: Arc<dyn Storage>) -> Self {
        Self::with(inner, None)
    }

    fn with(inner: Arc<dyn Storage>, fault: Option<(Fault, When)>) -> Self {
        let state = State {
            fault,
            ..State::default()
        };
        Self {
            inner,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// From now on there is this fault, and no other; its hits are counted anew.
    pub(crate) fn inject(&self, fault: Fault, when: When) {
        let mut state = self.state.lock().unwrap();
        state.fault = Some((fault, when));
        state.hits = 0;
    }

    /// From now on everything works.
    pub(crate) fn heal(&self) {
        self.state.lock().unwrap().fault = None;
    }

    /// Everything that was asked for, in order: "put name".
    pub(crate) fn operations(&self) -> Vec<String> {
        self.state.lock().unwrap().operations.clone()
    }

    /// The same, each by its kind and number.
    pub(crate) fn numbered(&self) -> Vec<Operation> {
        let operations = self.operations();
        let kinds = operations
            .iter()
            .filter_map(|operation| operation.split(' ').next());
        kinds
            .enumerate()
            .map(|(at, kind)| Operation {
                kind: kind.to_owned(),
                before: of_kind(&operations[..at], kind),
            })
            .collect()
    }

    /// How often the fault has happened.
    pub(crate) fn hits(&self) -> usize {
        self.state.lock().unwrap().hits
    }

    fn next(&self, action: &str, name: &str) -> Option<Fault> {
        let mut state = self.state.lock().unwrap();
        let before = of_kind(&state.operations, action);
        state.operations.push(format!("{action} {name}"));
        let fault = match &state.fault {
            Some((fault, When::Nth(nth))) if nth.kind == action && nth.before == before => Some(*fault),
            Some((fault, When::Of(kind, end))) if action == *kind && name.ends_with(end) => Some(*fault),
            Some((fault, When::Always)) => Some(*fault),
            _ => None,
        };
        state.hits += usize::from(fault.is_some());
        fault
    }

    /// `work` must not begin before it is asked: some storages do at once what they are called for.
    async fn run<T>(
        &self,
        action: &'static str,
        name: &str,
        work: impl Future<Output = Result<T, StorageError>>,
    ) -> Result<T, StorageError> {
        let fault = self.next(action, name);
        if let Some(fault) = fault {
            self.before(fault, action, name).await?;
        }
        let done = work.await?;
        match fault {
            Some(Fault::FailAfter) => Err(self.unavailable(action, name)),
            _ => Ok(done),
        }
    }

    /// What a fault does before the operation is done.
    async fn before(&self, fault: Fault, action: &'static str, name: &str) -> Result<(), StorageError> {
        let (object, place) = (name.to_owned(), self.inner.describe());
        let problem = "a fault of the test".to_owned();
        match fault {
            Fault::Fail => Err(self.unavailable(action, name)),
            Fault::Full => Err(StorageError::Full {
                action,
                name: object,
                place,
                problem,
            }),
            Fault::Refuse => Err(StorageError::Refused {
                action,
                name: object,
                place,
                problem,
            }),
            Fault::Hang => std::future::pending().await,
            Fault::Delay(time) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
            Fault::FailAfter | Fault::Truncate | Fault::Flip => Ok(()),
        }
    }

    fn unavailable(&self, action: &'static str, name: &str) -> StorageError {
        StorageError::Unavailable {
            action,
            name: name.to_owned(),
            place: self.inner.describe(),
            problem: "a fault of the test".to_owned(),
        }
    }

    async fn read(
        &self,
        name: &str,
        work: impl Future<Output = Result<Bytes, StorageError>>,
    ) -> Result<Bytes, StorageError> {
        let fault = self.next("get", name);
        if let Some(fault) = fault {
            self.before(fault, "read", name).await?;
        }
        let bytes = work.await?;
        match fault {
            Some(Fault::FailAfter) => Err(self.unavailable("read", name)),
            Some(Fault::Truncate) => Ok(bytes.slice(..bytes.len().saturating_sub(1))),
            Some(Fault::Flip) => {
                let mut bytes = bytes.to_vec();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0x10;
                Ok(bytes.into())
            }
            _ => Ok(bytes),
        }
    }
}

impl Storage for Faulty {
    fn create<'a>(&'a self, name: &'a str) -> StorageFuture<'a, Box<dyn ObjectWriter>> {
        Box::pin(async move {
            let inner = self
                .run("create", name, async move { self.inner.create(name).await })
                .await?;
            Ok(Box::new(FaultyWriter {
                storage: self.clone(),
                name: name.to_owned(),
                inner,
            }) as Box<dyn ObjectWriter>)
        })
    }

    fn put<'a>(&'a self, name: &'a str, bytes: Bytes) -> StorageFuture<'a, ()> {
        Box::pin(self.run("put", name, async move { self.inner.put(name, bytes).await }))
    }

    fn get<'a>(&'a self, name: &'a str, limit: u64) -> StorageFuture<'a, Bytes> {
        Box::pin(self.read(name, async move { self.inner.get(name, limit).await }))
    }

    fn get_range<'a>(&'a self, name: &'a str, range: Range<u64>) -> StorageFuture<'a, Bytes> {
        Box::pin(self.read(name, async move { self.inner.get_range(name, range).await }))
    }

    fn head<'a>(&'a self, name: &'a str) -> StorageFuture<'a, u64> {
        Box::pin(self.run("head", name, async move { self.inner.head(name).await }))
    }

    fn list<'a>(&'a self, prefix: &'a str) -> StorageFuture<'a, Vec<ObjectMeta>> {
        Box::pin(self.run("list", prefix, async move { self.inner.list(prefix).await }))
    }

    fn list_first<'a>(&'a self, prefix: &'a str, limit: usize) -> StorageFuture<'a, Vec<ObjectMeta>> {
        Box::pin(self.run("list_first", prefix, async move {
            self.inner.list_first(prefix, limit).await
        }))
    }

    fn list_folders<'a>(&'a self, prefix: &'a str) -> StorageFuture<'a, Vec<String>> {
        Box::pin(self.run("list_folders", prefix, async move {
            self.inner.list_folders(prefix).await
        }))
    }

    fn delete<'a>(&'a self, name: &'a str) -> StorageFuture<'a, ()> {
        Box::pin(self.run("delete", name, async move { self.inner.delete(name).await }))
    }

    fn list_unfinished<'a>(&'a self, prefix: &'a str) -> StorageFuture<'a, Vec<Unfinished>> {
        Box::pin(self.run("list_unfinished", prefix, async move {
            self.inner.list_unfinished(prefix).await
        }))
    }

    fn abort_unfinished<'a>(&'a self, unfinished: &'a Unfinished) -> StorageFuture<'a, ()> {
        Box::pin(self.run("abort", &unfinished.name, async move {
            self.inner.abort_unfinished(unfinished).await
        }))
    }

    fn limit_memory(&self, bytes: usize) -> usize {
        self.inner.limit_memory(bytes)
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

#[derive(Debug)]
struct FaultyWriter {
    storage: Faulty,
    name: String,
    inner: Box<dyn ObjectWriter>,
}

impl ObjectWriter for FaultyWriter {
    fn write(&mut self, pieces: Vec<Bytes>) -> StorageFuture<'_, ()> {
        let (storage, name) = (&self.storage, &self.name);
        let inner = &mut self.inner;
        Box::pin(storage.run("write", name, async move { inner.write(pieces).await }))
    }

    fn finish(self: Box<Self>) -> StorageFuture<'static, ()> {
        let Self { storage, name, inner } = *self;
        Box::pin(async move {
            storage
                .run("finish", &name, async move { inner.finish().await })
                .await
        })
    }
}
