use std::sync::Arc;
use std::time::Duration;

use super::super::FetchPartition;
use super::super::cursor::tests::limits;
use super::*;

fn cursor(partition: i32, hot: bool) -> Cursor {
    let mut cursor = Cursor::new(FetchPartition::new("t", partition, 0), 100, limits());
    cursor.hot = hot;
    cursor
}

fn pool(hot: i32, cold: i32) -> Pool {
    let pool = Pool::new();
    (0..hot).for_each(|partition| pool.add(cursor(partition, true)));
    (hot..hot + cold).for_each(|partition| pool.add(cursor(partition, false)));
    pool
}

fn numbers(share: &Share) -> Vec<i32> {
    share.cursors.iter().map(|cursor| cursor.partition).collect()
}

#[tokio::test]
async fn lanes_get_even_and_disjoint_shares() {
    let pool = pool(8, 0);
    let shares = [
        pool.take(4, 100).await,
        pool.take(4, 100).await,
        pool.take(4, 100).await,
    ];
    assert_eq!(
        shares.each_ref().map(numbers),
        [vec![0, 1], vec![2, 3], vec![4, 5]]
    );
}

#[tokio::test]
async fn who_had_its_turn_waits_and_who_had_none_comes_next() {
    let pool = pool(4, 0);
    let share = pool.take(2, 100).await;
    let size = share.size();
    let [first, second] = <[Cursor; 2]>::try_from(share.cursors).unwrap();
    pool.put_back(first, Turn::Last);
    pool.put_back(second, Turn::Next);
    pool.settle(size);
    assert_eq!(numbers(&pool.take(1, 100).await), [1, 2, 3, 0]);
}

#[test]
fn who_had_no_room_comes_next_and_who_had_none_in_spite_of_it_is_to_be_alone() {
    assert_eq!(Turn::after_nothing(99, 100), Turn::Next);
    assert_eq!(Turn::after_nothing(100, 100), Turn::Alone);
}

#[tokio::test]
async fn who_had_none_although_there_was_room_is_alone_once() {
    let pool = pool(3, 1);
    let share = pool.take(1, 100).await;
    assert!(!share.alone);
    let size = share.size();
    for (cursor, turn) in share
        .cursors
        .into_iter()
        .zip([Turn::Last, Turn::Alone, Turn::Next, Turn::Alone])
    {
        pool.put_back(cursor, turn);
    }
    pool.settle(size);
    let share = pool.take(1, 100).await;
    assert_eq!(
        (numbers(&share), share.alone, share.size()),
        (vec![1], true, (1, 1))
    );
    pool.put_back(share.cursors.into_iter().next().unwrap(), Turn::Last);
    pool.settle((1, 1));
    // The one without anything to read came back among its like.
    let share = pool.take(1, 100).await;
    assert_eq!((numbers(&share), share.alone), (vec![2, 0, 1, 3], false));
}

#[tokio::test]
async fn partitions_with_data_come_first_and_bring_few_others_along() {
    let pool = pool(6, 100);
    let share = pool.take(1, 2).await;
    assert_eq!(share.cursors.len(), 2 + MOST_COLD_AMONG_HOT);
    assert_eq!(numbers(&share)[..2], [0, 1]);
    assert!(share.hurry);
    let quiet = self::pool(0, 100).take(2, 2).await;
    assert_eq!((quiet.cursors.len(), quiet.hurry), (50, false));
}

#[tokio::test]
async fn an_empty_pool_is_waited_for_by_any_number_of_lanes() {
    let pool = Arc::new(Pool::new());
    let lanes: Vec<_> = (0..4)
        .map(|_| {
            let pool = Arc::clone(&pool);
            tokio::spawn(async move { numbers(&pool.take(4, 1).await) })
        })
        .collect();
    tokio::task::yield_now().await;
    (0..4).for_each(|partition| pool.add(cursor(partition, true)));
    let mut all = Vec::new();
    for lane in lanes {
        all.extend(
            tokio::time::timeout(Duration::from_secs(5), lane)
                .await
                .unwrap()
                .unwrap(),
        );
    }
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2, 3]);
}
