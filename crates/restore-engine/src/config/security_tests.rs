use kafka_wire::{AwsCredentials, AwsCredentialsSource, SaslConfig, Secret, TokenSource};

use crate::config::Config;

fn yaml(lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("    {line}\n")).collect();
    format!(
        "mode: backup\nbackup_id: b\nsource:\n  bootstrap_servers: [kafka-1:9093]\n  topics: {{include: ['*']}}\n  \
         security:\n{lines}storage: {{backend: filesystem, path: /backups}}\n"
    )
}

fn security(lines: &[&str]) -> kafka_wire::Security {
    let config = Config::from_yaml(&yaml(lines), "b.yaml").unwrap();
    config.backup().unwrap().source.security.clone()
}

fn error(lines: &[&str]) -> String {
    Config::from_yaml(&yaml(lines), "b.yaml").unwrap_err().to_string()
}

#[test]
fn a_cluster_is_in_the_clear_unless_it_is_said() {
    for lines in [&["{}"][..], &["security_protocol: PLAINTEXT"]] {
        assert_eq!(security(lines).protocol(), "PLAINTEXT");
    }
}

#[test]
fn all_protocols_are_resolved() {
    let tls = security(&[
        "security_protocol: SSL",
        "ssl_ca_location: /ca.pem",
        "ssl_certificate_location: /me.pem",
        "ssl_key_location: /me.key",
    ]);
    assert_eq!(tls.protocol(), "SSL");
    let tls = tls.tls.unwrap();
    assert_eq!(tls.ca_file, Some("/ca.pem".into()));
    assert_eq!(
        tls.client_certificate.unwrap().key_file,
        std::path::PathBuf::from("/me.key")
    );

    for (mechanism, protocol) in [
        ("PLAIN", "SASL_SSL"),
        ("SCRAM-SHA-256", "SASL_PLAINTEXT"),
        ("SCRAM-SHA-512", "SASL_SSL"),
    ] {
        let login = security(&[
            &format!("security_protocol: {protocol}"),
            &format!("sasl_mechanism: {mechanism}"),
            "sasl_username: me",
            "sasl_password: s3cret",
        ]);
        assert_eq!(login.protocol(), protocol);
        assert_eq!(login.sasl.as_ref().unwrap().mechanism(), mechanism);
        assert!(!format!("{login:?}").contains("s3cret"), "{login:?}");
    }
    // A text is what a variable of the environment makes of it.
    for (line, announced) in [
        ("sasl_tokenauth: true", true),
        ("sasl_tokenauth: 'true'", true),
        ("sasl_tokenauth: false", false),
    ] {
        let login = security(&[
            "security_protocol: SASL_SSL",
            "sasl_mechanism: SCRAM-SHA-512",
            "sasl_username: token-id",
            "sasl_password: hmac",
            line,
        ]);
        let Some(SaslConfig::ScramSha512(login)) = login.sasl else {
            panic!("{login:?}")
        };
        assert_eq!(login.is_delegation_token, announced);
    }
}

#[test]
fn a_delegation_token_needs_scram() {
    let password = &["sasl_username: token-id", "sasl_password: hmac"][..];
    for (mechanism, lines) in [
        ("PLAIN", password),
        ("OAUTHBEARER", &["sasl_oauthbearer_token_file: /token"]),
        ("AWS_MSK_IAM", &[]),
    ] {
        let mechanism_line = format!("sasl_mechanism: {mechanism}");
        let first = ["security_protocol: SASL_SSL", &mechanism_line];
        let words = error(&[&first, lines, &["sasl_tokenauth: true"]].concat());
        for part in [
            "source.security.sasl_tokenauth has no meaning",
            &mechanism_line,
            "SCRAM-SHA-256 or SCRAM-SHA-512",
            "remove it",
        ] {
            assert!(words.contains(part), "{words}");
        }
        // It is that line that is wrong.
        security(&[&first, lines].concat());
    }
}

