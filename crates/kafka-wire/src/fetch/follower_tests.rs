//! A follower that the leader names to be read from (KIP-392): for a term, and when its log is not what the leader's is.

use std::pin::pin;
use std::task::{Context, Waker};

use super::*;

/// For how long a follower is read from before the leader is asked again.
const TERM: Duration = Duration::from_secs(5 * 60);

/// Broker 1 leads; it names broker 2 for some offsets, to whoever tells a rack.
pub(super) struct Script {
    /// Whether broker 1 names broker 2: by offset, and how often it has done so. Asked at each fetch of broker 1.
    names: fn(i64, usize) -> bool,
    named: usize,
    /// What broker 2 says: by offset, and how often it was asked for that before.
    says: fn(i64, usize) -> Follower,
    /// Where the log of broker 1 starts.
    start: i64,
    /// Who was asked for what.
    asked: Vec<(i32, i64)>,
}

/// What a follower does about a fetch.
enum Follower {
    Serves,
    /// Its log ends before the offset or starts after it, and it says that this is out of range.
    IsElsewhere,
    /// Something else is wrong with it.
    Fails,
    /// It has nothing to send yet: what it knows to be replicated ends at the offset.
    Lags,
}

impl Script {
    pub(super) fn fetch(&mut self, node: i32, request: &FetchRequest) -> Option<PartitionData> {
        let asked = &request.topics[0].partitions[0];
        let offset = asked.fetch_offset;
        let before = self
            .asked
            .iter()
            .filter(|&&asked| asked == (node, offset))
            .count();
        self.asked.push((node, offset));
        let answer = PartitionData::default()
            .with_high_watermark(END)
            .with_last_stable_offset(END);
        if node == 2 {
            return Some(match (self.says)(offset, before) {
                Follower::Serves => answer.with_records(Some(filled(builder(offset, 5), 1).bytes)),
                Follower::IsElsewhere => answer.with_error_code(1),
                Follower::Fails => answer.with_error_code(56),
                Follower::Lags => answer.with_high_watermark(offset).with_last_stable_offset(offset),
            });
        }
        let names = (self.names)(offset, self.named);
        if request.rack_id.is_empty() || !names {
            return (offset < self.start).then(|| answer.with_error_code(1));
        }
        self.named += 1;
        Some(answer.with_preferred_read_replica(BrokerId(2)))
    }

    /// Start and end of a broker's log, for who asks.
    pub(super) fn edges(&self, node: i32) -> (i64, i64) {
        if node == 2 { (0, 2) } else { (self.start, END) }
    }
}

/// Begins to read where another broker may be near.
async fn start_near(
    names: fn(i64, usize) -> bool,
    says: fn(i64, usize) -> Follower,
    start: i64,
) -> (Pair, FetchStream) {
    let pair = Pair::start(|world| {
        world.followers = Some(Script {
            names,
            named: 0,
            says,
            start,
            asked: Vec::new(),
        });
    })
    .await;
    let mut config = pair.config();
    // No request is given up when time is made to pass.
    config.request_timeout = 10 * TERM;
    config.idle_timeout = 10 * TERM;
    let cluster = Cluster::connect(config).await.unwrap();
    let mut options = FetchOptions::new(ByteBudget::new(8 << 20));
    options.rack = Some("near".to_owned());
    let asked = FetchPartition::new("t", 0, 0).until(END);
    let stream = FetchStream::start(&cluster, [asked], options);
    (pair, stream)
}

/// Reads to the end. Returns who was asked for which offset, in this order.
async fn read_near(names: fn(i64, usize) -> bool, says: fn(i64, usize) -> Follower) -> Vec<(i32, i64)> {
    let (pair, stream) = start_near(names, says, 0).await;
    read(stream, 10 * TERM).await;
    // Where a log starts and ends is asked of nobody but the leader.
    assert_eq!(pair.brokers[1].count::<ListOffsetsRequest>(), 0);
    let world = pair.world.lock().unwrap();
    world.followers.as_ref().unwrap().asked.clone()
}

/// Moves the clock at once.
fn pass(time: Duration) {
    tokio::time::pause();
    // It has moved when this is polled for the first time, and nothing else is in between.
    let advance = pin!(tokio::time::advance(time));
    let _ = advance.poll(&mut Context::from_waker(Waker::noop()));
    tokio::time::resume();
}

/// So many fetches of a broker, one for each offset.
fn each(node: i32, offsets: std::ops::Range<i64>) -> impl Iterator<Item = (i32, i64)> {
    offsets.map(move |offset| (node, offset))
}

#[tokio::test]
async fn the_leader_is_asked_again_when_the_term_of_a_follower_is_over() {
    let asked = read_near(
        |_, _| true,
        |offset, _| {
            match offset {
                4 => pass(TERM / 2),
                8 => pass(TERM),
                _ => {}
            }
            Follower::Serves
        },
    )
    .await;
    let expected = each(1, 0..1)
        .chain(each(2, 0..9))
        .chain(each(1, 9..10))
        .chain(each(2, 9..END));
    assert_eq!(asked, expected.collect::<Vec<_>>());
}

/// It would be named again each time: a leader does not know what keeps others from the follower, and perhaps not where
/// the follower's log starts.
#[tokio::test]
async fn what_a_follower_refuses_is_read_from_the_leader_for_a_term() {
    // Whoever went back to it at once would be sent to and fro.
    let elsewhere: fn(i64, usize) -> Follower = |offset, before| match offset {
        4 if before < 3 => Follower::IsElsewhere,
        _ => Follower::Serves,
    };
    let fails: fn(i64, usize) -> Follower = |offset, before| match offset {
        4 if before < 3 => Follower::Fails,
        _ => Follower::Serves,
    };
    for says in [elsewhere, fails] {
        let names = |offset, _| {
            if offset == 8 {
                pass(TERM);
            }
            offset >= 4
        };
        let expected = each(1, 0..5)
            .chain(each(2, 4..5))
            .chain(each(1, 4..10))
            .chain(each(2, 9..END));
        assert_eq!(read_near(names, says).await, expected.collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn what_a_follower_refuses_and_the_leader_does_not_have_is_out_of_range() {
    let (_pair, mut stream) = start_near(|_, _| true, |_, _| Follower::IsElsewhere, 3).await;
    let event = tokio::time::timeout(Duration::from_secs(20), stream.next()).await;
    let kind = event.expect("an event").expect("not the end").kind;
    let expected = matches!(
        kind,
        FetchEventKind::OutOfRange {
            requested: 0,
            log_start_offset: 3,
            log_end_offset: END
        }
    );
    assert!(expected, "{kind:?}");
}

#[tokio::test]
async fn a_follower_that_lags_is_waited_for() {
    let asked = read_near(
        |_, _| true,
        |offset, before| {
            if offset == 6 && before < 3 {
                Follower::Lags
            } else {
                Follower::Serves
            }
        },
    )
    .await;
    let expected = each(1, 0..1)
        .chain(each(2, 0..6))
        .chain([(2, 6); 3])
        .chain(each(2, 6..END));
    assert_eq!(asked, expected.collect::<Vec<_>>());
}
