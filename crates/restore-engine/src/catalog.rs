//! What a storage holds: backup sets, their manifests, and the mappings that restores have left beside them.

use offset_mapping::OffsetMapping;
use segment_format::manifest::Facts;
use segment_format::{BackupSet, Manifest, Opening, layout};

use crate::concurrent::map_bounded;
use crate::context::Context;
use crate::error::{Error, Result, known_names};

#[cfg(test)]
mod tests;

/// A manifest or mapping larger than this is not read: it would not be one of ours.
pub(crate) const MAX_DOCUMENT_BYTES: u64 = 1024 * 1024 * 1024;

/// Layers of a backup set that are read at the same time.
const PARALLEL: usize = 16;

/// Names that are asked for to find the newest manifest: one would do, but for what others may have put there.
const FIRST_NAMES: usize = 8;

/// Finds and opens what a storage holds.
#[derive(Debug)]
pub struct Catalog<'a> {
    context: &'a Context,
}

/// One backup set of a storage.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BackupSummary {
    /// Its name.
    pub backup_id: String,
    /// Generations there are.
    pub generations: usize,
}

/// A mapping with the name of its object.
#[derive(Debug)]
#[non_exhaustive]
pub struct StoredMapping {
    /// The object.
    pub name: String,
    /// Its content.
    pub mapping: OffsetMapping,
}

impl<'a> Catalog<'a> {
    /// A catalog of the context's storage.
    pub fn new(context: &'a Context) -> Self {
        Self { context }
    }

    /// The backup sets, sorted by name. A folder without a manifest (a backup that did not finish) is not one.
    pub async fn backups(&self) -> Result<Vec<BackupSummary>> {
        let mut found = Vec::new();
        for folder in self.context.storage.list_folders("").await? {
            let Some(backup_id) = layout::parse_backup_prefix(&format!("{folder}/")) else {
                continue;
            };
            let generations = self.manifests(&backup_id).await?.len();
            if generations > 0 {
                found.push(BackupSummary {
                    backup_id,
                    generations,
                });
            }
        }
        Ok(found)
    }

    /// A backup set as it is now.
    pub async fn open(&self, backup_id: &str) -> Result<BackupSet> {
        let Some(name) = self.newest_manifest(backup_id).await? else {
            return Err(self.unknown(backup_id).await);
        };
        self.open_named(backup_id, &name).await
    }

