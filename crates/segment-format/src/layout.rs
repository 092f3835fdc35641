//! Names of the objects of a backup set, relative to the storage's prefix. They are part of the format.
//!
//! ```text
//! <backup>/manifests/<complement of generation>-<generation>.manifest
//! <backup>/segments/<generation>-<sequence>-<writer nonce>.segment
//! <backup>/mappings/<complement of time>-<restore>.json
//! <backup>/resets/<complement of time>-<reset>.json
//! <backup>/shelters/<complement of time>-<restore>.json
//! ```
//!
//! Object stores list names in ascending order of their bytes and cannot list backwards. Where the newest object is
//! what one looks for, the name starts with the complement of a number that grows, in a fixed width: the newest is the
//! first in the listing. No name is also the folder of another name, since file systems and some object stores refuse
//! that.

use std::fmt::Write;

const MANIFESTS: &str = "manifests/";
const SEGMENTS: &str = "segments/";
const MAPPINGS: &str = "mappings/";
const RESETS: &str = "resets/";
const SHELTERS: &str = "shelters/";

/// Beside the backup sets and no part of any: what a writer finds out with what the storage can do.
pub const PROBE: &str = ".kafka-backup-probe";

/// Prefix of all objects of a backup set, with a slash at the end.
///
/// The id is encoded so that any text is one folder name: lower-case letters, digits, `-`, `_`, and `.` inside of the
/// name stay; every other byte becomes `%` and two lower-case hexadecimal digits (upper-case letters too, as some file
/// systems do not tell them apart).
pub fn backup_prefix(backup_id: &str) -> String {
    format!("{}/", encode_id(backup_id))
}

/// The backup id of a prefix that [`backup_prefix`] made, as it comes from a listing of "folders".
pub fn parse_backup_prefix(prefix: &str) -> Option<String> {
    decode_id(prefix.strip_suffix('/')?)
}

/// Prefix of the manifests of a backup set: the newest is listed first.
pub fn manifests_prefix(backup_id: &str) -> String {
    backup_prefix(backup_id) + MANIFESTS
}

/// Prefix of the segments of a backup set.
pub fn segments_prefix(backup_id: &str) -> String {
    backup_prefix(backup_id) + SEGMENTS
}

/// Prefix of the segments that were written for the commit of one generation.
pub fn segments_of_generation_prefix(backup_id: &str, generation: u64) -> String {
    format!("{}{generation:016x}-", segments_prefix(backup_id))
}

/// Prefix of the mapping reports of the restores of a backup set: the newest is listed first.
pub fn mappings_prefix(backup_id: &str) -> String {
    backup_prefix(backup_id) + MAPPINGS
}

/// Prefix of the records of the offset resets of a backup set: the newest is listed first.
pub fn resets_prefix(backup_id: &str) -> String {
    backup_prefix(backup_id) + RESETS
}

/// Prefix of the settings that restores under way, or cut off, have yet to put back: the newest is listed first.
pub fn shelters_prefix(backup_id: &str) -> String {
    backup_prefix(backup_id) + SHELTERS
}

/// What the name of a manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestName {
    /// The backup set.
    pub backup_id: String,
    /// Number of the commit.
    pub generation: u64,
}

/// Name of the manifest of a generation. Two writers that commit the same generation use the same name, so that a
/// create-only put lets one of them win.
pub fn manifest_name(backup_id: &str, generation: u64) -> String {
    format!(
        "{}{:016x}-{generation}.manifest",
        manifests_prefix(backup_id),
        !generation
    )
}

/// What a name that [`manifest_name`] made says; `None` for any other.
pub fn parse_manifest_name(name: &str) -> Option<ManifestName> {
    let (backup_id, file) = split_name(name, MANIFESTS)?;
    let (complement, _) = file.split_once('-')?;
    let generation = !parse_hex(complement)?;
    let parsed = ManifestName {
        backup_id,
        generation,
    };
    (manifest_name(&parsed.backup_id, generation) == name).then_some(parsed)
}

/// What the name of a segment says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentName {
    /// The backup set.
    pub backup_id: String,
    /// The generation whose commit was to be the first to name the segment.
    pub generation: u64,
    /// Number of the segment among those of its writer and generation.
    pub sequence: u64,
    /// The number that the writer drew at random when it started; in the segment's header too.
    pub writer_nonce: u64,
}

/// Name of a segment. With a nonce of the writer, so that two writers of one generation (of which only one can commit),
/// or a second try after a crash, do not want the same name for different contents.
pub fn segment_name(backup_id: &str, generation: u64, sequence: u64, writer_nonce: u64) -> String {
    let prefix = segments_of_generation_prefix(backup_id, generation);
    format!("{prefix}{sequence:016x}-{writer_nonce:016x}.segment")
}

