//! Which partitions a producer has written, and under which epochs.
//!
//! A broker remembers, for each partition, the last sequence numbers of a producer's epoch. A second writer that began with
//! the first number again would have its first batch taken for one that was sent twice. How far an earlier writer came is not
//! known when it was dropped with batches on their way; so a later one begins with a new epoch (KIP-360), and what is still
//! on its way is refused as soon as the new epoch is known.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::cluster::TopicPartition;
use crate::error::Error;

/// The partitions that a producer has had writers for.
#[derive(Debug, Default)]
pub(super) struct Claims {
    taken: Mutex<BTreeMap<TopicPartition, Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    /// The newest epoch of the last writer.
    newest_epoch: Arc<AtomicI32>,
    /// Whether that writer is still there.
    held: Arc<()>,
}

/// The right to write a partition. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Claim {
    /// The epoch to begin with.
    pub(super) epoch: i16,
    /// Where the newest epoch has to be kept.
    pub(super) newest_epoch: Arc<AtomicI32>,
    _held: Arc<()>,
}

impl Claims {
    /// Takes a partition for a producer that began with the epoch `first`.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when it has a writer already, or no epoch is left.
    pub(super) fn take(&self, name: &TopicPartition, first: i16) -> Result<Claim, Error> {
        let refused = |reason: &str| Error::InvalidRequest {
            subject: name.to_string(),
            reason: reason.to_owned(),
        };
        let mut all = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let epoch = match all.get(name) {
            None => first,
            Some(taken) if Arc::strong_count(&taken.held) > 1 => {
                return Err(refused(
                    "this producer has a writer for the partition already: drop it first, or go on with it",
                ));
            }
            Some(taken) => i16::try_from(taken.newest_epoch.load(Ordering::Relaxed) + 1)
                .map_err(|_| refused("this producer has no epochs left: start another one"))?,
        };
        let taken = all.entry(name.clone()).or_default();
        taken.newest_epoch.store(i32::from(epoch), Ordering::Relaxed);
        Ok(Claim {
            epoch,
            newest_epoch: Arc::clone(&taken.newest_epoch),
            _held: Arc::clone(&taken.held),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(partition: i32) -> TopicPartition {
        TopicPartition::new("t", partition)
    }

    #[test]
    fn a_partition_has_one_writer_at_a_time_and_each_has_an_epoch_of_its_own() {
        let claims = Claims::default();
        let first = claims.take(&name(0), 3).unwrap();
        assert_eq!((first.epoch, claims.take(&name(1), 3).unwrap().epoch), (3, 3));
        let error = claims.take(&name(0), 3).unwrap_err().to_string();
        assert!(
            error.contains("has a writer for the partition already"),
            "{error}"
        );
        // It has needed two more.
        first.newest_epoch.store(5, Ordering::Relaxed);
        drop(first);
        let second = claims.take(&name(0), 3).unwrap();
        assert_eq!(second.epoch, 6);
        drop(second);
        // One that was never used, too.
        assert_eq!(claims.take(&name(0), 3).unwrap().epoch, 7);
    }

    #[test]
    fn epochs_come_to_an_end() {
        let claims = Claims::default();
        assert_eq!(claims.take(&name(0), i16::MAX).unwrap().epoch, i16::MAX);
        let error = claims.take(&name(0), i16::MAX).unwrap_err().to_string();
        assert!(error.contains("start another one"), "{error}");
    }
}
