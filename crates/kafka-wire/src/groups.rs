//! Consumer groups: list, describe, and their committed offsets.

mod assignment;
mod commit;
mod describe;
mod list;
mod positions;
mod share;

pub use commit::OffsetCommit;
pub use describe::{GroupDescription, GroupMember};
pub use list::{GroupKind, GroupListing, GroupState};
pub use positions::CommittedOffset;
pub use share::ShareOffset;

use crate::error::Error;

/// What came out for each group.
pub type GroupResults<T> = Vec<(String, Result<T, Error>)>;

/// For messages.
fn subject(group: &str) -> String {
    format!("group {group}")
}
