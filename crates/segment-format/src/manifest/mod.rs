//! What a backup set holds: one generation of it, as text that people and other programs can read.
//!
//! A header line that names the version and the SHA-256 of all that follows it, then one JSON object.

mod group;
mod segment;
mod topic;
mod validate;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::checksum::{hex, unhex};
use crate::error::{Error, Part, Result};

pub use group::{Group, GroupKind, GroupOffset};
pub use segment::{Segment, SegmentPartition};
pub use topic::{Gap, GapCause, Partition, Topic};

/// The version of the manifest that this crate writes, and the newest that it reads.
pub const MANIFEST_VERSION: u64 = 1;

const MAGIC: &str = "kafka-backup-manifest ";
const HASH_LABEL: &str = " sha256:";

/// A longer first line is none of ours: magic, a 20-digit version, label, 64 digits.
const MAX_HEADER_LEN: usize = MAGIC.len() + 20 + HASH_LABEL.len() + 64;

/// What a backup set holds after one commit. Every commit writes a whole new manifest, of the next generation.
///
/// All lists are sorted and name nothing twice; [`Manifest::encode`] and [`Manifest::decode`] refuse a manifest that
/// contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Name of the backup set; not empty.
    pub backup_id: String,
    /// Number of the commit, from 1; the same as in the object's name.
    pub generation: u64,
    /// Time of the commit in milliseconds since 1970 UTC.
    pub created_at: i64,
    /// Program and version that wrote the manifest.
    pub created_by: String,
    /// Id that the source cluster gives itself, when it has one.
    pub cluster_id: Option<String>,
    /// Label of the source cluster in the configuration, for headers of restored records.
    pub source_cluster_id: Option<String>,
    /// What the configuration said of offset headers. The offsets are in the batches in any case.
    pub offset_headers: bool,
    /// The topics, sorted by name (as bytes).
    pub topics: Vec<Topic>,
    /// The consumer groups, sorted by id (as bytes).
    pub groups: Vec<Group>,
    /// The segments, sorted by object name (as bytes).
    pub segments: Vec<Segment>,
}

impl Manifest {
    /// The bytes of the manifest object.
    ///
    /// # Errors
    ///
    /// [`Error::Inconsistent`] when the manifest contradicts itself.
    pub fn encode(&self) -> Result<Vec<u8>> {
        self.validate()?;
        let mut body = serde_json::to_vec(self).map_err(|error| Error::ManifestJson(error.into()))?;
        body.push(b'\n');
        let mut object = format!("{MAGIC}{MANIFEST_VERSION}{HASH_LABEL}{}\n", sha256_hex(&body)).into_bytes();
        object.append(&mut body);
        Ok(object)
    }

    /// Decodes and checks the bytes of a manifest object. Members that this version does not know are ignored.
    ///
    /// # Errors
    ///
    /// [`Error::BadMagic`] when the object is not a manifest, [`Error::UnsupportedVersion`], [`Error::Truncated`],
    /// [`Error::Invalid`], [`Error::ManifestHash`] when any byte is not as it was written, [`Error::ManifestJson`],
    /// [`Error::Inconsistent`].
    pub fn decode(object: &[u8]) -> Result<Self> {
        let (stored, body) = split_header(object)?;
        let computed = sha256_hex(body);
        if stored != computed {
            return Err(Error::ManifestHash {
                stored: stored.to_owned(),
                computed,
            });
        }
        let manifest: Self =
            serde_json::from_slice(body).map_err(|error| Error::ManifestJson(error.into()))?;
        manifest.validate()?;
        Ok(manifest)
    }

    /// The topic of this name.
    pub fn topic(&self, name: &str) -> Option<&Topic> {
        let found = self
            .topics
            .binary_search_by(|topic| topic.name.as_str().cmp(name))
            .ok()?;
        self.topics.get(found)
    }

    /// The consumer group of this id.
    pub fn group(&self, group_id: &str) -> Option<&Group> {
        let found = self
            .groups
            .binary_search_by(|group| group.group_id.as_str().cmp(group_id))
            .ok()?;
        self.groups.get(found)
    }
}

fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The hash in the header line, and the body behind it.
fn split_header(object: &[u8]) -> Result<(&str, &[u8])> {
    let part = Part::ManifestHeader;
    let invalid = |position: usize, reason: &str| Error::Invalid {
        part,
        position: position as u64,
        reason: reason.into(),
    };
    if !object.starts_with(MAGIC.as_bytes()) {
        return Err(Error::BadMagic { part, position: 0 });
    }
    let window = object.get(..MAX_HEADER_LEN + 1).unwrap_or(object);
    let Some(end) = window.iter().position(|&byte| byte == b'\n') else {
        if window.len() < MAX_HEADER_LEN {
            let (position, available) = (object.len() as u64, 0);
            return Err(Error::Truncated {
                part,
                position,
                needed: 1,
                available,
            });
        }
        return Err(invalid(0, "the line does not end"));
    };
    let (line, body) = (
        object.get(MAGIC.len()..end).unwrap_or_default(),
        object.get(end + 1..).unwrap_or_default(),
    );
    let line = std::str::from_utf8(line).map_err(|_| invalid(MAGIC.len(), "it is not text"))?;
    let (version, rest) = line.split_at(line.find(|c: char| !c.is_ascii_digit()).unwrap_or(line.len()));
    match version.parse::<u64>() {
        Ok(found) if found.to_string() != version => {
            return Err(invalid(MAGIC.len(), "the version has a leading zero"));
        }
        Ok(MANIFEST_VERSION) => {}
        Ok(found) => {
            return Err(Error::UnsupportedVersion {
                part,
                found,
                supported: MANIFEST_VERSION,
            });
        }
        Err(_) => return Err(invalid(MAGIC.len(), "the version is not a number")),
    }
    let hash = rest
        .strip_prefix(HASH_LABEL)
        .filter(|digits| unhex::<32>(digits).is_some());
    hash.map(|hash| (hash, body)).ok_or_else(|| {
        invalid(
            MAGIC.len() + version.len(),
            "no SHA-256 in 64 lower-case digits follows the version",
        )
    })
}
