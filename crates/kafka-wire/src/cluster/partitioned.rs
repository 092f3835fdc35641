//! One question about many partitions: each leader is asked about its own, and what fails in passing is asked again.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use super::Cluster;
use super::join::join_all;
use super::leaders::Leader;
use super::metadata::TopicPartition;
use crate::connection::{Link, Role};
use crate::error::{Error, ErrorCode};
use crate::retry::Effect;

/// What came out for each partition, sorted by topic and partition.
pub type PartitionResults<T> = Vec<(TopicPartition, Result<T, Error>)>;

/// A partition to ask about, who leads it, and what to ask.
pub(crate) type Asked<Q> = (TopicPartition, Leader, Q);

type Open<Q> = BTreeMap<TopicPartition, Q>;

/// More partitions than this are asked about in several requests: a look-up by time reads from disk for each.
const PARTITIONS_PER_REQUEST: usize = 2000;

impl Cluster {
    /// Asks the leaders of many partitions, all brokers at the same time.
    ///
    /// `ask` sends one request about partitions that one broker leads, and returns an entry per partition. Questions
    /// have to be repeatable.
    pub(crate) async fn ask_leaders<Q, T, F>(
        &self,
        questions: impl IntoIterator<Item = (TopicPartition, Q)>,
        ask: impl Fn(Link, Vec<Asked<Q>>) -> F,
    ) -> PartitionResults<T>
    where
        Q: Clone,
        F: Future<Output = Result<PartitionResults<T>, Error>>,
    {
        let mut open: Open<Q> = questions.into_iter().collect();
        let mut done = BTreeMap::new();
        let mut retry = self.retry(Effect::Repeatable);
        loop {
            let (round, failed) = self.ask_round(&open, &ask).await;
            for (partition, outcome) in round {
                open.remove(&partition);
                done.insert(partition, Ok(outcome));
            }
            for (partition, error) in failed {
                if let Err(last) = retry.verdict(error) {
                    open.remove(&partition);
                    done.insert(partition, Err(last));
                }
            }
            if open.is_empty() {
                return done.into_iter().collect();
            }
            retry.sleep().await;
        }
    }

    /// Asks about every open partition once.
    async fn ask_round<Q, T, F>(
        &self,
        open: &Open<Q>,
        ask: &impl Fn(Link, Vec<Asked<Q>>) -> F,
    ) -> (Vec<(TopicPartition, T)>, Vec<(TopicPartition, Error)>)
    where
        Q: Clone,
        F: Future<Output = Result<PartitionResults<T>, Error>>,
    {
        let (by_leader, mut failed) = self.group_by_leader(open).await;
        let requests = by_leader.iter().flat_map(|(&node, asked)| {
            asked
                .chunks(PARTITIONS_PER_REQUEST)
                .map(move |chunk| self.ask_leader(node, chunk, ask))
        });
        let mut answered = Vec::new();
        for (partition, outcome) in join_all(requests).await.into_iter().flatten() {
            match outcome {
                Ok(answer) => answered.push((partition, answer)),
                Err(error) => failed.push((partition, error)),
            }
        }
        (answered, failed)
    }

    async fn group_by_leader<Q: Clone>(
        &self,
        open: &Open<Q>,
    ) -> (BTreeMap<i32, Vec<Asked<Q>>>, Vec<(TopicPartition, Error)>) {
        let unknown: BTreeSet<_> = (open.keys())
            .filter(|partition| self.cached_leader(partition).is_none())
            .map(|partition| partition.topic.clone())
            .collect();
        let refreshed = if unknown.is_empty() {
            Ok(())
        } else {
            self.refresh_topics(&unknown).await
        };
        let mut by_leader: BTreeMap<i32, Vec<Asked<Q>>> = BTreeMap::new();
        let mut failed = Vec::new();
        for (partition, question) in open {
            match self.inner.leaders.get(&partition.topic, partition.partition) {
                Ok(leader) => {
                    let asked = (partition.clone(), leader, question.clone());
                    by_leader.entry(leader.node).or_default().push(asked);
                }
                Err(missing) => {
                    let error = refreshed.clone().err();
                    let error = error.unwrap_or_else(|| self.no_leader(partition, missing));
                    failed.push((partition.clone(), error));
                }
            }
        }
        (by_leader, failed)
    }

    /// Asks one leader. What fails makes the cache forget it.
    async fn ask_leader<Q, T, F>(
        &self,
        node: i32,
        asked: &[Asked<Q>],
        ask: &impl Fn(Link, Vec<Asked<Q>>) -> F,
    ) -> PartitionResults<T>
    where
        Q: Clone,
        F: Future<Output = Result<PartitionResults<T>, Error>>,
    {
        let results = match self.link(node, Role::Control, 0).await {
            Ok(link) => match ask(link.clone(), asked.to_vec()).await {
                Ok(results) => with_all(&link, asked, results),
                Err(error) => failing(asked, &error),
            },
            Err(error) => failing(asked, &error),
        };
        for ((partition, leader, _), (_, outcome)) in asked.iter().zip(&results) {
            if let Err(error) = outcome
                && error.code().is_none_or(ErrorCode::is_stale_leader)
            {
                self.forget_leader(partition, *leader);
            }
        }
        results
    }
}

/// Puts what a broker answered in the order of the questions. What it left out is an error, and what it was not asked
/// is dropped.
fn with_all<Q, T>(link: &Link, asked: &[Asked<Q>], results: PartitionResults<T>) -> PartitionResults<T> {
    let mut results: BTreeMap<_, _> = results.into_iter().collect();
    let answer = |(partition, ..): &Asked<Q>| {
        let left_out = || Err(link.malformed("per-partition", 0, format!("{partition} is not in it")));
        (
            partition.clone(),
            results.remove(partition).unwrap_or_else(left_out),
        )
    };
    asked.iter().map(answer).collect()
}

fn failing<Q, T>(asked: &[Asked<Q>], error: &Error) -> PartitionResults<T> {
    asked
        .iter()
        .map(|(partition, ..)| (partition.clone(), Err(error.clone())))
        .collect()
}
