//! Objects in a bucket of S3, or of a server that speaks its protocol.
//!
//! - [`client`]: credentials, region, timeouts, retries
//! - [`create`]: an object comes into being once, whatever is lost on the way and whatever the server knows
//! - [`upload`]: large objects, in parts, side by side
//! - [`list`]: names in order, all or the first
//! - [`unfinished`]: uploads that nobody goes on with
//! - [`read`]: objects and ranges of them, checked for length
//! - [`failure`]: what a server says, and what to do about it
//!
//! Requests that can be repeated are repeated by the SDK, by kind of error and with backoff: all of them, as no request
//! of this module does harm when it is done twice ([`create`] says why for those that write).

mod client;
mod create;
mod failure;
mod list;
mod read;
mod unfinished;
mod upload;

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_s3::Client;
use bytes::Bytes;
use kafka_wire::ByteBudget;
use tokio::sync::OnceCell;

use self::client::Connection;
use self::create::{Preconditions, Token};
use self::failure::Failure;
use self::upload::S3Writer;
use super::{ObjectMeta, ObjectWriter, Storage, StorageError, StorageFuture, Unfinished};
use crate::config::S3Config;

/// Larger objects go in parts of this size. (Parts must be of 5 MiB at least, and some servers want all of one size.)
const PART_BYTES: usize = 8 * 1024 * 1024;

/// Parts that are gathered or under way at a time, over all objects, when nobody asks for less: the memory that writing
/// takes.
const MOST_PARTS: usize = 9;

/// Objects below a prefix of a bucket. The bucket must exist; nothing is asked of it before the first operation.
#[derive(Debug, Clone)]
pub struct S3Storage {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: S3Config,
    limits: Limits,
    connection: OnceCell<Connection>,
    /// What the server makes of conditions: found out before the first object is written, in one piece or in parts.
    put_preconditions: OnceCell<Preconditions>,
    complete_preconditions: OnceCell<Preconditions>,
    /// Every part holds some of it from the first byte that is gathered until the server has it.
    parts: Mutex<ByteBudget>,
}

/// Sizes that tests make small.
#[derive(Debug, Clone, Copy)]
struct Limits {
    part_bytes: usize,
    /// The server's own limit (1,000) when `None`.
    keys_per_page: Option<i32>,
}

impl S3Storage {
    /// Objects below the configured prefix. Connects at the first operation.
    pub fn new(config: S3Config) -> Self {
        let limits = Limits {
            part_bytes: PART_BYTES,
            keys_per_page: None,
        };
        Self::with_limits(config, limits)
    }

    fn with_limits(config: S3Config, limits: Limits) -> Self {
        Self {
            shared: Arc::new(Shared {
                config,
                limits,
                connection: OnceCell::new(),
                put_preconditions: OnceCell::new(),
                complete_preconditions: OnceCell::new(),
                parts: Mutex::new(ByteBudget::new(MOST_PARTS * limits.part_bytes)),
            }),
        }
    }

    /// Where the memory of parts comes from.
    fn parts(&self) -> ByteBudget {
        let parts = self.shared.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.clone()
    }

    async fn connection(&self) -> Result<&Connection, StorageError> {
        let connect = || client::connect(&self.shared.config);
        let connected = self.shared.connection.get_or_try_init(connect).await;
        connected.map_err(|problem| self.refused("open", "it", problem))
    }

    async fn client(&self) -> Result<&Client, StorageError> {
        Ok(&self.connection().await?.client)
    }

    fn bucket(&self) -> &str {
        &self.shared.config.bucket
    }

    fn key(&self, name: &str) -> String {
        match self.shared.config.prefix.as_str() {
            "" => name.to_owned(),
            prefix => format!("{prefix}/{name}"),
        }
    }

