//! Following a broker that says, instead of an answer, who leads a partition now (KIP-951).
//!
//! It saves asking for metadata, and waiting before that. A hint is believed as metadata are: by its leader epoch. Unlike
//! metadata it is one broker's word in passing, so whoever follows one does so once until the partition got on, and says
//! that the hint is in doubt when it did not: two brokers that name each other are asked no more often than ever.

use super::Cluster;
use super::leaders::Leader;
use super::metadata::TopicPartition;
use crate::hint::LeaderHint;

impl Cluster {
    /// Takes over what a broker says that was `asked` as the leader of a partition. Returns whether another leader is known
    /// now, or a newer epoch of the same: by this hint, or because somebody else has learned of it meanwhile.
    pub(crate) fn take_hint(&self, partition: &TopicPartition, asked: Leader, hint: &LeaderHint) -> bool {
        let Cluster { inner } = self;
        if hint.address.is_none() && !inner.links.knows(hint.node) {
            return false;
        }
        if inner.leaders.take_hint(partition, hint) {
            if let Some(address) = &hint.address {
                inner.links.add_broker(hint.node, address.clone());
            }
            tracing::debug!(%partition, leader = hint.node, epoch = hint.epoch, "the broker that was asked names another leader");
            return true;
        }
        self.cached_leader(partition).is_some_and(|known| {
            let is_newer = asked.epoch.is_some() && known.epoch > asked.epoch;
            known.topic_id == Some(hint.topic_id) && (known.node != asked.node || is_newer)
        })
    }

    /// Says that asking whom the cache names has failed. If a hint is behind it, metadata count more from now on.
    pub(crate) fn doubt_hint(&self, partition: &TopicPartition) {
        self.inner.leaders.doubt_hint(partition);
    }
}
