//! Requests around the renewal of a login: what is held back, what overtakes, and in which order it goes on.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
use kafka_protocol::protocol::Encodable;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_util::sync::CancellationToken;

use super::buffers::BufferPool;
use super::driver::{Driver, DriverOptions};
use super::fake::{Seen, framed, parse};
use super::link::{Link, Pending, RawRequest};
use super::renew::Renewal;
use crate::config::{SaslConfig, TokenSource};
use crate::error::{ConnectionError, Error};
use crate::retry::Verdict;
use crate::sasl::Login;
use crate::secret::Secret;

const PATIENCE: Duration = Duration::from_secs(30);
const SESSION: Duration = Duration::from_secs(1000);
const KEY: i16 = 15;

/// A connection whose login is renewed every [`SESSION`] or a little sooner, and the broker's side of it.
struct Bench {
    link: Link,
    peer: DuplexStream,
    ended: CancellationToken,
}

fn bench() -> Bench {
    bench_with(SaslConfig::plain("me", Secret::new("marker")))
}

fn bench_with(sasl: SaslConfig) -> Bench {
    let (stream, peer) = tokio::io::duplex(64 << 10);
    let (link, ends) = Link::new("broker 1 at test:1".into());
    let ended = CancellationToken::new();
    let options = DriverOptions {
        client_id: "me".into(),
        max_response_bytes: 1 << 20,
        idle_timeout: 10 * SESSION,
        pool: BufferPool::new(1 << 20),
        buffered: true,
        logs_in: true,
        closed: CancellationToken::new(),
        ended: ended.clone(),
    };
    tokio::spawn(Driver::new(stream, ends, options).run());
    link.set_versions([(17, (0, 1)), (36, (0, 2))].into());
    let login = Login::load(sasl).unwrap();
    let renewal = Renewal {
        link: link.downgrade(),
        login: Arc::new(login),
        host: "test".to_owned(),
        timeout: PATIENCE,
        ended: ended.clone(),
    };
    tokio::spawn(renewal.run(SESSION));
    Bench { link, peer, ended }
}

impl Bench {
    fn start(&self, body: &'static [u8]) -> Pending {
        let request = RawRequest {
            api_key: KEY,
            version: 0,
            body: vec![Bytes::from_static(body)],
            timeout: 10 * SESSION,
            guard: None,
        };
        self.link.start_raw(request).expect("an open link")
    }

    async fn read(&mut self) -> Seen {
        let length = self.peer.read_u32().await.unwrap();
        let mut frame = vec![0; length as usize];
        self.peer.read_exact(&mut frame).await.unwrap();
        parse(Bytes::from(frame), 0)
    }

    async fn answer(&mut self, seen: &Seen, body: &[u8]) {
        self.peer.write_all(&framed(seen, body)).await.unwrap();
    }

    async fn answer_with(&mut self, seen: &Seen, response: &impl Encodable) {
        let mut body = BytesMut::new();
        response.encode(&mut body, seen.version).unwrap();
        self.answer(seen, &body).await;
    }

    /// Plays the broker's part of a login.
    async fn take_login(&mut self) {
        let handshake = self.read().await;
        self.take_rest_of_login(&handshake, 0).await;
    }

    /// Plays what comes after the first message, and answers the login with an error code.
    async fn take_rest_of_login(&mut self, handshake: &Seen, code: i16) {
        assert_eq!(
            handshake.read::<SaslHandshakeRequest>().mechanism.as_str(),
            "PLAIN"
        );
        self.answer_with(handshake, &SaslHandshakeResponse::default())
            .await;
        let message = self.read().await;
        assert_eq!(
            &message.read::<SaslAuthenticateRequest>().auth_bytes[..],
            b"\0me\0marker"
        );
        let lifetime = i64::try_from(SESSION.as_millis()).unwrap();
        let response = SaslAuthenticateResponse::default()
            .with_error_code(code)
            .with_session_lifetime_ms(lifetime);
        self.answer_with(&message, &response).await;
    }

