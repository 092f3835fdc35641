use offset_mapping::{Error, OffsetMapping, Resolution};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::sample;

/// A report of one partition with holes and one group, to be spoilt.
fn report() -> Value {
    let mut mapping = OffsetMapping::new(0);
    let map = sample::partition(0..20, &[], 100, &[(0, 100, 5), (8, 105, 4)]);
    mapping
        .entries
        .insert(offset_mapping::TopicPartition::new("orders", 0), map);
    mapping.add_group(
        "app",
        [sample::commit("orders", 0, 6), sample::commit("gone", 1, 6)],
    );
    serde_json::to_value(mapping).unwrap()
}

fn refused(report: &Value) -> String {
    match serde_json::from_value::<OffsetMapping>(report.clone()) {
        Ok(_) => panic!("accepted: {report:#}"),
        Err(error) => error.to_string(),
    }
}

/// Sets one value of the report, which must then be refused for the right reason.
#[track_caller]
fn spoil(pointer: &str, value: Value, reason: &str) {
    let mut report = report();
    *report.pointer_mut(pointer).unwrap() = value;
    let error = refused(&report);
    assert!(error.contains(reason), "{pointer}: {error}");
}

#[test]
fn the_report_is_good_before_it_is_spoilt() {
    let mapping: OffsetMapping = serde_json::from_value(report()).unwrap();
    assert_eq!(mapping.translate("orders", 0, 6).unwrap().target_offset, 105);
}

#[test]
fn entries_that_contradict_themselves_are_refused_by_name() {
    let entry = |field: &str| format!("/entries/orders~10/{field}");
    spoil(
        &entry("topic"),
        json!("other"),
        "\"orders/0\" does not match its value, \"other/0\"",
    );
    spoil(&entry("partition"), json!(1), "does not match");
    for (field, value, reason) in [
        (
            "source_first_offset",
            json!(1),
            "orders/0: the detailed mappings give 9 records and do not cover",
        ),
        (
            "source_last_offset",
            json!(12),
            "orders/0: the detailed mappings give 9",
        ),
        (
            "target_first_offset",
            json!(99),
            "orders/0: the detailed mappings give 9",
        ),
        (
            "target_last_offset",
            json!(i64::MAX),
            "orders/0: the detailed mappings give 9",
        ),
        (
            "target_last_offset",
            json!(i64::MIN),
            "orders/0: the detailed mappings give 9",
        ),
        ("records", json!(8), "orders/0: the detailed mappings give 9"),
        (
            "records",
            json!(u64::MAX),
            "orders/0: the detailed mappings give 9",
        ),
        (
            "source_first_offset",
            Value::Null,
            "orders/0: the entry says nothing for source_first_offset",
        ),
        (
            "backup_start_offset",
            json!(1),
            "orders/0: the entry says 1 for backup_start_offset",
        ),
        (
            "backup_end_offset",
            json!(11),
            "orders/0: the entry says 11 for backup_end_offset",
        ),
        (
            "backup_start_offset",
            json!(-1),
            "orders/0: a backup cannot cover",
        ),
        (
            "backup_end_offset",
            json!(i64::MIN),
            "orders/0: a backup cannot cover",
        ),
        (
            "target_next_offset",
            json!(110),
            "orders/0: the entry says 110 for target_next_offset",
        ),
        ("gaps", json!([{ "from": 5, "to": 4 }]), "orders/0: not a gap"),
        ("source_first_offset", json!(1.5), "invalid type"),
        ("source_first_offset", json!(u64::MAX), "invalid value"),
    ] {
        spoil(&entry(field), value, reason);
    }
}

