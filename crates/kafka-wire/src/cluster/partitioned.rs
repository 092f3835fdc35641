//! One question about many partitions: each leader is asked about its own.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;

use super::Cluster;
use super::join::join_all;
use super::leaders::Leader;
use super::metadata::TopicPartition;
use super::settle::{all_failed, answers_for};
use crate::connection::{Link, Role};
use crate::error::{Error, ErrorCode};
use crate::retry::Effect;

/// What came out for each partition, sorted by topic and partition.
pub type PartitionResults<T> = Vec<(TopicPartition, Result<T, Error>)>;

/// A partition to ask about, who leads it, and what to ask.
pub(crate) type Asked<Q> = (TopicPartition, Leader, Q);

/// More partitions than this are asked about in several requests: a look-up by time reads from disk for each.
const PARTITIONS_PER_REQUEST: usize = 500;

impl Cluster {
    /// Asks the leaders of many partitions, all brokers at the same time, and again what fails in passing.
    ///
    /// `ask` sends one request about partitions that one broker leads, and returns an entry per partition. Questions
    /// have to be repeatable.
    pub(crate) async fn ask_leaders<Q, T, F>(
        &self,
        questions: Vec<(TopicPartition, Q)>,
        ask: impl Fn(Link, Vec<Asked<Q>>) -> F,
    ) -> PartitionResults<T>
    where
        Q: Clone,
        F: Future<Output = Result<PartitionResults<T>, Error>>,
    {
        self.settle(Effect::Repeatable, questions, |open| self.ask_round(open, &ask))
            .await
    }

    /// Asks about every open partition once.
    async fn ask_round<Q, T, F>(
        &self,
        open: Vec<(TopicPartition, Q)>,
        ask: &impl Fn(Link, Vec<Asked<Q>>) -> F,
    ) -> PartitionResults<T>
    where
        Q: Clone,
        F: Future<Output = Result<PartitionResults<T>, Error>>,
    {
        let (by_leader, leaderless) = self.group_by_leader(open).await;
        let mut requests = Vec::new();
        for (node, asked) in by_leader {
            for chunk in asked.chunks(PARTITIONS_PER_REQUEST) {
                requests.push(self.ask_leader(node, chunk.to_vec(), ask));
            }
        }
        let mut results: PartitionResults<T> = join_all(requests).await.into_iter().flatten().collect();
        results.extend(
            leaderless
                .into_iter()
                .map(|(partition, error)| (partition, Err(error))),
        );
        results
    }

    async fn group_by_leader<Q>(
        &self,
        open: Vec<(TopicPartition, Q)>,
    ) -> (BTreeMap<i32, Vec<Asked<Q>>>, Vec<(TopicPartition, Error)>) {
        let unknown: BTreeSet<_> = (open.iter())
            .filter(|(partition, _)| self.cached_leader(partition).is_none())
            .map(|(partition, _)| Arc::clone(&partition.topic))
            .collect();
        let refreshed = if unknown.is_empty() {
            Ok(())
        } else {
            self.refresh_topics(unknown).await
        };
        let mut by_leader: BTreeMap<i32, Vec<Asked<Q>>> = BTreeMap::new();
        let mut leaderless = Vec::new();
        for (partition, question) in open {
            match self.inner.leaders.get(&partition.topic, partition.partition) {
                Ok(leader) => by_leader
                    .entry(leader.node)
                    .or_default()
                    .push((partition, leader, question)),
                Err(missing) => {
                    let error = refreshed.clone().err();
                    let error = error.unwrap_or_else(|| self.no_leader(&partition, missing));
                    leaderless.push((partition, error));
                }
            }
        }
        (by_leader, leaderless)
    }

    /// Asks one leader. When it fails, or says that it is none, the cache forgets it.
    async fn ask_leader<Q, T, F>(
        &self,
        node: i32,
        asked: Vec<Asked<Q>>,
        ask: &impl Fn(Link, Vec<Asked<Q>>) -> F,
    ) -> PartitionResults<T>
    where
        Q: Clone,
        F: Future<Output = Result<PartitionResults<T>, Error>>,
    {
        let leaders: Vec<_> = asked
            .iter()
            .map(|(partition, leader, _)| (partition.clone(), *leader))
            .collect();
        let partitions = || leaders.iter().map(|(partition, _)| partition);
        let results = match self.link(node, Role::Control, 0).await {
            Ok(link) => match ask(link.clone(), asked).await {
                Ok(results) => answers_for(partitions(), results, |partition| link.left_out(partition)),
                Err(error) => all_failed(partitions(), &error),
            },
            Err(error) => all_failed(partitions(), &error),
        };
        for ((partition, leader), (_, outcome)) in leaders.iter().zip(&results) {
            if let Err(error) = outcome
                && error.code().is_none_or(ErrorCode::is_stale_leader)
            {
                self.forget_leader(partition, *leader);
            }
        }
        results
    }
}

/// Puts the partitions of each topic together, as most requests want them.
pub(crate) fn by_topic<Q>(
    partitions: impl IntoIterator<Item = (TopicPartition, Q)>,
) -> BTreeMap<Arc<str>, Vec<(i32, Q)>> {
    let mut topics: BTreeMap<Arc<str>, Vec<(i32, Q)>> = BTreeMap::new();
    for (TopicPartition { topic, partition }, question) in partitions {
        topics.entry(topic).or_default().push((partition, question));
    }
    topics
}
