//! A connection against a scripted peer: order, correlation, timeouts, and what is known after a failure.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::buffers::BufferPool;
use super::driver::{Driver, DriverOptions};
use super::fake::{Seen, framed, parse};
use super::link::{Link, Pending, RawRequest};
use super::parting::Leftover;
use crate::error::{ConnectionError, Error};

#[path = "broken_tests.rs"]
mod broken;
#[path = "deadline_tests.rs"]
mod deadline;
#[path = "parting_tests.rs"]
mod parting;

const PATIENCE: Duration = Duration::from_secs(30);
const IDLE: Duration = Duration::from_secs(240);
/// DescribeGroups: 0 has the old header, 5 the flexible one.
const KEY: i16 = 15;

struct Bench {
    link: Link,
    peer: DuplexStream,
    closed: CancellationToken,
}

fn bench(buffer: usize) -> Bench {
    let (stream, peer) = tokio::io::duplex(buffer);
    let closed = CancellationToken::new();
    let link = drive(stream, false, &closed);
    Bench { link, peer, closed }
}

/// `buffered`: like a stream that encrypts.
fn drive<S>(stream: S, buffered: bool, closed: &CancellationToken) -> Link
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (link, ends) = Link::new("broker 1 at test:1".into());
    let options = DriverOptions {
        client_id: "me".into(),
        max_response_bytes: 8 << 20,
        idle_timeout: IDLE,
        pool: BufferPool::new(1 << 20),
        buffered,
        logs_in: false,
        closed: closed.clone(),
        ended: CancellationToken::new(),
    };
    tokio::spawn(Driver::new(stream, ends, options).run());
    link
}

impl Bench {
    fn start(&self, body: &'static [u8]) -> Pending {
        self.start_chunks(0, &[body])
    }

