//! Example 3: using the offset reset executor directly.

use std::path::Path;

use kafka_backup_core::kafka::KafkaClient;
use kafka_backup_core::restore::{
    OffsetResetExecutor, OffsetResetPlan, OffsetResetReport, OffsetResetStrategy, ThreePhaseRestore,
};
use kafka_backup_core::{Config, OffsetMapping};
use testkit::GroupProtocol;

use crate::site::{Outcome, Site};

/// What the example has shown and done.
struct Shown {
    plan: OffsetResetPlan,
    json: String,
    csv: String,
    report: Option<OffsetResetReport>,
}

/// The guide's third example; the path and the servers are others, and the strategy is given.
async fn example(mapping: &Path, config: &Config, strategy: OffsetResetStrategy) -> Outcome<Shown> {
    let target_config = config.restore()?.target.clone();
    let servers = target_config.bootstrap_servers.clone();

    // Load offset mapping from restore report
    let offset_mapping: OffsetMapping = serde_json::from_reader(std::fs::File::open(mapping)?)?;

    // Create executor
    let client = KafkaClient::new(target_config);
    client.connect().await?;

    let executor = OffsetResetExecutor::new(client, vec![servers[0].to_string()]);

    // Generate plan
    let plan = executor
        .generate_plan(
            &offset_mapping,
            &["order-processor", "payment-processor"],
            strategy,
        )
        .await?;

    // Review plan
    println!("Reset Plan:");
    for group in &plan.groups {
        println!("  Group: {}", group.group_id);
        for partition in &group.partitions {
            println!(
                "    {}:{}: {} -> {}",
                partition.topic, partition.partition, partition.source_offset, partition.target_offset
            );
        }
    }

    // Generate reports in various formats
    println!("\nJSON Report:");
    println!("{}", executor.generate_json_report(&plan)?);

    println!("\nCSV Report:");
    println!("{}", executor.generate_csv_report(&plan));

    // Execute if satisfied
    let mut executed = None;
    if !plan.dry_run {
        let report = executor.execute_plan(&plan).await?;
        println!("Reset complete: {} partitions", report.partitions_reset);
        executed = Some(report);
    }
    Ok(Shown {
        json: executor.generate_json_report(&plan)?,
        csv: executor.generate_csv_report(&plan),
        plan,
        report: executed,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_shows_what_a_plan_of_another_strategy_does() {
    let site = Site::new().await;
    let config = Config::from_file(site.write_restore_config(&[], false)).unwrap();
    ThreePhaseRestore::new(config.clone())
        .unwrap()
        .run_restore_phase()
        .await
        .unwrap();
    let mapping = site.path("offset-mapping.json");

    let dry = example(&mapping, &config, OffsetResetStrategy::DryRun)
        .await
        .unwrap();
    assert!(dry.plan.dry_run && dry.report.is_none());
    site.assert_untouched().await;
    let read_back: OffsetResetPlan = serde_json::from_str(&dry.json).unwrap();
    assert_eq!(read_back, dry.plan, "a plan can be kept as JSON");
    // Partition 1 of the orders started at offset 40 on the source; of the payments, five records were aborted, and each
    // transaction has a marker.
    let rows = [
        "order-processor,orders,0,25,25,exact",
        "order-processor,orders,1,60,20,exact-end",
        "payment-processor,orders,0,,,no-commit",
        "payment-processor,orders,1,41,1,exact",
        "payment-processor,payments,0,11,5,exact",
    ];
    assert_eq!(dry.csv.lines().count(), 1 + rows.len(), "{}", dry.csv);
    for (line, row) in dry.csv.lines().skip(1).zip(rows) {
        assert!(line.starts_with(&format!("{row},")), "{line}");
    }

    let done = example(&mapping, &config, OffsetResetStrategy::Manual)
        .await
        .unwrap();
    assert_eq!(done.plan.groups, dry.plan.groups, "what is shown is what is done");
    let report = done.report.unwrap();
    assert!(report.is_complete());
    assert_eq!(report.partitions_reset, 4);
    site.assert_reset(&["order-processor", "payment-processor"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_not_be_executed_is_refused() {
    let site = Site::new().await;
    let config = Config::from_file(site.write_restore_config(&[], false)).unwrap();
    let phases = ThreePhaseRestore::new(config.clone()).unwrap();
    let restored = phases.run_restore_phase().await.unwrap();
    // Connecting is not a duty: the executor does it where nobody has.
    let client = KafkaClient::new(config.restore().unwrap().target.clone());
    let executor = OffsetResetExecutor::new(client, site.target.bootstrap_servers());
    let groups = ["order-processor"];

    let plan = executor
        .generate_plan(&restored.offset_mapping, &groups, OffsetResetStrategy::DryRun)
        .await
        .unwrap();
    let refused = executor.execute_plan(&plan).await.unwrap_err().to_string();
    assert!(refused.contains("dry run"), "{refused}");
    let refused = phases.apply_offset_reset(&plan).await.unwrap_err().to_string();
    assert!(refused.contains("dry run"), "{refused}");

    // A group with a member keeps its positions, and the report says why.
    let member = site
        .java
        .join_group("order-processor", GroupProtocol::Classic, &["orders"])
        .await
        .unwrap();
    let plan = executor
        .generate_plan(&restored.offset_mapping, &groups, OffsetResetStrategy::Auto)
        .await
        .unwrap();
    let report = executor.execute_plan(&plan).await.unwrap();
    assert!(!report.is_complete());
    assert_eq!((report.groups_reset.len(), report.partitions_reset), (0, 0));
    member.leave().await.unwrap();
    site.assert_untouched().await;

    // The mapping of one cluster is not for another one.
    let mut elsewhere = plan;
    elsewhere.target_cluster_id = Some("AnotherCluster0000000".to_owned());
    let refused = executor.execute_plan(&elsewhere).await.unwrap_err().to_string();
    assert!(refused.contains("AnotherCluster0000000"), "{refused}");
    site.assert_untouched().await;
}

#[tokio::test]
async fn a_cluster_that_is_not_there_is_named() {
    let client = KafkaClient::new(kafka_backup_core::kafka::ClusterConfig::new(["127.0.0.1:1"]));
    let error = client.connect().await.unwrap_err();
    // Each error says its own part, and has its cause behind it.
    let mut said = Vec::new();
    let mut next: Option<&dyn std::error::Error> = Some(&error);
    while let Some(error) = next {
        said.push(error.to_string());
        next = error.source();
    }
    assert!(said[0].contains("connecting"), "{said:?}");
    assert!(said.iter().any(|part| part.contains("127.0.0.1:1")), "{said:?}");
}
