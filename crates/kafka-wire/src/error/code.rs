//! The error codes of the Kafka protocol.

use std::fmt;

use kafka_protocol::error::ResponseError;

/// An error code of the Kafka protocol, as sent by a broker. Never 0, which is "no error".
///
/// Codes that this crate does not know are kept as they are.
///
/// ```
/// use kafka_wire::ErrorCode;
///
/// let code = ErrorCode::new(6).unwrap();
/// assert_eq!(code, ErrorCode::NOT_LEADER_OR_FOLLOWER);
/// assert_eq!(code.to_string(), "NOT_LEADER_OR_FOLLOWER (6)");
/// assert!(code.is_retriable());
/// assert_eq!(ErrorCode::new(0), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ErrorCode(i16);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)*) => {
        impl ErrorCode {
            $($(#[$doc])* pub const $name: Self = Self($code);)*
        }

        #[cfg(test)]
        const NAMED: &[(&str, i16)] = &[$((stringify!($name), $code)),*];
    };
}

codes! {
    /// The broker cannot say what went wrong; its log can.
    UNKNOWN_SERVER_ERROR = -1;
    /// The offset is below the log start or beyond the log end.
    OFFSET_OUT_OF_RANGE = 1;
    /// A record batch is damaged.
    CORRUPT_MESSAGE = 2;
    /// Topic or partition does not exist, or the broker has not heard of it yet.
    UNKNOWN_TOPIC_OR_PARTITION = 3;
    /// A leader is being elected.
    LEADER_NOT_AVAILABLE = 5;
    /// The partition has moved to another broker.
    NOT_LEADER_OR_FOLLOWER = 6;
    /// The broker gave up waiting; what was asked may have happened nevertheless.
    REQUEST_TIMED_OUT = 7;
    /// A record batch is larger than `max.message.bytes`.
    MESSAGE_TOO_LARGE = 10;
    /// The metadata string of a commit is longer than `offset.metadata.max.bytes`.
    OFFSET_METADATA_TOO_LARGE = 12;
    /// The coordinator is loading its state.
    COORDINATOR_LOAD_IN_PROGRESS = 14;
    /// There is no coordinator at the moment.
    COORDINATOR_NOT_AVAILABLE = 15;
    /// The group or transaction has moved to another coordinator.
    NOT_COORDINATOR = 16;
    /// The topic name cannot be one.
    INVALID_TOPIC_EXCEPTION = 17;
    /// A record batch is larger than `segment.bytes`.
    RECORD_LIST_TOO_LARGE = 18;
    /// Not appended: too few in-sync replicas.
    NOT_ENOUGH_REPLICAS = 19;
    /// Appended to the leader, but not to enough replicas: the outcome is in doubt.
    NOT_ENOUGH_REPLICAS_AFTER_APPEND = 20;
    /// The group has live members of another generation.
    ILLEGAL_GENERATION = 22;
    /// The group id cannot be one.
    INVALID_GROUP_ID = 24;
    /// The group has live members, and the request does not come from one of them.
    UNKNOWN_MEMBER_ID = 25;
    /// The group has live members and is rebalancing.
    REBALANCE_IN_PROGRESS = 27;
    /// No permission for the topic.
    TOPIC_AUTHORIZATION_FAILED = 29;
    /// No permission for the group.
    GROUP_AUTHORIZATION_FAILED = 30;
    /// No permission for the cluster.
    CLUSTER_AUTHORIZATION_FAILED = 31;
    /// A record's timestamp is outside of what the topic accepts.
    INVALID_TIMESTAMP = 32;
    /// The login mechanism is not enabled.
    UNSUPPORTED_SASL_MECHANISM = 33;
    /// A login where none is expected.
    ILLEGAL_SASL_STATE = 34;
    /// The broker does not know this version of the API.
    UNSUPPORTED_VERSION = 35;
    /// A topic of this name exists.
    TOPIC_ALREADY_EXISTS = 36;
    /// The number of partitions is not acceptable.
    INVALID_PARTITIONS = 37;
    /// The replication factor is larger than the number of brokers, or not positive.
    INVALID_REPLICATION_FACTOR = 38;
    /// A configuration value is not acceptable.
    INVALID_CONFIG = 40;
    /// The replicas that were asked for are not acceptable.
    INVALID_REPLICA_ASSIGNMENT = 39;
    /// The broker is not the active controller.
    NOT_CONTROLLER = 41;
    /// The request makes no sense to the broker.
    INVALID_REQUEST = 42;
    /// A policy of the cluster forbids it.
    POLICY_VIOLATION = 44;
    /// A gap in, or an old number of, an idempotent producer's sequence.
    OUT_OF_ORDER_SEQUENCE_NUMBER = 45;
    /// An idempotent producer's batch was appended before.
    DUPLICATE_SEQUENCE_NUMBER = 46;
    /// The producer's epoch was superseded.
    INVALID_PRODUCER_EPOCH = 47;
    /// Another change of the same transaction or producer id is under way.
    CONCURRENT_TRANSACTIONS = 51;
    /// The brokers have no authorizer, so there are no access control lists.
    SECURITY_DISABLED = 54;
    /// The log directory of the replica failed.
    KAFKA_STORAGE_ERROR = 56;
    /// The login was refused.
    SASL_AUTHENTICATION_FAILED = 58;
    /// The broker has forgotten the producer.
    UNKNOWN_PRODUCER_ID = 59;
    /// The group has members.
    NON_EMPTY_GROUP = 68;
    /// The group does not exist.
    GROUP_ID_NOT_FOUND = 69;
    /// The leader epoch in the request is older than the broker's: metadata is stale.
    FENCED_LEADER_EPOCH = 74;
    /// The leader epoch in the request is newer than the broker's: the broker lags.
    UNKNOWN_LEADER_EPOCH = 75;
    /// The high watermark is not known yet after an election.
    OFFSET_NOT_AVAILABLE = 78;
    /// The group consumes the topic.
    GROUP_SUBSCRIBED_TO_TOPIC = 86;
    /// The client knows brokers that are not the cluster any more, and has to start from the bootstrap list.
    REBOOTSTRAP_REQUIRED = 129;
    /// A record is not acceptable to the topic.
    INVALID_RECORD = 87;
    /// A transactional commit of this position is pending.
    UNSTABLE_OFFSET_COMMIT = 88;
    /// A quota on topic changes is exhausted for now.
    THROTTLING_QUOTA_EXCEEDED = 89;
    /// There is no such user, or other thing that was asked about.
    RESOURCE_NOT_FOUND = 91;
    /// No topic has this id, or the broker has not heard of it yet.
    UNKNOWN_TOPIC_ID = 100;
    /// Name and id of the topic do not belong together.
    INCONSISTENT_TOPIC_ID = 103;
    /// The consumer-protocol group has live members, and the request does not come from one of them.
    STALE_MEMBER_EPOCH = 113;
}

