//! Many asynchronous jobs, a bounded number of them at a time.

use std::future::Future;

use tokio::task::JoinSet;

use crate::error::{Error, Result};

/// Runs `job` over `items`, at most `limit` at a time. Results come in the order of the items; the first error ends
/// the others.
pub(crate) async fn map_bounded<T, R, F, Fut>(items: Vec<T>, limit: usize, job: F) -> Result<Vec<R>>
where
    F: Fn(T) -> Fut,
    Fut: Future<Output = Result<R>> + Send + 'static,
    R: Send + 'static,
{
    let mut running = JoinSet::new();
    let mut results: Vec<Option<R>> = Vec::new();
    results.resize_with(items.len(), || None);
    for (at, item) in items.into_iter().enumerate() {
        while running.len() >= limit.max(1) {
            collect(&mut running, &mut results).await?;
        }
        let job = job(item);
        running.spawn(async move { (at, job.await) });
    }
    while !running.is_empty() {
        collect(&mut running, &mut results).await?;
    }
    Ok(results.into_iter().flatten().collect())
}

async fn collect<R: 'static>(
    running: &mut JoinSet<(usize, Result<R>)>,
    results: &mut [Option<R>],
) -> Result<()> {
    if let Some(joined) = running.join_next().await {
        let (at, result) = joined.map_err(|join| Error::Internal(format!("a task stopped: {join}")))?;
        results[at] = Some(result?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn results_keep_their_order_and_the_limit_holds() {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let results = map_bounded((0..50u64).collect(), 4, |n| {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(std::time::Duration::from_millis(50 - n)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                Ok(n * 2)
            }
        });
        assert_eq!(results.await.unwrap(), (0..50).map(|n| n * 2).collect::<Vec<_>>());
        assert_eq!(most.load(Ordering::SeqCst), 4);
    }

    #[tokio::test]
    async fn the_first_error_ends_the_others() {
        let result = map_bounded(vec![1, 2, 3], 2, |n| async move {
            match n {
                1 => std::future::pending::<Result<()>>().await,
                _ => Err(Error::Cancelled),
            }
        });
        assert!(matches!(result.await, Err(Error::Cancelled)));
    }
}
