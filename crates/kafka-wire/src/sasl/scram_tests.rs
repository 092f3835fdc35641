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

/// Through all messages, of which each is known.
fn runs_through(mut exchange: ScramExchange, first_bare: &str, proof: &str, signature: &str) {
    assert_eq!(exchange.first(), format!("n,,{first_bare}").into_bytes());
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
        exchange("user", "pencil", Hash::Sha256),
        "n=user,r=rOprNGfwEbeRWgbNEkqO",
        "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    );
}

/// The same example with the longer hash, calculated with another implementation (Python's `hashlib` and `hmac`).
#[test]
fn the_same_example_with_sha_512() {
    runs_through(
        exchange("user", "pencil", Hash::Sha512),
        "n=user,r=rOprNGfwEbeRWgbNEkqO",
        "gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ==",
        "ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw==",
    );
}

/// The same example, as a delegation token (KIP-48): the extension is a part of `client-first-message-bare`, and so of what
/// both sides prove.
///
/// Calculated with Python, by the formulas of RFC 5802, section 3: `hashlib.pbkdf2_hmac` for `SaltedPassword`,
/// `hmac.new(key, message, hash).digest()` for `HMAC`, and `AuthMessage` of the bare first message below, the broker's first
/// message and the last one without its proof, joined by commas. The same program makes the proofs of the examples above.
#[test]
fn a_delegation_token_is_announced_and_the_proof_covers_that() {
    for (hash, proof, signature) in [
        (
            Hash::Sha256,
            "xrt7QLC27If+yCZ8tl7Arjdh2LzbxDoYIVOtWUkqn3w=",
            "wd2QaUOhFVV12I4FjBHC9GczfNvvSFFqpFU23bW5PvE=",
        ),
        (
            Hash::Sha512,
            "4z7LLi9qlsL+eyweNqDfSPDnM6YEu3Iy1NM9hMAgcRfLGeMK49t3GE35LLBonUYBKYZbAMedb6QwcDXgl5882Q==",
            "3qPSsopFqrKUjOvykJqRHPMR3d/OZ6Dsu4FgDwAQnoun2aNNG8LZ19MyIe4hUOZiFTiKGlcpVfmvZo2e67+stA==",
        ),
    ] {
        let config = SaslConfig::scram_sha_256("user", Secret::new("pencil"));
        let SaslConfig::ScramSha256(login) = config.with_delegation_token().unwrap() else {
            panic!("another mechanism")
        };
        runs_through(
            ScramExchange::with_nonce(&login, hash, CLIENT_NONCE.to_owned()),
            "n=user,r=rOprNGfwEbeRWgbNEkqO,tokenauth=true",
            proof,
            signature,
        );
    }
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
