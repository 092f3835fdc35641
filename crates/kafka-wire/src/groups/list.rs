//! Listing groups: every broker knows only those that it coordinates.

use std::collections::BTreeMap;
use std::fmt;

use kafka_protocol::messages::{ListGroupsRequest, ListGroupsResponse};

use crate::cluster::{Cluster, TopicFilter, join_all};
use crate::connection::{Api, Link, Role};
use crate::error::{Error, ErrorCode};
use crate::retry::Effect;

/// The kind of a group, which decides how its members share partitions and where its positions are kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GroupKind {
    /// The classic protocol; also a group that only commits, without members.
    Classic,
    /// The consumer protocol of KIP-848.
    Consumer,
    /// A share group (KIP-932): its positions are not committed offsets.
    Share,
    /// A streams group (KIP-1071).
    Streams,
    /// A kind that this crate does not know.
    Other(String),
}

impl GroupKind {
    fn parse(kind: &str) -> Self {
        match kind.to_ascii_lowercase().as_str() {
            // Brokers before 3.7 know one kind, and do not name it.
            "classic" | "" => Self::Classic,
            "consumer" => Self::Consumer,
            "share" => Self::Share,
            "streams" => Self::Streams,
            _ => Self::Other(kind.to_owned()),
        }
    }
}

impl fmt::Display for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Classic => "classic",
            Self::Consumer => "consumer",
            Self::Share => "share",
            Self::Streams => "streams",
            Self::Other(kind) => kind,
        })
    }
}

/// The state of a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GroupState {
    /// Known, without members.
    Empty,
    /// Not known to its coordinator.
    Dead,
    /// Has members that agree on who reads what.
    Stable,
    /// Classic: members are joining.
    PreparingRebalance,
    /// Classic: members wait for their partitions.
    CompletingRebalance,
    /// Consumer protocol: partitions are being assigned.
    Assigning,
    /// Consumer protocol: members are taking over their partitions.
    Reconciling,
    /// A state that this crate does not know; empty when the broker does not tell.
    Other(String),
}

impl GroupState {
    pub(super) fn parse(state: &str) -> Self {
        match state {
            "Empty" => Self::Empty,
            "Dead" => Self::Dead,
            "Stable" => Self::Stable,
            "PreparingRebalance" => Self::PreparingRebalance,
            "CompletingRebalance" => Self::CompletingRebalance,
            "Assigning" => Self::Assigning,
            "Reconciling" => Self::Reconciling,
            _ => Self::Other(state.to_owned()),
        }
    }

    /// Whether the group has no members, so that others may commit for it.
    pub fn is_idle(&self) -> bool {
        matches!(self, Self::Empty | Self::Dead)
    }
}

impl fmt::Display for GroupState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "Empty",
            Self::Dead => "Dead",
            Self::Stable => "Stable",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::Other(state) => state,
        })
    }
}

/// A group in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupListing {
    /// Id.
    pub group_id: String,
    /// What the members are; `consumer` for consumers, empty for a group that only commits.
    pub protocol_type: String,
    /// State; brokers before 2.6 do not tell it here.
    pub state: GroupState,
    /// Kind.
    pub kind: GroupKind,
}

impl Cluster {
    /// All groups of the cluster, sorted by id.
    ///
    /// # Errors
    /// When any of the brokers does not answer: the list would silently lack the groups that it coordinates.
    pub async fn list_groups(&self) -> Result<Vec<GroupListing>, Error> {
        let mut retry = self.retry(Effect::Repeatable);
        loop {
            match self.list_groups_everywhere().await {
                Ok(groups) => return Ok(groups),
                Err(error) => retry.pause(error).await?,
            }
        }
    }

    /// Asks every broker once. After a failure all are asked again, as groups may have moved meanwhile.
    async fn list_groups_everywhere(&self) -> Result<Vec<GroupListing>, Error> {
        let brokers = self.metadata(TopicFilter::none()).await?.brokers;
        let lists = brokers.keys().map(|&node| self.list_groups_on(node)).collect();
        let mut groups = BTreeMap::new();
        for list in join_all(lists).await {
            for group in list? {
                // A group that is moving may be listed by both coordinators; one of them has nothing left of it.
                let id = group.group_id.clone();
                if group.state != GroupState::Dead || !groups.contains_key(&id) {
                    groups.insert(id, group);
                }
            }
        }
        Ok(groups.into_values().collect())
    }

    async fn list_groups_on(&self, node: i32) -> Result<Vec<GroupListing>, Error> {
        let link = self.link(node, Role::Group, 0).await?;
        self.list_groups_of(&link).await
    }

    /// The groups that one broker coordinates.
    pub(super) async fn list_groups_of(&self, link: &Link) -> Result<Vec<GroupListing>, Error> {
        let response = link
            .call(&ListGroupsRequest::default(), self.config().request_timeout)
            .await?;
        match ErrorCode::new(response.error_code) {
            Some(code) => Err(Error::kafka(code, ListGroupsRequest::NAME, link.broker(), "")),
            None => Ok(listings(response)),
        }
    }
}

fn listings(response: ListGroupsResponse) -> Vec<GroupListing> {
    let listing = |group: kafka_protocol::messages::list_groups_response::ListedGroup| GroupListing {
        group_id: group.group_id.to_string(),
        protocol_type: group.protocol_type.to_string(),
        state: GroupState::parse(&group.group_state),
        kind: GroupKind::parse(&group.group_type),
    };
    response.groups.into_iter().map(listing).collect()
}
