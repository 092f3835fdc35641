//! A storage that fails, delays, truncates and flips bits, as it is told.

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use restore_engine::storage::{ObjectMeta, ObjectWriter, Storage, StorageError, StorageFuture, Unfinished};

/// What happens to an operation.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// It is not done, and an error says so.
    Fail,
    /// It is done, and an error says that it is not: a lost reply.
    FailAfter,
    /// It is done later.
    Delay(Duration),
    /// What is read lacks its last byte.
    Truncate,
    /// A bit in the middle of what is read is another.
    Flip,
}

/// An inner storage, the operations that it was asked for, and a fault for one of them.
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

#[derive(Debug, Clone)]
enum When {
    /// The operation of this number, counted from 0.
    Nth(usize),
    /// Reads of names that end so.
    ReadsOf(&'static str),
}

impl Faulty {
    pub(crate) fn nth(inner: Arc<dyn Storage>, number: usize, fault: Fault) -> Self {
        Self::with(inner, Some((fault, When::Nth(number))))
    }

    pub(crate) fn reads_of(inner: Arc<dyn Storage>, end: &'static str, fault: Fault) -> Self {
        Self::with(inner, Some((fault, When::ReadsOf(end))))
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

    /// Everything that was asked for, in order: "put name".
    pub(crate) fn operations(&self) -> Vec<String> {
        self.state.lock().unwrap().operations.clone()
    }

    /// How often the fault has happened.
    pub(crate) fn hits(&self) -> usize {
        self.state.lock().unwrap().hits
    }

    fn next(&self, action: &str, name: &str) -> Option<Fault> {
        let mut state = self.state.lock().unwrap();
        let number = state.operations.len();
        state.operations.push(format!("{action} {name}"));
        let fault = match &state.fault {
            Some((fault, When::Nth(n))) if *n == number => Some(*fault),
            Some((fault, When::ReadsOf(end))) if action == "get" && name.ends_with(end) => Some(*fault),
            _ => None,
        };
        state.hits += usize::from(fault.is_some());
        fault
    }

    async fn run<T>(
        &self,
        action: &'static str,
        name: &str,
        work: impl Future<Output = Result<T, StorageError>>,
    ) -> Result<T, StorageError> {
        let fault = self.next(action, name);
        let failed = || StorageError::Unavailable {
            action,
            name: name.to_owned(),
            place: self.inner.describe(),
            problem: "a fault of the test".to_owned(),
        };
        match fault {
            Some(Fault::Fail) => return Err(failed()),
            Some(Fault::Delay(time)) => tokio::time::sleep(time).await,
            _ => {}
        }
        let done = work.await?;
        match fault {
            Some(Fault::FailAfter) => Err(failed()),
            _ => Ok(done),
        }
    }

    async fn read(
        &self,
        name: &str,
        work: impl Future<Output = Result<Bytes, StorageError>>,
    ) -> Result<Bytes, StorageError> {
        match self.next("get", name) {
            Some(Fault::Truncate) => work.await.map(|b| b.slice(..b.len().saturating_sub(1))),
            Some(Fault::Flip) => work.await.map(|bytes| {
                let mut bytes = bytes.to_vec();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0x10;
                bytes.into()
            }),
            Some(Fault::Delay(time)) => {
                tokio::time::sleep(time).await;
                work.await
            }
            Some(Fault::Fail | Fault::FailAfter) => Err(StorageError::Unavailable {
                action: "read",
                name: name.to_owned(),
                place: self.inner.describe(),
                problem: "a fault of the test".to_owned(),
            }),
            None => work.await,
        }
    }
}

impl Storage for Faulty {
    fn create<'a>(&'a self, name: &'a str) -> StorageFuture<'a, Box<dyn ObjectWriter>> {
        Box::pin(async move {
            let inner = self.run("create", name, self.inner.create(name)).await?;
            Ok(Box::new(FaultyWriter {
                storage: self.clone(),
                name: name.to_owned(),
                inner,
            }) as Box<dyn ObjectWriter>)
        })
    }

    fn put<'a>(&'a self, name: &'a str, bytes: Bytes) -> StorageFuture<'a, ()> {
        Box::pin(self.run("put", name, self.inner.put(name, bytes)))
    }

    fn get<'a>(&'a self, name: &'a str, limit: u64) -> StorageFuture<'a, Bytes> {
        Box::pin(self.read(name, self.inner.get(name, limit)))
    }

    fn get_range<'a>(&'a self, name: &'a str, range: Range<u64>) -> StorageFuture<'a, Bytes> {
        Box::pin(self.read(name, self.inner.get_range(name, range)))
    }

    fn head<'a>(&'a self, name: &'a str) -> StorageFuture<'a, u64> {
        Box::pin(self.run("head", name, self.inner.head(name)))
    }

    fn list<'a>(&'a self, prefix: &'a str) -> StorageFuture<'a, Vec<ObjectMeta>> {
        Box::pin(self.run("list", prefix, self.inner.list(prefix)))
    }

    fn list_first<'a>(&'a self, prefix: &'a str, limit: usize) -> StorageFuture<'a, Vec<ObjectMeta>> {
        Box::pin(self.run("list_first", prefix, self.inner.list_first(prefix, limit)))
    }

    fn list_folders<'a>(&'a self, prefix: &'a str) -> StorageFuture<'a, Vec<String>> {
        Box::pin(self.run("list_folders", prefix, self.inner.list_folders(prefix)))
    }

    fn delete<'a>(&'a self, name: &'a str) -> StorageFuture<'a, ()> {
        Box::pin(self.run("delete", name, self.inner.delete(name)))
    }

    fn list_unfinished<'a>(&'a self, prefix: &'a str) -> StorageFuture<'a, Vec<Unfinished>> {
        Box::pin(self.run("list_unfinished", prefix, self.inner.list_unfinished(prefix)))
    }

    fn abort_unfinished<'a>(&'a self, unfinished: &'a Unfinished) -> StorageFuture<'a, ()> {
        Box::pin(self.run("abort", &unfinished.name, self.inner.abort_unfinished(unfinished)))
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
        Box::pin(storage.run("write", name, self.inner.write(pieces)))
    }

    fn finish(self: Box<Self>) -> StorageFuture<'static, ()> {
        let Self { storage, name, inner } = *self;
        Box::pin(async move { storage.run("finish", &name, inner.finish()).await })
    }
}