/// What a name that [`segment_name`] made says; `None` for any other.
pub fn parse_segment_name(name: &str) -> Option<SegmentName> {
    let (backup_id, file) = split_name(name, SEGMENTS)?;
    let mut numbers = file.strip_suffix(".segment")?.split('-').map(parse_hex);
    let (generation, sequence, writer_nonce) = (numbers.next()??, numbers.next()??, numbers.next()??);
    let parsed = SegmentName {
        backup_id,
        generation,
        sequence,
        writer_nonce,
    };
    (segment_name(&parsed.backup_id, generation, sequence, writer_nonce) == name).then_some(parsed)
}

/// What the name of a mapping report or of a reset record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunName {
    /// The backup set.
    pub backup_id: String,
    /// Milliseconds since 1970 UTC.
    pub created_at: i64,
    /// Id of the restore, or of the reset.
    pub run_id: String,
}

/// Name of the mapping report of a restore.
pub fn mapping_name(backup_id: &str, created_at: i64, restore_id: &str) -> String {
    run_name(&mappings_prefix(backup_id), created_at, restore_id)
}

/// What a name that [`mapping_name`] made says; `None` for any other.
pub fn parse_mapping_name(name: &str) -> Option<RunName> {
    parse_run_name(name, MAPPINGS)
}

/// Name of the record of an offset reset.
pub fn reset_name(backup_id: &str, created_at: i64, reset_id: &str) -> String {
    run_name(&resets_prefix(backup_id), created_at, reset_id)
}

/// What a name that [`reset_name`] made says; `None` for any other.
pub fn parse_reset_name(name: &str) -> Option<RunName> {
    parse_run_name(name, RESETS)
}

/// Name of the settings that a restore has yet to put back.
pub fn shelter_name(backup_id: &str, created_at: i64, restore_id: &str) -> String {
    run_name(&shelters_prefix(backup_id), created_at, restore_id)
}

/// What a name that [`shelter_name`] made says; `None` for any other.
pub fn parse_shelter_name(name: &str) -> Option<RunName> {
    parse_run_name(name, SHELTERS)
}

/// Times before 1970 are negative: with the sign bit flipped, the order of the numbers is the order of their digits.
const SIGN_BIT: u64 = 1 << 63;

fn run_name(prefix: &str, created_at: i64, run_id: &str) -> String {
    let ascending = created_at.cast_unsigned() ^ SIGN_BIT;
    format!("{prefix}{:016x}-{}.json", !ascending, encode_id(run_id))
}

fn parse_run_name(name: &str, kind: &str) -> Option<RunName> {
    let (backup_id, file) = split_name(name, kind)?;
    let (complement, run_id) = file.strip_suffix(".json")?.split_once('-')?;
    let created_at = (!parse_hex(complement)? ^ SIGN_BIT).cast_signed();
    Some(RunName {
        backup_id,
        created_at,
        run_id: decode_id(run_id)?,
    })
}

/// Backup id and file name of a name of this kind.
fn split_name<'a>(name: &'a str, kind: &str) -> Option<(String, &'a str)> {
    let (encoded, rest) = name.split_once('/')?;
    let file = rest.strip_prefix(kind)?;
    Some((decode_id(encoded)?, file))
}

/// Exactly 16 lower-case digits.
fn parse_hex(digits: &str) -> Option<u64> {
    crate::checksum::unhex(digits).map(u64::from_be_bytes)
}

/// An id as a name without separators, the same in any case-folding, never `.` or `..` or hidden, never empty.
fn encode_id(id: &str) -> String {
    if id.is_empty() {
        return "%".to_owned();
    }
    let mut encoded = String::with_capacity(id.len());
    for (place, byte) in id.bytes().enumerate() {
        let inside = place > 0 && place + 1 < id.len();
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => encoded.push(char::from(byte)),
            b'.' if inside => encoded.push('.'),
            // Writing to a string cannot fail.
            _ => _ = write!(encoded, "%{byte:02x}"),
        }
    }
    encoded
}

/// The id that `encoded` stands for; `None` for anything that [`encode_id`] does not make.
fn decode_id(encoded: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((plain, coded)) = rest.split_once('%') {
        bytes.extend_from_slice(plain.as_bytes());
        if encoded == "%" {
            return Some(String::new());
        }
        let [byte] = crate::checksum::unhex::<1>(coded.get(..2)?)?;
        bytes.push(byte);
        rest = coded.get(2..)?;
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes)
        .ok()
        .filter(|id| encode_id(id) == encoded)
}
