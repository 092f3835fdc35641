use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::coverage::Coverage;
use crate::runs::Run;

/// A partition as lists that are searched from the front: what the translation must agree with.
#[derive(Debug, Clone)]
struct Model {
    start: i64,
    end: i64,
    /// Offsets between that the backup lacks.
    missing: Vec<i64>,
    /// Source and target offsets of the restored records.
    records: Vec<(i64, i64)>,
    /// Where the restore writes first.
    target_next: i64,
}

impl Model {
    fn translate(&self, committed: i64) -> (i64, Resolution) {
        let after_last = self
            .records
            .last()
            .map_or(self.target_next, |(_, target)| target + 1);
        if committed > self.end {
            return (
                after_last,
                Resolution::BeyondBackup {
                    lost: (committed - self.end) as u64,
                },
            );
        }
        let (source, target, resolution) = match self.records.iter().find(|(source, _)| *source >= committed)
        {
            Some(&(source, target)) => (source, target, Resolution::Exact),
            None => (self.end, after_last, Resolution::ExactEnd),
        };
        let unknown = |offset: &i64| *offset < self.start || self.missing.contains(offset);
        match (committed..source).filter(unknown).count() {
            0 => (target, resolution),
            skipped => (
                target,
                Resolution::ClampedToStart {
                    skipped: skipped as u64,
                },
            ),
        }
    }

    /// The mapping, its records pushed in pieces: a record begins a new one where `cuts` says so, or where it
    /// must.
    fn map(&self, cuts: &[bool]) -> PartitionMap {
        let gaps = self.missing.iter().map(|&offset| offset..offset + 1).collect();
        let coverage = Coverage {
            start: self.start,
            end: self.end,
            gaps,
        };
        let mut map = PartitionMap::new(coverage, self.target_next).unwrap();
        let mut pieces: Vec<Run> = Vec::new();
        for (i, &(source_first, target_first)) in self.records.iter().enumerate() {
            let run = Run {
                source_first,
                target_first,
                length: 1,
                first_timestamp: None,
            };
            match pieces.last_mut() {
                Some(piece)
                    if piece.source_first + piece.length as i64 == source_first
                        && piece.target_first + piece.length as i64 == target_first
                        && !cuts[i % cuts.len()] =>
                {
                    piece.length += 1;
                }
                _ => pieces.push(run),
            }
        }
        pieces.into_iter().for_each(|piece| map.push(piece).unwrap());
        map
    }
}

/// What a source offset is.
#[derive(Debug, Clone, Copy)]
enum Cell {
    /// A record, and as many target offsets before it that the restore did not write.
    Record(i64),
    /// A marker, or a record that compaction or an abort took.
    Hole,
    /// Lost to retention, or cut out by a time window.
    Missing,
}

