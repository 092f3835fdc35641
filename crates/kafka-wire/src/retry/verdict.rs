//! What repeating can do about an error.

use crate::error::{ConnectionError, Error, ErrorCode};
use crate::problem::PartitionProblem;

/// What repeating can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It passes, sooner or later.
    Passes,
    /// It should not happen at all, or not for long. A broken connection or disk may cause it, or a broker that does not
    /// know yet what the others know, so a few attempts are made.
    Odd,
    /// It stays.
    Stays,
}

impl Error {
    /// What repeating can do about it.
    pub(crate) fn verdict(&self) -> Verdict {
        match self {
            Self::Malformed { .. } | Self::LeftOut { .. } => Verdict::Odd,
            Self::NotSent { source, .. } | Self::InDoubt { source, .. } => match source {
                ConnectionError::Closed => Verdict::Stays,
                ConnectionError::Protocol(_) => Verdict::Odd,
                source if source.is_about_security() => Verdict::Stays,
                _ => Verdict::Passes,
            },
            Self::Kafka(error) => of_code(error.code),
            Self::Partition { problem, .. } => of_problem(problem),
            other if other.is_retriable() => Verdict::Passes,
            _ => Verdict::Stays,
        }
    }
}

fn of_code(code: ErrorCode) -> Verdict {
    match code {
        // What the broker says about sequence numbers is for the log to decide.
        ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER
        | ErrorCode::DUPLICATE_SEQUENCE_NUMBER
        | ErrorCode::INVALID_PRODUCER_EPOCH
        | ErrorCode::UNKNOWN_PRODUCER_ID => Verdict::Passes,
        // An error that the broker cannot name; a batch that was damaged on the way; an offset that is in the log after
        // all (whether it is, is looked up before this is asked).
        ErrorCode::UNKNOWN_SERVER_ERROR | ErrorCode::CORRUPT_MESSAGE | ErrorCode::OFFSET_OUT_OF_RANGE => {
            Verdict::Odd
        }
        code if code.is_retriable() => Verdict::Passes,
        _ => Verdict::Stays,
    }
}

fn of_problem(problem: &PartitionProblem) -> Verdict {
    match problem {
        // A new leader learns step by step how far the replicas are.
        PartitionProblem::EndMissing { .. } | PartitionProblem::Withheld { .. } => Verdict::Passes,
        // Damaged on the way, perhaps: TCP's checksum is weak. A leader that was cut off from the others does not know yet
        // that it is none, and its log may be shorter.
        PartitionProblem::Batch(_)
        | PartitionProblem::OutOfPlace { .. }
        // The length of a batch is not covered by its checksum.
        | PartitionProblem::BatchTooLarge { .. }
        | PartitionProblem::NoProgress { .. }
        | PartitionProblem::MarkersMissing { .. }
        | PartitionProblem::UnknownEpoch { .. }
        // It is only a guess.
        | PartitionProblem::RequestTooLarge { limit: None, .. }
        | PartitionProblem::LogShrunk { .. } => Verdict::Odd,
        _ => Verdict::Stays,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coded(code: i16) -> Verdict {
        Error::kafka(ErrorCode::new(code).unwrap(), "Fetch", &"a broker".into(), "").verdict()
    }

    /// The codes that Java's clients retry (AK `Errors`: exceptions that extend `RetriableException`), and what this crate
    /// adds to them.
    #[test]
    fn every_code_of_the_protocol_is_sorted() {
        const ODD: &[i16] = &[-1, 1, 2];
        const PASSING: &[i16] = &[
            3, 5, 6, 7, 9, 13, 14, 15, 16, 19, 20, 41, 51, 56, 70, 71, 72, 74, 75, 78, 80, 83, 84, 88, 89,
            100, 103, 106, 122, 123, 133,
        ];
        const SETTLED_BY_THE_LOG: &[i16] = &[45, 46, 47, 59];
        const OURS: &[i16] = &[129];
        for code in (-1..=140).filter(|&code| code != 0) {
            let expected = if ODD.contains(&code) {
                Verdict::Odd
            } else if [PASSING, SETTLED_BY_THE_LOG, OURS].concat().contains(&code) {
                Verdict::Passes
            } else {
                Verdict::Stays
            };
            assert_eq!(coded(code), expected, "code {code}");
        }
    }

    #[test]
    fn a_closed_client_stays_closed() {
        let lost = |source| Error::InDoubt {
            broker: "b".into(),
            api: "Fetch",
            source,
        };
        assert_eq!(lost(ConnectionError::Closed).verdict(), Verdict::Stays);
        assert_eq!(Error::Closed.verdict(), Verdict::Stays);
        assert_eq!(lost(ConnectionError::ClosedByBroker).verdict(), Verdict::Passes);
        for refused in [
            ConnectionError::Authentication,
            ConnectionError::NoLoginHere,
            ConnectionError::Tls,
        ] {
            assert_eq!(lost(refused("no".to_owned())).verdict(), Verdict::Stays);
        }
        let later = ConnectionError::Token("later".to_owned());
        assert_eq!(lost(later).verdict(), Verdict::Passes);
        let nonsense = ConnectionError::Protocol("?".to_owned());
        assert_eq!(lost(nonsense).verdict(), Verdict::Odd);
    }
}