impl ErrorCode {
    /// The code for a number in a response; `None` for 0, which means success.
    pub fn new(code: i16) -> Option<Self> {
        (code != 0).then_some(Self(code))
    }

    /// The number on the wire.
    pub fn code(self) -> i16 {
        self.0
    }

    /// Whether the protocol says that the same request may succeed later, perhaps on another broker.
    pub fn is_retriable(self) -> bool {
        // The table is not of today. A code that is newer may well pass, but nothing says so.
        let newer = matches!(self, Self::REBOOTSTRAP_REQUIRED | Self::CONCURRENT_TRANSACTIONS);
        newer || known(self.0).is_some_and(|error| error.is_retriable())
    }

    /// Whether the broker does not know the topic, partition or topic id: true right after a topic was created,
    /// and for ever when it does not exist.
    pub fn is_unknown_topic(self) -> bool {
        matches!(self, Self::UNKNOWN_TOPIC_OR_PARTITION | Self::UNKNOWN_TOPIC_ID)
    }

    /// Whether the answer says that what is known about leaders is out of date.
    pub(crate) fn is_stale_leader(self) -> bool {
        self.is_unknown_topic()
            || matches!(
                self,
                Self::LEADER_NOT_AVAILABLE
                    | Self::NOT_LEADER_OR_FOLLOWER
                    | Self::KAFKA_STORAGE_ERROR
                    | Self::FENCED_LEADER_EPOCH
                    | Self::UNKNOWN_LEADER_EPOCH
                    | Self::INCONSISTENT_TOPIC_ID
            )
    }