    fn start_chunks(&self, version: i16, body: &[&'static [u8]]) -> Pending {
        start(&self.link, version, body)
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
}

fn start(link: &Link, version: i16, body: &[&'static [u8]]) -> Pending {
    let body = body.iter().map(|chunk| Bytes::from_static(chunk)).collect();
    let request = RawRequest {
        api_key: KEY,
        version,
        body,
        timeout: PATIENCE,
        guard: None,
    };
    link.start_raw(request).expect("an open link")
}

fn in_doubt(outcome: Result<Bytes, Error>) -> ConnectionError {
    match outcome {
        Err(Error::InDoubt { source, .. }) => source,
        other => panic!("{other:?}"),
    }
}

fn not_sent(outcome: Result<Bytes, Error>) -> ConnectionError {
    match outcome {
        Err(Error::NotSent { source, .. }) => source,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn requests_are_written_in_the_order_of_the_calls_and_answers_find_them() {
    let mut bench = bench(64 << 10);
    let pending: Vec<_> = [&b"one"[..], b"two", b"three"]
        .map(|body| bench.start(body))
        .into();
    let mut seen = Vec::new();
    for expected in [&b"one"[..], b"two", b"three"] {
        let request = bench.read().await;
        assert_eq!(request.body, expected);
        seen.push(request);
    }
    for request in &seen {
        bench.answer(request, &[b"re:", &request.body[..]].concat()).await;
    }
    for (pending, expected) in pending.into_iter().zip([&b"re:one"[..], b"re:two", b"re:three"]) {
        assert_eq!(pending.await.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_body_in_many_pieces_arrives_whole_through_a_narrow_pipe() {
    let mut bench = bench(7);
    let pieces = [&b"abcdefgh"[..]; 300];
    let pending = bench.start_chunks(0, &pieces);
    let request = bench.read().await;
    assert_eq!(request.body, pieces.concat());
    bench.answer(&request, b"ok").await;
    assert_eq!(pending.await.unwrap(), &b"ok"[..]);
}

#[tokio::test]
async fn tagged_fields_of_a_flexible_header_are_skipped() {
    let mut bench = bench(1024);
    let pending = bench.start_chunks(5, &[b"x"]);
    let request = bench.read().await;
    let mut frame = vec![0, 0, 0, 13];
    frame.extend_from_slice(&request.correlation_id.to_be_bytes());
    // Two tagged fields: number 0 of two bytes, number 1 of none.
    frame.extend_from_slice(&[2, 0, 2, 7, 7, 1, 0, b'o', b'k']);
    bench.peer.write_all(&frame).await.unwrap();
    assert_eq!(pending.await.unwrap(), &b"ok"[..]);
}

#[tokio::test]
async fn a_header_that_is_cut_off_ends_the_connection() {
    for tags in [
        &[][..],
        &[1],
        &[1, 0],
        &[1, 0, 9],
        &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80],
    ] {
        let mut bench = bench(1024);
        let pending = bench.start_chunks(5, &[b"x"]);
        let request = bench.read().await;
        bench
            .peer
            .write_u32(4 + u32::try_from(tags.len()).unwrap())
            .await
            .unwrap();
        bench.peer.write_i32(request.correlation_id).await.unwrap();
        bench.peer.write_all(tags).await.unwrap();
        assert!(matches!(in_doubt(pending.await), ConnectionError::Protocol(_)));
    }
}

#[tokio::test]
async fn a_wrong_correlation_id_ends_the_connection_and_fails_what_is_on_it() {
    let mut bench = bench(1024);
    let (first, second) = (bench.start(b"a"), bench.start(b"b"));
    let _ = bench.read().await;
    let other = bench.read().await;
    bench.answer(&other, b"out of order").await;
    for pending in [first, second] {
        let cause = in_doubt(pending.await).to_string();
        assert!(
            cause.contains("correlation id 1 where 0 (DescribeGroups) is due"),
            "{cause}"
        );
    }
    assert!(!bench.link.is_open());
}

#[tokio::test]
async fn a_response_that_nobody_asked_for_ends_the_connection() {
    let mut bench = bench(1024);
    bench.peer.write_all(&[0, 0, 0, 4, 0, 0, 0, 0]).await.unwrap();
    let mut byte = [0];
    assert_eq!(
        bench.peer.read(&mut byte).await.unwrap(),
        0,
        "the client hangs up"
    );
    assert!(!bench.link.is_open());
}

#[tokio::test]
async fn a_lost_connection_tells_what_was_sent_from_what_was_not() {
    // The pipe takes part of the second request and nothing of the third.
    let bench = bench(4 + 12 + 10 + 20);
    let first = bench.start(b"0123456789");
    let second = bench.start(b"01234567890123456789");
    let third = bench.start(b"x");
    tokio::task::yield_now().await;
    sleep(Duration::from_millis(50)).await;
    drop(bench.peer);
    assert!(matches!(
        in_doubt(first.await),
        ConnectionError::ClosedByBroker | ConnectionError::Io(_)
    ));
    in_doubt(second.await);
    not_sent(third.await);
    let late = RawRequest {
        api_key: KEY,
        version: 0,
        body: Vec::new(),
        timeout: PATIENCE,
        guard: None,
    };
    assert!(matches!(bench.link.start_raw(late), Err(Error::NotSent { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_does_not_answer_is_given_up_after_the_timeout() {
    let mut bench = bench(1024);
    let started = Instant::now();
    let (first, second) = (bench.start(b"a"), bench.start(b"b"));
    let _ = bench.read().await;
    assert!(matches!(
        in_doubt(first.await),
        ConnectionError::NoAnswer(PATIENCE)
    ));
    assert_eq!(started.elapsed(), PATIENCE);
    in_doubt(second.await);
    assert!(!bench.link.is_open());
}

#[tokio::test(start_paused = true)]
async fn the_clock_of_a_pipelined_request_starts_when_it_is_its_turn() {
    let mut bench = bench(1024);
    let (first, second) = (bench.start(b"a"), bench.start(b"b"));
    let (one, two) = (bench.read().await, bench.read().await);
    sleep(PATIENCE - Duration::from_secs(1)).await;
    bench.answer(&one, b"").await;
    assert!(first.await.is_ok());
    sleep(PATIENCE - Duration::from_secs(1)).await;
    bench.answer(&two, b"").await;
    assert!(second.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_request_of_which_no_byte_can_be_written_is_given_up_in_its_own_time() {
    let mut bench = bench(14 + 10);
    let first = bench.start(b"0123456789");
    let one = bench.read().await;
    bench.answer(&one, b"").await;
    assert!(first.await.is_ok());
    // The pipe is full with what nobody reads, and nothing is awaited.
    let filling = bench.start(b"0123456789");
    sleep(Duration::from_secs(1)).await;
    bench
        .peer
        .write_all(&framed(
            &Seen {
                correlation_id: 1,
                ..one
            },
            b"",
        ))
        .await
        .unwrap();
    assert!(filling.await.is_ok());
    let started = Instant::now();
    let stuck = bench.start(b"x");
    assert!(matches!(
        not_sent(stuck.await),
        ConnectionError::NoAnswer(PATIENCE)
    ));
    assert_eq!(started.elapsed(), PATIENCE);
}

#[tokio::test]
async fn a_request_on_a_connection_that_the_broker_has_closed_was_not_sent() {
    // Both are there at the same time: the end of the stream, and something to be written.
    for _ in 0..50 {
        let mut bench = bench(1024);
        // It would still take what is written, as a socket does.
        bench.peer.shutdown().await.unwrap();
        let late = RawRequest {
            api_key: KEY,
            version: 0,
            body: vec![Bytes::from_static(b"x")],
            timeout: PATIENCE,
            guard: None,
        };
        match bench.link.start_raw(late) {
            Ok(pending) => _ = not_sent(pending.await),
            Err(error) => _ = not_sent(Err(error)),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_throttled_connection_is_quiet_and_no_timeout_runs() {
    let mut bench = bench(1024);
    let before = bench.start(b"before");
    let seen = bench.read().await;
    bench.link.throttle(100_000);
    let after = bench.start(b"after");
    assert!(
        timeout(Duration::from_secs(99), bench.peer.read_u8())
            .await
            .is_err(),
        "nothing is written"
    );
    bench.answer(&seen, b"").await;
    assert!(before.await.is_ok(), "answers are still read");
    let seen = bench.read().await;
    assert_eq!(seen.body, &b"after"[..]);
    bench.answer(&seen, b"").await;
    assert!(after.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn after_a_throttle_the_broker_has_its_full_time_again() {
    let mut bench = bench(1024);
    let pending = bench.start(b"a");
    let seen = bench.read().await;
    bench.link.throttle(100_000);
    sleep(Duration::from_secs(100) + PATIENCE - Duration::from_secs(1)).await;
    bench.answer(&seen, b"").await;
    assert!(pending.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_before_the_broker_does_it() {
    let mut bench = bench(1024);
    sleep(IDLE - Duration::from_secs(10)).await;
    let pending = bench.start(b"a");
    let seen = bench.read().await;
    bench.answer(&seen, b"").await;
    assert!(pending.await.is_ok());
    let idle_since = Instant::now();
    let mut byte = [0];
    assert_eq!(bench.peer.read(&mut byte).await.unwrap(), 0);
    assert_eq!(idle_since.elapsed(), IDLE);
    assert!(!bench.link.is_open());
}

#[tokio::test]
async fn an_abandoned_answer_is_thrown_away_and_the_next_is_not() {
    let mut bench = bench(1024);
    drop(bench.start(b"a"));
    let kept = bench.start(b"b");
    for body in [&b"1"[..], b"2"] {
        let seen = bench.read().await;
        bench.answer(&seen, body).await;
    }
    assert_eq!(kept.await.unwrap(), &b"2"[..]);
}

#[tokio::test]
async fn what_is_attached_lives_with_the_response_or_ends_with_the_failure() {
    let mut bench = bench(1024);
    let token = Arc::new(());
    let guarded = |token: &Arc<()>| RawRequest {
        api_key: KEY,
        version: 0,
        body: vec![Bytes::from_static(b"x")],
        timeout: PATIENCE,
        guard: Some(Box::new(Arc::clone(token))),
    };
    let pending = bench.link.start_raw(guarded(&token)).unwrap();
    let seen = bench.read().await;
    bench.answer(&seen, b"body").await;
    let body = pending.await.unwrap();
    assert_eq!(Arc::strong_count(&token), 2);
    drop(body);
    assert_eq!(Arc::strong_count(&token), 1);

    let pending = bench.link.start_raw(guarded(&token)).unwrap();
    drop(bench.peer);
    assert!(pending.await.is_err());
    assert_eq!(Arc::strong_count(&token), 1);
}

#[tokio::test]
async fn the_last_handle_may_go_before_the_answer_comes() {
    let mut bench = bench(1024);
    let pending = bench.start(b"a");
    let Bench { link, peer, closed } = bench;
    drop(link);
    bench = Bench {
        link: Link::new("none".into()).0,
        peer,
        closed,
    };
    let seen = bench.read().await;
    bench.answer(&seen, b"still").await;
    assert_eq!(pending.await.unwrap(), &b"still"[..]);
    let mut byte = [0];
    assert_eq!(
        bench.peer.read(&mut byte).await.unwrap(),
        0,
        "then the connection ends"
    );
}

#[tokio::test]
async fn closing_fails_what_is_in_flight() {
    let mut bench = bench(1024);
    let pending = bench.start(b"a");
    let _ = bench.read().await;
    bench.closed.cancel();
    assert!(matches!(in_doubt(pending.await), ConnectionError::Closed));
}

#[tokio::test]
async fn an_unknown_api_is_refused_and_the_connection_goes_on() {
    let mut bench = bench(1024);
    let body = vec![Bytes::from_static(b"x")];
    let request = RawRequest {
        api_key: 9999,
        version: 0,
        body,
        timeout: PATIENCE,
        guard: None,
    };
    let outcome = bench.link.start_raw(request).unwrap().await;
    assert!(matches!(outcome, Err(Error::Encode { .. })), "{outcome:?}");
    let pending = bench.start(b"a");
    let seen = bench.read().await;
    bench.answer(&seen, b"").await;
    assert!(pending.await.is_ok());
}