#[test]
fn tokens_come_from_a_file_a_command_or_an_endpoint() {
    let source = |lines: &[&str]| {
        let all = [
            &["security_protocol: SASL_SSL", "sasl_mechanism: OAUTHBEARER"],
            lines,
        ]
        .concat();
        match security(&all).sasl {
            Some(SaslConfig::OauthBearer(oauth)) => oauth,
            other => panic!("{other:?}"),
        }
    };
    let words = |words: &[&str]| TokenSource::Command(words.iter().map(|word| (*word).to_owned()).collect());
    assert_eq!(
        source(&["sasl_oauthbearer_token_file: /token"]).source,
        TokenSource::File("/token".into())
    );
    assert_eq!(
        source(&["sasl_oauthbearer_token_command: 'print ${HOME}'"]).source,
        words(&["sh", "-c", "print ${HOME}"])
    );
    assert_eq!(
        source(&["sasl_oauthbearer_token_command: [print, '--for', 'kafka']"]).source,
        words(&["print", "--for", "kafka"])
    );
    let oauth = source(&[
        "sasl_oauthbearer_token_endpoint_url: https://idp/token",
        "sasl_oauthbearer_client_id: me",
        "sasl_oauthbearer_client_secret: s3cret",
        "sasl_oauthbearer_scope: kafka",
        "sasl_oauthbearer_token_endpoint_ca_location: /idp.pem",
        "sasl_oauthbearer_extensions: {logicalCluster: lkc-1}",
    ]);
    assert_eq!(oauth.extensions["logicalCluster"], "lkc-1");
    let TokenSource::ClientCredentials(asked) = oauth.source else {
        panic!("another source")
    };
    assert_eq!(
        (asked.client_id.as_str(), asked.scope.as_deref()),
        ("me", Some("kafka"))
    );
    assert_eq!(asked.ca_file, Some("/idp.pem".into()));
    assert!(!format!("{asked:?}").contains("s3cret"));
}

#[test]
fn credentials_of_aws_are_given_printed_or_looked_for() {
    let source = |lines: &[&str]| {
        let all = [
            &["security_protocol: SASL_SSL", "sasl_mechanism: AWS_MSK_IAM"],
            lines,
        ]
        .concat();
        match security(&all).sasl {
            Some(SaslConfig::AwsMskIam(iam)) => iam,
            other => panic!("{other:?}"),
        }
    };
    let iam = source(&[]);
    assert!(matches!(iam.source, AwsCredentialsSource::Provider(_)), "{iam:?}");
    assert_eq!(iam.region, None);
    assert_eq!(
        source(&["sasl_aws_region: eu-north-1"]).region,
        Some("eu-north-1".to_owned())
    );
    let keys = [
        "sasl_aws_access_key_id: AKIA",
        "sasl_aws_secret_access_key: s3cret",
    ];
    let credentials = AwsCredentials::new("AKIA", Secret::new("s3cret"));
    let iam = source(&keys);
    assert_eq!(iam.source, AwsCredentialsSource::Static(credentials.clone()));
    assert!(!format!("{iam:?}").contains("s3cret"), "{iam:?}");
    assert_eq!(
        source(&[keys[0], keys[1], "sasl_aws_session_token: t0ken"]).source,
        AwsCredentialsSource::Static(credentials.session_token(Secret::new("t0ken")))
    );
    let words = ["vault", "read"].map(str::to_owned).to_vec();
    assert_eq!(
        source(&["sasl_aws_credentials_command: [vault, read]"]).source,
        AwsCredentialsSource::Command(words)
    );
}

