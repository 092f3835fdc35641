//! Runs of one backup after another, and runs that do not end by themselves.

mod continuous;
mod disturbed;
mod groups;
mod incomplete;
mod incremental;
mod leaders;
mod members;
mod options;
mod replaced;
mod undecided;
mod writers;

use std::path::Path;
use std::time::Duration;

use testkit::{Commit, JavaClient, ProduceRecord, RequestFault, Rule, api_key};

use crate::program::{Ran, Workplace};
use crate::stored::Stored;

/// Produces one batch of `count` records to a partition.
async fn fill(java: &JavaClient, topic: &str, partition: i32, values: std::ops::Range<usize>) {
    let records: Vec<ProduceRecord> = values
        .map(|n| ProduceRecord::new(topic, partition).value(format!("{topic} {n}")))
        .collect();
    java.produce(&records).await.unwrap();
}

async fn commit(java: &JavaClient, group: &str, topic: &str, offset: i64) {
    java.commit(
        group,
        &[Commit::new(topic, 0, offset).metadata(format!("at {offset}"))],
    )
    .await
    .unwrap();
}

/// Waits until the set is as `wanted` says. Longer than a continuous run waits for a leader.
pub(crate) async fn wait_for(folder: &Path, backup_id: &str, wanted: impl Fn(&Stored<'_>) -> bool) {
    for _ in 0..2400 {
        if let Some(stored) = Stored::open(folder, backup_id).await
            && wanted(&stored)
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the backup did not come to what was waited for");
}

/// Ends a run by a signal.
async fn end(child: std::process::Child, signal: &str) -> Ran {
    let status = std::process::Command::new("kill")
        .args([format!("-{signal}"), child.id().to_string()])
        .status();
    assert!(status.unwrap().success());
    tokio::task::spawn_blocking(move || Ran::of(child.wait_with_output().unwrap()))
        .await
        .unwrap()
}

const TOPIC_AUTHORIZATION_FAILED: i16 = 29;
const CLUSTER_AUTHORIZATION_FAILED: i16 = 31;

/// Puts an error code into every answer to `DescribeConfigs` (that of its first result) or `ListGroups`.
fn refused(api: i16, code: i16) -> Rule {
    // Correlation id, tagged fields, throttle time.
    const ERROR_CODE: usize = 4 + 1 + 4;
    // The number of results.
    let at = ERROR_CODE + usize::from(api == api_key::DESCRIBE_CONFIGS);
    let fault = RequestFault::alter_response(move |answer| {
        answer[at..at + 2].copy_from_slice(&code.to_be_bytes());
    });
    Rule::request(api, fault).always()
}

/// Waits for a run that ends by itself.
pub(crate) async fn ended(mut child: std::process::Child) -> Ran {
    for _ in 0..1200 {
        if child.try_wait().unwrap().is_some() {
            return Ran::of(child.wait_with_output().unwrap());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    child.kill().unwrap();
    panic!(
        "the run goes on: {:#?}",
        Ran::of(child.wait_with_output().unwrap())
    );
}

/// The newest offset that is covered.
fn covered(stored: &Stored<'_>, topic: &str, partition: i32) -> i64 {
    let topic = stored.set.topic(topic);
    topic
        .and_then(|topic| topic.partition(partition))
        .map_or(0, |partition| partition.end_offset)
}

async fn backup(work: &Workplace) -> Ran {
    work.run(&["backup", "--config", "backup.yaml"]).await
}
