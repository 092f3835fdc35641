//! The mapping of a finished restore: kept beside the backup, and written where the operator wants it.

use std::path::Path;

use offset_mapping::{OffsetMapping, Pairs};
use segment_format::{BackupSet, layout};

use crate::context::Context;
use crate::error::{Error, Result};
use crate::output;

/// Where the mapping of a restore goes.
#[derive(Debug)]
pub(super) struct MappingPlaces<'a> {
    /// Name of the object in the storage.
    pub(super) object: String,
    report: Option<&'a Path>,
}

impl<'a> MappingPlaces<'a> {
    /// Finds out before the restore, and not hours later, that both places can be written.
    pub(super) async fn prepare(
        context: &Context,
        set: &BackupSet,
        report: Option<&'a Path>,
    ) -> Result<Self> {
        let restore_id = format!("{:016x}", rand::random::<u64>());
        let object = layout::mapping_name(set.backup_id(), context.now_ms, &restore_id);
        if let Some(path) = report {
            output::check_writable(path).map_err(|source| Error::Output {
                path: path.display().to_string(),
                source,
            })?;
        }
        // Begun and dropped: nothing is left behind.
        drop(context.storage.create(&object).await?);
        Ok(Self { object, report })
    }

    /// Writes both; a failure of one does not keep the other from being tried.
    pub(super) async fn save(&self, context: &Context, mapping: &OffsetMapping) -> Result<()> {
        let mut json = Vec::new();
        let written = mapping.write_json(&mut json, Pairs::Runs);
        written.map_err(|e| Error::Internal(format!("the mapping could not be written as JSON: {e}")))?;
        let reported = match self.report {
            Some(path) => {
                output::write_file(path, |out| out.write_all(&json)).map_err(|source| Error::Output {
                    path: path.display().to_string(),
                    source,
                })
            }
            None => Ok(()),
        };
        context.storage.put(&self.object, json.into()).await?;
        reported
    }
}
