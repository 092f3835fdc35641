//! Consumer groups of a backup set, and where they stood.

use serde::{Deserialize, Serialize};

/// A consumer group as it was before the end offsets of the backup were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Id of the group.
    pub group_id: String,
    /// Protocol of the group.
    pub kind: GroupKind,
    /// State of the group in the words of the broker, as `Stable` or `Empty`.
    pub state: String,
    /// What the members called their protocol, as `consumer` or `connect`; empty when unknown.
    pub protocol_type: String,
    /// The committed offsets, sorted by topic name (as bytes) and partition. A partition without a commit is not
    /// listed.
    pub offsets: Vec<GroupOffset>,
}

/// A committed offset of a group: the next record to read is the first one at or after `offset`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupOffset {
    /// Name of the topic.
    pub topic: String,
    /// Number of the partition.
    pub partition: i32,
    /// The committed offset, not negative.
    pub offset: i64,
    /// Leader epoch that the commit named.
    pub leader_epoch: Option<i32>,
    /// The string that the consumer committed with the offset.
    pub metadata: String,
}

impl GroupOffset {
    /// What the positions of a group are sorted by.
    pub(crate) fn key(&self) -> (&str, i32) {
        (&self.topic, self.partition)
    }
}

/// Which protocol a group uses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
#[non_exhaustive]
pub enum GroupKind {
    /// The classic protocol, with rebalances by the members.
    Classic,
    /// The consumer protocol of KIP-848.
    Consumer,
    /// Any other, by the name that the broker gives it in lower case.
    Other(String),
}

impl From<String> for GroupKind {
    fn from(name: String) -> Self {
        match name.as_str() {
            "classic" => GroupKind::Classic,
            "consumer" => GroupKind::Consumer,
            _ => GroupKind::Other(name),
        }
    }
}

impl From<GroupKind> for String {
    fn from(kind: GroupKind) -> Self {
        match kind {
            GroupKind::Classic => "classic".to_owned(),
            GroupKind::Consumer => "consumer".to_owned(),
            GroupKind::Other(name) => name,
        }
    }
}

impl std::fmt::Display for GroupKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            GroupKind::Classic => f.write_str("classic"),
            GroupKind::Consumer => f.write_str("consumer"),
            GroupKind::Other(name) => f.write_str(name),
        }
    }
}
