//! Topics that are made anew, and topics whose ids appear and go although they are the same.

use std::time::Duration;

use segment_format::TopicId;
use testkit::{Cluster, ClusterOptions, FaultProxy, JavaClient, RequestFault, Rule, RuleHandle, api_key};

use super::{backup, end, fill};
use crate::program::{Workplace, backup_yaml};
use crate::stored::Stored;

const KEEP: &[(&str, &str)] = &[("retention.ms", "-1")];

async fn proxied() -> (Cluster, JavaClient) {
    let cluster = Cluster::start(ClusterOptions::new().proxied()).await.unwrap();
    let java = JavaClient::of(&cluster).await.unwrap();
    (cluster, java)
}

/// After the run knows the topics and before it knows their ranges, and after it knows those and before it reads.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_made_anew_while_it_is_read_is_told_and_backed_up_by_the_next_run() {
    let (cluster, java) = proxied().await;
    java.create_topic("beside", 1, KEEP).await.unwrap();
    for (topic, step) in [("anew-1", api_key::LIST_OFFSETS), ("anew-2", api_key::FETCH)] {
        made_anew_before(&cluster, &java, topic, step).await;
    }
}

async fn made_anew_before(cluster: &Cluster, java: &JavaClient, topic: &str, step: i16) {
    java.create_topic(topic, 1, KEEP).await.unwrap();
    fill(java, topic, 0, 0..10).await;
    fill(java, "beside", 0, 0..10).await;
    let work = Workplace::new();
    work.config(
        "backup.yaml",
        &backup_yaml(topic, &cluster.bootstrap_servers(), &[topic, "beside"]),
    );
    assert_eq!(backup(&work).await.code, Some(0));
    let folder = work.backups();
    let first = Stored::open(&folder, topic).await.unwrap();
    let (old_id, old) = (first.set.topic(topic).unwrap().topic_id, first.records(topic, 0));
    assert_eq!(old.len(), 10);

    // The run asks about a topic that is another one by the time of the answer.
    fill(java, topic, 0, 10..20).await;
    fill(java, "beside", 0, 10..20).await;
    let proxy = cluster.proxy(0).unwrap();
    let day = RequestFault::DelayRequest(Duration::from_secs(86_400));
    let held = proxy.add(Rule::request(step, day).always());
    let child = work.start(&["backup", "--config", "backup.yaml"]);
    held.wait_for_hits(1, Duration::from_secs(60)).await.unwrap();
    java.delete_topic(topic).await.unwrap();
    java.create_topic(topic, 1, KEEP).await.unwrap();
    // Longer than the old one was, so that only the id tells.
    fill(java, topic, 0, 100..130).await;
    held.remove();
    proxy.cut_all();
    let ran = end(child, "CONT").await;
    assert_eq!(ran.code, Some(3), "{ran:#?}");
    assert!(
        ran.stdout.contains(&format!("! {topic}/0")) && ran.stdout.contains("deleted and created again"),
        "{ran:#?}"
    );
    let second = Stored::open(&folder, topic).await.unwrap();
    assert_eq!(
        second.records_of(topic, old_id, 0),
        old,
        "nothing of another log was added"
    );
    second.is_same(java, "beside", 0).await;
    second.has_no_orphans();

    let ran = backup(&work).await;
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(
        ran.stderr.contains(&format!("{topic} was deleted and made anew")),
        "{ran:#?}"
    );
    let third = Stored::open(&folder, topic).await.unwrap();
    assert_ne!(third.set.topic(topic).unwrap().topic_id, old_id);
    third.is_same(java, topic, 0).await;
    assert_eq!(third.records_of(topic, old_id, 0), old);
}

