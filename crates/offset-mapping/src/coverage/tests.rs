use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// The gaps as a set of offsets.
fn missing(coverage: &Coverage) -> BTreeSet<i64> {
    coverage.gaps.iter().cloned().flatten().collect()
}

fn gap() -> impl Strategy<Value = Range<i64>> {
    (0i64..60, 0i64..10).prop_map(|(from, length)| from..from + length)
}

proptest! {
    #[test]
    fn gaps_are_a_set_of_offsets(start in 0i64..20, length in 0i64..40, gaps in vec(gap(), 0..12)) {
        let end = start + length;
        let expected: BTreeSet<i64> =
            gaps.iter().cloned().flatten().filter(|offset| (start..end).contains(offset)).collect();
        let mut added = Coverage::new(start, end);
        gaps.iter().for_each(|gap| added.add_gap(gap.clone()).unwrap());
        prop_assert_eq!(missing(&added), expected);
        // One form, whatever the order: sorted and apart.
        prop_assert!(added.gaps.windows(2).all(|pair| pair[0].end < pair[1].start));
        prop_assert!(added.gaps.iter().all(|gap| gap.start < gap.end));
        prop_assert_eq!(Coverage { start, end, gaps }.normalized().unwrap(), added);
    }

    #[test]
    fn unknown_offsets_are_counted(start in 0i64..20, length in 0i64..40, gaps in vec(gap(), 0..6)) {
        let coverage = Coverage { start, end: start + length, gaps }.normalized().unwrap();
        let missing = missing(&coverage);
        for from in -3..=coverage.end {
            for to in from..=coverage.end {
                let unknown = (from..to).filter(|offset| *offset < start || missing.contains(offset)).count();
                prop_assert_eq!(coverage.unknown_in(from..to), unknown as u64);
            }
        }
    }
}

#[test]
fn what_is_no_coverage_is_refused() {
    for (start, end) in [(-1, 5), (5, 4), (0, -1), (i64::MAX, i64::MIN)] {
        assert!(matches!(
            Coverage::new(start, end).normalized(),
            Err(Error::InvalidCoverage { .. })
        ));
    }
    for (from, to) in [(-1, 5), (5, 4), (i64::MAX, i64::MIN)] {
        let refused = Coverage::new(0, 10).add_gap(Range { start: from, end: to });
        assert!(matches!(refused, Err(Error::InvalidGap { .. })));
    }
}

#[test]
fn the_extremes_are_counted() {
    let mut coverage = Coverage::new(0, i64::MAX);
    coverage.add_gap(0..i64::MAX).unwrap();
    assert_eq!(coverage.unknown_in(i64::MIN..i64::MAX), u64::MAX);
    assert_eq!(
        Coverage::new(7, i64::MAX).unknown_in(i64::MIN..i64::MAX),
        (1 << 63) + 7
    );
}
