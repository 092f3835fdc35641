use super::*;

#[test]
fn a_bootstrap_error_lists_every_address_with_its_cause() {
    let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
    let error = Error::Bootstrap {
        failures: vec![
            ConnectFailure {
                address: "a:1".into(),
                cause: ConnectionError::io(refused),
            },
            ConnectFailure {
                address: "b:2 (10.0.0.1:2)".into(),
                cause: ConnectionError::ConnectTimeout(Duration::from_millis(1500)),
            },
        ],
    };
    assert_eq!(
        error.to_string(),
        "no bootstrap server could be reached; check the addresses and that this host may connect to them: \
         a:1: connection refused; b:2 (10.0.0.1:2): no connection within 1.5 s"
    );
}

#[test]
fn a_broker_error_says_what_where_and_what_to_do() {
    let broker: Arc<str> = "broker 1 at h:9092".into();
    let error = Error::kafka(ErrorCode::UNKNOWN_MEMBER_ID, "OffsetCommit", &broker, "group g")
        .with_message(Some("words"));
    assert_eq!(
        error.to_string(),
        "group g: broker 1 at h:9092 answered OffsetCommit with UNKNOWN_MEMBER_ID (25): words \
         (the group has active members: stop its consumers, then try again)"
    );
    assert!(!error.is_retriable());
}

#[test]
fn doubt_survives_giving_up() {
    let last = Error::InDoubt {
        broker: "b".into(),
        api: "Produce",
        source: ConnectionError::ClosedByBroker,
    };
    assert!(last.is_in_doubt() && last.is_retriable());
    let error = Error::Deadline {
        after: Duration::from_secs(1),
        last: Box::new(last),
    };
    assert!(error.is_in_doubt() && !error.is_retriable());
}

#[test]
fn permanent_is_what_somebody_has_to_change() {
    let failure = |cause| ConnectFailure {
        address: "a:1".into(),
        cause,
    };
    let away = || ConnectionError::ConnectTimeout(Duration::from_secs(1));
    let login = || ConnectionError::Authentication("the password is wrong".into());
    let unreachable = |causes: Vec<ConnectionError>| Error::Unreachable {
        broker: "b".into(),
        failures: causes.into_iter().map(failure).collect(),
    };
    let lost = |source| Error::InDoubt {
        broker: "b".into(),
        api: "Metadata",
        source,
    };
    let coded = |code| Error::kafka(code, "ListGroups", &"b".into(), "");
    let late = |last| Error::Deadline {
        after: Duration::from_secs(60),
        last: Box::new(last),
    };
    for stays in [
        unreachable(vec![away(), login()]),
        lost(login()),
        lost(ConnectionError::Tls("the certificate has expired".into())),
        coded(ErrorCode::CLUSTER_AUTHORIZATION_FAILED),
        coded(ErrorCode::GROUP_AUTHORIZATION_FAILED),
        late(unreachable(vec![login()])),
        Error::Closed,
    ] {
        assert!(stays.is_permanent(), "{stays:?}");
    }
    for passes in [
        unreachable(vec![away(), away()]),
        // Somebody else at the address, for as long as the broker is away.
        unreachable(vec![ConnectionError::Protocol("?".into())]),
        lost(ConnectionError::ClosedByBroker),
        lost(ConnectionError::Token("the endpoint is away".into())),
        coded(ErrorCode::COORDINATOR_NOT_AVAILABLE),
        coded(ErrorCode::UNKNOWN_SERVER_ERROR),
        late(lost(ConnectionError::ClosedByBroker)),
        late(coded(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS)),
    ] {
        assert!(!passes.is_permanent(), "{passes:?}");
    }
}

#[test]
fn errors_stay_small() {
    assert!(size_of::<Error>() <= 96, "{}", size_of::<Error>());
}