#[test]
fn what_is_wrong_with_credentials_of_aws_is_said_with_its_key() {
    let iam = |lines: &[&'static str]| {
        let first = ["security_protocol: SASL_SSL", "sasl_mechanism: AWS_MSK_IAM"];
        error(&[&first, lines].concat())
    };
    let together = "sasl_aws_access_key_id and source.security.sasl_aws_secret_access_key belong together";
    for (lines, says) in [
        (&["sasl_aws_access_key_id: AKIA"][..], together),
        (&["sasl_aws_secret_access_key: s3cret"], together),
        (&["sasl_aws_session_token: s3cret"], together),
        (
            &[
                "sasl_aws_access_key_id: ' '",
                "sasl_aws_secret_access_key: s3cret",
            ],
            "sasl_aws_access_key_id is empty",
        ),
        (
            &["sasl_aws_access_key_id: A", "sasl_aws_secret_access_key: ''"],
            "sasl_aws_secret_access_key is empty",
        ),
        (
            &[
                "sasl_aws_access_key_id: A",
                "sasl_aws_secret_access_key: s3cret",
                "sasl_aws_session_token: ''",
            ],
            "sasl_aws_session_token is empty",
        ),
        (&["sasl_aws_region: ''"], "sasl_aws_region is empty"),
        (
            &["sasl_aws_region: eu west"],
            "source.security.sasl: \"eu west\" is no region of AWS: write one like eu-central-1 (sasl_aws_region)",
        ),
        (&["sasl_aws_region: eu-west-1/../"], "is no region of AWS"),
        (
            &[
                "sasl_aws_access_key_id: A B",
                "sasl_aws_secret_access_key: s3cret",
            ],
            "source.security.sasl: the AWS access key id has blanks",
        ),
        (&["sasl_aws_credentials_command: ' '"], "the command is empty"),
        (
            &[
                "sasl_aws_credentials_command: vault",
                "sasl_aws_session_token: s3cret",
            ],
            "sasl_aws_session_token has no meaning with sasl_aws_credentials_command",
        ),
        (&["sasl_password: s3cret"], "sasl_password has no meaning"),
        (
            &["sasl_oauthbearer_scope: x"],
            "sasl_oauthbearer_scope has no meaning",
        ),
        (&["sasl_aws_regoin: x"], "sasl_aws_region"),
    ] {
        let words = iam(lines);
        assert!(words.contains(says) && !words.contains("s3cret"), "{words}");
    }
    for (lines, says) in [
        (
            &["security_protocol: SSL", "sasl_aws_region: x"][..],
            "sasl_aws_region has no meaning",
        ),
        (
            &["sasl_aws_session_token: x"],
            "security_protocol is missing, and sasl_aws_session_token is given",
        ),
        (
            &[
                "security_protocol: SASL_SSL",
                "sasl_mechanism: OAUTHBEARER",
                "sasl_aws_region: x",
            ],
            "sasl_aws_region has no meaning",
        ),
        (
            &[
                "security_protocol: SASL_SSL",
                "sasl_mechanism: PLAIN",
                "sasl_aws_credentials_command: x",
            ],
            "sasl_aws_credentials_command has no meaning",
        ),
        (
            &["security_protocol: SASL_SSL", "sasl_mechanism: AWS_IAM"],
            "did you mean `AWS_MSK_IAM`?",
        ),
    ] {
        let words = error(lines);
        assert!(words.contains(says), "{words}");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_key() {
    let sasl = |lines: &[&'static str]| [&["security_protocol: SASL_SSL"], lines].concat();
    let oauth = |lines: &[&'static str]| sasl(&[&["sasl_mechanism: OAUTHBEARER"], lines].concat());
    let endpoint = "sasl_oauthbearer_token_endpoint_url: https://idp/token";
    for (lines, says) in [
        (vec!["security_protocol: SASL-SSL"], "did you mean `SASL_SSL`?"),
        (
            vec!["ssl_ca_location: /ca.pem"],
            "source.security.security_protocol is missing, and ssl_ca_location is given",
        ),
        (
            vec!["sasl_username: me"],
            "security_protocol is missing, and sasl_username is given",
        ),
        (
            vec!["security_protocol: PLAINTEXT", "ssl_ca_location: /ca"],
            "which does not encrypt",
        ),
        (
            vec!["security_protocol: SASL_PLAINTEXT", "ssl_key_location: /k"],
            "ssl_key_location has no meaning",
        ),
        (
            vec!["security_protocol: SSL", "sasl_username: me"],
            "sasl_username has no meaning",
        ),
        (
            vec!["security_protocol: SSL", "sasl_oauthbearer_scope: x"],
            "sasl_oauthbearer_scope has no meaning",
        ),
        (
            vec!["security_protocol: SSL", "ssl_key_location: /k"],
            "needs ssl_certificate_location, too",
        ),
        (
            vec!["security_protocol: SSL", "ssl_certificate_location: /c"],
            "needs ssl_key_location, too",
        ),
        (
            vec!["security_protocol: SSL", "ssl_ca_location: ''"],
            "ssl_ca_location is empty",
        ),
        (
            vec!["security_protocol: SSL", "ssl_ca_locations: /ca"],
            "did you mean `ssl_ca_location`?",
        ),
        (sasl(&["sasl_username: me"]), "sasl_mechanism is missing"),
        (
            sasl(&["sasl_mechanism: SCRAM"]),
            "is not one of PLAIN, SCRAM-SHA-256",
        ),
        (
            sasl(&["sasl_mechanism: PLAIN", "sasl_password: x"]),
            "sasl_username is missing",
        ),
        (
            sasl(&["sasl_mechanism: PLAIN", "sasl_username: me"]),
            "sasl_password is missing",
        ),
        (
            sasl(&["sasl_mechanism: PLAIN", "sasl_username: me", "sasl_password: ''"]),
            "sasl_password is empty",
        ),
        (
            oauth(&["sasl_tokenauth: false"]),
            "sasl_tokenauth has no meaning with `sasl_mechanism: OAUTHBEARER`, which takes a token",
        ),
        (
            sasl(&["sasl_mechanism: PLAIN", endpoint]),
            "sasl_oauthbearer_token_endpoint_url has no meaning",
        ),
        (oauth(&["sasl_username: me"]), "sasl_username has no meaning"),
        (oauth(&[]), "needs one source of tokens"),
        (
            oauth(&["sasl_oauthbearer_token_file: /t", endpoint]),
            "and only one",
        ),
        (
            oauth(&["sasl_oauthbearer_token_file: /t", "sasl_oauthbearer_scope: x"]),
            "belongs to sasl_oauthbearer_token_endpoint_url",
        ),
        (
            oauth(&["sasl_oauthbearer_token_command: []"]),
            "the command is empty",
        ),
        (oauth(&[endpoint]), "sasl_oauthbearer_client_id is missing"),
        (
            oauth(&[endpoint, "sasl_oauthbearer_client_id: me"]),
            "sasl_oauthbearer_client_secret is missing",
        ),
        (
            oauth(&["sasl_oauthbearer_token_endpoint_url: idp"]),
            "does not begin with https://",
        ),
        (
            oauth(&[
                "sasl_oauthbearer_token_file: /t",
                "sasl_oauthbearer_extensions: {a-b: x}",
            ]),
            "`a-b` cannot be the name of an extension",
        ),
    ] {
        let message = error(&lines);
        assert!(message.contains(says), "{lines:?}: {message}");
    }
}

#[test]
fn no_error_shows_a_secret() {
    for lines in [
        &[
            "security_protocol: SASL_SSL",
            "sasl_mechanism: PLAIN",
            "sasl_password: [marker]",
        ][..],
        &[
            "security_protocol: SASL_SSL",
            "sasl_mechanism: PLAIN",
            "sasl_password: 'marker${'",
        ],
        &[
            "security_protocol: SASL_SSL",
            "sasl_mechanism: NONE",
            "sasl_password: marker",
        ],
        &[
            "security_protocol: SSL",
            "sasl_oauthbearer_token_command: [x, marker]",
        ],
        &[
            "security_protocol: SASL_SSL",
            "sasl_oauthbearer_token_command: {marker: marker}",
        ],
        &[
            "security_protocol: SASL_SSL",
            "sasl_mechanism: OAUTHBEARER",
            "sasl_oauthbearer_token_endpoint_url: https://me:marker@idp/",
        ],
    ] {
        let message = error(lines);
        assert!(!message.contains("marker"), "{message}");
    }
}
