//! Example 1: a complete three-phase restore with auto-reset.

use kafka_backup_core::Config;
use kafka_backup_core::restore::{ThreePhaseReport, ThreePhaseRestore};

use crate::site::{Outcome, Site};

/// The guide's first example; only the path is another, and the report is returned.
async fn example(site: &Site) -> Outcome<ThreePhaseReport> {
    // Load configuration
    let config = Config::from_file(site.path("restore.yaml"))?;

    // Create orchestrator
    let orchestrator = ThreePhaseRestore::new(config)?;

    // Run all phases
    let report = orchestrator.run_all_phases().await?;

    println!("Restore complete!");
    println!("Records restored: {}", report.restore_report.records_restored);
    println!(
        "Offset mappings: {}",
        report.restore_report.offset_mapping.detailed_mapping_count()
    );

    if let Some(reset_report) = &report.offset_reset_report {
        println!("Consumer groups reset: {}", reset_report.groups_reset.len());
        println!("Partitions reset: {}", reset_report.partitions_reset);
    }
    Ok(report)
}

#[tokio::test(flavor = "multi_thread")]
async fn all_phases_restore_every_record_and_reset_the_groups() {
    let site = Site::new().await;
    site.write_restore_config(&["order-processor", "payment-processor"], true);
    let report = example(&site).await.unwrap();

    let visible = site.visible_records().await;
    assert_eq!(report.restore_report.records_restored, visible);
    assert_eq!(
        report.restore_report.offset_mapping.detailed_mapping_count(),
        visible
    );
    let reset = report.offset_reset_report.unwrap();
    assert!(reset.is_complete());
    assert_eq!(reset.groups_reset, ["order-processor", "payment-processor"]);
    assert_eq!(reset.partitions_reset, 4);

    site.assert_restored().await;
    site.assert_reset(&["order-processor", "payment-processor"]).await;
    let metadata: Vec<String> = site
        .committed("order-processor")
        .await
        .into_iter()
        .map(|c| c.metadata)
        .collect();
    assert_eq!(metadata, ["at 25", "at 60"], "metadata strings go along");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_auto_reset_there_is_a_plan_and_no_reset() {
    let site = Site::new().await;
    // No groups named: all groups of the backup.
    site.write_restore_config(&[], false);
    let report = example(&site).await.unwrap();
    assert!(report.offset_reset_report.is_none());
    let plan = report.offset_reset_plan.unwrap();
    assert!(plan.dry_run && plan.is_complete());
    assert_eq!((plan.groups.len(), plan.partition_count()), (3, 5));
    site.assert_restored().await;
    site.assert_untouched().await;
}
