//! Consumer groups: list, describe, and their committed offsets.

mod commit;
mod describe;
mod list;
mod positions;

pub use commit::OffsetCommit;
pub use describe::{GroupDescription, GroupMember};
pub use list::{GroupKind, GroupListing, GroupState};
pub use positions::CommittedOffset;

/// For messages.
fn subject(group: &str) -> String {
    format!("group {group}")
}