#[test]
fn pairs_that_are_no_mapping_are_refused_by_name() {
    let pair = |i: usize, field: &str| format!("/detailed_mappings/orders~10/{i}/{field}");
    spoil(
        &pair(1, "source_offset"),
        json!(4),
        "orders/0: source offset 4 comes after 4",
    );
    spoil(
        &pair(1, "target_offset"),
        json!(104),
        "orders/0: target offset 104 lies below 105",
    );
    spoil(&pair(0, "length"), json!(0), "orders/0: not a run: 0 records");
    spoil(&pair(1, "length"), json!(u64::MAX), "orders/0: not a run");
    spoil(&pair(0, "source_offset"), json!(-1), "orders/0: not a run");
    spoil(&pair(1, "length"), json!(5), "do not cover");
    spoil(
        "/detailed_mappings/orders~10",
        json!({}),
        "a list of offset pairs",
    );

    let mut report = report();
    report["detailed_mappings"]["other/0"] = json!([]);
    assert!(refused(&report).contains("detailed mappings for \"other/0\", but no entry"));
}

#[test]
fn positions_that_cannot_be_are_refused_by_name() {
    let at = |field: &str| format!("/consumer_groups/app/offsets/orders/0/{field}");
    spoil(
        &at("target_offset"),
        json!(-1),
        "consumer group \"app\", orders/0: negative offset -1",
    );
    spoil(&at("source_offset"), json!(i64::MIN), "negative offset");
    spoil(
        &at("target_offset"),
        json!(106),
        "the target offset is 106, but the mapping gives 105",
    );
    spoil(
        &at("target_offset"),
        Value::Null,
        "the resolution \"exact\" does not go with the offsets",
    );
    spoil(
        &at("source_offset"),
        Value::Null,
        "the resolution \"exact\" does not go with the offsets",
    );
    spoil(
        &at("resolution"),
        json!("perfect"),
        "unknown resolution \"perfect\"",
    );
    spoil(
        &at("resolution"),
        json!("no-commit"),
        "does not go with the offsets",
    );
    spoil(
        "/consumer_groups/app/group_id",
        json!("b"),
        "\"app\" does not match its value, \"b\"",
    );
    spoil(
        "/consumer_groups/app/offsets/gone/1/target_offset",
        json!(5),
        "does not go with the offsets",
    );
}

#[test]
fn a_position_without_a_resolution_is_only_exact_when_the_mapping_confirms_it() {
    for (target, expected) in [
        (json!(105), Resolution::Exact),
        (json!(104), Resolution::Approximate),
        (Value::Null, Resolution::Unmapped),
    ] {
        let mut report = report();
        let position = &mut report["consumer_groups"]["app"]["offsets"]["orders"]["0"];
        position["target_offset"] = target;
        position["resolution"] = Value::Null;
        let mapping: OffsetMapping = serde_json::from_value(report).unwrap();
        assert_eq!(
            mapping.consumer_groups["app"]
                .get("orders", 0)
                .unwrap()
                .resolution,
            expected
        );
    }
}

#[test]
fn a_key_that_stands_twice_is_refused() {
    let text = report().to_string();
    for (key, empty) in [("orders/0", "[]"), ("app", r#"{"group_id":"app","offsets":{}}"#)] {
        let twice = text.replacen(
            &format!("{{\"{key}\":"),
            &format!("{{\"{key}\":{empty},\"{key}\":"),
            1,
        );
        assert_ne!(twice, text);
        let error = OffsetMapping::read_json(twice.as_bytes()).unwrap_err();
        assert!(matches!(error, Error::Json(_)));
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains(&format!("the key {key:?} twice")), "{source}");
    }
}

/// Offsets as far apart in the source as in the target, which are no run all the same.
#[test]
fn entries_that_run_backwards_are_refused() {
    let entry = |source: [i64; 2], target: [i64; 2], pairs: Value| {
        json!({
            "entries": { "t/0": {
                "topic": "t", "partition": 0,
                "source_first_offset": source[0], "source_last_offset": source[1],
                "target_first_offset": target[0], "target_last_offset": target[1],
                "backup_start_offset": 0, "backup_end_offset": 100,
            } },
            "detailed_mappings": { "t/0": pairs },
            "created_at": 0,
        })
    };
    let pair = |source: i64, target: i64| json!([{ "source_offset": source, "target_offset": target }]);
    assert!(serde_json::from_value::<OffsetMapping>(entry([5, 9], [5, 9], pair(6, 6))).is_ok());
    for (source, target, pairs) in [
        ([9, 5], [9, 5], json!([])),
        ([9, 5], [5, 9], json!([])),
        ([5, 9], [9, 5], json!([])),
        ([5, 9], [5, 9], pair(6, 4)),
        ([5, 9], [5, 9], pair(6, 7)),
        ([5, 9], [5, 9], pair(4, 4)),
        ([5, 9], [5, 9], pair(10, 10)),
    ] {
        assert!(refused(&entry(source, target, pairs)).contains("t/0: the detailed mappings give"));
    }
}

