//! Lists of layers that no writer makes: refused, with a word that says why, and before much is done for them.

use segment_format::manifest::{LayerRef, Manifest};
use segment_format::{BackupSet, Commit, Error, MergePolicy, Opening, Result};
use sha2::{Digest, Sha256};

use crate::manifest::{BACKUP_ID, small_commit};

/// Four generations, each built on those before it.
fn chain() -> Vec<Manifest> {
    let mut set = BackupSet::empty(BACKUP_ID);
    set.set_merge_policy(MergePolicy {
        floor_bytes: 0,
        seal_bytes: 0,
    });
    let commits = (0..4).map(|number| {
        let mut commit: Commit = small_commit();
        if number > 0 {
            commit.segments.clear();
            commit.topics[0].partitions[1].end_offset += number;
        }
        commit
    });
    commits
        .map(|commit| {
            let planned = set.plan_commit(commit).unwrap().unwrap();
            let (manifest, _) = Manifest::decode(planned.bytes()).unwrap();
            set.apply(planned).unwrap();
            manifest
        })
        .collect()
}

/// Makes every layer name the layers before it as they are now, after a change to one of them.
fn relink(chain: &mut [Manifest]) {
    let mut known: Vec<LayerRef> = Vec::new();
    for manifest in chain {
        for layer in &mut manifest.layers {
            if let Some(now) = known.iter().find(|known| known.generation == layer.generation) {
                *layer = *now;
            }
        }
        known.push(manifest.encode().unwrap().1);
    }
}

fn open(chain: &[Manifest]) -> Result<BackupSet> {
    let (newest, layers) = chain.split_last().unwrap();
    let mut opening = Opening::new(BACKUP_ID, newest.facts.generation, &newest.encode()?.0)?;
    for wanted in opening.wanted().collect::<Vec<_>>() {
        let named = |layer: &&Manifest| {
            wanted
                .object
                .ends_with(&format!("-{}.manifest", layer.facts.generation))
        };
        let layer = layers.iter().find(named).unwrap();
        opening.add(&layer.encode()?.0)?;
    }
    opening.finish()
}

#[track_caller]
fn refused(chain: &[Manifest], place: &str, why: &str) {
    match open(chain) {
        Err(Error::Inconsistent { place: at, reason }) => {
            assert!(at.contains(place) && reason.contains(why), "{at}: {reason}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_chain_opens_and_without_any_of_its_layers_it_does_not() {
    let whole = chain();
    assert_eq!(whole[3].layers.len(), 3);
    assert_eq!(open(&whole).unwrap().generation(), 4);
    for left_out in 0..2 {
        let mut holed = chain();
        holed[3].layers.remove(left_out);
        refused(&holed, "layer of generation", "built on other layers");
    }
    // The layers agree with each other on leaving one out, and what it brought is missing.
    let mut holed = chain();
    for manifest in &mut holed[1..] {
        manifest.layers.remove(0);
    }
    relink(&mut holed);
    refused(&holed, "partition 2 of topic 1", "no topic of this number");
}

#[test]
fn layers_in_another_order_and_layers_that_name_later_ones_are_refused() {
    let mut swapped = chain();
    swapped[3].layers.swap(0, 1);
    refused(&swapped, "layers", "not sorted");
    let mut twice = chain();
    twice[3].layers[1] = twice[3].layers[0];
    refused(&twice, "layers", "names something twice");
    // A cycle, however short: what a layer says of layers is earlier than itself.
    for later in 1..=4 {
        let mut cycle = chain();
        let (generation, bytes, sha256) = (later, 1, [0; 32]);
        cycle[0].layers = vec![LayerRef {
            generation,
            bytes,
            sha256,
        }];
        refused(&cycle, "layers", "not of an earlier generation");
    }
    let mut own = chain();
    own[3].layers[2].generation = 4;
    refused(&own, "layers", "not of an earlier generation");
}

#[test]
fn a_layer_of_another_backup_or_generation_is_refused_though_its_digest_is_right() {
    let mut foreign = chain();
    foreign[1].facts.backup_id = "another".to_owned();
    relink(&mut foreign);
    refused(&foreign, "backup_id", "\"another\" instead of");

    let other = chain();
    let mut renamed = chain();
    let (bytes, reference) = other[1].encode().unwrap();
    renamed[3].layers = vec![LayerRef {
        generation: 3,
        ..reference
    }];
    let newest = renamed[3].encode().unwrap().0;
    let mut opening = Opening::new(BACKUP_ID, 4, &newest).unwrap();
    let error = opening.add(&bytes).unwrap_err().to_string();
    assert!(error.contains("it is 2 instead of 3"), "{error}");
}

#[test]
fn a_layer_of_another_length_and_one_that_is_not_given_are_refused() {
    let mut longer = chain();
    longer[3].layers[1].bytes += 1;
    longer[3].layers.truncate(2);
    refused(&longer, "layer of generation 2", "length or SHA-256");

    // Everything would agree without the third: it is missing all the same.
    let whole = chain();
    let newest = whole[3].encode().unwrap().0;
    let mut opening = Opening::new(BACKUP_ID, 4, &newest).unwrap();
    for layer in &whole[..2] {
        opening.add(&layer.encode().unwrap().0).unwrap();
    }
    let error = opening.finish().unwrap_err().to_string();
    assert!(error.contains("1 are missing"), "{error}");
}

/// A manifest with `count` layers, written without this crate's own checks.
fn with_layers(count: u64) -> Vec<u8> {
    let mut newest = chain().pop().unwrap();
    newest.facts.generation = count + 1;
    newest.layers = (1..=count)
        .map(|generation| LayerRef {
            generation,
            bytes: u64::MAX,
            sha256: [0; 32],
        })
        .collect();
    let body = serde_json::to_string(&newest).unwrap();
    let digest: String = Sha256::digest(&body)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("kafka-backup-manifest 1 sha256:{digest}\n{body}").into_bytes()
}

#[test]
fn more_layers_than_there_may_be_are_refused_before_any_is_asked_for() {
    for count in [65_537, 200_000] {
        let error = Opening::new(BACKUP_ID, count + 1, &with_layers(count)).unwrap_err();
        assert!(
            matches!(&error, Error::Inconsistent { place, reason } if place == "layers" && reason.contains("too many")),
            "{error}"
        );
    }
    // As many as there may be are no more than names until they are asked for.
    let opening = Opening::new(BACKUP_ID, 65_537, &with_layers(65_536)).unwrap();
    assert_eq!(opening.wanted().len(), 65_536);
    assert!(opening.finish().is_err());
}
