//! Awaiting several futures at the same time, in the same task: cancelled together by dropping.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// The outputs in the order of the futures.
pub(crate) async fn join_all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut running: Vec<State<F>> = futures
        .into_iter()
        .map(|future| State::Running(Box::pin(future)))
        .collect();
    poll_fn(|context| {
        let mut pending = false;
        for state in &mut running {
            if let State::Running(future) = state {
                match future.as_mut().poll(context) {
                    Poll::Ready(output) => *state = State::Done(output),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    let outputs = running.into_iter().filter_map(|state| match state {
        State::Done(output) => Some(output),
        State::Running(_) => None,
    });
    outputs.collect()
}

enum State<F: Future> {
    Running(Pin<Box<F>>),
    Done(F::Output),
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn futures_run_at_the_same_time_and_keep_their_order() {
        let started = tokio::time::Instant::now();
        let sleepers = (0..5_u64).map(|number| async move {
            tokio::time::sleep(Duration::from_secs(5 - number)).await;
            number
        });
        assert_eq!(join_all(sleepers.collect()).await, [0, 1, 2, 3, 4]);
        assert_eq!(started.elapsed(), Duration::from_secs(5));
        assert!(join_all(Vec::<std::future::Ready<()>>::new()).await.is_empty());
    }
}