/// An honest run of nearly all offsets is only a number; nothing is allocated for it.
#[test]
fn a_run_of_all_offsets_costs_nothing() {
    let mapping: OffsetMapping = serde_json::from_value(json!({
        "entries": { "t/0": {
            "topic": "t", "partition": 0,
            "source_first_offset": 0, "source_last_offset": i64::MAX - 1,
            "target_first_offset": 0, "target_last_offset": i64::MAX - 1,
        } },
        "created_at": 0,
    }))
    .unwrap();
    assert_eq!(mapping.detailed_mapping_count(), i64::MAX as u64);
    assert_eq!(mapping.translate("t", 0, 1 << 62).unwrap().target_offset, 1 << 62);
}

#[test]
fn every_cut_of_a_report_is_an_error() {
    let text = report().to_string();
    for end in 0..text.len() {
        assert!(
            OffsetMapping::read_json(&text.as_bytes()[..end]).is_err(),
            "cut at {end}"
        );
    }
}

/// Whatever is read is consistent: it can be written, read back, translated and planned.
fn use_it(mapping: &OffsetMapping) {
    for (key, map) in &mapping.entries {
        for committed in [0, 1, 6, 1 << 40, i64::MAX] {
            let target = map.translate(committed).target_offset;
            assert!((0..=map.target_next()).contains(&target), "{key}");
        }
    }
    let again = serde_json::from_value::<OffsetMapping>(serde_json::to_value(mapping).unwrap()).unwrap();
    assert_eq!(&again, mapping);
    let plan = offset_mapping::OffsetResetPlan::build(
        mapping,
        &[] as &[&str],
        offset_mapping::OffsetResetStrategy::DryRun,
    );
    let _ = offset_mapping::render::plan_text(&plan.unwrap());
    let _ = offset_mapping::render::mapping_text(mapping);
}

fn bytes() -> impl Strategy<Value = u8> {
    prop_oneof![any::<u8>(), b'0'..=b'9', Just(b'-')]
}

fn numbers() -> impl Strategy<Value = i64> {
    prop_oneof![any::<i64>(), 0i64..30, Just(i64::MAX), Just(i64::MAX - 1)]
}

/// Replaces the numbers within a value, in turn, by those given, and leaves it where they can be divided by three.
fn replace<'a>(value: &mut Value, numbers: &mut impl Iterator<Item = &'a i64>) {
    match value {
        Value::Number(_) => {
            if let Some(number) = numbers.next().filter(|number| *number % 3 != 0) {
                *value = json!(number);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| replace(value, numbers)),
        Value::Object(members) => members.values_mut().for_each(|value| replace(value, numbers)),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn changed_bytes_never_harm(changes in vec((any::<prop::sample::Index>(), bytes()), 1..4)) {
        let mut text = report().to_string().into_bytes();
        for (index, byte) in changes {
            let index = index.index(text.len());
            text[index] = byte;
        }
        if let Ok(mapping) = OffsetMapping::read_json(text.as_slice()) {
            use_it(&mapping);
        }
    }

    #[test]
    fn any_numbers_never_harm(numbers in vec(numbers(), 1..20)) {
        let mut numbers = numbers.iter().cycle();
        let mut report = report();
        replace(&mut report["entries"], &mut numbers);
        replace(&mut report["detailed_mappings"], &mut numbers);
        report["entries"]["orders/0"]["partition"] = json!(0);
        if let Ok(mapping) = serde_json::from_value::<OffsetMapping>(report) {
            use_it(&mapping);
        }
    }
}
