//! The first line of a manifest: what it is, its version, and the SHA-256 of all that follows.

use sha2::{Digest, Sha256};

use crate::checksum::{hex, unhex};
use crate::error::{Error, Part, Result};

/// The version of the manifest that this crate writes, and the newest that it reads.
pub const MANIFEST_VERSION: u64 = 1;

const MAGIC: &str = "kafka-backup-manifest ";
const HASH_LABEL: &str = " sha256:";

/// A longer first line is none of ours: magic, a 20-digit version, label, 64 digits.
const MAX_HEADER_LEN: usize = MAGIC.len() + 20 + HASH_LABEL.len() + 64;

/// Puts the line in front of `body`. Also returned is the digest that the line names.
pub(super) fn with_header(body: &[u8]) -> (Vec<u8>, [u8; 32]) {
    let digest: [u8; 32] = Sha256::digest(body).into();
    let line = format!("{MAGIC}{MANIFEST_VERSION}{HASH_LABEL}{}\n", hex(&digest));
    let mut object = Vec::with_capacity(line.len() + body.len());
    object.extend_from_slice(line.as_bytes());
    object.extend_from_slice(body);
    (object, digest)
}

/// The body behind the line, and its digest, which the line confirms.
pub(super) fn checked_body(object: &[u8]) -> Result<(&[u8], [u8; 32])> {
    let (stored, body) = split(object)?;
    let computed: [u8; 32] = Sha256::digest(body).into();
    if stored != computed {
        return Err(Error::ManifestHash {
            stored: hex(&stored),
            computed: hex(&computed),
        });
    }
    Ok((body, computed))
}

/// The digest in the line, and the body behind the line.
fn split(object: &[u8]) -> Result<([u8; 32], &[u8])> {
    if !object.starts_with(MAGIC.as_bytes()) {
        return Err(Error::BadMagic {
            part: Part::ManifestHeader,
            position: 0,
        });
    }
    let window = object.get(..MAX_HEADER_LEN + 1).unwrap_or(object);
    let Some(end) = window.iter().position(|&byte| byte == b'\n') else {
        if window.len() < MAX_HEADER_LEN {
            return Err(Error::Truncated {
                part: Part::ManifestHeader,
                position: object.len() as u64,
                needed: 1,
                available: 0,
            });
        }
        return Err(invalid(0, "the line does not end"));
    };
    let line = object.get(MAGIC.len()..end).unwrap_or_default();
    let body = object.get(end + 1..).unwrap_or_default();
    let line = std::str::from_utf8(line).map_err(|_| invalid(MAGIC.len(), "it is not text"))?;
    let digits = line.find(|c: char| !c.is_ascii_digit()).unwrap_or(line.len());
    let (version, rest) = line.split_at(digits);
    check_version(version)?;
    let digest = rest.strip_prefix(HASH_LABEL).and_then(unhex::<32>);
    let digest = digest.ok_or_else(|| {
        let reason = "no SHA-256 in 64 lower-case digits follows the version";
        invalid(MAGIC.len() + version.len(), reason)
    })?;
    Ok((digest, body))
}

fn check_version(version: &str) -> Result<()> {
    match version.parse::<u64>() {
        Ok(found) if found.to_string() != version => {
            Err(invalid(MAGIC.len(), "the version has a leading zero"))
        }
        Ok(MANIFEST_VERSION) => Ok(()),
        Ok(found) => Err(Error::UnsupportedVersion {
            part: Part::ManifestHeader,
            found,
            supported: MANIFEST_VERSION,
        }),
        Err(_) => Err(invalid(MAGIC.len(), "the version is not a number")),
    }
}

fn invalid(position: usize, reason: &str) -> Error {
    Error::Invalid {
        part: Part::ManifestHeader,
        position: position as u64,
        reason: reason.into(),
    }
}
