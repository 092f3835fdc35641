use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Records as pairs, and runs that are them in pieces.
fn pieces() -> impl Strategy<Value = Vec<Run>> {
    // Small gaps of zero make pieces that touch on one side, on both, or on none.
    let piece = (0u8..3, 0u8..3, 1u64..4, proptest::option::of(any::<i64>()));
    (0i64..5, 0i64..5, vec(piece, 0..400)).prop_map(|(mut source, mut target, pieces)| {
        let mut runs = Vec::new();
        for (source_gap, target_gap, length, first_timestamp) in pieces {
            source += i64::from(source_gap);
            target += i64::from(target_gap);
            runs.push(Run {
                source_first: source,
                target_first: target,
                length,
                first_timestamp,
            });
            source += length as i64;
            target += length as i64;
        }
        runs
    })
}

fn records(runs: impl IntoIterator<Item = Run>) -> Vec<(i64, i64)> {
    let records =
        |run: Run| (0..run.length as i64).map(move |i| (run.source_first + i, run.target_first + i));
    runs.into_iter().flat_map(records).collect()
}

fn packed(pieces: &[Run]) -> Runs {
    let mut runs = Runs::default();
    pieces.iter().for_each(|run| runs.push(*run).unwrap());
    runs
}

proptest! {
    #[test]
    fn the_records_are_kept_in_as_few_runs_as_possible(pieces in pieces()) {
        let runs = packed(&pieces);
        let unpacked: Vec<Run> = runs.iter().collect();
        prop_assert_eq!(records(unpacked.iter().copied()), records(pieces.iter().copied()));
        prop_assert_eq!(runs.records(), pieces.iter().map(|run| run.length).sum::<u64>());
        prop_assert_eq!(runs.len(), unpacked.len());
        prop_assert_eq!(runs.first(), unpacked.first().copied());
        prop_assert_eq!(runs.last(), unpacked.last().copied());
        prop_assert!(unpacked.windows(2).all(|pair| !pair[0].continues_in(&pair[1])));
        // A run has the timestamp of the piece that began it.
        for run in &unpacked {
            let began = pieces.iter().find(|piece| piece.source_first == run.source_first).unwrap();
            prop_assert_eq!(began.first_timestamp, run.first_timestamp);
        }
    }

    #[test]
    fn however_they_are_pushed_they_are_equal(pieces in pieces()) {
        let runs = packed(&pieces);
        let unpacked: Vec<Run> = runs.iter().collect();
        prop_assert_eq!(&packed(&unpacked), &runs);
        let mut single = Vec::new();
        for run in &unpacked {
            for (i, (source_first, target_first)) in records([*run]).into_iter().enumerate() {
                let first_timestamp = run.first_timestamp.filter(|_| i == 0);
                single.push(Run { source_first, target_first, length: 1, first_timestamp });
            }
        }
        prop_assert_eq!(packed(&single), runs);
    }

    #[test]
    fn a_lookup_finds_the_first_record_at_or_after(pieces in pieces()) {
        let runs = packed(&pieces);
        let records = records(pieces);
        let end = records.last().map_or(0, |last| last.0);
        for source in -1..=end + 1 {
            let expected = records.iter().find(|record| record.0 >= source).copied();
            let found = runs.at_or_after(source).map(|run| {
                let skipped = (source - run.source_first).max(0);
                (run.source_first + skipped, run.target_first + skipped)
            });
            prop_assert_eq!(found, expected, "from {}", source);
        }
    }

    #[test]
    fn any_run_is_taken_or_refused_without_a_change(
        runs in vec((any::<i64>(), any::<i64>(), any::<u64>()), 0..8),
    ) {
        let mut all = Runs::default();
        for (source_first, target_first, length) in runs {
            let before = all.clone();
            let run = Run { source_first, target_first, length, first_timestamp: None };
            match all.push(run) {
                Ok(()) => prop_assert_eq!(all.last().map(|last| last.source_last()), Some(run.source_last())),
                Err(_) => prop_assert_eq!(&all, &before),
            }
        }
    }
}

#[test]
fn the_largest_offsets_come_back() {
    let far = i64::MAX - 1;
    let pieces = [
        Run {
            source_first: 0,
            target_first: 0,
            length: 1,
            first_timestamp: Some(i64::MIN),
        },
        Run {
            source_first: 2,
            target_first: far - 100,
            length: 1,
            first_timestamp: Some(i64::MAX),
        },
        Run {
            source_first: 4,
            target_first: far - 90,
            length: 3,
            first_timestamp: None,
        },
        Run {
            source_first: far - 1,
            target_first: far - 10,
            length: 2,
            first_timestamp: Some(-1),
        },
    ];
    let runs = packed(&pieces);
    assert_eq!(runs.iter().collect::<Vec<_>>(), pieces);
    assert_eq!(runs.at_or_after(far), Some(pieces[3]));
    assert_eq!(runs.at_or_after(i64::MAX), None);

    let whole = [Run {
        source_first: 0,
        target_first: 0,
        length: i64::MAX as u64,
        first_timestamp: None,
    }];
    assert_eq!(packed(&whole).records(), i64::MAX as u64);
}

#[test]
fn what_is_no_run_is_refused() {
    let run = |source_first, target_first, length| Run {
        source_first,
        target_first,
        length,
        first_timestamp: None,
    };
    for bad in [
        run(0, 0, 0),
        run(-1, 0, 1),
        run(0, -1, 1),
        run(i64::MAX, 0, 1),
        run(0, i64::MAX, 1),
        run(1, 0, i64::MAX as u64),
        run(0, 0, u64::MAX),
    ] {
        assert!(
            matches!(Runs::default().push(bad), Err(Error::InvalidRun { .. })),
            "{bad:?}"
        );
    }
}

#[test]
fn a_run_out_of_order_is_refused() {
    let run = |source_first, target_first| Run {
        source_first,
        target_first,
        length: 10,
        first_timestamp: None,
    };
    let mut runs = packed(&[run(100, 200)]);
    assert!(matches!(
        runs.push(run(109, 300)),
        Err(Error::SourceNotIncreasing {
            mapped: 109,
            found: 109
        })
    ));
    assert!(matches!(
        runs.push(run(110, 209)),
        Err(Error::TargetNotIncreasing {
            next: 210,
            found: 209
        })
    ));
    assert_eq!(runs, packed(&[run(100, 200)]));
    runs.push(run(110, 210)).unwrap();
    assert_eq!((runs.len(), runs.records()), (1, 20));
}

#[test]
fn a_compacted_log_takes_a_few_bytes_per_run() {
    let mut runs = Runs::default();
    for i in 0..100_000 {
        let (source_first, first_timestamp) = (i * 3, Some(1_700_000_000_000 + i * 1000));
        runs.push(Run {
            source_first,
            target_first: i,
            length: 1,
            first_timestamp,
        })
        .unwrap();
    }
    assert_eq!(runs.blocks.len(), 99_999usize.div_ceil(BLOCK));
    let bytes = runs.packed.len() + runs.blocks.len() * size_of::<Block>();
    assert_eq!(runs.len(), 100_000);
    assert!(bytes < 600_000, "{bytes} bytes");
    assert_eq!(format!("{:?}", packed(&[])), "[]");
}
