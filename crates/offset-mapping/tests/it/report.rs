use offset_mapping::{OffsetMapping, OffsetResetPlan, OffsetResetStrategy, Resolution};

const GUIDE: &str = include_str!("../../../../testdata/mapping/guide-example.json");

#[test]
fn the_documented_example_is_read() {
    let mapping: OffsetMapping = serde_json::from_reader(GUIDE.as_bytes()).unwrap();
    assert_eq!(mapping.detailed_mapping_count(), 1001);
    let translation = mapping.translate("orders", 0, 750).unwrap();
    assert_eq!(
        (translation.target_offset, translation.resolution),
        (5750, Resolution::Exact)
    );
    let plan = OffsetResetPlan::build(&mapping, &["order-processor"], OffsetResetStrategy::DryRun).unwrap();
    let reset = &plan.groups[0].partitions[0];
    assert_eq!((reset.source_offset, reset.target_offset), (750, 5750));
    assert_eq!(
        (reset.resolution, reset.timestamp),
        (Resolution::Exact, Some(1_700_000_750_000))
    );
}