fn models() -> impl Strategy<Value = Model> {
    let cell = prop_oneof![
        6 => Just(Cell::Record(0)),
        1 => (1i64..4).prop_map(Cell::Record),
        2 => Just(Cell::Hole),
        2 => Just(Cell::Missing),
    ];
    // Stretches of one kind, so that whole blocks, long holes and long gaps are likely.
    let cells = vec((cell, 1usize..8), 0..24);
    (0i64..10, 0i64..10, cells).prop_map(|(start, target_next, stretches)| {
        let mut model = Model {
            start,
            end: start,
            missing: vec![],
            records: vec![],
            target_next,
        };
        let mut target = target_next;
        for (cell, length) in stretches {
            for _ in 0..length {
                match cell {
                    Cell::Record(before) => {
                        target += before + 1;
                        model.records.push((model.end, target - 1));
                    }
                    Cell::Hole => {}
                    Cell::Missing => model.missing.push(model.end),
                }
                model.end += 1;
            }
        }
        model
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn translation_agrees_with_the_model(model in models(), cuts in vec(any::<bool>(), 1..9)) {
        let map = model.map(&cuts);
        // Every offset, so that every edge is among them, and some on either side.
        for committed in model.start - 4..model.end + 5 {
            let Translation { target_offset, resolution } = map.translate(committed);
            let expected = model.translate(committed);
            prop_assert_eq!((target_offset, resolution), expected, "committed {}", committed);
        }
    }

    #[test]
    fn later_commits_never_go_back(model in models()) {
        let map = model.map(&[false]);
        let commits = model.start - 4..model.end + 5;
        let targets: Vec<i64> = commits.map(|committed| map.translate(committed).target_offset).collect();
        prop_assert!(targets.is_sorted());
        prop_assert_eq!(targets.last().copied(), Some(map.target_next()));
    }

    #[test]
    fn no_offset_is_too_far(model in models(), committed: i64) {
        let translation = model.map(&[false]).translate(committed);
        prop_assert!(translation.target_offset >= 0);
    }
}

fn map(coverage: Coverage, target_next: i64, runs: &[(i64, i64, u64)]) -> PartitionMap {
    let mut map = PartitionMap::new(coverage, target_next).unwrap();
    for &(source_first, target_first, length) in runs {
        map.push(Run {
            source_first,
            target_first,
            length,
            first_timestamp: None,
        })
        .unwrap();
    }
    map
}

#[track_caller]
fn check(map: &PartitionMap, committed: i64, target_offset: i64, resolution: Resolution) {
    assert_eq!(
        map.translate(committed),
        Translation {
            target_offset,
            resolution
        }
    );
}

/// The table of the rules, row by row.
#[test]
fn the_rules() {
    // Records 100-109 and 112-119; 110 and 111 are markers; the backup ends with a marker at 120.
    let orders = map(Coverage::new(100, 121), 5000, &[(100, 5000, 10), (112, 5010, 8)]);
    check(&orders, 100, 5000, Resolution::Exact);
    check(&orders, 109, 5009, Resolution::Exact);
    check(&orders, 110, 5010, Resolution::Exact);
    check(&orders, 111, 5010, Resolution::Exact);
    check(&orders, 112, 5010, Resolution::Exact);
    check(&orders, 119, 5017, Resolution::Exact);
    check(&orders, 120, 5018, Resolution::ExactEnd);
    check(&orders, 121, 5018, Resolution::ExactEnd);
    check(&orders, 122, 5018, Resolution::BeyondBackup { lost: 1 });
    check(&orders, 99, 5000, Resolution::ClampedToStart { skipped: 1 });
    check(&orders, 0, 5000, Resolution::ClampedToStart { skipped: 100 });
}

#[test]
fn a_partition_without_records_goes_on_where_the_restore_would_have_written() {
    let empty = map(Coverage::new(100, 120), 7, &[]);
    check(&empty, 100, 7, Resolution::ExactEnd);
    check(&empty, 120, 7, Resolution::ExactEnd);
    check(&empty, 121, 7, Resolution::BeyondBackup { lost: 1 });
    check(&empty, 90, 7, Resolution::ClampedToStart { skipped: 10 });
    check(&map(Coverage::new(0, 0), 0, &[]), 0, 0, Resolution::ExactEnd);
}

#[test]
fn a_hole_before_the_first_record_is_not_skipped_data() {
    let orders = map(Coverage::new(100, 110), 0, &[(103, 0, 7)]);
    check(&orders, 100, 0, Resolution::Exact);
    check(&orders, 98, 0, Resolution::ClampedToStart { skipped: 2 });
}

#[test]
fn a_gap_matters_only_to_those_who_stood_before_what_it_took() {
    let mut orders = map(Coverage::new(0, 40), 0, &[(0, 0, 10), (20, 10, 10)]);
    orders.add_gap(12..20).unwrap();
    check(&orders, 5, 5, Resolution::Exact);
    check(&orders, 10, 10, Resolution::ClampedToStart { skipped: 8 });
    check(&orders, 15, 10, Resolution::ClampedToStart { skipped: 5 });
    check(&orders, 20, 10, Resolution::Exact);
    orders.add_gap(35..40).unwrap();
    check(&orders, 30, 20, Resolution::ClampedToStart { skipped: 5 });
    check(&orders, 40, 20, Resolution::ExactEnd);
    check(&orders, 41, 20, Resolution::BeyondBackup { lost: 1 });
}

#[test]
fn records_outside_the_coverage_widen_it() {
    let orders = map(Coverage::new(5, 8), 0, &[(3, 0, 10)]);
    assert_eq!(orders.coverage(), &Coverage::new(3, 13));
    check(&orders, 4, 1, Resolution::Exact);
    check(&orders, 13, 10, Resolution::ExactEnd);
}

#[test]
fn a_restore_does_not_write_below_where_it_writes_next() {
    let mut orders = map(Coverage::new(0, 10), 50, &[]);
    let run = Run {
        source_first: 0,
        target_first: 49,
        length: 1,
        first_timestamp: None,
    };
    assert!(matches!(
        orders.push(run),
        Err(crate::Error::TargetNotIncreasing { next: 50, found: 49 })
    ));
    assert!(orders.is_empty());
    assert!(matches!(
        PartitionMap::new(Coverage::new(0, 1), -1),
        Err(crate::Error::InvalidTarget(-1))
    ));
}

#[test]
fn a_resolution_is_keys_of_what_has_it() {
    let all = [
        (Resolution::Exact, r#"{"resolution":"exact"}"#),
        (Resolution::ExactEnd, r#"{"resolution":"exact-end"}"#),
        (
            Resolution::ClampedToStart { skipped: 3 },
            r#"{"resolution":"clamped-to-start","skipped":3}"#,
        ),
        (
            Resolution::BeyondBackup { lost: 4 },
            r#"{"resolution":"beyond-backup","lost":4}"#,
        ),
        (Resolution::NoCommit, r#"{"resolution":"no-commit"}"#),
        (Resolution::Unmapped, r#"{"resolution":"unmapped"}"#),
        (Resolution::Approximate, r#"{"resolution":"approximate"}"#),
    ];
    for (resolution, json) in all {
        assert_eq!(serde_json::to_string(&resolution).unwrap(), json);
        assert_eq!(serde_json::from_str::<Resolution>(json).unwrap(), resolution);
    }
    assert!(serde_json::from_str::<Resolution>(r#"{"resolution":"probably"}"#).is_err());
}