    /// Nothing comes for a while.
    async fn is_quiet(&mut self) {
        let mut byte = [0];
        let read = tokio::time::timeout(Duration::from_secs(1), self.peer.read(&mut byte)).await;
        assert!(read.is_err(), "{read:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_waits_for_what_is_under_way_and_holds_back_what_comes_later() {
    let mut bench = bench();
    let first = bench.start(b"first");
    let seen = bench.read().await;
    assert!(seen.is::<kafka_protocol::messages::DescribeGroupsRequest>());
    tokio::time::sleep(SESSION).await;
    // It is time to renew, and one answer is still due.
    let later: Vec<Pending> = [&b"second"[..], b"third"].map(|body| bench.start(body)).into();
    bench.is_quiet().await;
    bench.answer(&seen, b"1").await;
    assert_eq!(&first.await.unwrap()[..], b"1");
    bench.take_login().await;
    for (pending, expected) in later.into_iter().zip([&b"second"[..], b"third"]) {
        let seen = bench.read().await;
        assert_eq!(seen.body, expected);
        bench.answer(&seen, b"ok").await;
        assert!(pending.await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn an_unused_connection_is_renewed_again_and_again() {
    let mut bench = bench();
    for _ in 0..3 {
        bench.take_login().await;
        let pending = bench.start(b"x");
        let seen = bench.read().await;
        bench.answer(&seen, b"ok").await;
        assert!(pending.await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn renewals_do_not_keep_a_connection_that_nobody_uses() {
    let mut bench = bench();
    let ended = bench.ended.clone();
    let mut renewals = 0;
    while !ended.is_cancelled() {
        tokio::select! {
            biased;
            () = ended.cancelled() => {}
            () = bench.take_login() => renewals += 1,
        }
        assert!(renewals <= 12, "the connection is kept by its own renewals");
    }
    assert!(renewals >= 9, "{renewals}");
    assert!(!bench.link.is_open());
}

#[tokio::test(start_paused = true)]
async fn a_login_that_is_refused_ends_the_connection_and_says_why() {
    let mut bench = bench();
    let handshake = bench.read().await;
    let parked = bench.start(b"parked");
    bench.take_rest_of_login(&handshake, 58).await;
    let Err(Error::NotSent { source, .. }) = parked.await else {
        panic!("it was not sent")
    };
    let words = source.to_string();
    assert!(matches!(source, ConnectionError::Authentication(_)), "{words}");
    assert!(
        words.contains("user \"me\" by PLAIN failed") && !words.contains("marker"),
        "{words}"
    );
    assert!(!bench.link.is_open());
}

/// Another one may be in the file by now, or the next time.
#[tokio::test(start_paused = true)]
async fn a_token_that_is_refused_ends_the_connection_and_is_no_reason_to_give_up() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "marker").unwrap();
    let source = TokenSource::File(file.path().to_owned());
    let mut bench = bench_with(SaslConfig::oauth_bearer(source));
    let handshake = bench.read().await;
    let parked = bench.start(b"parked");
    bench
        .answer_with(&handshake, &SaslHandshakeResponse::default())
        .await;
    let message = bench.read().await;
    let refusal = SaslAuthenticateResponse::default().with_error_code(58);
    bench.answer_with(&message, &refusal).await;
    let error = parked.await.unwrap_err();
    assert_eq!(error.verdict(), Verdict::Passes);
    let Error::NotSent { source, .. } = error else {
        panic!("{error}")
    };
    let words = source.to_string();
    assert!(
        words.contains("OAUTHBEARER failed") && !words.contains("marker"),
        "{words}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_renewal_ends_with_the_last_handle() {
    let Bench {
        link,
        mut peer,
        ended,
    } = bench();
    drop(link);
    let mut byte = [0];
    assert_eq!(peer.read(&mut byte).await.unwrap(), 0);
    ended.cancelled().await;
}
