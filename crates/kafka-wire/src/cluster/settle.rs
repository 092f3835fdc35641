//! Asking about many things until each has its answer: what fails in passing is asked again, the rest is left alone.

use std::collections::BTreeMap;
use std::future::Future;

use super::Cluster;
use crate::error::{Chain, Error};
use crate::retry::Effect;

/// What came out for each thing that was asked about.
pub(crate) type Outcomes<K, T> = Vec<(K, Result<T, Error>)>;

impl Cluster {
    /// Calls `round` with what is open until nothing is. `round` has to give an outcome for everything.
    ///
    /// The results are in the order of the keys.
    pub(crate) async fn settle<K, Q, T, F>(
        &self,
        effect: Effect,
        questions: Vec<(K, Q)>,
        round: impl Fn(Vec<(K, Q)>) -> F,
    ) -> Outcomes<K, T>
    where
        K: Ord + Clone,
        Q: Clone,
        F: Future<Output = Outcomes<K, T>>,
    {
        let mut open: BTreeMap<K, Q> = questions.into_iter().collect();
        let mut done = BTreeMap::new();
        let mut retry = self.retry(effect);
        while !open.is_empty() {
            let asked = open
                .iter()
                .map(|(key, question)| (key.clone(), question.clone()))
                .collect();
            for (key, outcome) in round(asked).await {
                let settled = match outcome {
                    Ok(answer) => Ok(answer),
                    Err(error) => match retry.verdict(error) {
                        Ok(error) => {
                            tracing::debug!(error = %Chain(&error), "will try again");
                            continue;
                        }
                        Err(last) => Err(last),
                    },
                };
                if open.remove(&key).is_some() {
                    done.insert(key, settled);
                }
            }
            if !open.is_empty() {
                retry.sleep().await;
            }
        }
        done.into_iter().collect()
    }
}

/// Puts what a broker answered in the order of the questions. What it left out is an error; what it was not asked is
/// dropped, so that a broker cannot make us believe something about anything else.
pub(crate) fn answers_for<'a, K: Ord + Clone + 'a, T>(
    asked: impl IntoIterator<Item = &'a K>,
    answers: impl IntoIterator<Item = (K, Result<T, Error>)>,
    left_out: impl Fn(&K) -> Error,
) -> Outcomes<K, T> {
    let mut answers: BTreeMap<K, Result<T, Error>> = answers.into_iter().collect();
    let answer = |key: &K| {
        (
            key.clone(),
            answers.remove(key).unwrap_or_else(|| Err(left_out(key))),
        )
    };
    asked.into_iter().map(answer).collect()
}

/// The same failure for everything that was asked.
pub(crate) fn all_failed<'a, K: Clone + 'a, T>(
    asked: impl IntoIterator<Item = &'a K>,
    error: &Error,
) -> Outcomes<K, T> {
    asked
        .into_iter()
        .map(|key| (key.clone(), Err(error.clone())))
        .collect()
}
