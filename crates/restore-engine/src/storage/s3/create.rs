//! Creating an object once.
//!
//! Every object is written on the condition that its name is free (`If-None-Match: *`), and carries a random token in its
//! metadata. When the reply to a write is lost and a repetition finds the name taken, the token tells whether it is our
//! own object that is in the way. So a repetition never does harm, and a lost reply is never taken for a conflict.
//!
//! Some servers ignore the condition, or do not know it. Before the first write an object of the prefix is written that is
//! there already: a server that refuses can be relied on. With one that does not, the name is looked up before a write
//! and the token after it: this finds an object that was there, but of two writers at the same moment both may believe
//! that they were the only one. A warning says so.

use std::time::Duration;

use aws_sdk_s3::operation::create_multipart_upload::builders::CreateMultipartUploadFluentBuilder;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, ServerSideEncryption};
use bytes::Bytes;

use super::S3Storage;
use super::failure::Failure;
use super::upload::UploadId;
use crate::config::{S3Checksums, S3Encryption};
use crate::storage::StorageError;

/// The object of the probe. It stays, so that later runs need one request to probe.
pub(super) use segment_format::layout::PROBE;

const PROBE_TEXT: &str =
    "kafka-backup writes this object to see whether the server refuses to overwrite it.\n";

/// Name of the token in an object's metadata.
const TOKEN: &str = "kafka-backup-token";

/// Rounds of a write that the server puts off because of another one.
const ROUNDS: u32 = 5;

const WHEN_EXISTING: &str = "*";

/// What a server makes of `If-None-Match: *`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Preconditions {
    /// It refuses to write over an object.
    Enforced,
    /// It writes over it, or does not take such requests.
    Ignored,
}

impl Preconditions {
    /// The header's value, where it is of use.
    pub(super) fn header(self) -> Option<String> {
        match self {
            Self::Enforced => Some(WHEN_EXISTING.to_owned()),
            Self::Ignored => None,
        }
    }
}

/// Tells an object of ours from one that somebody else has written under the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token(String);

impl Token {
    pub(super) fn new() -> Self {
        Self(format!("{:032x}", rand::random::<u128>()))
    }
}

/// Whose object has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Ours,
    Other,
    Nobody,
}

impl S3Storage {
    /// Creates an object in one request.
    pub(super) async fn put_whole(
        &self,
        name: &str,
        bytes: Bytes,
        token: &Token,
    ) -> Result<(), StorageError> {
        let preconditions = self.put_preconditions().await?;
        if preconditions == Preconditions::Ignored {
            self.refuse_taken(name).await?;
        }
        for round in 0..ROUNDS {
            let request = self.put_request(name, &bytes, token).await?;
            let put = request.set_if_none_match(preconditions.header()).send().await;
            match put.map_err(Failure::from) {
                Ok(_) if preconditions == Preconditions::Enforced => return Ok(()),
                Ok(_) => return self.confirm(name, token).await,
                Err(failure) => {
                    if self.settle(name, token, &failure, round).await? {
                        return Ok(());
                    }
                }
            }
        }
        Err(self.put_off(name))
    }

    /// After a conditional write that was refused: true when our object is there, false when it is worth another try.
    pub(super) async fn settle(
        &self,
        name: &str,
        token: &Token,
        failure: &Failure,
        round: u32,
    ) -> Result<bool, StorageError> {
        if !failure.is_precondition_failed() && !failure.is_conflict() {
            return Err(self.failed("write", name, failure));
        }
        match self.owner(name, token).await? {
            Owner::Ours => Ok(true),
            Owner::Other => Err(self.exists(name)),
            Owner::Nobody => {
                tokio::time::sleep(Duration::from_millis(50 << round.min(10))).await;
                Ok(false)
            }
        }
    }

    /// The error of a write that was put off too often.
    pub(super) fn put_off(&self, name: &str) -> StorageError {
        StorageError::Unavailable {
            action: "write",
            name: name.to_owned(),
            place: self.place(),
            problem: "the server says that others write it too, but nobody's object appears".into(),
        }
    }

    /// For servers that ignore conditions: an error when the name is taken.
    pub(super) async fn refuse_taken(&self, name: &str) -> Result<(), StorageError> {
        match self.owner(name, &Token::new()).await? {
            Owner::Nobody => Ok(()),
            Owner::Ours | Owner::Other => Err(self.exists(name)),
        }
    }

    /// For servers that ignore conditions: an error when our object has been written over.
    pub(super) async fn confirm(&self, name: &str, token: &Token) -> Result<(), StorageError> {
        match self.owner(name, token).await? {
            Owner::Ours => Ok(()),
            Owner::Nobody | Owner::Other => Err(self.exists(name)),
        }
    }

