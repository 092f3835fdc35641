//! An object in parts, sent while it is written.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::{Bytes, BytesMut};
use kafka_wire::Permit;
use tokio::task::JoinSet;

use super::S3Storage;
use super::create::{Owner, Preconditions, Token};
use super::failure::Failure;
use crate::aws::http_client;
use crate::storage::{ObjectWriter, StorageError, StorageFuture};

/// The most that an object can have.
const MAX_PARTS: i32 = 10_000;

/// Rounds of a completion that the server puts off because of another write.
const ROUNDS: u32 = 5;

/// Gathers bytes into parts and sends them side by side. What stays smaller than a part is sent in one request.
#[derive(Debug)]
pub(super) struct S3Writer {
    storage: S3Storage,
    name: String,
    token: Token,
    /// `None` after a write that failed or was cancelled half way: such an object is never published.
    open: Option<Open>,
}

#[derive(Debug, Default)]
struct Open {
    /// The part that is being gathered. Copied, so that the memory of what is written is free again at once.
    gathered: BytesMut,
    /// For the memory of that part. It goes with the part until the server has it.
    permit: Option<Permit>,
    upload: Option<Upload>,
}

/// Parts that are sent and those that are under way.
#[derive(Debug)]
pub(super) struct Upload {
    id: UploadId,
    preconditions: Preconditions,
    last_number: i32,
    sent: Vec<CompletedPart>,
}

impl S3Writer {
    pub(super) fn new(storage: S3Storage, name: String, token: Token) -> Self {
        Self {
            storage,
            name,
            token,
            open: Some(Open::default()),
        }
    }

    fn half_written(&self) -> StorageError {
        let problem = "an earlier write to it failed".to_owned();
        self.storage.refused("write", &self.name, problem)
    }

    async fn gather(&self, mut open: Open, pieces: Vec<Bytes>) -> Result<Open, StorageError> {
        let part_bytes = self.storage.shared.limits.part_bytes;
        for mut piece in pieces {
            while !piece.is_empty() {
                // A full part goes only when more follows: the last one may be of any size, but there must be one.
                if open.gathered.len() == part_bytes {
                    let part = open.take_part();
                    let upload = match open.upload.take() {
                        Some(upload) => upload,
                        None => Upload::begin(&self.storage, &self.name, &self.token).await?,
                    };
                    open.upload = Some(upload.send(part).await?);
                }
                // Whoever waits here holds no part: those that hold one are under way, or are gathered by another writer, and
                // both end without this one.
                if open.permit.is_none() {
                    open.permit = Some(self.storage.parts().acquire(part_bytes).await);
                    if open.upload.is_some() {
                        open.gathered.reserve(part_bytes);
                    }
                }
                let room = part_bytes - open.gathered.len();
                open.gathered
                    .extend_from_slice(&piece.split_to(room.min(piece.len())));
            }
        }
        Ok(open)
    }
}

impl Open {
    /// What is gathered, with the permit for it.
    fn take_part(&mut self) -> Bytes {
        let part = std::mem::take(&mut self.gathered).freeze();
        match self.permit.take() {
            Some(permit) => permit.attach(part),
            None => part,
        }
    }
}

impl ObjectWriter for S3Writer {
    fn write(&mut self, pieces: Vec<Bytes>) -> StorageFuture<'_, ()> {
        let open = self.open.take();
        Box::pin(async move {
            let open = open.ok_or_else(|| self.half_written())?;
            self.open = Some(self.gather(open, pieces).await?);
            Ok(())
        })
    }

    fn finish(mut self: Box<Self>) -> StorageFuture<'static, ()> {
        Box::pin(async move {
            let mut open = self.open.take().ok_or_else(|| self.half_written())?;
            let last = open.take_part();
            match open.upload {
                None => self.storage.put_whole(&self.name, last, &self.token).await,
                Some(upload) => upload.send(last).await?.complete(&self.token).await,
            }
        })
    }
}

impl Upload {
    pub(super) async fn begin(storage: &S3Storage, name: &str, token: &Token) -> Result<Self, StorageError> {
        let preconditions = storage.complete_preconditions().await?;
        if preconditions == Preconditions::Ignored {
            storage.refuse_taken(name).await?;
        }
        Ok(Self {
            id: UploadId::begin(storage, name, token).await?,
            preconditions,
            last_number: 0,
            sent: Vec::new(),
        })
    }

