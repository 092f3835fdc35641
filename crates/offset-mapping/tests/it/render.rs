use offset_mapping::render::{mapping_csv, mapping_text, plan_csv, plan_json, plan_text, reset_script};
use offset_mapping::{OffsetMapping, OffsetResetPlan, OffsetResetStrategy, Pairs, TopicPartition};

use crate::sample::{self, assert_golden, commit};

fn csv(mapping: &OffsetMapping, pairs: Pairs) -> String {
    let mut out = Vec::new();
    mapping_csv(mapping, pairs, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_sample_looks_like_the_golden_files() {
    let (mapping, plan) = (sample::mapping(), sample::plan());
    assert_golden("mapping.txt", &mapping_text(&mapping));
    assert_golden("mapping.csv", &csv(&mapping, Pairs::Runs));
    assert_golden("plan.txt", &plan_text(&plan));
    assert_golden("plan.csv", &plan_csv(&plan));
    assert_golden("plan.json", &plan_json(&plan).unwrap());
    assert_golden("plan.sh", &reset_script(&plan, &[]));
}

#[test]
fn what_a_reset_replaces_is_a_column_once_it_is_known() {
    let mut plan = sample::plan();
    assert!(!plan_text(&plan).contains("REPLACES"));
    plan.groups[1].partitions[0].previous_target_offset = Some(4711);
    let text = plan_text(&plan);
    let row = text.lines().find(|line| line.contains("4711")).unwrap();
    assert_eq!(
        row.split_whitespace().take(5).collect::<Vec<_>>(),
        ["orders", "0", "750", "5750", "4711"]
    );
}

#[test]
fn the_columns_of_a_table_line_up() {
    let text = mapping_text(&sample::mapping());
    let table: Vec<&str> = text
        .lines()
        .skip_while(|line| *line != "PARTITIONS")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .collect();
    assert_eq!(table.len(), 6);
    let end = table[0].find("RECORDS").unwrap() + "RECORDS".len();
    assert!(
        table
            .iter()
            .all(|line| line.as_bytes()[end] == b' ' && line.as_bytes()[end - 1] != b' '),
        "{text}"
    );
}

#[test]
fn a_plan_of_nothing_says_so() {
    let plan =
        OffsetResetPlan::build(&OffsetMapping::new(0), &[] as &[&str], OffsetResetStrategy::Auto).unwrap();
    assert!(plan_text(&plan).contains("WARNINGS\n  ! the plan resets nothing\n"));
    assert!(plan.is_complete());
}

#[test]
fn the_csv_of_all_pairs_has_a_line_per_record() {
    let mut mapping = OffsetMapping::new(0);
    mapping.entries.insert(
        TopicPartition::new("t", 3),
        sample::partition(0..9, &[], 0, &[(0, 0, 2), (5, 2, 1)]),
    );
    let text = csv(&mapping, Pairs::All);
    let lines: Vec<&str> = text.lines().skip(1).collect();
    assert_eq!(
        lines,
        [
            "t,3,0,0,0,0,1,1700000000000",
            "t,3,1,1,1,1,1,",
            "t,3,5,5,2,2,1,1700000005000"
        ]
    );
}

/// Every line of a CSV has as many fields as its header.
fn assert_rectangular(csv: &str) {
    let fields = |line: &str| {
        let mut quoted = false;
        line.chars()
            .filter(|c| {
                quoted ^= *c == '"';
                *c == ',' && !quoted
            })
            .count()
    };
    let expected = fields(csv.lines().next().unwrap());
    csv.lines()
        .for_each(|line| assert_eq!(fields(line), expected, "{line}"));
}

#[test]
fn names_cannot_break_out() {
    let names = [
        "=HYPERLINK(\"http://x\")",
        "a,b\"c",
        "two\nlines\r",
        "\x1b[2J\u{202e}",
        "@x",
        "-1+1",
        "\0",
        "\u{85}#",
    ];
    let mut mapping = OffsetMapping::new(0);
    mapping.backup_id = Some("\x1b]0;x\x07".into());
    for name in names {
        mapping.entries.insert(
            TopicPartition::new(name, 0),
            sample::partition(0..9, &[], 0, &[(0, 0, 9)]),
        );
        let mut noted = commit(name, 0, 5);
        noted.metadata = name.into();
        mapping.add_group(name, [noted, commit("gone\n! ", 0, 5)]);
    }
    let plan = OffsetResetPlan::build(&mapping, &[] as &[&str], OffsetResetStrategy::Manual).unwrap();

    let bare = |text: &str| {
        text.chars()
            .any(|c| (c.is_control() && c != '\n') || c == '\u{202e}')
    };
    let texts = [
        plan_text(&plan),
        mapping_text(&mapping),
        plan_csv(&plan),
        csv(&mapping, Pairs::Runs),
    ];
    for text in &texts {
        assert!(!bare(text), "{text}");
        assert!(!text.contains("\nlines"), "{text}");
    }
    assert_rectangular(&texts[2]);
    assert_rectangular(&texts[3]);
    // No field begins as a formula does.
    let starts = |line: &str| {
        line.split(',')
            .any(|field| field.trim_start_matches('"').starts_with(['=', '+', '-', '@']))
    };
    assert!(
        !texts[2].lines().chain(texts[3].lines()).any(starts),
        "{}",
        texts[2]
    );

    let script = reset_script(&plan, &["a:1\n'; touch x; '".into()]);
    assert!(!bare(&script), "{script}");
    assert_eq!(
        serde_json::from_str::<OffsetResetPlan>(&plan_json(&plan).unwrap()).unwrap(),
        plan
    );
}
