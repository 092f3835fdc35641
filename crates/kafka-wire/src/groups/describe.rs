//! Describing groups, whichever protocol they use.

use kafka_protocol::messages::consumer_group_describe_response::DescribedGroup as ConsumerGroup;
use kafka_protocol::messages::describe_groups_response::DescribedGroup as ClassicGroup;
use kafka_protocol::messages::share_group_describe_response::DescribedGroup as ShareGroup;
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, DescribeGroupsRequest, ShareGroupDescribeRequest,
};

use super::assignment::{of_classic, of_topics};
use super::list::{GroupKind, GroupState};
use super::{GroupResults, subject};
use crate::cluster::{Cluster, TopicPartition, join_all};
use crate::connection::{Api, Link, group_id};
use crate::error::{Error, ErrorCode};
use crate::retry::Effect;

/// Groups that are asked about at the same time.
const AT_ONCE: usize = 64;

/// A group, as its coordinator knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupDescription {
    /// Id.
    pub group_id: String,
    /// Kind; `None` for a group that does not exist.
    pub kind: Option<GroupKind>,
    /// State; [`GroupState::Dead`] for a group that does not exist.
    pub state: GroupState,
    /// What the members are; `consumer` for consumers, empty for a group that only commits.
    pub protocol_type: String,
    /// The members. Not told for streams groups.
    pub members: Vec<GroupMember>,
}

impl GroupDescription {
    /// Whether the group has no members, so that others may commit for it. True for a group that does not exist.
    pub fn is_idle(&self) -> bool {
        self.state.is_idle() && self.members.is_empty()
    }

    fn absent(group: &str) -> Self {
        Self {
            group_id: group.to_owned(),
            kind: None,
            state: GroupState::Dead,
            protocol_type: String::new(),
            members: Vec::new(),
        }
    }
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupMember {
    /// The id that the coordinator or the member chose.
    pub member_id: String,
    /// The name of a static member.
    pub group_instance_id: Option<String>,
    /// The name that the client gives itself.
    pub client_id: String,
    /// Where the client connects from.
    pub client_host: String,
    /// What the member has been given to read, sorted. Not known for members of a classic group that are no consumers, or
    /// whose assignor has a format of its own.
    pub assignment: Option<Vec<TopicPartition>>,
}

impl Cluster {
    /// Describes groups of every kind; of streams groups only what the list of groups tells. The results are in the order of `groups`.
    ///
    /// A group that does not exist is no error: it is described as [`GroupState::Dead`].
    pub async fn describe_groups(&self, groups: &[impl AsRef<str>]) -> GroupResults<GroupDescription> {
        let groups: Vec<String> = groups.iter().map(|group| group.as_ref().to_owned()).collect();
        let mut results = Vec::with_capacity(groups.len());
        for groups in groups.chunks(AT_ONCE) {
            let descriptions = groups.iter().map(|group| self.describe_group(group)).collect();
            results.extend(groups.iter().cloned().zip(join_all(descriptions).await));
        }
        results
    }

    async fn describe_group(&self, group: &str) -> Result<GroupDescription, Error> {
        // A coordinator calls a group of another protocol "Dead" here, or says that it has none.
        let (link, classic) = self.describe_classic(group).await?;
        if let Some(description) = classic {
            return Ok(description);
        }
        if link.offered(ConsumerGroupDescribeRequest::KEY).is_some()
            && let Some(description) = self.describe_consumer(group).await?
        {
            return Ok(description);
        }
        if link.offered(ShareGroupDescribeRequest::KEY).is_some()
            && let Some(description) = self.describe_share(group).await?
        {
            return Ok(description);
        }
        self.describe_listed(&link, group).await
    }

    async fn describe_classic(&self, group: &str) -> Result<(Link, Option<GroupDescription>), Error> {
        let (link, response) = self
            .ask_coordinator(
                group,
                Effect::Repeatable,
                |_| DescribeGroupsRequest::default().with_groups(vec![group_id(group)]),
                |response| refusal(response.groups.first().map(|group| group.error_code)),
            )
            .await?;
        let described = response
            .groups
            .into_iter()
            .find(|described| **described.group_id == *group);
        let described = described.ok_or_else(|| link.left_out(&subject(group)))?;
        let exists = described.error_code == 0 && &*described.group_state != "Dead";
        Ok((link, exists.then(|| classic(described))))
    }

    async fn describe_consumer(&self, group: &str) -> Result<Option<GroupDescription>, Error> {
        let (link, response) = self
            .ask_coordinator(
                group,
                Effect::Repeatable,
                |_| ConsumerGroupDescribeRequest::default().with_group_ids(vec![group_id(group)]),
                |response| refusal_where_enabled(response.groups.first().map(|group| group.error_code)),
            )
            .await?;
        let described = response
            .groups
            .into_iter()
            .find(|described| **described.group_id == *group);
        let described = described.ok_or_else(|| link.left_out(&subject(group)))?;
        Ok((described.error_code == 0).then(|| consumer(described)))
    }