    /// Sends a part; fails when an earlier one has.
    pub(super) async fn send(mut self, part: Bytes) -> Result<Self, StorageError> {
        while let Some(joined) = self.id.under_way.try_join_next() {
            let part = self.id.joined(joined);
            self.keep(part).await?;
        }
        if self.last_number == MAX_PARTS {
            let problem = format!("it does not fit into {MAX_PARTS} parts: lower backup.segment_max_bytes");
            let error = self.id.storage.refused("write", &self.id.name, problem);
            self.keep(Err(error)).await?;
        }
        self.last_number += 1;
        let (number, storage) = (self.last_number, self.id.storage.clone());
        let (name, id) = (self.id.name.clone(), self.id.id.clone());
        let sending = async move { send_part(&storage, &name, &id, number, part).await };
        self.id.under_way.spawn(sending);
        Ok(self)
    }

    /// Notes a part that has arrived; ends the upload when one has not.
    async fn keep(&mut self, part: Result<CompletedPart, StorageError>) -> Result<(), StorageError> {
        match part {
            Ok(part) => self.sent.push(part),
            Err(error) => {
                self.id.abort().await;
                return Err(error);
            }
        }
        Ok(())
    }

    async fn complete(mut self, token: &Token) -> Result<(), StorageError> {
        let parts = self.all_sent().await?;
        self.publish(&parts, token).await
    }

    /// Waits for the parts that are under way.
    pub(super) async fn all_sent(&mut self) -> Result<CompletedMultipartUpload, StorageError> {
        while let Some(joined) = self.id.under_way.join_next().await {
            let part = self.id.joined(joined);
            self.keep(part).await?;
        }
        self.sent.sort_by_key(CompletedPart::part_number);
        let parts = std::mem::take(&mut self.sent);
        Ok(CompletedMultipartUpload::builder().set_parts(Some(parts)).build())
    }

    /// Makes an object of the parts.
    pub(super) async fn publish(
        mut self,
        parts: &CompletedMultipartUpload,
        token: &Token,
    ) -> Result<(), StorageError> {
        let completed = self.try_complete(parts, token).await;
        if completed.is_err() {
            self.id.abort().await;
        }
        completed
    }

    async fn try_complete(
        &mut self,
        parts: &CompletedMultipartUpload,
        token: &Token,
    ) -> Result<(), StorageError> {
        let (storage, name) = (self.id.storage.clone(), self.id.name.clone());
        for round in 0..ROUNDS {
            match self.id.complete(parts, self.preconditions).await {
                Ok(()) if self.preconditions == Preconditions::Enforced => return Ok(()),
                Ok(()) => return storage.confirm(&name, token).await,
                // The reply to a completion was lost: the upload is gone because the object is there.
                Err(failure) if failure.is_missing_upload() => {
                    return match storage.owner(&name, token).await? {
                        Owner::Ours => Ok(()),
                        _ => Err(storage.failed("publish", &name, &failure)),
                    };
                }
                Err(failure) => {
                    if storage.settle(&name, token, &failure, round).await? {
                        return Ok(());
                    }
                }
            }
        }
        Err(storage.put_off(&name))
    }
}

/// For the parts under way, before an upload is aborted.
const PARTS_PATIENCE: Duration = Duration::from_secs(5);

/// All within the time that a program takes for its end.
const PAUSES_BEFORE_ABORTS: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_millis(200),
    Duration::from_millis(600),
];

/// An upload that the server has begun. It is aborted when this value is dropped, as the server keeps and charges the
/// parts of an upload until somebody ends it.
#[derive(Debug)]
pub(super) struct UploadId {
    storage: S3Storage,
    client: Client,
    name: String,
    id: String,
    under_way: Parts,
    ended: bool,
}

/// Parts that are being sent.
type Parts = JoinSet<Result<CompletedPart, StorageError>>;

impl UploadId {
    pub(super) async fn begin(storage: &S3Storage, name: &str, token: &Token) -> Result<Self, StorageError> {
        let begun = storage.upload_request(name, token).await?.send().await;
        let begun = begun.map_err(|e| storage.failed("begin to write", name, &e.into()))?;
        let Some(id) = begun.upload_id() else {
            let problem = "the server began an upload without an id".to_owned();
            return Err(storage.refused("begin to write", name, problem));
        };
        Ok(Self {
            storage: storage.clone(),
            client: storage.client().await?.clone(),
            name: name.to_owned(),
            id: id.to_owned(),
            under_way: JoinSet::new(),
            ended: false,
        })
    }

