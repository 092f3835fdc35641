use proptest::prelude::*;

use super::*;

/// What happens in one partition, in order.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// A producer appends a batch, in its transaction or outside.
    Append {
        producer: i64,
        records: i64,
        transactional: bool,
    },
    /// A producer ends its transaction, if one is open.
    End { producer: i64, commit: bool },
}

#[derive(Debug, Clone, Copy)]
struct Logged {
    base_offset: i64,
    facts: BatchFacts,
    expected: Visibility,
}

/// Plays the steps into a log and decides, with the whole history at hand, what is visible. Open transactions are
/// aborted at the end, so that everything is stable. Returns the log and all aborted transactions with their ends.
fn play(steps: &[Step]) -> (Vec<Logged>, Vec<(AbortedTransaction, i64)>) {
    let mut log: Vec<Logged> = Vec::new();
    let mut open: std::collections::BTreeMap<i64, Vec<usize>> = Default::default();
    let mut aborted = Vec::new();
    let ends = (0..4).map(|producer| Step::End {
        producer,
        commit: false,
    });
    for step in steps.iter().copied().chain(ends) {
        let base_offset = log.last().map_or(0, |batch| batch.facts.last_offset + 1);
        match step {
            Step::Append {
                producer,
                records,
                transactional,
            } => {
                // A producer is transactional or not; here odd ones are not.
                let transactional = transactional && producer % 2 == 0;
                if transactional {
                    open.entry(producer).or_default().push(log.len());
                }
                let last_offset = base_offset + records - 1;
                let facts = BatchFacts {
                    last_offset,
                    producer_id: producer,
                    transactional,
                    control: None,
                };
                log.push(Logged {
                    base_offset,
                    facts,
                    expected: Visibility::Visible,
                });
            }
            Step::End { producer, commit } => {
                let Some(batches) = open.remove(&producer) else {
                    continue;
                };
                let marker = if commit {
                    ControlMarker::Commit
                } else {
                    ControlMarker::Abort
                };
                if !commit {
                    for &index in &batches {
                        log[index].expected = Visibility::Aborted;
                    }
                    let first_offset = log[batches[0]].base_offset;
                    aborted.push((
                        AbortedTransaction {
                            producer_id: producer,
                            first_offset,
                        },
                        base_offset,
                    ));
                }
                let facts = BatchFacts {
                    last_offset: base_offset,
                    producer_id: producer,
                    transactional: true,
                    control: Some(marker),
                };
                log.push(Logged {
                    base_offset,
                    facts,
                    expected: Visibility::Control,
                });
            }
        }
    }
    (log, aborted)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0i64..4, 1i64..5, any::<bool>())
            .prop_map(|(producer, records, transactional)| Step::Append { producer, records, transactional }),
        1 => (0i64..4, any::<bool>()).prop_map(|(producer, commit)| Step::End { producer, commit }),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    /// Whatever range a response covers, the filter decides as one who knows the whole history would.
    #[test]
    fn agrees_with_one_who_knows_the_history(
        steps in steps(),
        from in any::<prop::sample::Index>(),
        length in 1usize..60,
        shuffle in any::<u64>(),
    ) {
        let (log, aborted) = play(&steps);
        prop_assume!(!log.is_empty());
        let from = from.index(log.len());
        let range = &log[from..log.len().min(from + length)];
        let (start, end) = (range[0].base_offset, range[range.len() - 1].facts.last_offset);
        // The broker lists the transactions that touch the range; some brokers list them in no order.
        let mut listed: Vec<_> = aborted
            .iter()
            .filter(|(transaction, marker)| transaction.first_offset <= end && *marker >= start)
            .map(|(transaction, _)| *transaction)
            .collect();
        let turn = shuffle as usize % listed.len().max(1);
        listed.rotate_left(turn);
        let mut filter = AbortedFilter::new(listed);
        for batch in range {
            prop_assert_eq!(filter.classify(batch.facts), batch.expected);
        }
    }
}

#[test]
fn a_producer_that_aborts_and_then_commits_in_one_response_is_told_apart() {
    let batch = |last_offset, control| BatchFacts {
        last_offset,
        producer_id: 5,
        transactional: true,
        control,
    };
    let mut filter = AbortedFilter::new(vec![AbortedTransaction {
        producer_id: 5,
        first_offset: 0,
    }]);
    assert_eq!(filter.classify(batch(9, None)), Visibility::Aborted);
    assert_eq!(
        filter.classify(batch(10, Some(ControlMarker::Abort))),
        Visibility::Control
    );
    assert_eq!(filter.classify(batch(20, None)), Visibility::Visible);
    assert_eq!(
        filter.classify(batch(21, Some(ControlMarker::Commit))),
        Visibility::Control
    );
}

#[test]
fn data_outside_transactions_is_visible_even_of_an_aborting_producer() {
    let mut filter = AbortedFilter::new(vec![AbortedTransaction {
        producer_id: 5,
        first_offset: 0,
    }]);
    let facts = BatchFacts {
        last_offset: 3,
        producer_id: 5,
        transactional: false,
        control: None,
    };
    assert_eq!(filter.classify(facts), Visibility::Visible);
}

#[test]
fn markers_are_read_from_the_control_record_key() {
    assert_eq!(ControlMarker::from_key(&[0, 0, 0, 0]), ControlMarker::Abort);
    assert_eq!(ControlMarker::from_key(&[0, 0, 0, 1]), ControlMarker::Commit);
    assert_eq!(ControlMarker::from_key(&[0, 0, 0, 2]), ControlMarker::Other);
    assert_eq!(ControlMarker::from_key(&[0, 0]), ControlMarker::Other);
}
