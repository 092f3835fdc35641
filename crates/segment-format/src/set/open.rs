//! A backup set from its newest manifest and the layers that it names.

use std::sync::Arc;

use crate::error::Result;
use crate::layout;
use crate::manifest::{Changes, Facts, LayerRef, Manifest, inconsistent};

use super::{BackupSet, Layer};

/// A backup set that is being opened: the newest manifest is there, its layers are wanted.
#[derive(Debug)]
pub struct Opening {
    set: BackupSet,
    facts: Facts,
    own: (LayerRef, Changes),
    wanted: Vec<LayerRef>,
}

/// A layer that is needed to open a backup set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedLayer {
    /// Name of the object.
    pub object: String,
    /// Bytes that it must have.
    pub bytes: u64,
}

impl Opening {
    /// Begins with the manifest of the generation that is wanted, which is the newest unless one looks at history.
    /// `backup_id` and `generation` are what the object's name says.
    ///
    /// # Errors
    ///
    /// Those of [`Manifest::decode`]; [`Error::Inconsistent`](crate::Error::Inconsistent) also when the manifest is that of
    /// another backup set or generation.
    pub fn new(backup_id: &str, generation: u64, newest: &[u8]) -> Result<Self> {
        let (manifest, reference) = Manifest::decode(newest)?;
        check_names(&manifest.facts, backup_id, generation)?;
        Ok(Self {
            set: BackupSet::empty(backup_id),
            facts: manifest.facts,
            own: (reference, manifest.changes),
            wanted: manifest.layers,
        })
    }

    /// The layers that are needed, in the order in which [`add`](Self::add) wants them.
    pub fn wanted(&self) -> impl ExactSizeIterator<Item = WantedLayer> {
        let added = self.set.layers.len();
        self.wanted.iter().skip(added).map(|layer| WantedLayer {
            object: layout::manifest_name(&self.facts.backup_id, layer.generation),
            bytes: layer.bytes,
        })
    }

    /// Takes in the bytes of the next layer.
    ///
    /// # Errors
    ///
    /// Those of [`Manifest::decode`]; [`Error::Inconsistent`](crate::Error::Inconsistent) also when it is not the layer that
    /// is wanted next, or cannot follow what the layers before it say. The opening cannot go on then.
    pub fn add(&mut self, layer: &[u8]) -> Result<()> {
        let Some(&wanted) = self.wanted.get(self.set.layers.len()) else {
            return inconsistent("layers", "no further one is wanted");
        };
        let (manifest, reference) = Manifest::decode(layer)?;
        check_names(&manifest.facts, &self.facts.backup_id, wanted.generation)?;
        if reference != wanted {
            return inconsistent(
                format!("layer of generation {}", wanted.generation),
                "length or SHA-256 are not those that the newer manifest names",
            );
        }
        // A manifest takes in the last layers only: those of a layer that stays stay with it.
        if Some(manifest.layers.as_slice()) != self.wanted.get(..self.set.layers.len()) {
            return inconsistent(
                format!("layer of generation {}", wanted.generation),
                "it was built on other layers than those that the newer manifest names before it",
            );
        }
        self.set.take_layer(reference, manifest.changes)
    }

    /// The backup set.
    ///
    /// # Errors
    ///
    /// [`Error::Inconsistent`](crate::Error::Inconsistent) when layers are missing, or the newest manifest cannot follow
    /// them.
    pub fn finish(mut self) -> Result<BackupSet> {
        if self.wanted().len() > 0 {
            return inconsistent("layers", format!("{} are missing", self.wanted().len()));
        }
        let (reference, changes) = self.own;
        self.set.take_layer(reference, changes)?;
        self.set.facts = self.facts;
        Ok(self.set)
    }
}

fn check_names(facts: &Facts, backup_id: &str, generation: u64) -> Result<()> {
    if facts.backup_id != backup_id {
        return inconsistent(
            "backup_id",
            format!("it is {:?} instead of {backup_id:?}", facts.backup_id),
        );
    }
    if facts.generation != generation {
        return inconsistent(
            "generation",
            format!("it is {} instead of {generation}", facts.generation),
        );
    }
    Ok(())
}

impl BackupSet {
    /// Checks the changes of a manifest and takes them in.
    fn take_layer(&mut self, reference: LayerRef, changes: Changes) -> Result<()> {
        // A layer has taken in what was committed since the one before it.
        let before = self.layers.last().map_or(0, |layer| layer.reference.generation);
        self.check(&changes, before.saturating_add(1)..=reference.generation)?;
        self.take_in(&changes);
        self.push_layer(reference, Arc::new(changes));
        Ok(())
    }

    pub(super) fn push_layer(&mut self, reference: LayerRef, changes: Arc<Changes>) {
        let entries = changes.entries();
        let mergeable = reference.bytes < self.policy.seal_bytes;
        self.layers.push(Layer {
            reference,
            entries,
            changes: mergeable.then_some(changes),
        });
    }
}