    /// A backup set with the positions of groups as of `time`, in milliseconds since 1970 UTC: the newest generation whose
    /// positions were not read after it, whenever it was committed. Reads few manifests, however many there are.
    ///
    /// # Errors
    ///
    /// [`Error::NoGroupsThen`] when no positions had been read by then that a run has committed at its end.
    pub(crate) async fn open_as_of(&self, backup_id: &str, time: i64) -> Result<BackupSet> {
        let manifests = self.manifests(backup_id).await?;
        let captured_at = async |name: &str| Ok::<_, Error>(self.facts_of(name).await?.groups_captured_at);
        // Newest first. The time at which positions were read never goes back, and older generations may have none: those before
        // `low` have later ones.
        let (mut low, mut high) = (0, manifests.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if captured_at(&manifests[middle]).await? > Some(time) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        if let Some(name) = manifests.get(low) {
            let then = self.open_named(backup_id, name).await?;
            if then.facts().groups_captured_at.is_some() {
                return Ok(then);
            }
        }
        let first = match low.checked_sub(1).and_then(|next| manifests.get(next)) {
            Some(name) => captured_at(name).await?,
            None => None,
        };
        let known = match first {
            Some(first) => format!("the first that it has were read at {first}"),
            None => "it has none at all, as no run has come to its end".to_owned(),
        };
        Err(Error::NoGroupsThen {
            backup_id: backup_id.to_owned(),
            asked: time,
            known,
        })
    }

    async fn facts_of(&self, name: &str) -> Result<Facts> {
        let bytes = self.context.storage.get(name, MAX_DOCUMENT_BYTES).await?;
        let (manifest, _) = Manifest::decode(&bytes).map_err(|e| Error::damaged(name, e))?;
        Ok(manifest.facts)
    }

    async fn open_named(&self, backup_id: &str, name: &str) -> Result<BackupSet> {
        let generation = layout::parse_manifest_name(name).map_or(0, |parsed| parsed.generation);
        self.open_generation(backup_id, generation, name).await
    }

    /// One generation of a backup set, by the name of its manifest.
    pub(crate) async fn open_generation(
        &self,
        backup_id: &str,
        generation: u64,
        name: &str,
    ) -> Result<BackupSet> {
        let bytes = self.context.storage.get(name, MAX_DOCUMENT_BYTES).await?;
        let damaged = |e| Error::damaged(name, e);
        let mut opening = Opening::new(backup_id, generation, &bytes).map_err(damaged)?;
        let wanted: Vec<_> = opening.wanted().collect();
        for wanted in wanted.chunks(PARALLEL) {
            let layers = map_bounded(wanted.to_vec(), PARALLEL, |layer| {
                let context = self.context.clone();
                async move {
                    let bytes = context.storage.get(&layer.object, layer.bytes).await?;
                    Ok((layer.object, bytes))
                }
            });
            for (object, bytes) in layers.await? {
                opening.add(&bytes).map_err(|e| Error::damaged(&object, e))?;
            }
        }
        opening.finish().map_err(damaged)
    }

    /// The mapping of the latest restore of a backup.
    pub async fn newest_mapping(&self, backup_id: &str) -> Result<StoredMapping> {
        let stored = self
            .context
            .storage
            .list(&layout::mappings_prefix(backup_id))
            .await?;
        let newest = stored
            .into_iter()
            .find(|object| layout::parse_mapping_name(&object.name).is_some());
        let Some(newest) = newest else {
            if self.newest_manifest(backup_id).await?.is_none() {
                return Err(self.unknown(backup_id).await);
            }
            let place = self.context.storage.describe();
            return Err(Error::NoMapping {
                backup_id: backup_id.to_owned(),
                place,
            });
        };
        let bytes = self.context.storage.get(&newest.name, MAX_DOCUMENT_BYTES).await?;
        let mapping = serde_json::from_slice(&bytes).map_err(|e| Error::damaged(&newest.name, e))?;
        Ok(StoredMapping {
            name: newest.name,
            mapping,
        })
    }

    /// A backup set that a backup goes on with: as it is now, or without a commit when there is none of this name.
    ///
    /// One whose newest manifest does not open is an error: going on would hide what it has.
    pub(crate) async fn open_or_begin(&self, backup_id: &str) -> Result<BackupSet> {
        match self.newest_manifest(backup_id).await? {
            None => Ok(BackupSet::empty(backup_id)),
            Some(name) => self.open_named(backup_id, &name).await,
        }
    }

    /// Name of the set's newest manifest: the first in the listing, so that one request finds it.
    async fn newest_manifest(&self, backup_id: &str) -> Result<Option<String>> {
        let prefix = layout::manifests_prefix(backup_id);
        let first = self.context.storage.list_first(&prefix, FIRST_NAMES).await?;
        let there_are_more = first.len() == FIRST_NAMES;
        let mut names = first.into_iter().map(|object| object.name);
        match names.find(|name| layout::parse_manifest_name(name).is_some()) {
            // What others have put there hides it.
            None if there_are_more => Ok(self.manifests(backup_id).await?.into_iter().next()),
            newest => Ok(newest),
        }
    }

    /// Names of the set's manifests, newest first.
    async fn manifests(&self, backup_id: &str) -> Result<Vec<String>> {
        let listed = self
            .context
            .storage
            .list(&layout::manifests_prefix(backup_id))
            .await?;
        Ok(listed
            .into_iter()
            .map(|o| o.name)
            .filter(|name| layout::parse_manifest_name(name).is_some())
            .collect())
    }

    /// Generations that there are, with the names of their manifests, newest first.
    pub(crate) async fn manifest_generations(&self, backup_id: &str) -> Result<Vec<(u64, String)>> {
        let names = self.manifests(backup_id).await?;
        let generation = |name: &String| Some(layout::parse_manifest_name(name)?.generation);
        Ok(names
            .into_iter()
            .filter_map(|name| Some((generation(&name)?, name)))
            .collect())
    }

    /// The error that says which backups there are.
    pub(crate) async fn unknown(&self, backup_id: &str) -> Error {
        let storage = &self.context.storage;
        let found = match storage.exists().await {
            Ok(false) => Ok(None),
            Ok(true) => self.backups().await.map(Some),
            Err(error) => Err(error.into()),
        };
        let known = match found {
            Ok(None) => "the folder does not exist: correct its path, or make a backup first".to_owned(),
            Ok(Some(found)) => known_names(
                "backups there",
                &found.into_iter().map(|b| b.backup_id).collect::<Vec<_>>(),
            ),
            Err(error) => return error,
        };
        Error::UnknownBackup {
            backup_id: backup_id.to_owned(),
            place: self.context.storage.describe(),
            known,
        }
    }
}
