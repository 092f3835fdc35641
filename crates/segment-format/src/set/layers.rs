//! When earlier manifests are merged into the one that a commit writes: the logarithmic method.
//!
//! A commit that changed little writes little, and refers to earlier manifests for the rest. So that these do not become
//! many, it takes the latest of them in while they are not much larger than what it writes anyway. The sizes of those that
//! are left then fall by half at least, from the oldest to the newest, and what was written once is written again only
//! when it moves into something larger: both numbers grow with the logarithm of the number of commits.

/// Size of a manifest that may be merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerSize {
    /// Bytes of the object.
    pub bytes: u64,
    /// Things that its changes name.
    pub entries: u64,
}

/// When earlier manifests are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MergePolicy {
    /// A commit that writes less than this is taken to write this: storing and reading an object costs so much anyway.
    pub floor_bytes: u64,
    /// A manifest of this size is not merged any more, unless all are. What is written in one commit stays bounded.
    pub seal_bytes: u64,
}

impl Default for MergePolicy {
    fn default() -> Self {
        Self {
            floor_bytes: 16 * 1024,
            seal_bytes: 4 * 1024 * 1024,
        }
    }
}

impl MergePolicy {
    /// How many of `layers` (oldest first) stay as they are when `own` changes are committed; those after them are merged
    /// into the new manifest. `live_entries` is what all would name in one piece.
    pub fn kept(&self, layers: &[LayerSize], own: LayerSize, live_entries: u64) -> usize {
        let all = layers
            .iter()
            .fold(own.entries, |sum, layer| sum.saturating_add(layer.entries));
        if all > live_entries.saturating_mul(2) {
            return 0;
        }
        let mut kept = layers.len();
        let mut size = own.bytes.max(self.floor_bytes);
        while let Some(last) = kept.checked_sub(1).and_then(|last| layers.get(last)) {
            if last.bytes >= self.seal_bytes || last.bytes > size.saturating_mul(2) {
                break;
            }
            size = size.saturating_add(last.bytes);
            kept -= 1;
        }
        kept
    }
}
