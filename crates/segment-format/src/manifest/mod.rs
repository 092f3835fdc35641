//! What a commit of a backup set stores: an immutable object of text that people and other programs can read.
//!
//! A header line that names the version and the SHA-256 of all that follows it, then one JSON object: facts about the
//! backup set, references to earlier manifests (its *layers*), and *changes*. What the set holds is the changes of the
//! layers, in order, and then the manifest's own. [`BackupSet`](crate::BackupSet) puts them together.

mod changes;
mod check;
mod group;
mod header;
mod segment;
mod topic;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

pub use changes::{Changes, GroupChange, PartitionChange, Position, TopicChange};
pub(crate) use check::{inconsistent, require_sorted};
pub use group::{Group, GroupKind, GroupOffset};
pub use header::MANIFEST_VERSION;
pub use segment::{Segment, SegmentId, SegmentPartition};
pub use topic::{Gap, GapCause, Partition, TimestampType, Topic};

/// More layers than this are not read: no writer makes nearly as many.
pub const MAX_LAYERS: usize = 65_536;

/// What is true of a backup set as a whole after one commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Name of the backup set; not empty.
    pub backup_id: String,
    /// Number of the commit, from 1, without holes; the same as in the object's name.
    pub generation: u64,
    /// Time of the commit in milliseconds since 1970 UTC; never before that of the generation before.
    pub created_at: i64,
    /// Program and version that wrote the manifest.
    pub created_by: String,
    /// Id that the source cluster gives itself, when it has one.
    pub cluster_id: Option<String>,
    /// Label of the source cluster in the configuration, for headers of restored records.
    pub source_cluster_id: Option<String>,
    /// What the configuration said of offset headers. The offsets are in the batches in any case.
    pub offset_headers: bool,
    /// Whether every partition is covered up to the end that it had when the groups' positions had been captured,
    /// except for partitions with trouble. Commits in the midst of a run say no, and keep the groups as they were.
    pub complete: bool,
    /// When the positions of the groups were read, in milliseconds since 1970 UTC; none when they never were. Never before
    /// that of the generation before.
    pub groups_captured_at: Option<i64>,
}

/// One manifest, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// What is true of the backup set as a whole.
    #[serde(flatten)]
    pub facts: Facts,
    /// Earlier manifests whose changes come first, oldest first.
    pub layers: Vec<LayerRef>,
    /// What is new, or different from what the layers say.
    pub changes: Changes,
}

/// A reference to an earlier manifest of the same backup set, of which only the changes count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerRef {
    /// The manifest's generation.
    pub generation: u64,
    /// Bytes of the object.
    pub bytes: u64,
    /// The SHA-256 in the object's first line.
    #[serde(with = "crate::checksum::hex_digest")]
    pub sha256: [u8; 32],
}

impl Manifest {
    /// The bytes of the manifest object, and the reference by which later manifests name it.
    ///
    /// # Errors
    ///
    /// [`Error::Inconsistent`] when a list is not sorted, or a value cannot be.
    pub fn encode(&self) -> Result<(Vec<u8>, LayerRef)> {
        encode(&self.facts, &self.layers, &self.changes.encode()?)
    }

    /// Decodes the bytes of a manifest object, and checks what can be checked without its layers. Members that this
    /// version does not know are ignored. Also returned is the reference by which later manifests name it.
    ///
    /// # Errors
    ///
    /// [`Error::BadMagic`] when the object is not a manifest, [`Error::UnsupportedVersion`], [`Error::Truncated`],
    /// [`Error::Invalid`], [`Error::ManifestHash`] when any byte is not as it was written, [`Error::ManifestJson`],
    /// [`Error::Inconsistent`].
    pub fn decode(object: &[u8]) -> Result<(Self, LayerRef)> {
        let (body, sha256) = header::checked_body(object)?;
        let manifest: Self =
            serde_json::from_slice(body).map_err(|error| Error::ManifestJson(error.into()))?;
        manifest.check()?;
        let reference = LayerRef {
            generation: manifest.facts.generation,
            bytes: object.len() as u64,
            sha256,
        };
        Ok((manifest, reference))
    }
}

/// The JSON text of checked changes: the large part of a manifest, encoded once.
#[derive(Debug)]
pub(crate) struct EncodedChanges(Vec<u8>);

impl EncodedChanges {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Changes {
    pub(crate) fn encode(&self) -> Result<EncodedChanges> {
        self.check()?;
        Ok(EncodedChanges(to_json(self)?))
    }
}

/// The object of a manifest, from its parts.
pub(crate) fn encode(
    facts: &Facts,
    layers: &[LayerRef],
    changes: &EncodedChanges,
) -> Result<(Vec<u8>, LayerRef)> {
    #[derive(Serialize)]
    struct Head<'a> {
        #[serde(flatten)]
        facts: &'a Facts,
        layers: &'a [LayerRef],
    }
    check::check_head(facts, layers)?;
    let mut body = to_json(&Head { facts, layers })?;
    // The changes are the last member.
    body.pop();
    body.extend_from_slice(b",\"changes\":");
    body.extend_from_slice(&changes.0);
    body.extend_from_slice(b"}\n");
    let (object, sha256) = header::with_header(&body);
    let reference = LayerRef {
        generation: facts.generation,
        bytes: object.len() as u64,
        sha256,
    };
    Ok((object, reference))
}

fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Error::ManifestJson(error.into()))
}
