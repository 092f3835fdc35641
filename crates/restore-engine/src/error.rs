//! What can go wrong in a phase, split by what the operator can do about it.

use crate::config::ConfigError;
use crate::storage::StorageError;

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A phase that did not do all that was asked of it.
///
/// The text of a cause is not repeated in the text of the error: print the chain of sources.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Kafka, or the way to it, failed.
    #[error("{action}")]
    Kafka {
        /// What was being done, and to what.
        action: String,
        /// Why it failed.
        source: kafka_wire::Error,
    },
    /// Groups may be missing from what the brokers list.
    #[error(
        "{without_leader} partition(s) of __consumer_offsets have no leader, and nobody knows the groups that are kept there"
    )]
    NoCoordinator {
        /// How many.
        without_leader: usize,
    },
    /// The backup set is that of another cluster.
    #[error(
        "backup `{backup_id}` is of the cluster {known}, and the source is the cluster {found}: offsets of one mean nothing in \
         the other. Nothing was written. Give the backup of this cluster another backup_id"
    )]
    OtherCluster {
        /// The set.
        backup_id: String,
        /// Id of the cluster that the set was made of.
        known: String,
        /// Id of the source.
        found: String,
    },
    /// Somebody else has added to the backup set since this run opened it.
    #[error(
        "somebody else adds to backup `{backup_id}` in {place}: generation {generation} was committed meanwhile. What this run \
         had not committed is not part of the backup; the backup is not damaged. Let one run at a time add to it"
    )]
    AnotherWriter {
        /// The set.
        backup_id: String,
        /// The storage.
        place: String,
        /// The commit that was to be made.
        generation: u64,
    },
    /// No run has come to its end, so that the groups' positions were never taken, and topics may be missing.
    #[error(
        "backup `{backup_id}` was never complete: no run has come to its end. Let a backup with this backup_id end, or say \
         `restore.allow_incomplete_backup: true` to restore what it has"
    )]
    NeverComplete {
        /// The set.
        backup_id: String,
    },
    /// The groups' positions are not known for the time that was asked for.
    #[error("backup `{backup_id}` has no positions of groups as of {asked}: {known}")]
    NoGroupsThen {
        /// The set.
        backup_id: String,
        /// Milliseconds since 1970 UTC.
        asked: i64,
        /// Which it has, in words.
        known: String,
    },
    /// The place that is to hold backups is not there.
    #[error(
        "{place} does not exist: correct its path (`--storage-path`, or `storage.path` and `storage.prefix`). The first backup \
         makes it"
    )]
    NoPlace {
        /// The storage.
        place: String,
    },
    /// No such backup set.
    #[error("there is no backup `{backup_id}` in {place}; {known}")]
    UnknownBackup {
        /// What was asked for.
        backup_id: String,
        /// The storage.
        place: String,
        /// Which ones there are, in words.
        known: String,
    },
    /// No such generation of a backup set.
    #[error("backup `{backup_id}` has no generation {generation}: there are 1 to {newest}")]
    UnknownGeneration {
        /// The set.
        backup_id: String,
        /// What was asked for.
        generation: u64,
        /// The newest there is.
        newest: u64,
    },
    /// No restore of this backup has left a mapping.
    #[error(
        "backup `{backup_id}` in {place} has no offset mapping: no restore of it has been completed. Run `kafka-backup \
         restore` first"
    )]
    NoMapping {
        /// The set.
        backup_id: String,
        /// The storage.
        place: String,
    },
    /// The include globs match nothing.
    #[error("no topic of {place} matches include {include:?} without exclude {exclude:?}; {known}")]
    NoTopicMatches {
        /// The cluster or the backup.
        place: String,
        /// The globs.
        include: Vec<String>,
        /// The globs.
        exclude: Vec<String>,
        /// Which topics there are, in words.
        known: String,
    },
    /// An object of the backup is not what was written.
    #[error(
        "{object} is damaged: {problem}. Bring this object back from a copy; the rest of the backup is not affected"
    )]
    Damaged {
        /// The object.
        object: String,
        /// What is wrong, and at which byte.
        problem: String,
    },
    /// The restore began and did not end.
    #[error(
        "the restore did not finish; of {} the target has some records and not others: delete them there before the next try",
        .topics.join(", ")
    )]
    Unfinished {
        /// Topics that were created or written.
        topics: Vec<String>,
        /// Why it did not finish.
        source: Box<Error>,
    },
    /// Topics still have the settings that protect them while they are restored.
    #[error(
        "the settings of topics could not be put back (the next restore of this backup tries again; {record} keeps them):\n{}",
        bullets(.topics)
    )]
    SettingsNotPutBack {
        /// The object in the storage that keeps them.
        record: String,
        /// One line per topic: why, and what it is meant to have.
        topics: Vec<String>,
    },
    /// The restore is complete, and something after it failed.
    #[error("{restored} What came after it failed")]
    AfterRestore {
        /// What is done, and where the mapping is.
        restored: String,
        /// What failed.
        source: Box<Error>,
    },
    /// The target cannot take the backup as it is.
    #[error("the target is not ready, and nothing was written to it:\n{}", bullets(.problems))]
    TargetNotReady {
        /// One line per problem.
        problems: Vec<String>,
    },
    /// The log of a partition is not what the plan was made for.
    #[error("{topic}/{partition}: {problem}")]
    Partition {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// What happened.
        problem: String,
    },
    /// A reset that was not, or not fully, applied.
    #[error("offset reset: {problem}")]
    Reset {
        /// What happened and what to do.
        problem: String,
    },
    /// A mapping report that cannot be used.
    #[error(transparent)]
    Mapping(#[from] offset_mapping::Error),
    /// A local file that is written for the operator.
    #[error("cannot write {path}")]
    Output {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Ended from outside before the work was done.
    #[error("cancelled before it was complete: what it was asked for is not done")]
    Cancelled,
    /// A bug of ours.
    #[error("internal error: {0}")]
    Internal(String),
}

impl Error {
    /// For `map_err` on calls to Kafka: `what` says what was being done, and to what.
    pub(crate) fn kafka(what: impl Into<String>) -> impl FnOnce(kafka_wire::Error) -> Self {
        let action = what.into();
        move |source| Self::Kafka { action, source }
    }

    /// Whether the same may work later without anybody changing the configuration, a password, rights, or what is stored.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Kafka { source, .. } => !source.is_permanent(),
            Self::Storage(error) => error.may_pass(),
            _ => false,
        }
    }

    pub(crate) fn damaged(object: &str, problem: impl std::fmt::Display) -> Self {
        Self::Damaged {
            object: object.to_owned(),
            problem: problem.to_string(),
        }
    }

    pub(crate) fn partition(topic: &str, partition: i32, problem: impl std::fmt::Display) -> Self {
        Self::Partition {
            topic: topic.to_owned(),
            partition,
            problem: problem.to_string(),
        }
    }
}

/// An error with its causes, for places that show text only.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

fn bullets(lines: &[String]) -> String {
    lines
        .iter()
        .map(|line| format!("  - {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// "there are a, b and 3 more", or "there is none", for lists in messages.
pub(crate) fn known_names(what: &str, names: &[String]) -> String {
    const SHOWN: usize = 10;
    match names.len() {
        0 => format!("there are no {what} at all"),
        n if n <= SHOWN => format!("the {what} are: {}", names.join(", ")),
        n => format!(
            "the {what} are: {} and {} more",
            names[..SHOWN].join(", "),
            n - SHOWN
        ),
    }
}
