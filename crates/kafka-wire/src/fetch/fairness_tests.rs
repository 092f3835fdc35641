//! Whatever the sizes of batches, and however many lanes answer in whatever order: every partition has its turn.

use proptest::prelude::*;

use super::*;
use crate::fetch::FetchPartition;
use crate::fetch::cursor::tests::limits;

/// What the broker puts into a response, by partition (AK `ReplicaManager.readFromLog`): whole batches as far as they fit,
/// but the first partition gets one whatever its size.
fn fill(asked: &[i32], sizes: &[usize], limit: usize, partition_limit: usize) -> Vec<usize> {
    let mut total = 0;
    let fits = |partition: &i32| {
        let size = sizes[*partition as usize];
        let room = partition_limit.min(limit.saturating_sub(total));
        let bytes = match room / size * size {
            0 if total == 0 => size,
            bytes => bytes,
        };
        total += bytes;
        bytes
    };
    asked.iter().map(fits).collect()
}

/// What a broker puts into a response that reads one partition per request, the first one, from a remote storage.
fn fill_one(asked: &[i32], sizes: &[usize], limit: usize) -> Vec<usize> {
    let first = |index: usize, size: usize| {
        if index == 0 {
            (limit / size * size).max(size)
        } else {
            0
        }
    };
    let sizes = asked.iter().map(|partition| sizes[*partition as usize]);
    sizes
        .enumerate()
        .map(|(index, size)| first(index, size))
        .collect()
}

proptest! {
    /// A partition that waits is passed over by no more requests than there are partitions and lanes (twice as many when
    /// each is asked for alone every second time), and asked for in vain no more
    /// often than that. (How long a request takes is up to the broker.)
    #[test]
    fn every_partition_has_its_turn(
        sizes in proptest::collection::vec(prop_oneof![3 => 1usize..2_000, 1 => 2_000usize..100_000], 1..40),
        limit in 1_000usize..20_000,
        partition_limit in 500usize..5_000,
        lanes in 1usize..5,
        remote in any::<bool>(),
        order in proptest::collection::vec(any::<prop::sample::Index>(), 400),
    ) {
        let pool = Pool::new();
        for partition in 0..sizes.len() as i32 {
            pool.add(Cursor::new(FetchPartition::new("t", partition, 0), partition_limit, limits()));
        }
        let most_hot = (2 * limit).div_ceil(partition_limit);
        let mut in_flight: Vec<Share> = Vec::new();
        let mut passed_over = vec![0; sizes.len()];
        let mut in_vain = vec![0; sizes.len()];
        for which in order {
            while in_flight.len() < lanes && let Some(share) = pool.try_take(lanes, most_hot) {
                passed_over.iter_mut().for_each(|requests| *requests += 1);
                in_flight.push(share);
                for cursor in in_flight.iter().flat_map(|share| &share.cursors) {
                    passed_over[cursor.partition as usize] = 0;
                }
            }
            let share = in_flight.swap_remove(which.index(in_flight.len()));
            let size = share.size();
            let asked: Vec<i32> = share.cursors.iter().map(|cursor| cursor.partition).collect();
            let filled = match remote {
                true => fill_one(&asked, &sizes, if share.alone { limit } else { partition_limit }),
                false => fill(&asked, &sizes, limit, partition_limit),
            };
            let unused = limit.saturating_sub(filled.iter().sum());
            for (cursor, bytes) in share.cursors.into_iter().zip(filled) {
                let misses = &mut in_vain[cursor.partition as usize];
                *misses = if bytes > 0 { 0 } else { *misses + 1 };
                let turn = match bytes {
                    0 => Turn::after_nothing(unused, partition_limit),
                    _ => Turn::Last,
                };
                pool.put_back(cursor, turn);
            }
            pool.settle(size);
            let most = sizes.len() + lanes;
            prop_assert!(passed_over.iter().all(|&requests| requests <= 2 * most), "{passed_over:?}");
            prop_assert!(in_vain.iter().all(|&requests| requests <= most), "{in_vain:?}");
        }
    }
}
