//! Nothing that a manifest names, or may name yet, is ever removed.

use segment_format::layout;

use super::*;
use crate::error::Error;
use crate::fixture::{backup, bytes, commit, context, id, names, replace, topic};

const DAY: u64 = 86_400_000;

/// Puts a segment that no manifest names.
async fn orphan(context: &Context, generation: u64, sequence: u64) -> String {
    let bytes = bytes(context, &id(1, 1).object("set")).await;
    let name = id(generation, sequence).object("set");
    context.storage.put(&name, bytes.into()).await.unwrap();
    name
}

fn fates(plan: &OrphanPlan) -> Vec<(&str, Fate)> {
    plan.orphans.iter().map(|o| (o.object.as_str(), o.fate)).collect()
}

#[tokio::test]
async fn a_whole_backup_has_no_orphans() {
    let context = context();
    backup(&context, "set").await;
    let plan = plan(&context, "set", 0).await.unwrap();
    assert!(plan.orphans.is_empty() && plan.obstacle.is_none(), "{plan:#?}");
}

#[tokio::test]
async fn only_segments_whose_generation_is_decided_go() {
    let context = context();
    backup(&context, "set").await;
    let before = names(&context).await;
    let (dead, undecided) = (orphan(&context, 2, 9).await, orphan(&context, 3, 1).await);
    let planned = plan(&context, "set", DAY).await.unwrap();
    let expected = [
        (dead.as_str(), Fate::Delete),
        (undecided.as_str(), Fate::Undecided),
    ];
    assert_eq!(fates(&planned), expected);

    let deleted = delete(&context, &planned).await.unwrap();
    assert_eq!(deleted.deleted, [dead]);
    let mut left = before;
    left.push(undecided);
    left.sort();
    assert_eq!(names(&context).await, left);
}

#[tokio::test]
async fn what_is_young_or_of_unknown_age_stays() {
    let context = context();
    backup(&context, "set").await;
    let dead = orphan(&context, 2, 9).await;
    let planned = plan(&context, "set", 3 * DAY).await.unwrap();
    assert_eq!(fates(&planned), [(dead.as_str(), Fate::Young)]);
    replace(&context, &dead, vec![0; 100]).await;
    let planned = plan(&context, "set", DAY).await.unwrap();
    assert_eq!(fates(&planned), [(dead.as_str(), Fate::Young)]);
    assert!(delete(&context, &planned).await.unwrap().deleted.is_empty());
}

#[tokio::test]
async fn earlier_generations_keep_their_segments() {
    let context = context();
    let mut set = backup(&context, "set").await;
    // A third generation merges all before it; the first two can be opened all the same.
    set.set_merge_policy(segment_format::MergePolicy::default());
    commit(
        &context,
        &mut set,
        vec![topic(
            "new",
            vec![segment_format::manifest::Partition::empty(0, 0)],
        )],
        Vec::new(),
    )
    .await;
    let plan = plan(&context, "set", 0).await.unwrap();
    assert_eq!(plan.newest_generation, Some(3));
    assert!(plan.orphans.is_empty(), "{plan:#?}");
}

#[tokio::test]
async fn nothing_goes_when_a_manifest_cannot_be_read_or_is_missing() {
    let context = context();
    backup(&context, "set").await;
    orphan(&context, 1, 9).await;
    let manifest = layout::manifest_name("set", 1);
    let whole = bytes(&context, &manifest).await;
    let planned_before = plan(&context, "set", 0).await.unwrap();
    let before = names(&context).await.len();
    let mut damaged = whole.clone();
    damaged[200] ^= 1;
    replace(&context, &manifest, damaged).await;
    let planned = plan(&context, "set", 0).await.unwrap();
    assert!(planned.obstacle.as_ref().unwrap().contains(&manifest));
    assert!(delete(&context, &planned).await.unwrap().deleted.is_empty());
    // Also when it was damaged after the plan was made.
    let late = delete(&context, &planned_before).await.unwrap();
    assert_eq!((late.deleted.len(), late.failed.len()), (0, 1));
    assert_eq!(names(&context).await.len(), before);

    context.storage.delete(&manifest).await.unwrap();
    let planned = plan(&context, "set", 0).await.unwrap();
    assert!(
        planned
            .obstacle
            .as_ref()
            .unwrap()
            .contains("1 manifest(s) are there"),
        "{planned:#?}"
    );
    assert_eq!(planned.to_delete().count(), 0);
}

#[tokio::test]
async fn nothing_goes_when_the_newest_manifest_was_lost() {
    let context = context();
    backup(&context, "set").await;
    let dead = orphan(&context, 1, 9).await;
    // Begun after the commit of generation 2, whose manifest is gone then.
    let begun = orphan(&context, 3, 1).await;
    let planned = plan(&context, "set", 0).await.unwrap();
    assert_eq!(
        planned.to_delete().map(|o| &o.object).collect::<Vec<_>>(),
        [&dead]
    );
    let manifest = layout::manifest_name("set", 2);
    context.storage.delete(&manifest).await.unwrap();
    let before = names(&context).await;
    let planned = plan(&context, "set", 0).await.unwrap();
    let obstacle = planned.obstacle.as_ref().unwrap();
    assert!(obstacle.contains("generation 2 was committed"), "{obstacle}");
    assert!(delete(&context, &planned).await.unwrap().deleted.is_empty());
    assert_eq!(names(&context).await, before);
    // Without what was begun later nothing proves the loss; what it named is undecided.
    context.storage.delete(&begun).await.unwrap();
    let planned = plan(&context, "set", 0).await.unwrap();
    assert!(planned.obstacle.is_none());
    let named = id(2, 1).object("set");
    assert!(
        fates(&planned).contains(&(named.as_str(), Fate::Undecided)),
        "{planned:#?}"
    );
    assert!(!planned.to_delete().any(|orphan| orphan.object == named));
}

#[tokio::test]
async fn what_is_named_between_the_plan_and_its_execution_stays() {
    let context = context();
    backup(&context, "set").await;
    let dead = orphan(&context, 2, 9).await;
    let mut planned = plan(&context, "set", 0).await.unwrap();
    // As if a manifest had come to name it: a plan that says to delete a segment of the set.
    let named = id(2, 1).object("set");
    planned.orphans[0].object.clone_from(&named);
    let deleted = delete(&context, &planned).await.unwrap();
    assert!(
        deleted.deleted.is_empty() && deleted.failed[0].1.contains("names it now"),
        "{deleted:#?}"
    );
    let left = names(&context).await;
    assert!(left.contains(&named) && left.contains(&dead));
}

#[tokio::test]
async fn what_is_not_ours_stays_and_an_unknown_backup_is_an_error() {
    let context = context();
    backup(&context, "set").await;
    let foreign = "set/segments/notes.txt";
    context
        .storage
        .put(foreign, bytes::Bytes::from_static(b"hello"))
        .await
        .unwrap();
    let planned = plan(&context, "set", 0).await.unwrap();
    assert_eq!(fates(&planned), [(foreign, Fate::Keep)]);
    assert!(delete(&context, &planned).await.unwrap().deleted.is_empty());
    let unknown = plan(&context, "other", 0).await;
    assert!(matches!(unknown, Err(Error::UnknownBackup { .. })), "{unknown:?}");
}
