//! The mapping report, read as the guide describes it and not through our own types.

use std::collections::BTreeSet;

use serde_json::Value;

use super::source::COMMITS;
use crate::source::EPOCH;

/// The keys of the guide's example, and values of its types.
pub(super) fn the_report_is_as_documented(report: &Value) {
    assert_eq!(report["source_cluster_id"], "prod-us-east-1");
    assert!(report["created_at"].as_i64().unwrap() > EPOCH);
    let keys = |value: &Value| -> BTreeSet<String> { value.as_object().unwrap().keys().cloned().collect() };
    let partitions = ["orders-eu/0", "orders-eu/1", "orders-us/0", "payments-card/0"].map(str::to_owned);
    assert_eq!(keys(&report["entries"]), partitions.clone().into());
    assert_eq!(keys(&report["detailed_mappings"]), partitions.into());
    for (key, entry) in report["entries"].as_object().unwrap() {
        let (topic, partition) = key.split_once('/').unwrap();
        assert_eq!(entry["topic"], topic);
        assert_eq!(
            entry["partition"].as_i64().unwrap(),
            partition.parse::<i64>().unwrap()
        );
        for key in [
            "source_first_offset",
            "source_last_offset",
            "target_first_offset",
            "target_last_offset",
            "first_timestamp",
            "last_timestamp",
        ] {
            assert!(entry[key].is_i64(), "{key} of {entry}");
        }
    }
    for pair in report["detailed_mappings"].as_object().unwrap().values() {
        for pair in pair.as_array().unwrap() {
            for key in ["source_offset", "target_offset", "timestamp"] {
                assert!(pair[key].is_i64(), "{key} of {pair}");
            }
        }
    }
    let groups = ["notification-service", "order-processor", "payment-processor"].map(str::to_owned);
    assert_eq!(keys(&report["consumer_groups"]), groups.into());
    for (group, topic, partition, offset) in COMMITS.iter().filter(|(_, topic, ..)| *topic != "stock") {
        let of_group = &report["consumer_groups"][group];
        assert_eq!(of_group["group_id"], *group);
        let position = &of_group["offsets"][topic][partition.to_string()];
        assert_eq!(position["source_offset"].as_i64(), Some(*offset), "{of_group}");
        assert!(position["target_offset"].is_i64(), "{of_group}");
        // There is no record to have a timestamp at the very end.
        let at_the_end = position["resolution"] == "exact-end";
        assert!(position["timestamp"].is_i64() || at_the_end, "{of_group}");
    }
    let standing = &report["consumer_groups"]["order-processor"]["offsets"]["orders-eu"]["0"];
    assert_eq!(
        (standing["target_offset"].as_i64(), standing["timestamp"].as_i64()),
        (Some(6), Some(EPOCH + 62))
    );
}
