use super::*;
use crate::cluster::metadata::PartitionMetadata;

const ID: [u8; 16] = [7; 16];

fn at() -> TopicPartition {
    TopicPartition::new("t", 0)
}

fn answer(topic_id: Option<[u8; 16]>, leader: Option<i32>, epoch: Option<i32>) -> Metadata {
    let partition = PartitionMetadata {
        leader,
        leader_epoch: epoch,
        replicas: Vec::new(),
        isr: Vec::new(),
        offline: Vec::new(),
        error: None,
    };
    let topic = TopicMetadata {
        name: "t".to_owned(),
        topic_id,
        internal: false,
        error: None,
        partitions: BTreeMap::from([(0, partition)]),
    };
    Metadata {
        topics: BTreeMap::from([("t".to_owned(), topic)]),
        ..Metadata::default()
    }
}

fn told(node: i32, epoch: i32) -> Metadata {
    answer(Some(ID), Some(node), Some(epoch))
}

fn hint(node: i32, epoch: i32) -> LeaderHint {
    LeaderHint {
        topic_id: ID,
        node,
        epoch,
        address: None,
    }
}

/// A cache that was told once.
fn cache(metadata: &Metadata) -> LeaderCache {
    let cache = LeaderCache::default();
    cache.update(metadata, Instant::now());
    cache
}

fn leader(cache: &LeaderCache) -> Option<(i32, Option<i32>)> {
    let leader = cache.get("t", 0).ok()?;
    Some((leader.node, leader.epoch))
}

#[test]
fn a_newer_hint_replaces_what_is_known_and_no_other_does() {
    let cache = cache(&told(1, 5));
    for (node, epoch) in [(2, 4), (2, 5), (1, 5), (2, 0)] {
        assert!(!cache.take_hint(&at(), &hint(node, epoch)), "{node} {epoch}");
        assert_eq!(leader(&cache), Some((1, Some(5))));
    }
    assert!(cache.take_hint(&at(), &hint(2, 6)));
    assert_eq!(leader(&cache), Some((2, Some(6))));
    // The same broker was elected again.
    assert!(cache.take_hint(&at(), &hint(2, 7)));
    assert_eq!(leader(&cache), Some((2, Some(7))));
    assert!(!cache.take_hint(&at(), &hint(1, 6)));
}

#[test]
fn a_hint_says_who_leads_where_metadata_had_nobody() {
    let cache = cache(&answer(Some(ID), None, Some(5)));
    assert_eq!(leader(&cache), None);
    assert!(cache.take_hint(&at(), &hint(2, 6)));
    assert_eq!(leader(&cache), Some((2, Some(6))));
}

#[test]
fn a_hint_never_crosses_topic_ids_or_invents_what_is_not_known() {
    let replaced = LeaderHint {
        topic_id: [8; 16],
        ..hint(2, 6)
    };
    let cached = cache(&told(1, 5));
    assert!(!cached.take_hint(&at(), &replaced));
    assert!(!cached.take_hint(&TopicPartition::new("t", 1), &hint(2, 6)));
    assert!(!cached.take_hint(&TopicPartition::new("u", 0), &hint(2, 6)));
    assert!(cached.get("u", 0).is_err() && cached.get("t", 1).is_err());
    assert_eq!(leader(&cached), Some((1, Some(5))));
    // Brokers that do not tell ids, or epochs: nothing says what is newer.
    for metadata in [answer(None, Some(1), Some(5)), answer(Some(ID), Some(1), None)] {
        let cached = cache(&metadata);
        assert!(!cached.take_hint(&at(), &hint(2, 6)));
        assert_eq!(leader(&cached).unwrap().0, 1);
    }
    // Nobody has asked for the topic.
    assert!(!LeaderCache::default().take_hint(&at(), &hint(2, 6)));
}

#[test]
fn metadata_that_are_older_than_a_hint_do_not_replace_it_and_newer_ones_do() {
    let cache = cache(&told(1, 5));
    assert!(cache.take_hint(&at(), &hint(2, 7)));
    for (node, epoch) in [(1, 5), (3, 6)] {
        cache.update(&told(node, epoch), Instant::now());
        assert_eq!(leader(&cache), Some((2, Some(7))));
    }
    cache.update(&told(2, 7), Instant::now());
    cache.update(&told(1, 6), Instant::now());
    assert_eq!(leader(&cache), Some((2, Some(7))));
    cache.update(&told(3, 8), Instant::now());
    assert_eq!(leader(&cache), Some((3, Some(8))));
    // A topic of another id has a history of its own.
    cache.update(&answer(Some([8; 16]), Some(4), Some(0)), Instant::now());
    assert_eq!(leader(&cache), Some((4, Some(0))));
}

#[test]
fn a_hint_in_doubt_gives_way_to_whatever_metadata_say() {
    let cache = cache(&told(1, 5));
    assert!(cache.take_hint(&at(), &hint(2, 1000)));
    cache.doubt_hint(&at());
    // Until they say something, it is all there is.
    assert_eq!(leader(&cache), Some((2, Some(1000))));
    cache.update(&told(1, 5), Instant::now());
    assert_eq!(leader(&cache), Some((1, Some(5))));
}

#[test]
fn only_hints_are_put_in_doubt() {
    let cache = cache(&told(1, 5));
    cache.doubt_hint(&at());
    cache.update(&told(2, 4), Instant::now());
    assert_eq!(leader(&cache), Some((1, Some(5))));
    // One that metadata have confirmed is none any more.
    assert!(cache.take_hint(&at(), &hint(2, 6)));
    cache.update(&told(2, 6), Instant::now());
    cache.doubt_hint(&at());
    cache.update(&told(1, 5), Instant::now());
    assert_eq!(leader(&cache), Some((2, Some(6))));
    // Nothing there, nothing to doubt.
    LeaderCache::default().doubt_hint(&at());
}

#[test]
fn a_leader_that_is_forgotten_takes_nothing_along_that_is_known_of_other_partitions() {
    let both = |epochs: [i32; 2]| {
        let mut metadata = told(1, epochs[0]);
        let topic = metadata.topics.get_mut("t").unwrap();
        let mut other = topic.partitions[&0].clone();
        other.leader_epoch = Some(epochs[1]);
        topic.partitions.insert(1, other);
        metadata
    };
    let cache = cache(&both([5, 5]));
    let epoch = |partition| cache.get("t", partition).map(|leader| leader.epoch.unwrap());
    let wrong = cache.get("t", 0).unwrap();
    cache.forget(
        &at(),
        Leader {
            epoch: Some(4),
            ..wrong
        },
    );
    assert_eq!((epoch(0), epoch(1)), (Ok(5), Ok(5)));
    cache.forget(&at(), wrong);
    assert_eq!((epoch(0), epoch(1)), (Err(Missing::NotAsked), Ok(5)));
    assert!(!cache.take_hint(&at(), &hint(2, 9)));
    // A broker that has not heard of the last elections. Of what was forgotten it is believed.
    cache.update(&both([4, 4]), Instant::now());
    assert_eq!((epoch(0), epoch(1)), (Ok(4), Ok(5)));
}