    /// Whose object has the name.
    pub(super) async fn owner(&self, name: &str, token: &Token) -> Result<Owner, StorageError> {
        let request = self.client().await?.head_object().bucket(self.bucket());
        match request.key(self.key(name)).send().await.map_err(Failure::from) {
            Ok(head) if head.metadata().and_then(|m| m.get(TOKEN)) == Some(&token.0) => Ok(Owner::Ours),
            Ok(_) => Ok(Owner::Other),
            Err(failure) if failure.is_missing_object() => Ok(Owner::Nobody),
            Err(failure) => Err(self.failed("look at", name, &failure)),
        }
    }

    async fn put_request(
        &self,
        name: &str,
        bytes: &Bytes,
        token: &Token,
    ) -> Result<PutObjectFluentBuilder, StorageError> {
        let (encryption, key_id) = self.encryption();
        let request = self.client().await?.put_object();
        Ok(request
            .bucket(self.bucket())
            .key(self.key(name))
            .metadata(TOKEN, &token.0)
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(key_id)
            .set_checksum_algorithm(self.checksum_algorithm())
            .body(bytes.clone().into()))
    }

    /// A request that begins an upload in parts.
    pub(super) async fn upload_request(
        &self,
        name: &str,
        token: &Token,
    ) -> Result<CreateMultipartUploadFluentBuilder, StorageError> {
        let (encryption, key_id) = self.encryption();
        let request = self.client().await?.create_multipart_upload();
        Ok(request
            .bucket(self.bucket())
            .key(self.key(name))
            .metadata(TOKEN, &token.0)
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(key_id)
            .set_checksum_algorithm(self.checksum_algorithm()))
    }

    fn encryption(&self) -> (Option<ServerSideEncryption>, Option<String>) {
        match &self.shared.config.encryption {
            S3Encryption::BucketDefault => (None, None),
            S3Encryption::S3 => (Some(ServerSideEncryption::Aes256), None),
            S3Encryption::Kms { key_id } => (Some(ServerSideEncryption::AwsKms), key_id.clone()),
        }
    }

    pub(super) fn checksum_algorithm(&self) -> Option<ChecksumAlgorithm> {
        match self.shared.config.checksums {
            S3Checksums::WhenSupported => Some(ChecksumAlgorithm::Crc32C),
            S3Checksums::WhenRequired => None,
        }
    }

    /// What the server makes of the condition on a whole object; asked once.
    async fn put_preconditions(&self) -> Result<Preconditions, StorageError> {
        let probe = || self.probe_put();
        self.shared
            .put_preconditions
            .get_or_try_init(probe)
            .await
            .copied()
    }

    async fn probe_put(&self) -> Result<Preconditions, StorageError> {
        let text = Bytes::from_static(PROBE_TEXT.as_bytes());
        // The first may create it; the second then has to be refused.
        for _ in 0..2 {
            let request = self.put_request(PROBE, &text, &Token::new()).await?;
            let put = request.if_none_match(WHEN_EXISTING).send().await;
            match put.map_err(Failure::from) {
                Ok(_) => {}
                Err(failure) if failure.is_precondition_failed() || failure.is_conflict() => {
                    return Ok(Preconditions::Enforced);
                }
                Err(failure) if failure.is_not_implemented() => break,
                Err(failure) => return Err(self.failed("write", PROBE, &failure)),
            }
        }
        tracing::warn!(
            "{} does not refuse to overwrite objects: backups are looked up before they are written, but nothing keeps two \
             backups of the same name apart that run at the same time",
            self.place()
        );
        Ok(Preconditions::Ignored)
    }

    /// What the server makes of the condition on an upload in parts, which some enforce on whole objects only.
    pub(super) async fn complete_preconditions(&self) -> Result<Preconditions, StorageError> {
        let probe = || self.probe_complete();
        let known = self.shared.complete_preconditions.get_or_try_init(probe).await;
        known.copied()
    }

    async fn probe_complete(&self) -> Result<Preconditions, StorageError> {
        if self.put_preconditions().await? == Preconditions::Ignored {
            return Ok(Preconditions::Ignored);
        }
        let mut upload = UploadId::begin(self, PROBE, &Token::new()).await?;
        let part = upload.send(1, Bytes::from_static(PROBE_TEXT.as_bytes())).await?;
        let parts = CompletedMultipartUpload::builder().parts(part).build();
        let completed = upload.complete(&parts, Preconditions::Enforced).await;
        match completed {
            Ok(()) => {
                tracing::warn!(
                    "{} does not refuse to overwrite objects that come in parts: they are looked up before they are written",
                    self.place()
                );
                Ok(Preconditions::Ignored)
            }
            Err(failure) => {
                upload.abort().await;
                match failure {
                    f if f.is_precondition_failed() || f.is_conflict() => Ok(Preconditions::Enforced),
                    f if f.is_not_implemented() => Ok(Preconditions::Ignored),
                    f => Err(self.failed("write", PROBE, &f)),
                }
            }
        }
    }
}
