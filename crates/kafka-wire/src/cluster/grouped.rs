//! One question about many groups: each coordinator is asked about its own.

use std::collections::BTreeMap;
use std::future::Future;

use super::Cluster;
use super::join::join_all;
use super::settle::{Outcomes, all_failed, answers_for};
use crate::connection::{Link, Role};
use crate::error::{Error, ErrorCode};
use crate::retry::Effect;

/// More groups than this are asked about in several requests.
const GROUPS_PER_REQUEST: usize = 200;

/// Coordinators that are looked for at the same time.
const SOUGHT_AT_ONCE: usize = 64;

impl Cluster {
    /// Asks the coordinators of many groups, all brokers at the same time, and again what fails in passing.
    ///
    /// `ask` sends requests about groups that one broker coordinates, and returns an entry per group. The results are
    /// sorted by group.
    pub(crate) async fn ask_coordinators<Q, T, F>(
        &self,
        effect: Effect,
        questions: Vec<(String, Q)>,
        ask: impl Fn(Link, Vec<(String, Q)>) -> F,
    ) -> Outcomes<String, T>
    where
        Q: Clone,
        F: Future<Output = Result<Outcomes<String, T>, Error>>,
    {
        self.settle(effect, questions, |open| self.group_round(open, &ask))
            .await
    }

    /// Asks about every open group once.
    async fn group_round<Q, T, F>(
        &self,
        open: Vec<(String, Q)>,
        ask: &impl Fn(Link, Vec<(String, Q)>) -> F,
    ) -> Outcomes<String, T>
    where
        Q: Clone,
        F: Future<Output = Result<Outcomes<String, T>, Error>>,
    {
        let mut by_coordinator: BTreeMap<i32, Vec<(String, Q)>> = BTreeMap::new();
        let mut results = Vec::with_capacity(open.len());
        for open in open.chunks(SOUGHT_AT_ONCE) {
            let sought = open.iter().map(|(group, _)| self.coordinator(group)).collect();
            for ((group, question), found) in open.iter().zip(join_all(sought).await) {
                match found {
                    Ok(node) => by_coordinator
                        .entry(node)
                        .or_default()
                        .push((group.clone(), question.clone())),
                    Err(error) => results.push((group.clone(), Err(error))),
                }
            }
        }
        let mut requests = Vec::new();
        for (node, asked) in by_coordinator {
            for chunk in asked.chunks(GROUPS_PER_REQUEST) {
                requests.push(self.ask_one_coordinator(node, chunk.to_vec(), ask));
            }
        }
        results.extend(join_all(requests).await.into_iter().flatten());
        results
    }

    /// Asks one coordinator. Groups for which it fails, or says that it is none, are looked for again next time.
    async fn ask_one_coordinator<Q, T, F>(
        &self,
        node: i32,
        asked: Vec<(String, Q)>,
        ask: &impl Fn(Link, Vec<(String, Q)>) -> F,
    ) -> Outcomes<String, T>
    where
        F: Future<Output = Result<Outcomes<String, T>, Error>>,
    {
        let groups: Vec<String> = asked.iter().map(|(group, _)| group.clone()).collect();
        let results = match self.link(node, Role::Group, 0).await {
            Ok(link) => match ask(link.clone(), asked).await {
                Ok(results) => {
                    answers_for(&groups, results, |group| link.left_out(&format!("group {group}")))
                }
                Err(error) => all_failed(&groups, &error),
            },
            Err(error) => all_failed(&groups, &error),
        };
        for (group, outcome) in &results {
            if let Err(error) = outcome
                && error.code().is_none_or(ErrorCode::is_stale_coordinator)
            {
                self.forget_coordinator(group);
            }
        }
        results
    }
}
