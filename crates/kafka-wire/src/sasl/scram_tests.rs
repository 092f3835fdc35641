use super::*;
use crate::config::SaslConfig;

/// Of RFC 7677.
const CLIENT_NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
const SERVER_FIRST: &str =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

fn exchange(username: &str, password: &str, hash: Hash) -> ScramExchange {
    let SaslConfig::ScramSha256(login) = SaslConfig::scram_sha_256(username, Secret::new(password)) else {
        panic!("another mechanism")
    };
    ScramExchange::with_nonce(&login, hash, CLIENT_NONCE.to_owned())
}

fn sent(step: Result<Step, String>) -> String {
    match step {
        Ok(Step::Send(bytes)) => String::from_utf8(bytes).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn runs_through(hash: Hash, proof: &str, signature: &str) {
    let mut exchange = exchange("user", "pencil", hash);
    assert_eq!(exchange.first(), b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    let answer = sent(exchange.respond(SERVER_FIRST.as_bytes()));
    let expected = format!("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p={proof}");
    assert_eq!(answer, expected);
    assert_eq!(
        exchange.respond(format!("v={signature}").as_bytes()),
        Ok(Step::Done)
    );
    assert!(exchange.respond(b"v=").unwrap_err().contains("after the last"));
}

#[test]
fn the_example_of_rfc_7677() {
    runs_through(
        Hash::Sha256,
        "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    );
}

/// The same example with the longer hash, calculated with another implementation (Python's `hashlib` and `hmac`).
#[test]
fn the_same_example_with_sha_512() {
    runs_through(
        Hash::Sha512,
        "gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ==",
        "ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw==",
    );
}

#[test]
fn names_are_escaped_as_the_standard_says() {
    let exchange = exchange("a=b,c=", "p", Hash::Sha256);
    assert_eq!(exchange.first(), b"n,,n=a=3Db=2Cc=3D,r=rOprNGfwEbeRWgbNEkqO");
}

#[test]
fn a_broker_that_does_not_know_the_password_is_found_out() {
    for signature in [
        "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=",
        "v=AAAA",
        "v=",
        "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4",
        "",
        "x",
    ] {
        let mut exchange = exchange("user", "pencil", Hash::Sha256);
        sent(exchange.respond(SERVER_FIRST.as_bytes()));
        let error = exchange.respond(signature.as_bytes()).unwrap_err();
        assert!(
            error.contains("did not prove") || error.contains("no signature"),
            "{error}"
        );
    }
}

#[test]
fn a_nonce_that_does_not_continue_ours_is_refused() {
    for nonce in [
        CLIENT_NONCE,
        "somethingelse",
        "",
        "ROprNGfwEbeRWgbNEkqO%hvYDpWUa2",
    ] {
        let error = exchange("user", "pencil", Hash::Sha256)
            .respond(format!("r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096").as_bytes())
            .unwrap_err();
        assert!(error.contains("does not continue"), "{error}");
    }
}

#[test]
fn iterations_are_bounded_on_both_sides() {
    for (iterations, accepted) in [
        ("0", false),
        ("1", false),
        ("4095", false),
        ("4096", true),
        ("16384", true),
        ("1000001", false),
        ("4294967295", false),
        ("4294967296", false),
        ("-4096", false),
        ("x", false),
    ] {
        let message = format!("r={CLIENT_NONCE}more,s=W22ZaJ0SNY7soEsUEjb6gQ==,i={iterations}");
        let step = exchange("user", "pencil", Hash::Sha256).respond(message.as_bytes());
        assert_eq!(step.is_ok(), accepted, "{iterations}: {step:?}");
    }
}

#[test]
fn what_is_no_message_is_an_error_and_no_panic() {
    for message in [
        &b""[..],
        b"\xff\xfe",
        b",,,",
        b"m=extension,r=rOprNGfwEbeRWgbNEkqOx,s=AA==,i=4096",
        b"r=rOprNGfwEbeRWgbNEkqOx,s=,i=4096",
        b"r=rOprNGfwEbeRWgbNEkqOx,s=%%,i=4096",
        b"r=rOprNGfwEbeRWgbNEkqOx,s=AA==",
        b"e=other-error",
    ] {
        assert!(exchange("user", "pencil", Hash::Sha256).respond(message).is_err());
    }
    let said = exchange("user", "pencil", Hash::Sha256)
        .respond(b"e=unknown-user")
        .unwrap_err();
    assert!(said.contains("unknown-user"), "{said}");
}

#[test]
fn a_delegation_token_is_announced_and_the_proof_covers_that() {
    let config = SaslConfig::scram_sha_256("user", Secret::new("pencil")).with_delegation_token().unwrap();
    let SaslConfig::ScramSha256(login) = config else {
        panic!("another mechanism")
    };
    let mut exchange = ScramExchange::with_nonce(&login, Hash::Sha256, CLIENT_NONCE.to_owned());
    assert_eq!(
        exchange.first(),
        b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO,tokenauth=true"
    );
    let proof = sent(exchange.respond(SERVER_FIRST.as_bytes()));
    let mut without = self::exchange("user", "pencil", Hash::Sha256);
    assert_ne!(proof, sent(without.respond(SERVER_FIRST.as_bytes())));
}