/// Has a broker speak `Metadata` as it was before topics had ids (KIP-516).
fn without_topic_ids(proxy: &FaultProxy) -> RuleHandle {
    const METADATA: [u8; 2] = [0, 3];
    let newest_without_ids = [0, 9];
    let fault = RequestFault::alter_response(move |answer| {
        // Correlation id, error code, number of entries plus one; then key, lowest, highest version and a tag of each.
        let count = usize::from(answer[6]) - 1;
        for entry in answer[7..].chunks_exact_mut(7).take(count) {
            if entry[..2] == METADATA {
                entry[4..6].copy_from_slice(&newest_without_ids);
            }
        }
    });
    proxy.add(Rule::request(api_key::API_VERSIONS, fault).always())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_stays_the_same_when_ids_appear_and_go() {
    let (cluster, java) = proxied().await;
    let topics = ["ids-same", "ids-empty", "ids-anew"];
    for topic in topics {
        java.create_topic(topic, 2, KEEP).await.unwrap();
    }
    fill(&java, "ids-same", 0, 0..20).await;
    fill(&java, "ids-same", 1, 0..5).await;
    fill(&java, "ids-anew", 0, 0..20).await;
    let work = Workplace::new();
    work.config(
        "backup.yaml",
        &backup_yaml("ids", &cluster.bootstrap_servers(), &["ids-*"]),
    );
    let folder = work.backups();
    let proxy = cluster.proxy(0).unwrap();

    // Two runs on a cluster without ids.
    let old = without_topic_ids(proxy);
    assert_eq!(backup(&work).await.code, Some(0));
    fill(&java, "ids-same", 0, 20..30).await;
    assert_eq!(backup(&work).await.code, Some(0));
    let stored = Stored::open(&folder, "ids").await.unwrap();
    assert_eq!(stored.set.incarnations().len(), 3);
    assert!(
        topics
            .iter()
            .all(|topic| stored.set.topic(topic).unwrap().topic_id == TopicId::ZERO)
    );
    let old_anew = stored.records("ids-anew", 0);
    assert_eq!(old_anew.len(), 20);

    // Then it has ids. One topic is another one by now, with fewer records than the backup has of it.
    old.remove();
    java.delete_topic("ids-anew").await.unwrap();
    java.create_topic("ids-anew", 2, KEEP).await.unwrap();
    fill(&java, "ids-anew", 0, 100..105).await;
    fill(&java, "ids-same", 1, 5..15).await;
    fill(&java, "ids-empty", 0, 0..3).await;
    let ran = backup(&work).await;
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert_eq!(ran.stderr.matches("deleted and made anew").count(), 1, "{ran:#?}");
    let stored = Stored::open(&folder, "ids").await.unwrap();
    assert_eq!(stored.set.incarnations().len(), 4);
    for topic in ["ids-same", "ids-empty"] {
        assert_eq!(
            stored.set.topic(topic).unwrap().topic_id,
            TopicId::ZERO,
            "{topic}"
        );
    }
    let anew_id = stored.set.topic("ids-anew").unwrap().topic_id;
    assert_ne!(anew_id, TopicId::ZERO);
    assert_eq!(stored.records_of("ids-anew", TopicId::ZERO, 0), old_anew);
    for topic in topics {
        stored.is_same(&java, topic, 0).await;
        stored.is_same(&java, topic, 1).await;
    }

    // A broker that is not upgraded yet answers: the topics are what they were, also the one that is known by its id.
    let old = without_topic_ids(proxy);
    fill(&java, "ids-anew", 0, 105..140).await;
    fill(&java, "ids-same", 0, 30..35).await;
    let ran = backup(&work).await;
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let stored = Stored::open(&folder, "ids").await.unwrap();
    assert_eq!(stored.set.incarnations().len(), 4);
    assert_eq!(stored.set.topic("ids-anew").unwrap().topic_id, anew_id);
    for topic in topics {
        stored.is_same(&java, topic, 0).await;
    }
    // Made anew once more, it has no id that would tell it from the first one.
    java.delete_topic("ids-anew").await.unwrap();
    java.create_topic("ids-anew", 2, KEEP).await.unwrap();
    fill(&java, "ids-anew", 0, 0..2).await;
    let ran = backup(&work).await;
    assert_eq!(ran.code, Some(3), "{ran:#?}");
    assert!(
        ran.stdout
            .contains("! ids-anew: it is not the topic that the backup knows"),
        "{ran:#?}"
    );
    let after = Stored::open(&folder, "ids").await.unwrap();
    assert_eq!(after.records_of("ids-anew", TopicId::ZERO, 0), old_anew);
    assert_eq!(after.records("ids-anew", 0), stored.records("ids-anew", 0));
    old.remove();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: resolves another Kafka release"]
async fn a_topic_stays_the_same_through_the_upgrade_that_brings_ids() {
    let protocol = "inter.broker.protocol.version";
    let options = ClusterOptions::new().version("2.8.2").property(protocol, "2.7");
    let cluster = Cluster::start(options).await.unwrap();
    let java = JavaClient::of(&cluster).await.unwrap();
    java.create_topic("upgraded", 1, KEEP).await.unwrap();
    let work = Workplace::new();
    work.config(
        "backup.yaml",
        &backup_yaml("upgraded", &cluster.bootstrap_servers(), &["upgraded"]),
    );
    let folder = work.backups();
    for run in 0..4 {
        fill(&java, "upgraded", 0, run * 10..run * 10 + 10).await;
        if run == 2 {
            cluster.set_property(0, protocol, "2.8").unwrap();
            cluster.restart_broker(0).await.unwrap();
        }
        let ran = backup(&work).await;
        assert_eq!(ran.code, Some(0), "{ran:#?}");
        let stored = Stored::open(&folder, "upgraded").await.unwrap();
        assert_eq!(stored.set.incarnations().len(), 1, "run {run}");
        assert_eq!(stored.set.topic("upgraded").unwrap().topic_id, TopicId::ZERO);
        stored.is_same(&java, "upgraded", 0).await;
    }
    let mut config = kafka_wire::ClusterConfig::new(cluster.bootstrap_servers());
    config.recycled_buffer_bytes = 0;
    let client = kafka_wire::Cluster::connect(config).await.unwrap();
    let metadata = client.metadata(kafka_wire::TopicFilter::All).await.unwrap();
    assert!(
        metadata.topics["upgraded"].topic_id.is_some(),
        "the upgrade has brought ids"
    );
    client.close().await;
}
