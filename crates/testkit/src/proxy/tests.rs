//! Against a peer that answers each request with its own bytes, the correlation id first.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Direction, FaultProxy, RequestFault, Rule, api_key};

/// Much more than anything here takes: what would hang fails instead.
const PATIENCE: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(150);

/// A peer that answers a request with `correlation id, "payload"`.
async fn peer() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                while let Ok(length) = stream.read_u32().await {
                    let mut request = vec![0; length as usize];
                    stream.read_exact(&mut request).await.unwrap();
                    let mut answer = vec![0, 0, 0, 11];
                    answer.extend(&request[4..8]);
                    answer.extend(b"payload");
                    stream.write_all(&answer).await.unwrap();
                }
            });
        }
    });
    address
}

async fn send(stream: &mut TcpStream, key: i16, correlation: i32) {
    let mut frame = vec![0, 0, 0, 10];
    frame.extend(key.to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(correlation.to_be_bytes());
    frame.extend([0xff, 0xff]);
    stream.write_all(&frame).await.unwrap();
}

/// The next answer's correlation id and text; `None` when the connection ends first.
async fn receive(stream: &mut TcpStream) -> Option<(i32, String)> {
    // An answer that is shorter than it says is waited for in vain.
    let answer = tokio::time::timeout(PATIENCE, whole_answer(stream)).await;
    answer.expect("a whole answer, or the end of the connection")
}

async fn whole_answer(stream: &mut TcpStream) -> Option<(i32, String)> {
    let length = stream.read_u32().await.ok()?;
    let correlation = stream.read_i32().await.ok()?;
    let mut text = vec![0; length as usize - 4];
    stream.read_exact(&mut text).await.ok()?;
    Some((correlation, String::from_utf8(text).unwrap()))
}

async fn nothing_comes(stream: &mut TcpStream) -> bool {
    tokio::time::timeout(SHORT, stream.read_u8()).await.is_err()
}

async fn set_up() -> (FaultProxy, TcpStream) {
    let proxy = FaultProxy::start(peer().await).unwrap();
    let stream = TcpStream::connect(proxy.address()).await.unwrap();
    (proxy, stream)
}

fn answer(correlation: i32) -> Option<(i32, String)> {
    Some((correlation, "payload".to_owned()))
}

#[tokio::test]
async fn without_rules_everything_passes_and_is_counted() {
    let (proxy, mut stream) = set_up().await;
    for correlation in 0..5 {
        send(&mut stream, api_key::FETCH, correlation).await;
        assert_eq!(receive(&mut stream).await, answer(correlation));
    }
    assert_eq!(proxy.requests(api_key::FETCH), 5);
    assert_eq!(proxy.requests(api_key::PRODUCE), 0);
    assert_eq!(proxy.connections(), 1);
}

#[tokio::test]
async fn the_response_to_the_nth_request_of_an_api_is_dropped() {
    let (proxy, mut stream) = set_up().await;
    let rule = proxy.add(Rule::request(api_key::PRODUCE, RequestFault::DropResponse).skip(1));
    send(&mut stream, api_key::PRODUCE, 1).await;
    send(&mut stream, api_key::FETCH, 2).await;
    send(&mut stream, api_key::PRODUCE, 3).await;
    send(&mut stream, api_key::PRODUCE, 4).await;
    let mut answered = Vec::new();
    for _ in 0..3 {
        answered.push(receive(&mut stream).await.unwrap().0);
    }
    assert_eq!(answered, [1, 2, 4]);
    assert_eq!(rule.hits(), 1);
    assert!(nothing_comes(&mut stream).await);
}

#[tokio::test]
async fn a_dropped_request_never_reaches_the_peer() {
    let (proxy, mut stream) = set_up().await;
    proxy.add(Rule::request(api_key::FETCH, RequestFault::DropRequest).times(2));
    for correlation in 1..=3 {
        send(&mut stream, api_key::FETCH, correlation).await;
    }
    assert_eq!(receive(&mut stream).await, answer(3));
}

#[tokio::test]
async fn a_connection_is_cut_instead_of_an_answer_or_inside_of_it() {
    let (proxy, mut stream) = set_up().await;
    proxy.add(Rule::request(api_key::FETCH, RequestFault::CutBeforeResponse));
    send(&mut stream, api_key::FETCH, 1).await;
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.is_empty());

    proxy.add(Rule::request(api_key::FETCH, RequestFault::CutInsideResponse(9)));
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    send(&mut stream, api_key::FETCH, 1).await;
    let _ = stream.read_to_end(&mut rest).await;
    assert_eq!(rest, [0, 0, 0, 11, 0, 0, 0, 1, b'p']);
}

