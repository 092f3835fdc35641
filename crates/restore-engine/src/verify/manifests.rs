//! The manifests of a backup set: all of them are read, and the set is opened from the newest one that is whole.

use std::collections::HashMap;

use segment_format::manifest::{LayerRef, Manifest};
use segment_format::{BackupSet, layout};

use super::finding::{Finding, ObjectStatus};
use crate::catalog::{Catalog, MAX_DOCUMENT_BYTES};
use crate::concurrent::map_bounded;
use crate::context::Context;
use crate::error::{Error, Result};

/// Manifests that are read at the same time.
const PARALLEL: usize = 8;

/// What the manifests say.
#[derive(Debug)]
pub(super) struct Loaded {
    /// None when no generation, or not the one that is wanted, can be opened.
    pub(super) set: Option<BackupSet>,
    /// The newest generation whose manifest is there.
    pub(super) newest: u64,
    pub(super) findings: Vec<Finding>,
    pub(super) notes: Vec<String>,
    /// Manifests that were read.
    pub(super) checked: u64,
}

/// A manifest that is whole: the reference to it, and those to its layers.
#[derive(Debug)]
struct Whole {
    own: LayerRef,
    layers: Vec<LayerRef>,
}

/// Reads all manifests, and opens the generation `wanted`, or else the newest one that opens.
pub(super) async fn load(context: &Context, backup_id: &str, wanted: Option<u64>) -> Result<Loaded> {
    let catalog = Catalog::new(context);
    let names = catalog.manifest_generations(backup_id).await?;
    let Some(&(newest, _)) = names.first() else {
        return Err(catalog.unknown(backup_id).await);
    };
    if let Some(generation) = wanted.filter(|wanted| *wanted == 0 || *wanted > newest) {
        return Err(Error::UnknownGeneration {
            backup_id: backup_id.to_owned(),
            generation,
            newest,
        });
    }
    let read = map_bounded(names, PARALLEL, |(generation, name)| {
        let (context, backup_id) = (context.clone(), backup_id.to_owned());
        async move { Ok((generation, read(&context, &backup_id, generation, &name).await)) }
    });
    let mut loaded = Loaded {
        set: None,
        newest,
        findings: Vec::new(),
        notes: Vec::new(),
        checked: 0,
    };
    let mut whole = HashMap::new();
    let mut seen = Vec::new();
    for (generation, result) in read.await? {
        loaded.checked += 1;
        seen.push(generation);
        match result {
            Ok(manifest) => _ = whole.insert(generation, manifest),
            Err(finding) => loaded.findings.push(finding),
        }
    }
    seen.reverse();
    loaded.findings.extend(holes(backup_id, &seen));
    loaded.findings.extend(other_layers(backup_id, &whole));
    open(&catalog, backup_id, newest, wanted, &whole, &mut loaded).await?;
    Ok(loaded)
}

async fn read(
    context: &Context,
    backup_id: &str,
    generation: u64,
    name: &str,
) -> std::result::Result<Whole, Finding> {
    let bytes = context.storage.get(name, MAX_DOCUMENT_BYTES).await;
    let bytes = bytes.map_err(|error| Finding::of_storage(name, &error))?;
    let (manifest, own) = Manifest::decode(&bytes).map_err(|error| Finding::of_format(name, &error))?;
    let facts = &manifest.facts;
    if facts.backup_id != backup_id || facts.generation != generation {
        let problem = format!(
            "it is the manifest of generation {} of backup {:?}, under the name of another one",
            facts.generation, facts.backup_id
        );
        return Err(Finding::damaged(name, Some(0), problem));
    }
    Ok(Whole {
        own,
        layers: manifest.layers,
    })
}

/// Generations count from 1 without holes. `seen` ascends.
fn holes(backup_id: &str, seen: &[u64]) -> Vec<Finding> {
    let mut missing = Vec::new();
    let mut expected = 1;
    for &generation in seen {
        missing.extend(bounded(expected, generation));
        expected = generation.saturating_add(1);
    }
    let finding = |generation| {
        let problem = format!("generation {generation} was committed, and its manifest is not there");
        Finding::missing(layout::manifest_name(backup_id, generation), problem)
    };
    missing.into_iter().map(finding).collect()
}

/// The generations from `expected` up to `found`; of one that is out of all bounds not each number before it.
fn bounded(expected: u64, found: u64) -> std::ops::Range<u64> {
    expected..found.min(expected.saturating_add(1000))
}

