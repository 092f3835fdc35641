//! Manifests and offset mapping reports.

use offset_mapping::{OffsetMapping, Pairs};
use segment_format::{Manifest, Opening};
use sha2::{Digest, Sha256};

use crate::memory::bounded;

/// Memory for a document of `len` bytes: its values, several copies of them, nodes of maps.
fn document(len: usize) -> usize {
    400 * len
}

/// A manifest; also `data` as the body of one whose hash is right.
pub fn manifest(data: &[u8]) {
    one_manifest(data);
    let digest = Sha256::digest(data);
    let hash: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    one_manifest(
        &[
            format!("kafka-backup-manifest 1 sha256:{hash}\n").as_bytes(),
            data,
        ]
        .concat(),
    );
}

fn one_manifest(object: &[u8]) {
    let decoded = bounded(|| Manifest::decode(object), |_| document(object.len()));
    let Ok((manifest, reference)) = decoded else {
        return;
    };
    assert_eq!(reference.bytes, object.len() as u64);
    let (encoded, written) = manifest.encode().expect("what was accepted can be written");
    assert_eq!(Manifest::decode(&encoded).ok(), Some((manifest.clone(), written)));
    // Whoever opens the set is told which layers to read, or what is wrong.
    let facts = &manifest.facts;
    let opened = bounded(
        || {
            let opening =
                Opening::new(&facts.backup_id, facts.generation, object).expect("what can be decoded");
            assert_eq!(opening.wanted().len(), manifest.layers.len());
            if manifest.layers.is_empty() {
                opening.finish().ok()
            } else {
                None
            }
        },
        |_| document(object.len()),
    );
    let Some(set) = opened else { return };
    for topic in set.topics() {
        assert_eq!(set.topic(&topic.name), Some(topic));
    }
    for group in set.groups() {
        assert_eq!(set.group(&group.group_id), Some(group));
    }
}

/// A report: read, written in its short form, and read again it is the same; translations stay inside of the target.
pub fn mapping(data: &[u8]) {
    let read = bounded(|| OffsetMapping::read_json(data), |_| document(data.len()));
    let Ok(mapping) = read else { return };
    let mut written = Vec::new();
    mapping
        .write_json(&mut written, Pairs::Runs)
        .expect("memory takes everything");
    let again = OffsetMapping::read_json(&written[..]).expect("what was written can be read");
    assert_eq!(again, mapping);
    for (partition, map) in &mapping.entries {
        for offset in [0, 1, 750, i64::MAX]
            .into_iter()
            .chain(map.runs().take(8).map(|run| run.source_first))
        {
            let translation = mapping.translate(&partition.topic, partition.partition, offset);
            assert!(translation.is_some_and(|translation| translation.target_offset >= 0));
        }
        for run in map.runs().take(100) {
            let last = run.length as i64 - 1;
            assert_eq!(map.translate(run.source_first).target_offset, run.target_first);
            assert_eq!(
                map.translate(run.source_first + last).target_offset,
                run.target_first + last
            );
        }
    }
}