#[tokio::test]
async fn an_answer_is_altered_and_its_length_with_it() {
    let (proxy, mut stream) = set_up().await;
    proxy.add(Rule::request(
        api_key::FETCH,
        RequestFault::alter_response(|payload| payload.truncate(6)),
    ));
    send(&mut stream, api_key::FETCH, 7).await;
    assert_eq!(receive(&mut stream).await, Some((7, "pa".to_owned())));
    send(&mut stream, api_key::FETCH, 8).await;
    assert_eq!(receive(&mut stream).await, answer(8));
}

#[tokio::test]
async fn a_request_is_altered_and_its_length_with_it() {
    let (proxy, mut stream) = set_up().await;
    let change = |payload: &mut Vec<u8>| {
        payload[7] = 9;
        payload.extend(b"more");
    };
    proxy.add(Rule::request(api_key::FETCH, RequestFault::alter_request(change)));
    send(&mut stream, api_key::FETCH, 7).await;
    assert_eq!(receive(&mut stream).await, answer(9));
    // With a wrong length the peer would wait for the rest of this one.
    send(&mut stream, api_key::FETCH, 8).await;
    assert_eq!(receive(&mut stream).await, answer(8));
}

#[tokio::test]
async fn an_answer_and_a_request_can_be_late() {
    let (proxy, mut stream) = set_up().await;
    for fault in [
        RequestFault::DelayRequest(SHORT),
        RequestFault::DelayResponse(SHORT),
    ] {
        proxy.add(Rule::request(api_key::FETCH, fault));
        let begin = Instant::now();
        send(&mut stream, api_key::FETCH, 1).await;
        assert_eq!(receive(&mut stream).await, answer(1));
        assert!(begin.elapsed() >= SHORT);
    }
}

#[tokio::test]
async fn delays_are_latency_and_do_not_add_up() {
    let (proxy, mut stream) = set_up().await;
    proxy.add(Rule::delay(Direction::ToClient, SHORT));
    let begin = Instant::now();
    for correlation in 0..20 {
        send(&mut stream, api_key::FETCH, correlation).await;
    }
    for correlation in 0..20 {
        assert_eq!(receive(&mut stream).await, answer(correlation));
    }
    assert!(begin.elapsed() >= SHORT);
    assert!(begin.elapsed() < SHORT * 10);
}

#[tokio::test]
async fn a_stall_holds_everything_and_loses_nothing() {
    let (proxy, mut stream) = set_up().await;
    for direction in [Direction::ToBroker, Direction::ToClient] {
        let stall = proxy.add(Rule::stall(direction));
        send(&mut stream, api_key::FETCH, 1).await;
        stall.wait_for_hits(1, PATIENCE).await.unwrap();
        assert!(nothing_comes(&mut stream).await);
        stall.remove();
        assert_eq!(receive(&mut stream).await, answer(1));
    }
}

#[tokio::test]
async fn a_connection_is_cut_after_exactly_so_many_bytes() {
    let (proxy, mut stream) = set_up().await;
    let cut = proxy.add(Rule::cut_after(Direction::ToClient, 20));
    send(&mut stream, api_key::FETCH, 1).await;
    assert_eq!(receive(&mut stream).await, answer(1));
    send(&mut stream, api_key::FETCH, 2).await;
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert_eq!(rest, [0, 0, 0, 11, 0]);
    assert_eq!(cut.hits(), 1);

    let mut again = TcpStream::connect(proxy.address()).await.unwrap();
    for correlation in 0..4 {
        send(&mut again, api_key::FETCH, correlation).await;
        assert_eq!(receive(&mut again).await, answer(correlation));
    }
}

#[tokio::test]
async fn connections_are_refused_and_accepted_again() {
    let (proxy, mut open) = set_up().await;
    send(&mut open, api_key::FETCH, 0).await;
    assert_eq!(receive(&mut open).await, answer(0));

    let refuse = proxy.add(Rule::refuse());
    assert!(TcpStream::connect(proxy.address()).await.is_err());
    send(&mut open, api_key::FETCH, 1).await;
    assert_eq!(receive(&mut open).await, answer(1));

    refuse.remove();
    let mut again = TcpStream::connect(proxy.address()).await.unwrap();
    send(&mut again, api_key::FETCH, 2).await;
    assert_eq!(receive(&mut again).await, answer(2));
}