    async fn describe_share(&self, group: &str) -> Result<Option<GroupDescription>, Error> {
        let (link, response) = self
            .ask_coordinator(
                group,
                Effect::Repeatable,
                |_| ShareGroupDescribeRequest::default().with_group_ids(vec![group_id(group)]),
                |response| refusal_where_enabled(response.groups.first().map(|group| group.error_code)),
            )
            .await?;
        let described = response
            .groups
            .into_iter()
            .find(|described| **described.group_id == *group);
        let described = described.ok_or_else(|| link.left_out(&subject(group)))?;
        Ok((described.error_code == 0).then(|| share(described)))
    }

    /// For a group of a kind that cannot be described here: what the coordinator's list says about it.
    async fn describe_listed(&self, link: &Link, group: &str) -> Result<GroupDescription, Error> {
        let listed = self
            .list_groups_of(link)
            .await?
            .into_iter()
            .find(|listed| listed.group_id == group);
        Ok(listed.map_or_else(
            || GroupDescription::absent(group),
            |listed| GroupDescription {
                group_id: listed.group_id,
                kind: Some(listed.kind),
                state: listed.state,
                protocol_type: listed.protocol_type,
                members: Vec::new(),
            },
        ))
    }
}

/// Like [`refusal`], for protocols that may be switched off: releases that offer such an API without having the protocol
/// enabled answer [`ErrorCode::UNSUPPORTED_VERSION`] (seen: 3.9), which says no more than that there is no such group.
fn refusal_where_enabled(error_code: Option<i16>) -> Option<ErrorCode> {
    refusal(error_code).filter(|code| *code != ErrorCode::UNSUPPORTED_VERSION)
}

/// The error by which a description was refused; that there is no such group (of this protocol) is none.
fn refusal(code: Option<i16>) -> Option<ErrorCode> {
    ErrorCode::new(code.unwrap_or_default()).filter(|code| *code != ErrorCode::GROUP_ID_NOT_FOUND)
}

/// The kind of members of a classic group whose assignments are [`of_classic`].
const CONSUMERS: &str = "consumer";

fn classic(group: ClassicGroup) -> GroupDescription {
    let are_consumers = &*group.protocol_type == CONSUMERS;
    let member =
        |member: kafka_protocol::messages::describe_groups_response::DescribedGroupMember| GroupMember {
            member_id: member.member_id.to_string(),
            group_instance_id: member.group_instance_id.map(|id| id.to_string()),
            client_id: member.client_id.to_string(),
            client_host: member.client_host.to_string(),
            assignment: of_classic(&member.member_assignment).filter(|_| are_consumers),
        };
    GroupDescription {
        group_id: group.group_id.to_string(),
        kind: Some(GroupKind::Classic),
        state: GroupState::parse(&group.group_state),
        protocol_type: group.protocol_type.to_string(),
        members: group.members.into_iter().map(member).collect(),
    }
}

fn consumer(group: ConsumerGroup) -> GroupDescription {
    let member = |member: kafka_protocol::messages::consumer_group_describe_response::Member| GroupMember {
        member_id: member.member_id.to_string(),
        group_instance_id: member.instance_id.map(|id| id.to_string()),
        client_id: member.client_id.to_string(),
        client_host: member.client_host.to_string(),
        assignment: Some(of_topics(
            (member.assignment.topic_partitions.iter())
                .map(|topic| (topic.topic_name.as_str(), topic.partitions.as_slice())),
        )),
    };
    GroupDescription {
        group_id: group.group_id.to_string(),
        kind: Some(GroupKind::Consumer),
        state: GroupState::parse(&group.group_state),
        protocol_type: CONSUMERS.to_owned(),
        members: group.members.into_iter().map(member).collect(),
    }
}

fn share(group: ShareGroup) -> GroupDescription {
    let member = |member: kafka_protocol::messages::share_group_describe_response::Member| GroupMember {
        member_id: member.member_id.to_string(),
        group_instance_id: None,
        client_id: member.client_id.to_string(),
        client_host: member.client_host.to_string(),
        assignment: Some(of_topics(
            (member.assignment.topic_partitions.iter())
                .map(|topic| (topic.topic_name.as_str(), topic.partitions.as_slice())),
        )),
    };
    GroupDescription {
        group_id: group.group_id.to_string(),
        kind: Some(GroupKind::Share),
        state: GroupState::parse(&group.group_state),
        protocol_type: "share".to_owned(),
        members: group.members.into_iter().map(member).collect(),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use kafka_protocol::messages::describe_groups_response::DescribedGroupMember;

    use super::*;
    use crate::connection::text;

    #[test]
    fn members_that_are_no_consumers_have_an_assignment_that_is_not_known() {
        // One topic, "a", with partition 7.
        let consumers = Bytes::from_static(&[0, 0, 0, 0, 0, 1, 0, 1, b'a', 0, 0, 0, 1, 0, 0, 0, 7]);
        let assigned = |protocol: &str, bytes: &Bytes| {
            let member = DescribedGroupMember::default().with_member_assignment(bytes.clone());
            let group = ClassicGroup::default()
                .with_protocol_type(text(protocol))
                .with_members(vec![member]);
            classic(group).members.remove(0).assignment
        };
        let seven = TopicPartition::new("a", 7);
        assert_eq!(assigned("consumer", &consumers), Some(vec![seven]));
        assert_eq!(assigned("connect", &consumers), None);
        assert_eq!(assigned("consumer", &consumers.slice(..9)), None);
        assert_eq!(assigned("consumer", &Bytes::new()), Some(Vec::new()));
    }
}
