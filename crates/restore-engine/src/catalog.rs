//! What a storage holds: backup sets, their manifests, and the mappings that restores have left beside them.

use offset_mapping::OffsetMapping;
use segment_format::{BackupSet, Opening, layout};

use crate::concurrent::map_bounded;
use crate::context::Context;
use crate::error::{Error, Result, known_names};

/// A manifest or mapping larger than this is not read: it would not be one of ours.
const MAX_DOCUMENT_BYTES: u64 = 1024 * 1024 * 1024;

/// Layers of a backup set that are read at the same time.
const PARALLEL: usize = 16;

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
        let manifests = self.manifests(backup_id).await?;
        let newest = manifests
            .into_iter()
            .find_map(|name| Some((layout::parse_manifest_name(&name)?.generation, name)));
        let Some((generation, name)) = newest else {
            return Err(self.unknown(backup_id).await);
        };
        self.open_generation(backup_id, generation, &name).await
    }

    async fn open_generation(&self, backup_id: &str, generation: u64, name: &str) -> Result<BackupSet> {
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
            if self.manifests(backup_id).await?.is_empty() {
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

    /// An error when the set has a manifest already.
    pub(crate) async fn refuse_existing(&self, backup_id: &str) -> Result<()> {
        let Some(newest) = self.manifests(backup_id).await?.into_iter().next() else {
            return Ok(());
        };
        // Its age helps to decide; a manifest that does not open is still a backup that must not be written over.
        let made = match self.open(backup_id).await {
            Ok(set) => format!(
                "{} s ago",
                (self.context.now_ms - set.facts().created_at).max(0) / 1000
            ),
            Err(_) => format!("but {newest} does not open"),
        };
        Err(Error::BackupExists {
            backup_id: backup_id.to_owned(),
            place: self.context.storage.describe(),
            made,
        })
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

    async fn unknown(&self, backup_id: &str) -> Error {
        let known = match self.backups().await {
            Ok(found) => known_names(
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
