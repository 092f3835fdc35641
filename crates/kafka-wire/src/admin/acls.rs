//! Access control lists.

use std::fmt;

use kafka_protocol::messages::DescribeAclsRequest;

use crate::cluster::Cluster;
use crate::connection::text;
use crate::error::Error;

/// "Any" in each of the filters, as written in requests.
const ANY: i8 = 1;

macro_rules! wire_names {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $name:ident = $number:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum $type {
            $($(#[$variant_doc])* $name,)*
            /// Any other number of the protocol.
            Other(i8),
        }

        impl $type {
            fn from_wire(number: i8) -> Self {
                match number {
                    $($number => Self::$name,)*
                    other => Self::Other(other),
                }
            }

            fn wire(self) -> i8 {
                match self {
                    $(Self::$name => $number,)*
                    Self::Other(other) => other,
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    Self::Other(other) => write!(f, "number {other}"),
                    named => write!(f, "{named:?}"),
                }
            }
        }
    };
}

wire_names! {
    /// What is protected.
    AclResource {
        /// A topic.
        Topic = 2,
        /// A group.
        Group = 3,
        /// The cluster as a whole; its name is `kafka-cluster`.
        Cluster = 4,
        /// A transactional id.
        TransactionalId = 5,
        /// A delegation token.
        DelegationToken = 6,
        /// A user.
        User = 7,
    }
}

wire_names! {
    /// How a name in a list stands for names of resources.
    AclPattern {
        /// For itself; `*` for all.
        Literal = 3,
        /// For all names that begin so.
        Prefixed = 4,
    }
}

wire_names! {
    /// What is allowed or denied.
    AclOperation {
        /// Everything.
        All = 2,
        /// Reading.
        Read = 3,
        /// Writing.
        Write = 4,
        /// Creating.
        Create = 5,
        /// Deleting.
        Delete = 6,
        /// Changing.
        Alter = 7,
        /// Seeing that it is there.
        Describe = 8,
        /// What brokers do among themselves.
        ClusterAction = 9,
        /// Reading the configuration.
        DescribeConfigs = 10,
        /// Changing the configuration.
        AlterConfigs = 11,
        /// Idempotent writing.
        IdempotentWrite = 12,
        /// Making delegation tokens.
        CreateTokens = 13,
        /// Seeing delegation tokens.
        DescribeTokens = 14,
        /// Committing in two phases.
        TwoPhaseCommit = 15,
    }
}

wire_names! {
    /// Whether an operation is allowed or denied; what is denied is not allowed by another entry.
    AclPermission {
        /// Denied.
        Deny = 2,
        /// Allowed.
        Allow = 3,
    }
}

/// One entry of an access control list.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct AclBinding {
    /// What is protected.
    pub resource: AclResource,
    /// Its name, or what names begin with.
    pub name: String,
    /// How the name is meant.
    pub pattern: AclPattern,
    /// Who, such as `User:alice`.
    pub principal: String,
    /// From which host; `*` for any.
    pub host: String,
    /// What.
    pub operation: AclOperation,
    /// Whether it is allowed.
    pub permission: AclPermission,
}

/// Which entries are asked for; those that match in all that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AclFilter {
    /// What is protected.
    pub resource: Option<AclResource>,
    /// The name as it is in the entries.
    pub name: Option<String>,
    /// How the name is meant.
    pub pattern: Option<AclPattern>,
    /// Who.
    pub principal: Option<String>,
    /// What; entries for [`AclOperation::All`] are found by that only.
    pub operation: Option<AclOperation>,
    /// Whether it is allowed or denied.
    pub permission: Option<AclPermission>,
}

impl AclFilter {
    /// All entries.
    pub fn all() -> Self {
        Self::default()
    }

    /// Only entries for this kind of resource.
    #[must_use]
    pub fn with_resource(mut self, resource: AclResource) -> Self {
        self.resource = Some(resource);
        self
    }

    /// Only entries for this name.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Only entries for this principal.
    #[must_use]
    pub fn with_principal(mut self, principal: impl Into<String>) -> Self {
        self.principal = Some(principal.into());
        self
    }

    /// Only entries whose name is meant so.
    #[must_use]
    pub fn with_pattern(mut self, pattern: AclPattern) -> Self {
        self.pattern = Some(pattern);
        self
    }

    /// Only entries for this operation.
    #[must_use]
    pub fn with_operation(mut self, operation: AclOperation) -> Self {
        self.operation = Some(operation);
        self
    }

    /// Only entries that allow, or that deny.
    #[must_use]
    pub fn with_permission(mut self, permission: AclPermission) -> Self {
        self.permission = Some(permission);
        self
    }

    fn request(&self) -> DescribeAclsRequest {
        DescribeAclsRequest::default()
            .with_resource_type_filter(self.resource.map_or(ANY, AclResource::wire))
            .with_resource_name_filter(self.name.as_deref().map(text))
            .with_pattern_type_filter(self.pattern.map_or(ANY, AclPattern::wire))
            .with_principal_filter(self.principal.as_deref().map(text))
            .with_host_filter(None)
            .with_operation(self.operation.map_or(ANY, AclOperation::wire))
            .with_permission_type(self.permission.map_or(ANY, AclPermission::wire))
    }
}

impl Cluster {
    /// The entries of the access control lists that match, sorted.
    ///
    /// # Errors
    /// [`SECURITY_DISABLED`](crate::ErrorCode::SECURITY_DISABLED) when the brokers have no authorizer,
    /// [`CLUSTER_AUTHORIZATION_FAILED`](crate::ErrorCode::CLUSTER_AUTHORIZATION_FAILED) without the permission to
    /// describe the cluster.
    pub async fn describe_acls(&self, filter: &AclFilter) -> Result<Vec<AclBinding>, Error> {
        let (_, response) = self
            .ask_controller(&filter.request(), |response| {
                let words = response.error_message.as_ref().map(ToString::to_string);
                (response.error_code, words)
            })
            .await?;
        let mut entries = Vec::new();
        for resource in response.resources {
            let entry = |acl: kafka_protocol::messages::describe_acls_response::AclDescription| AclBinding {
                resource: AclResource::from_wire(resource.resource_type),
                name: resource.resource_name.to_string(),
                pattern: AclPattern::from_wire(resource.pattern_type),
                principal: acl.principal.to_string(),
                host: acl.host.to_string(),
                operation: AclOperation::from_wire(acl.operation),
                permission: AclPermission::from_wire(acl.permission_type),
            };
            entries.extend(resource.acls.into_iter().map(entry));
        }
        entries.sort();
        Ok(entries)
    }
}
