//! Example 2: manual review and apply.

use kafka_backup_core::Config;
use kafka_backup_core::restore::{
    OffsetResetPlan, OffsetResetReport, OffsetResetStrategy, ThreePhaseRestore,
};
use testkit::Commit;

use crate::site::{Outcome, Site};

/// The guide's second example up to the review; only paths are others.
async fn until_review(site: &Site) -> Outcome<(ThreePhaseRestore, OffsetResetPlan)> {
    // Phase 2: Restore
    let config = Config::from_file(site.path("restore.yaml"))?;
    let orchestrator = ThreePhaseRestore::new(config)?;
    let restore_report = orchestrator.run_restore_phase().await?;
    somebody_has_read(site).await;

    // Generate Phase 3 plan for review
    let consumer_groups = vec!["order-processor".to_string(), "payment-processor".to_string()];

    let reset_plan = orchestrator
        .generate_offset_reset_plan(
            &restore_report.offset_mapping,
            &consumer_groups,
            OffsetResetStrategy::Manual,
        )
        .await?;

    // Generate shell script for manual execution
    let script = orchestrator.generate_offset_reset_script(&reset_plan);
    std::fs::write(site.path("offset-reset.sh"), script)?;

    println!("Review the script at {}", site.path("offset-reset.sh").display());
    println!("Then execute manually or call apply_offset_reset()");
    Ok((orchestrator, reset_plan))
}

/// Its last line.
async fn after_review(
    orchestrator: &ThreePhaseRestore,
    reset_plan: OffsetResetPlan,
) -> Outcome<OffsetResetReport> {
    // After review, apply the plan
    let reset_report = orchestrator.apply_offset_reset(&reset_plan).await?;
    Ok(reset_report)
}

/// A consumer that was started too early: what it committed is what a reset replaces.
async fn somebody_has_read(site: &Site) {
    let early = Commit::new("orders", 0, 3).metadata("too early");
    site.java.commit("order-processor", &[early]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_is_reviewed_and_then_applied() {
    let site = Site::new().await;
    site.write_restore_config(&[], false);
    let (orchestrator, plan) = until_review(&site).await.unwrap();

    // Nothing has moved, and the script is for this cluster and these groups.
    assert_eq!(site.committed("order-processor").await[0].offset, 3);
    assert!(site.committed("payment-processor").await.is_empty());
    let script = std::fs::read_to_string(site.path("offset-reset.sh")).unwrap();
    assert!(
        script.contains(&site.target.bootstrap_servers().join(",")),
        "{script}"
    );
    assert!(script.contains("reset_group 'order-processor'"), "{script}");
    assert!(!script.contains("notification-service"), "{script}");
    let bash = std::process::Command::new("bash")
        .arg("-n")
        .arg(site.path("offset-reset.sh"))
        .status();
    assert!(bash.unwrap().success(), "{script}");

    // The plan says what it is going to replace.
    assert!(!plan.dry_run && plan.is_complete());
    let replaced: Vec<_> = plan.groups[0]
        .partitions
        .iter()
        .map(|reset| (reset.previous_target_offset, reset.previous_metadata.as_deref()))
        .collect();
    assert_eq!(replaced, [(Some(3), Some("too early")), (None, None)]);

    let report = after_review(&orchestrator, plan).await.unwrap();
    assert!(report.is_complete());
    assert_eq!((report.groups_reset.len(), report.partitions_reset), (2, 4));
    site.assert_reset(&["order-processor", "payment-processor"]).await;
    the_replaced_positions_are_kept(&site);
}

/// Beside the backup lies what is needed to undo the reset.
fn the_replaced_positions_are_kept(site: &Site) {
    let mut folders = vec![site.path("backups")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match std::fs::read_to_string(&path) {
                Err(_) if path.is_dir() => folders.push(path),
                Ok(text) if text.contains("previous_target_offset") => found.push(text),
                _ => {}
            }
        }
    }
    assert_eq!(found.len(), 1, "one reset was applied");
    let kept: serde_json::Value = serde_json::from_str(&found[0]).unwrap();
    let first = &kept["groups"][0]["partitions"][0];
    assert_eq!(first["previous_target_offset"], 3);
    assert_eq!(first["previous_metadata"], "too early");
}
