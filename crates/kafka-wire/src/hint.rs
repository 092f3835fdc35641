//! What a broker that refuses a partition says about who leads it now (KIP-951).
//!
//! Fetch answers from version 16 on and Produce answers from version 10 on carry, beside `NOT_LEADER_OR_FOLLOWER` and
//! `FENCED_LEADER_EPOCH`, the leader with its epoch, and once for the whole answer where the leaders named listen:
//!
//! ```text
//! of a partition: ?0 (Produce) or ?1 (Fetch) current_leader { id i32, epoch i32 }
//! of the answer:  ?0 node_endpoints [ node_id i32, host string, port i32, rack nullable string ]
//! ```

use crate::connection::BrokerAddress;
use crate::error::ErrorCode;
use crate::wire::{Malformed, Reader};

/// The first version of Fetch responses in which brokers name leaders, and where these listen. The tagged field of a
/// partition is older; only replicas were told by it.
pub(crate) const FIRST_FETCH: i16 = 16;
/// The first version of Produce responses that does.
pub(crate) const FIRST_PRODUCE: i16 = 10;

/// Who leads a partition, as the answer about it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CurrentLeader {
    pub(crate) node: i32,
    pub(crate) epoch: i32,
}

/// Where a broker listens, as the answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NodeEndpoint {
    pub(crate) node: i32,
    pub(crate) address: BrokerAddress,
}

/// What one answer says about the leader of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeaderHint {
    /// The topic that the answer is about.
    pub(crate) topic_id: [u8; 16],
    pub(crate) node: i32,
    pub(crate) epoch: i32,
    /// Where the leader listens, if the answer says that too.
    pub(crate) address: Option<BrokerAddress>,
}

/// The fewest bytes of an endpoint: its number, an empty host, the port, no rack, no tagged fields.
const MIN_ENDPOINT: usize = 4 + 1 + 4 + 1 + 1;
/// No host name is longer (RFC 1035).
const LONGEST_HOST: usize = 255;

impl CurrentLeader {
    /// Reads the content of the tagged field. A negative number is the protocol's way to say that there is none.
    pub(crate) fn read(field: &mut Reader) -> Result<Option<Self>, Malformed> {
        let leader = Self {
            node: field.i32()?,
            epoch: field.i32()?,
        };
        field.skip_tagged_fields()?;
        Ok(Some(leader).filter(|leader| leader.node >= 0 && leader.epoch >= 0))
    }
}

impl NodeEndpoint {
    /// `None` when this is no address to connect to.
    pub(crate) fn new(node: i32, host: &[u8], port: i32) -> Option<Self> {
        let host = std::str::from_utf8(host).ok();
        let host = host.filter(|host| host.len() <= LONGEST_HOST)?;
        let address = BrokerAddress::announced(host, port)?;
        Some(Self { node, address })
    }

    /// Reads the content of the tagged field. Brokers name each leader once, so that there are no more endpoints than
    /// partitions in the answer; those that are beyond `most` are not kept.
    pub(crate) fn read_all(field: &mut Reader, most: usize) -> Result<Vec<Self>, Malformed> {
        let mut endpoints = Vec::new();
        for index in 0..field.count(MIN_ENDPOINT)? {
            let node = field.i32()?;
            let host = field.nullable_string()?.unwrap_or_default();
            let port = field.i32()?;
            let _rack = field.nullable_string()?;
            field.skip_tagged_fields()?;
            if index < most {
                endpoints.extend(Self::new(node, &host, port));
            }
        }
        Ok(endpoints)
    }
}

impl LeaderHint {
    /// Puts together what an answer says about the leader of a partition that was refused with `code`. `topic_id` is how the
    /// answer names the topic: where it has a name only, it need not be the topic of that name that was meant.
    pub(crate) fn of(
        code: ErrorCode,
        topic_id: Option<[u8; 16]>,
        leader: Option<CurrentLeader>,
        endpoints: &[NodeEndpoint],
    ) -> Option<Self> {
        let CurrentLeader { node, epoch } = leader.filter(|_| code.is_move())?;
        let endpoint = endpoints.iter().find(|endpoint| endpoint.node == node);
        Some(Self {
            topic_id: topic_id.filter(|id| *id != [0; 16])?,
            node,
            epoch,
            address: endpoint.map(|endpoint| endpoint.address.clone()),
        })
    }
}

#[cfg(test)]
#[path = "hint_tests.rs"]
mod tests;
