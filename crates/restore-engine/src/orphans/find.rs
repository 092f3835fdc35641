//! What is there, and what the manifests name of it.

use std::collections::HashSet;

use segment_format::manifest::Manifest;
use segment_format::{HEADER_LEN, SegmentHeader, layout};

use super::{Fate, Orphan, OrphanKind, OrphanPlan};
use crate::catalog::{Catalog, MAX_DOCUMENT_BYTES};
use crate::concurrent::map_bounded;
use crate::context::Context;
use crate::error::{Result, chain};
use crate::storage::{ObjectMeta, Unfinished};

/// Objects that are read at the same time.
const PARALLEL: usize = 8;

/// What all manifests of a backup set name.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) newest: Option<u64>,
    pub(super) segments: HashSet<String>,
    /// Why that may not be all.
    pub(super) obstacle: Option<String>,
}

/// Reads all manifests. What a generation holds is what the manifests that it is made of say, so that together they name
/// what any generation holds.
pub(super) async fn named(context: &Context, backup_id: &str) -> Result<Named> {
    let manifests = Catalog::new(context).manifest_generations(backup_id).await?;
    let newest = manifests.first().map(|(generation, _)| *generation);
    let mut named = Named {
        newest,
        segments: HashSet::new(),
        obstacle: None,
    };
    let there = manifests.len() as u64;
    if newest.is_some_and(|newest| newest != there) {
        named.obstacle = Some(format!(
            "{there} manifest(s) are there, and the newest is that of generation {}: what the missing ones name is not known",
            newest.unwrap_or(0)
        ));
    }
    for manifests in manifests.chunks(PARALLEL) {
        let read = map_bounded(manifests.to_vec(), PARALLEL, |(generation, name)| {
            let (context, backup_id) = (context.clone(), backup_id.to_owned());
            async move { Ok(segments_of(&context, &backup_id, generation, &name).await) }
        });
        for result in read.await? {
            match result {
                Ok(segments) => named.segments.extend(segments),
                Err(problem) => named.obstacle = Some(problem),
            }
        }
    }
    Ok(named)
}

async fn segments_of(
    context: &Context,
    backup_id: &str,
    generation: u64,
    name: &str,
) -> std::result::Result<Vec<String>, String> {
    let unknown = |problem: String| format!("what {name} names is not known: {problem}");
    let bytes = context.storage.get(name, MAX_DOCUMENT_BYTES).await;
    let bytes = bytes.map_err(|error| unknown(chain(&error)))?;
    let (manifest, _) = Manifest::decode(&bytes).map_err(|error| unknown(chain(&error)))?;
    if manifest.facts.backup_id != backup_id || manifest.facts.generation != generation {
        return Err(unknown("it is another manifest".to_owned()));
    }
    let segments = manifest.changes.segments.iter();
    Ok(segments.map(|segment| segment.id.object(backup_id)).collect())
}

pub(super) async fn plan(context: &Context, backup_id: &str, older_than_ms: u64) -> Result<OrphanPlan> {
    // Segments first: one that is committed between the two is named then.
    let listed = context.storage.list(&layout::segments_prefix(backup_id)).await?;
    let unfinished = context
        .storage
        .list_unfinished(&layout::backup_prefix(backup_id))
        .await?;
    let mut named = named(context, backup_id).await?;
    if named.newest.is_none() && listed.is_empty() && unfinished.is_empty() {
        return Err(Catalog::new(context).unknown(backup_id).await);
    }
    named.obstacle = lost_manifest(&listed, named.newest).or(named.obstacle);
    let unnamed = listed
        .into_iter()
        .filter(|object| !named.segments.contains(&object.name))
        .collect();
    let newest = named.newest;
    let found = map_bounded(unnamed, PARALLEL, |object| {
        let context = context.clone();
        async move { Ok(orphan(&context, object, newest, older_than_ms).await) }
    });
    let mut orphans = found.await?;
    // A run that was killed while it found out what the storage can do leaves something as well.
    let probes = context.storage.list_unfinished(layout::PROBE).await?;
    orphans.extend(
        unfinished
            .into_iter()
            .chain(probes)
            .map(|unfinished| begun(unfinished, context.now_ms, older_than_ms)),
    );
    orphans.sort_by(|a, b| a.object.cmp(&b.object));
    Ok(OrphanPlan {
        backup_id: backup_id.to_owned(),
        place: context.storage.describe(),
        newest_generation: newest,
        older_than_ms,
        orphans,
        obstacle: named.obstacle,
    })
}

/// A segment is begun once the generation before its own is committed. So those of the generation after the newest may be of
/// a run at work, and one of a later generation proves that a manifest was lost. (The segments were listed before the
/// manifests were.)
fn lost_manifest(listed: &[ObjectMeta], newest: Option<u64>) -> Option<String> {
    let newest = newest.unwrap_or(0);
    let names = listed
        .iter()
        .filter_map(|object| layout::parse_segment_name(&object.name));
    let later = names.map(|name| name.generation).max()?;
    let committed = later.saturating_sub(1);
    (committed > newest).then(|| {
        format!(
            "there are segments of generation {later}, so that generation {committed} was committed, and the newest manifest \
             there is that of generation {newest}: later ones were lost, and what they name is not known. Bring them back \
             from a copy"
        )
    })
}

async fn orphan(context: &Context, object: ObjectMeta, newest: Option<u64>, older_than_ms: u64) -> Orphan {
    let name = layout::parse_segment_name(&object.name);
    let header = match name {
        Some(_) => context
            .storage
            .get_range(&object.name, 0..HEADER_LEN as u64)
            .await
            .ok(),
        None => None,
    };
    let created_at = header.and_then(|header| Some(SegmentHeader::decode(&header).ok()?.created_at));
    let age_ms = created_at.map(|created_at| age(context.now_ms, created_at));
    let fate = match &name {
        None => Fate::Keep,
        Some(name) if newest.is_none_or(|newest| name.generation > newest) => Fate::Undecided,
        Some(_) => by_age(age_ms, older_than_ms),
    };
    Orphan {
        object: object.name,
        kind: name.map_or(OrphanKind::Foreign, |_| OrphanKind::Segment),
        bytes: Some(object.bytes),
        age_ms,
        fate,
        unfinished: None,
    }
}

/// A writer at work on it fails when it is removed, and commits nothing: no data is lost, but a run. So its age decides.
fn begun(unfinished: Unfinished, now_ms: i64, older_than_ms: u64) -> Orphan {
    let age_ms = unfinished.last_seen_ms.map(|seen| age(now_ms, seen));
    Orphan {
        object: unfinished.name.clone(),
        kind: OrphanKind::Unfinished,
        bytes: None,
        age_ms,
        fate: by_age(age_ms, older_than_ms),
        unfinished: Some(unfinished),
    }
}

fn age(now_ms: i64, since: i64) -> u64 {
    u64::try_from(now_ms.saturating_sub(since)).unwrap_or(0)
}

/// An unknown age is that of something that was begun just now.
fn by_age(age_ms: Option<u64>, older_than_ms: u64) -> Fate {
    if age_ms.unwrap_or(0) >= older_than_ms {
        Fate::Delete
    } else {
        Fate::Young
    }
}
