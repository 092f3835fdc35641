//! Older releases under the disturbances that the newest one is tested with: other versions of the protocol on the way, a
//! ZooKeeper behind it, and what those brokers do when a leader goes.

use kafka_wire::{NewTopic, TopicFilter};
use testkit::{RequestFault, Rule, api_key};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use crate::failover::{killed, start};
use crate::faults::survives;
use crate::fetching::transactions;
use crate::gaps::{filled_while_killed, same_offsets};
use crate::hints::follows_by_reading;
use crate::support::Bench;
use crate::truncated::truncation;

/// Three brokers with a ZooKeeper, for one test at a time. They have no topic ids, and name no leaders.
async fn kafka_2_8() -> MutexGuard<'static, Bench> {
    static BENCH: OnceCell<Mutex<Bench>> = OnceCell::const_new();
    let start = || async { Mutex::new(start("2.8.2").await) };
    BENCH.get_or_init(start).await.lock().await
}

/// Three brokers of the release in between, for one test at a time. They name leaders in fetches.
async fn kafka_3_9() -> MutexGuard<'static, Bench> {
    static BENCH: OnceCell<Mutex<Bench>> = OnceCell::const_new();
    let start = || async { Mutex::new(start("3.9.2").await) };
    BENCH.get_or_init(start).await.lock().await
}

/// One answer to a write is lost with its connection, one without.
async fn lost_answers(bench: &Bench) {
    let lost = |fault| Rule::request(api_key::PRODUCE, fault).skip(3);
    survives("lost", bench, lost(RequestFault::CutBeforeResponse)).await;
    survives("silent", bench, lost(RequestFault::DropResponse)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_2_8_tells_that_a_log_was_truncated() {
    truncation(&*kafka_2_8().await, "truncated", 12).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_2_8_has_what_it_lost_the_answer_to_once() {
    lost_answers(&*kafka_2_8().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_2_8_goes_on_under_other_leaders() {
    killed(&*kafka_2_8().await, 0..1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_2_8_says_which_transactions_were_aborted() {
    transactions(&*kafka_2_8().await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: another release"]
async fn kafka_3_9_tells_that_a_log_was_truncated() {
    truncation(&*kafka_3_9().await, "truncated", 17).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: another release"]
async fn kafka_3_9_has_what_it_lost_the_answer_to_once() {
    lost_answers(&*kafka_3_9().await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: another release"]
async fn kafka_3_9_goes_on_under_other_leaders() {
    killed(&*kafka_3_9().await, 0..3).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: another release"]
async fn kafka_3_9_says_which_transactions_were_aborted() {
    transactions(&*kafka_3_9().await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: another release"]
async fn kafka_3_9_names_the_leader_to_a_reader() {
    follows_by_reading(&*kafka_3_9().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_2_8_gets_the_offsets_of_another_log() {
    let bench = kafka_2_8().await;
    same_offsets(&bench).await;
    filled_while_killed(&bench).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: another release"]
async fn kafka_3_9_gets_the_offsets_of_another_log() {
    let bench = kafka_3_9().await;
    same_offsets(&bench).await;
    filled_while_killed(&bench).await;
}

/// Where a ZooKeeper is, one broker takes changes of topics, and the others say that they do not.
#[tokio::test(flavor = "multi_thread")]
async fn kafka_2_8_takes_topics_from_who_asks_the_controller_that_was() {
    let bench = kafka_2_8().await;
    let cluster = bench.connect().await;
    let create = async |name: &str| {
        let topics = [NewTopic::new(name, 1)];
        cluster.create_topics(&topics).await.remove(0).1.unwrap();
    };
    create("by-the-controller").await;
    let metadata = cluster.metadata(TopicFilter::Names(vec![])).await.unwrap();
    let former = usize::try_from(metadata.controller.unwrap()).unwrap();
    bench.kafka.restart_broker(former).await.unwrap();
    let proxy = bench.kafka.proxy(former).unwrap();
    let before = proxy.requests(api_key::CREATE_TOPICS);
    create("by-another").await;
    assert!(
        proxy.requests(api_key::CREATE_TOPICS) > before,
        "it was not asked"
    );
    let metadata = cluster.metadata(TopicFilter::Names(vec![])).await.unwrap();
    assert_ne!(metadata.controller, Some(former as i32));
}