    pub(super) async fn send(&self, number: i32, part: Bytes) -> Result<CompletedPart, StorageError> {
        send_part(&self.storage, &self.name, &self.id, number, part).await
    }

    /// Makes an object of the parts.
    pub(super) async fn complete(
        &mut self,
        parts: &CompletedMultipartUpload,
        preconditions: Preconditions,
    ) -> Result<(), Failure> {
        let request = self.client.complete_multipart_upload();
        let completed = request
            .bucket(self.storage.bucket())
            .key(self.storage.key(&self.name))
            .upload_id(&self.id)
            .multipart_upload(parts.clone())
            .set_if_none_match(preconditions.header())
            .send()
            .await?;
        drop(completed);
        self.ended = true;
        Ok(())
    }

    /// Has the server forget the parts. A failure is no error of the write that failed before: it is only told.
    pub(super) async fn abort(&mut self) {
        if !self.ended {
            self.ended = true;
            let parts = std::mem::take(&mut self.under_way);
            abort(&self.client, &self.storage, &self.name, &self.id, parts).await;
        }
    }

    fn joined(
        &self,
        joined: Result<Result<CompletedPart, StorageError>, tokio::task::JoinError>,
    ) -> Result<CompletedPart, StorageError> {
        joined.unwrap_or_else(|e| {
            Err(self
                .storage
                .refused("write", &self.name, format!("a task stopped: {e}")))
        })
    }
}

impl Drop for UploadId {
    /// On a thread and a connection of its own: this often happens while a program ends and its runtime with it, which
    /// waits a moment for threads, but not for tasks.
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let (client, storage) = (self.client.clone(), self.storage.clone());
        let (name, id) = (std::mem::take(&mut self.name), std::mem::take(&mut self.id));
        let parts = std::mem::take(&mut self.under_way);
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            if let Ok(runtime) = runtime {
                let config = client.config().to_builder().http_client(http_client());
                let client = Client::from_conf(config.build());
                runtime.block_on(abort(&client, &storage, &name, &id, parts));
            }
        };
        match tokio::runtime::Handle::try_current() {
            Ok(handle) => drop(handle.spawn_blocking(work)),
            Err(_) => drop(std::thread::spawn(work)),
        }
    }
}

/// A part that arrives behind the abort can bring the upload back (S3's documentation of AbortMultipartUpload): so those
/// under way are waited for, and where that cannot be, as when the program ends, the abort is repeated.
async fn abort(client: &Client, storage: &S3Storage, name: &str, id: &str, mut parts: Parts) {
    let all = async { while parts.join_next().await.is_some() {} };
    // Those that take longer are given up.
    let _ = tokio::time::timeout(PARTS_PATIENCE, all).await;
    parts.shutdown().await;
    for pause in PAUSES_BEFORE_ABORTS {
        tokio::time::sleep(pause).await;
        let request = client.abort_multipart_upload().bucket(storage.bucket());
        let aborted = request.key(storage.key(name)).upload_id(id).send().await;
        if let Err(failure) = aborted.map_err(Failure::from)
            && !failure.is_missing_upload()
        {
            tracing::warn!(
                "the unfinished upload of {name} in {} could not be aborted ({failure}); a lifecycle rule of the bucket \
                 (AbortIncompleteMultipartUpload) removes such uploads",
                storage.place()
            );
            return;
        }
    }
}

/// A part can be sent again and again: the last one counts.
async fn send_part(
    storage: &S3Storage,
    name: &str,
    id: &str,
    number: i32,
    part: Bytes,
) -> Result<CompletedPart, StorageError> {
    let request = storage.client().await?.upload_part();
    let sent = request
        .bucket(storage.bucket())
        .key(storage.key(name))
        .upload_id(id)
        .part_number(number)
        .set_checksum_algorithm(storage.checksum_algorithm())
        .body(part.into())
        .send()
        .await
        .map_err(|e| storage.failed("write", name, &e.into()))?;
    Ok(CompletedPart::builder()
        .part_number(number)
        .set_e_tag(sent.e_tag)
        .set_checksum_crc32_c(sent.checksum_crc32_c)
        .build())
}