    /// The name behind a key of a listing; `None` for what is not an object of ours.
    fn name_of<'k>(&self, key: &'k str) -> Option<&'k str> {
        match self.shared.config.prefix.as_str() {
            "" => Some(key),
            prefix => key.strip_prefix(prefix)?.strip_prefix('/'),
        }
    }

    fn place(&self) -> String {
        let S3Config {
            bucket,
            prefix,
            endpoint,
            ..
        } = &self.shared.config;
        let at = endpoint
            .as_ref()
            .map_or(String::new(), |url| format!(" at {url}"));
        match prefix.as_str() {
            "" => format!("s3://{bucket}{at}"),
            prefix => format!("s3://{bucket}/{prefix}{at}"),
        }
    }

    fn refused(&self, action: &'static str, name: &str, problem: String) -> StorageError {
        StorageError::Refused {
            action,
            name: name.to_owned(),
            place: self.place(),
            problem,
        }
    }

    fn not_found(&self, name: &str) -> StorageError {
        StorageError::NotFound {
            name: name.to_owned(),
            place: self.place(),
        }
    }

    fn exists(&self, name: &str) -> StorageError {
        StorageError::Exists {
            name: name.to_owned(),
            place: self.place(),
        }
    }

    fn short(&self, name: &str, end: u64) -> StorageError {
        StorageError::Short {
            name: name.to_owned(),
            place: self.place(),
            end,
        }
    }

    /// The error of a request that failed for good.
    fn failed(&self, action: &'static str, name: &str, failure: &Failure) -> StorageError {
        if failure.is_missing_object() {
            return self.not_found(name);
        }
        let server = self.shared.connection.get().map_or("", |c| &c.server);
        let (name, place) = (name.to_owned(), self.place());
        let advice = failure.advice(&self.shared.config, server);
        let may_pass = advice.is_none() || failure.is_about_the_way();
        let problem = match advice {
            Some(advice) => format!("{failure}. {advice}"),
            None => failure.to_string(),
        };
        match may_pass {
            true => StorageError::Unavailable {
                action,
                name,
                place,
                problem,
            },
            false => StorageError::Refused {
                action,
                name,
                place,
                problem,
            },
        }
    }
}

impl Storage for S3Storage {
    fn create<'a>(&'a self, name: &'a str) -> StorageFuture<'a, Box<dyn ObjectWriter>> {
        let writer = S3Writer::new(self.clone(), name.to_owned(), Token::new());
        Box::pin(async move { Ok(Box::new(writer) as Box<dyn ObjectWriter>) })
    }

    fn put<'a>(&'a self, name: &'a str, bytes: Bytes) -> StorageFuture<'a, ()> {
        Box::pin(async move {
            if bytes.len() <= self.shared.limits.part_bytes {
                return self.put_whole(name, bytes, &Token::new()).await;
            }
            let mut writer = self.create(name).await?;
            writer.write(vec![bytes]).await?;
            writer.finish().await
        })
    }

    fn get<'a>(&'a self, name: &'a str, limit: u64) -> StorageFuture<'a, Bytes> {
        Box::pin(self.read_whole(name, limit))
    }

    fn get_range<'a>(&'a self, name: &'a str, range: Range<u64>) -> StorageFuture<'a, Bytes> {
        Box::pin(self.read_range(name, range))
    }

    fn head<'a>(&'a self, name: &'a str) -> StorageFuture<'a, u64> {
        Box::pin(async move {
            let request = self.client().await?.head_object().bucket(self.bucket());
            let head = request.key(self.key(name)).send().await;
            let head = head.map_err(|e| self.failed("look at", name, &e.into()))?;
            let bytes = head.content_length().and_then(|n| u64::try_from(n).ok());
            bytes.ok_or_else(|| self.refused("look at", name, "the server does not say its size".into()))
        })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> StorageFuture<'a, Vec<ObjectMeta>> {
        Box::pin(async move { Ok(self.list_keys(prefix, None, usize::MAX).await?.objects) })
    }

    fn list_first<'a>(&'a self, prefix: &'a str, limit: usize) -> StorageFuture<'a, Vec<ObjectMeta>> {
        Box::pin(async move { Ok(self.list_keys(prefix, None, limit).await?.objects) })
    }

    fn list_folders<'a>(&'a self, prefix: &'a str) -> StorageFuture<'a, Vec<String>> {
        Box::pin(async move { Ok(self.list_keys(prefix, Some("/"), usize::MAX).await?.folders) })
    }

    fn delete<'a>(&'a self, name: &'a str) -> StorageFuture<'a, ()> {
        Box::pin(async move {
            let request = self.client().await?.delete_object().bucket(self.bucket());
            match request.key(self.key(name)).send().await.map_err(Failure::from) {
                Err(failure) if !failure.is_missing_object() => Err(self.failed("delete", name, &failure)),
                _ => Ok(()),
            }
        })
    }

    fn list_unfinished<'a>(&'a self, prefix: &'a str) -> StorageFuture<'a, Vec<Unfinished>> {
        Box::pin(self.list_uploads(prefix))
    }

    fn abort_unfinished<'a>(&'a self, unfinished: &'a Unfinished) -> StorageFuture<'a, ()> {
        Box::pin(self.abort_upload(unfinished))
    }

    fn limit_memory(&self, bytes: usize) -> usize {
        let part_bytes = self.shared.limits.part_bytes;
        let limit = (bytes / part_bytes).clamp(1, MOST_PARTS) * part_bytes;
        // Parts that are there already keep what they hold of the budget before.
        *self.shared.parts.lock().unwrap_or_else(PoisonError::into_inner) = ByteBudget::new(limit);
        limit
    }

    fn describe(&self) -> String {
        self.place()
    }
}

#[cfg(test)]
pub(super) mod tests;