#[tokio::test]
async fn all_connections_are_cut_on_demand() {
    let (proxy, mut stream) = set_up().await;
    send(&mut stream, api_key::FETCH, 1).await;
    assert_eq!(receive(&mut stream).await, answer(1));
    proxy.cut_all();
    assert_eq!(receive(&mut stream).await, None);
}

#[tokio::test]
async fn a_throttled_direction_is_slow() {
    let (proxy, mut stream) = set_up().await;
    proxy.add(Rule::throttle(Direction::ToClient, 100));
    let begin = Instant::now();
    send(&mut stream, api_key::FETCH, 1).await;
    send(&mut stream, api_key::FETCH, 2).await;
    assert_eq!(receive(&mut stream).await, answer(1));
    assert_eq!(receive(&mut stream).await, answer(2));
    // 30 bytes at 100 a second; the last pause comes after the last byte.
    assert!(begin.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn bytes_that_are_no_frames_pass_as_they_are() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = FaultProxy::start(listener.local_addr().unwrap()).unwrap();
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    let (mut peer, _) = listener.accept().await.unwrap();
    // The beginning of a TLS handshake.
    stream
        .write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01])
        .await
        .unwrap();
    let mut seen = [0; 6];
    peer.read_exact(&mut seen).await.unwrap();
    assert_eq!(seen, [0x16, 0x03, 0x01, 0x02, 0x00, 0x01]);
    peer.write_all(b"\xffhello").await.unwrap();
    let mut seen = [0; 6];
    stream.read_exact(&mut seen).await.unwrap();
    assert_eq!(&seen, b"\xffhello");
}

#[tokio::test]
async fn a_client_that_sends_no_more_is_still_answered_and_the_peer_learns_of_it_behind_its_requests() {
    let (proxy, mut stream) = set_up().await;
    proxy.add(Rule::request(api_key::FETCH, RequestFault::DelayRequest(SHORT)));
    proxy.add(Rule::request(api_key::FETCH, RequestFault::DelayResponse(SHORT)));
    for correlation in 1..=3 {
        send(&mut stream, api_key::FETCH, correlation).await;
    }
    stream.shutdown().await.unwrap();
    for correlation in 1..=3 {
        assert_eq!(receive(&mut stream).await, answer(correlation));
    }
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

/// Neither side may be believed to be done because the other one is.
#[tokio::test]
async fn the_end_of_the_peer_is_its_own() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = FaultProxy::start(listener.local_addr().unwrap()).unwrap();
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    let (mut peer, _) = listener.accept().await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(peer.read(&mut [0]).await.unwrap(), 0);
    assert!(nothing_comes(&mut stream).await);
    assert_eq!(proxy.connections(), 1);
    drop(peer);
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn the_end_of_the_proxy_cuts_its_connections() {
    let (proxy, mut stream) = set_up().await;
    send(&mut stream, api_key::FETCH, 1).await;
    assert_eq!(receive(&mut stream).await, answer(1));
    let address = proxy.address();
    drop(proxy);
    assert_eq!(receive(&mut stream).await, None);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn requests_of_one_api_are_kept_while_they_are_recorded() {
    let (proxy, mut stream) = set_up().await;
    let mut other = TcpStream::connect(proxy.address()).await.unwrap();
    send(&mut stream, api_key::FETCH, 1).await;
    receive(&mut stream).await.unwrap();
    proxy.start_recording(api_key::FETCH);
    for (correlation, key) in [(2, api_key::FETCH), (3, api_key::METADATA), (4, api_key::FETCH)] {
        send(&mut stream, key, correlation).await;
        receive(&mut stream).await.unwrap();
    }
    send(&mut other, api_key::FETCH, 9).await;
    receive(&mut other).await.unwrap();
    let kept = proxy.stop_recording();
    let correlations: Vec<u8> = kept.iter().map(|request| request.frame[11]).collect();
    assert_eq!(correlations, [2, 4, 9]);
    assert_eq!(kept[0].connection, kept[1].connection);
    assert_ne!(kept[0].connection, kept[2].connection);
    send(&mut stream, api_key::FETCH, 5).await;
    receive(&mut stream).await.unwrap();
    assert!(proxy.stop_recording().is_empty());
}