/// What segments of later generations than the newest that is there tell: one of generation *g* was begun when that of
/// *g* - 1 was committed. So those of the next generation may be of a run at work, and those of later ones prove that
/// manifests were lost.
pub(super) async fn later(
    context: &Context,
    backup_id: &str,
    newest: u64,
    of_segments: u64,
) -> Result<(Vec<Finding>, Option<String>)> {
    // A run may have committed since the manifests were listed; the segments were listed after them.
    let manifests = Catalog::new(context).manifest_generations(backup_id).await?;
    let newest = manifests
        .first()
        .map_or(newest, |(generation, _)| newest.max(*generation));
    let committed = of_segments.saturating_sub(1);
    if of_segments <= newest {
        return Ok((Vec::new(), None));
    }
    if committed == newest {
        let note = format!(
            "there are segments of generation {of_segments}, and the newest manifest is that of generation {newest}: a run is \
             writing now, or one was killed, or a newer manifest was lost. `kafka-backup orphans` lists segments that no \
             manifest names"
        );
        return Ok((Vec::new(), Some(note)));
    }
    let finding = |generation| {
        let problem = format!(
            "generation {generation} was committed, as there are segments of generation {of_segments}, and its manifest is \
             not there"
        );
        Finding::missing(layout::manifest_name(backup_id, generation), problem)
    };
    let note = format!(
        "manifests after generation {newest} were lost: what was committed with them cannot be restored until they are back. Do \
         not run the backup before: it would commit these generations anew"
    );
    Ok((
        bounded(newest + 1, of_segments).map(finding).collect(),
        Some(note),
    ))
}

/// Manifests that are whole, and not those that later ones were built on.
fn other_layers(backup_id: &str, whole: &HashMap<u64, Whole>) -> Vec<Finding> {
    let mut other: Vec<u64> = whole
        .values()
        .flat_map(|manifest| &manifest.layers)
        .filter(|layer| {
            whole
                .get(&layer.generation)
                .is_some_and(|found| found.own != **layer)
        })
        .map(|layer| layer.generation)
        .collect();
    other.sort_unstable();
    other.dedup();
    let finding = |generation| {
        let problem = "it is whole, and not the manifest that later ones name by its SHA-256";
        Finding::damaged(layout::manifest_name(backup_id, generation), Some(0), problem)
    };
    other.into_iter().map(finding).collect()
}

/// Opens the set from a manifest whose layers are all whole.
async fn open(
    catalog: &Catalog<'_>,
    backup_id: &str,
    newest: u64,
    wanted: Option<u64>,
    whole: &HashMap<u64, Whole>,
    loaded: &mut Loaded,
) -> Result<()> {
    let opens = |generation: &u64| {
        whole.get(generation).is_some_and(|manifest| {
            let mut layers = manifest.layers.iter();
            layers.all(|layer| {
                whole
                    .get(&layer.generation)
                    .is_some_and(|found| found.own == *layer)
            })
        })
    };
    let mut candidates: Vec<u64> = match wanted {
        Some(generation) => vec![generation],
        None => whole.keys().copied().collect(),
    };
    candidates.retain(opens);
    candidates.sort_unstable();
    while let Some(generation) = candidates.pop() {
        let name = layout::manifest_name(backup_id, generation);
        match catalog.open_generation(backup_id, generation, &name).await {
            Ok(set) => {
                loaded.set = Some(set);
                if wanted.is_none() && generation < newest {
                    loaded.notes.push(format!(
                        "generation {newest}, the newest, does not open; what follows is about generation {generation}, the newest \
                         that does. What was committed after it cannot be restored until its manifests are back"
                    ));
                }
                return Ok(());
            }
            Err(Error::Damaged { object, problem }) => {
                loaded
                    .findings
                    .push(Finding::new(object, ObjectStatus::Damaged, problem));
            }
            Err(Error::Storage(error)) => loaded.findings.push(Finding::of_storage(&name, &error)),
            Err(error) => return Err(error),
        }
    }
    loaded.notes.push(match wanted {
        Some(generation) => {
            format!("generation {generation} does not open, so that its segments cannot be checked")
        }
        None => "no generation opens: nothing can be restored until manifests are back".to_owned(),
    });
    Ok(())
}