    /// Whether the broker refuses because another one leads, or because it does under a newer epoch.
    pub(crate) fn is_move(self) -> bool {
        matches!(self, Self::NOT_LEADER_OR_FOLLOWER | Self::FENCED_LEADER_EPOCH)
    }

    /// Whether the answer says that the coordinator has to be looked up again.
    pub(crate) fn is_stale_coordinator(self) -> bool {
        matches!(
            self,
            Self::COORDINATOR_LOAD_IN_PROGRESS | Self::COORDINATOR_NOT_AVAILABLE | Self::NOT_COORDINATOR
        )
    }

    /// Whether the request may have taken effect although it was answered by this error.
    pub fn is_in_doubt(self) -> bool {
        matches!(
            self,
            Self::REQUEST_TIMED_OUT | Self::NOT_ENOUGH_REPLICAS_AFTER_APPEND | Self(13)
        )
    }

    /// What an operator can do about the error, where that can be said without knowing more.
    pub fn advice(self) -> Option<&'static str> {
        Some(match self {
            Self::UNKNOWN_TOPIC_OR_PARTITION => "check that the topic exists, and that it may be described",
            Self::OFFSET_METADATA_TOO_LARGE => "raise offset.metadata.max.bytes on the brokers",
            Self::MESSAGE_TOO_LARGE => "raise max.message.bytes of the topic",
            Self::RECORD_LIST_TOO_LARGE => "raise segment.bytes of the topic",
            Self::NOT_ENOUGH_REPLICAS => "bring brokers back, or lower min.insync.replicas of the topic",
            Self::UNKNOWN_MEMBER_ID
            | Self::ILLEGAL_GENERATION
            | Self::REBALANCE_IN_PROGRESS
            | Self::STALE_MEMBER_EPOCH
            | Self::NON_EMPTY_GROUP => "the group has active members: stop its consumers, then try again",
            Self::GROUP_SUBSCRIBED_TO_TOPIC => "stop the group's consumers of the topic, then try again",
            Self::TOPIC_AUTHORIZATION_FAILED
            | Self::GROUP_AUTHORIZATION_FAILED
            | Self::CLUSTER_AUTHORIZATION_FAILED => "grant the permission with an access control list",
            Self::INVALID_REPLICATION_FACTOR => "choose a replication factor that the brokers can satisfy",
            Self::SECURITY_DISABLED => "the brokers have no authorizer: set authorizer.class.name",
            Self::KAFKA_STORAGE_ERROR => "look at the broker's log: a log directory failed",
            _ => return None,
        })
    }

    /// The protocol's name, such as `NOT_LEADER_OR_FOLLOWER`; `None` for a code that is not known.
    pub fn name(self) -> Option<String> {
        let camel = format!("{:?}", known(self.0)?);
        let mut name = String::with_capacity(camel.len() + 8);
        for (at, letter) in camel.chars().enumerate() {
            if letter.is_ascii_uppercase() && at > 0 {
                name.push('_');
            }
            name.push(letter.to_ascii_uppercase());
        }
        Some(name)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({})", self.0),
            None => write!(f, "error code {}", self.0),
        }
    }
}

fn known(code: i16) -> Option<ResponseError> {
    ResponseError::try_from_code(code).filter(|error| !matches!(error, ResponseError::Unknown(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_agree_with_the_protocols_names() {
        for (name, code) in NAMED {
            assert_eq!(ErrorCode(*code).name().as_deref(), Some(*name));
        }
    }

    #[test]
    fn an_unknown_code_keeps_its_number() {
        let code = ErrorCode::new(1234).unwrap();
        assert_eq!(code.to_string(), "error code 1234");
        assert!(!code.is_retriable());
        assert_eq!(code.advice(), None);
    }

    #[test]
    fn what_passes_and_what_does_not() {
        for code in [3, 5, 6, 7, 14, 15, 16, 41, 74, 75, 78, 88, 89, 100] {
            assert!(ErrorCode(code).is_retriable(), "{}", ErrorCode(code));
        }
        for code in [1, 10, 12, 22, 25, 29, 30, 35, 36, 68, 69, 86, 87, 113] {
            assert!(!ErrorCode(code).is_retriable(), "{}", ErrorCode(code));
        }
    }
}
