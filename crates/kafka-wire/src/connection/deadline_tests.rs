//! Peers that are slow, and peers that only seem to be.

use super::*;

const PAUSE: Duration = Duration::from_secs(10);
/// Bytes of which each pause brings some; the peer is just faster than it has to be.
const STEADY: usize = 170 << 10;
const LARGE: usize = 4 << 20;

fn too_slow(cause: &ConnectionError) -> &str {
    match cause {
        ConnectionError::TooSlow(words) => words,
        other => panic!("{other:?}"),
    }
}

impl Bench {
    fn start_large(&self) -> Pending {
        let request = RawRequest {
            api_key: KEY,
            version: 0,
            body: vec![Bytes::from(vec![b'x'; LARGE])],
            timeout: PATIENCE,
            guard: None,
        };
        self.link.start_raw(request).unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_trickles_ends_at_the_bound() {
    let mut bench = bench(1024);
    let started = Instant::now();
    let pending = bench.start(b"a");
    let request = bench.read().await;
    let trickle = async {
        let frame = framed(&request, &[b'x'; 1000]);
        let (length, rest) = frame.split_at(4);
        bench.peer.write_all(length).await.unwrap();
        for &byte in rest {
            sleep(PAUSE).await;
            bench.peer.write_u8(byte).await.unwrap();
        }
    };
    let cause = tokio::select! {
        outcome = pending => in_doubt(outcome),
        () = trickle => panic!("the request is not given up"),
    };
    // The clock is a paused one.
    assert!(started.elapsed() < PATIENCE + PAUSE, "{:?}", started.elapsed());
    let words = too_slow(&cause);
    assert!(
        words.contains(" of 1008 bytes of the answer in 30") && words.contains("raise the request timeout"),
        "{words}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_bytes_are_taken_in_a_trickle_ends_at_the_bound() {
    let Bench {
        link,
        mut peer,
        closed,
    } = bench(1);
    let bench = Bench {
        link,
        peer: tokio::io::duplex(1).0,
        closed,
    };
    let pending = bench.start_large();
    let trickle = async {
        loop {
            sleep(PAUSE).await;
            if peer.read_u8().await.is_err() {
                break;
            }
        }
    };
    let cause = tokio::select! {
        outcome = pending => in_doubt(outcome),
        () = trickle => panic!("the request is not given up"),
    };
    let words = too_slow(&cause);
    assert!(
        words.contains(" of 4194") && words.contains(" bytes of the request in 30"),
        "{words}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_large_answer_that_comes_steadily_is_taken_however_long_it_takes() {
    let mut bench = bench(STEADY);
    let started = Instant::now();
    let pending = bench.start(b"a");
    let request = bench.read().await;
    let body = vec![b'x'; LARGE];
    let frame = framed(&request, &body);
    let steady = async {
        for part in frame.chunks(STEADY) {
            sleep(PAUSE).await;
            bench.peer.write_all(part).await.unwrap();
        }
    };
    let (outcome, ()) = tokio::join!(pending, steady);
    assert_eq!(outcome.unwrap().len(), LARGE);
    assert!(started.elapsed() > 5 * PATIENCE);
}

#[tokio::test(start_paused = true)]
async fn a_large_request_that_is_taken_steadily_is_sent_however_long_it_takes() {
    let mut bench = bench(STEADY);
    let started = Instant::now();
    let pending = bench.start_large();
    let length = bench.peer.read_u32().await.unwrap();
    let mut frame = vec![0; length as usize];
    for part in frame.chunks_mut(STEADY) {
        sleep(PAUSE).await;
        bench.peer.read_exact(part).await.unwrap();
    }
    bench.answer(&parse(Bytes::from(frame), 0), b"ok").await;
    assert_eq!(pending.await.unwrap(), &b"ok"[..]);
    assert!(started.elapsed() > 5 * PATIENCE);
}

#[tokio::test(start_paused = true)]
async fn the_bytes_of_one_answer_give_no_time_to_the_next() {
    let mut bench = bench(64 << 10);
    let (first, second) = (bench.start(b"a"), bench.start(b"b"));
    let (one, _two) = (bench.read().await, bench.read().await);
    let body = vec![b'x'; LARGE];
    bench.answer(&one, &body).await;
    assert!(first.await.is_ok());
    let turn = Instant::now();
    assert!(matches!(
        in_doubt(second.await),
        ConnectionError::NoAnswer(PATIENCE)
    ));
    assert_eq!(turn.elapsed(), PATIENCE);
}
