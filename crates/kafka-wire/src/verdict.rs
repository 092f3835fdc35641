//! How long the data path goes on trying. The rest of the crate asks each thing a few times (see `retry.rs`); reading and
//! writing go on for hours, and outlast elections, restarts and lost connections.

use crate::error::{ConnectionError, Error};

/// Failures in a row of the odd kind that are borne.
pub(crate) const MOST_ODD_FAILURES: u32 = 8;

/// What repeating can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It passes, sooner or later.
    Passes,
    /// It should not happen at all. A broken connection or disk may cause it, so a few attempts are made.
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
            // An error that the broker cannot name, and a batch that was damaged on the way.
            Self::Kafka(error) if matches!(error.code.code(), -1 | 2) => Verdict::Odd,
            other if other.is_retriable() => Verdict::Passes,
            _ => Verdict::Stays,
        }
    }

    /// Whether to give up after so many failures in a row.
    pub(crate) fn is_final(&self, failures: u32) -> bool {
        match self.verdict() {
            Verdict::Passes => false,
            Verdict::Odd => failures >= MOST_ODD_FAILURES,
            Verdict::Stays => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    fn coded(code: i16) -> Error {
        let code = ErrorCode::new(code).unwrap();
        Error::kafka(code, "Fetch", &"a broker".into(), "")
    }

    #[test]
    fn codes_are_sorted_by_what_repeating_can_do() {
        for code in [3, 5, 6, 7, 9, 13, 19, 20, 56, 74, 75, 78, 100] {
            assert_eq!(coded(code).verdict(), Verdict::Passes, "{code}");
        }
        for code in [-1, 2] {
            assert_eq!(coded(code).verdict(), Verdict::Odd, "{code}");
        }
        for code in [1, 10, 18, 29, 31, 32, 35, 43, 44, 76, 87] {
            assert_eq!(coded(code).verdict(), Verdict::Stays, "{code}");
        }
    }

    #[test]
    fn a_closed_client_stays_closed() {
        let lost = |source| Error::InDoubt {
            broker: "b".into(),
            api: "Fetch",
            source,
        };
        assert!(lost(ConnectionError::Closed).is_final(0));
        assert!(Error::Closed.is_final(0));
        assert!(!lost(ConnectionError::ClosedByBroker).is_final(1000));
        assert!(lost(ConnectionError::Authentication("no".to_owned())).is_final(0));
        assert!(lost(ConnectionError::Tls("no".to_owned())).is_final(0));
        assert!(!lost(ConnectionError::Token("later".to_owned())).is_final(1000));
        let nonsense = lost(ConnectionError::Protocol("?".to_owned()));
        assert!(!nonsense.is_final(MOST_ODD_FAILURES - 1) && nonsense.is_final(MOST_ODD_FAILURES));
    }
}
