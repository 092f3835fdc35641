//! Each kind of damage is found, and named with its place and with what it costs.

use segment_format::{FOOTER_LEN, layout};

use super::*;
use crate::error::Error;
use crate::fixture::{backup, bytes, context, id, names, replace};

const FULL: VerifyOptions = VerifyOptions {
    depth: Depth::Full,
    sample: None,
    generation: None,
};

async fn verified(context: &Context) -> VerifyReport {
    run(context, "set", &FULL).await.unwrap()
}

/// Topic, partition, first offset, first offset after; of all that is lost.
fn lost(report: &VerifyReport) -> Vec<(String, i32, i64, i64)> {
    let partitions = report.partitions.iter();
    partitions
        .flat_map(|p| {
            p.lost
                .iter()
                .map(|lost| (p.topic.clone(), p.partition, lost.from, lost.to))
        })
        .collect()
}

fn orders(partition: i32, from: i64, to: i64) -> (String, i32, i64, i64) {
    ("orders".to_owned(), partition, from, to)
}

#[tokio::test]
async fn a_whole_backup_is_good_and_its_gap_is_told() {
    let context = context();
    backup(&context, "set").await;
    let report = verified(&context).await;
    assert_eq!(report.verdict, Verdict::Good, "{report:#?}");
    assert_eq!((report.manifests, report.segments.checked), (2, 3));
    assert_eq!((report.batches, report.records), (16, 48));
    let statuses: Vec<_> = report
        .partitions
        .iter()
        .map(|p| (p.topic.as_str(), p.partition, p.status))
        .collect();
    let expected = [
        ("audit", 0, PartitionStatus::Ok),
        ("orders", 0, PartitionStatus::Gap),
        ("orders", 1, PartitionStatus::Ok),
    ];
    assert_eq!(statuses, expected);
    assert!(report.groups.is_empty(), "{report:#?}");
    let mut segment_bytes = 0;
    for name in names(&context)
        .await
        .iter()
        .filter(|name| name.ends_with(".segment"))
    {
        segment_bytes += bytes(&context, name).await.len() as u64;
    }
    assert_eq!(report.bytes_read, segment_bytes, "each byte is read once");
}

#[tokio::test]
async fn each_flipped_byte_is_found_and_named_with_its_place() {
    let context = context();
    backup(&context, "set").await;
    for object in names(&context).await {
        let whole = bytes(&context, &object).await;
        for place in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 0x10;
            replace(&context, &object, damaged).await;
            let report = verified(&context).await;
            assert_eq!(report.verdict, Verdict::Damaged, "byte {place} of {object}");
            assert!(
                report.objects.iter().all(|f| f.object == object),
                "byte {place}: {report:#?}"
            );
            let position = report.objects[0].position;
            if object.ends_with(".segment") {
                let footer_at = (whole.len() - FOOTER_LEN) as u64;
                let position = position.expect("damage of a segment has a place");
                // The part that holds the byte starts at or before it; of a footer the magic bytes are looked at first.
                assert!(
                    position <= place as u64 || position >= footer_at,
                    "byte {place}: {report:#?}"
                );
            }
        }
        replace(&context, &object, whole).await;
    }
    assert_eq!(verified(&context).await.verdict, Verdict::Good);
}

#[tokio::test]
async fn each_cut_object_is_found() {
    let context = context();
    backup(&context, "set").await;
    for object in names(&context).await {
        let whole = bytes(&context, &object).await;
        for length in [0, 1, whole.len() / 2, whole.len() - 1] {
            replace(&context, &object, whole[..length].to_vec()).await;
            let report = verified(&context).await;
            assert_eq!(report.verdict, Verdict::Damaged, "{object} cut to {length}");
            assert_eq!(report.objects[0].object, object);
        }
        replace(&context, &object, whole).await;
    }
}

#[tokio::test]
async fn each_missing_object_is_named() {
    let context = context();
    backup(&context, "set").await;
    let newest = layout::manifest_name("set", 2);
    for object in names(&context).await {
        let whole = bytes(&context, &object).await;
        context.storage.delete(&object).await.unwrap();
        let report = verified(&context).await;
        if object == newest {
            // Nothing names it; what is left of it are its segments.
            assert_eq!(report.generation, Some(1));
            assert!(
                report.notes[0].contains("segments of generation 2"),
                "{report:#?}"
            );
        } else {
            assert_eq!(report.verdict, Verdict::Damaged, "{object}");
            assert_eq!(report.objects[0].object, object);
            assert_eq!(report.objects[0].status, ObjectStatus::Missing);
        }
        replace(&context, &object, whole).await;
    }
}

/// A segment that a run began after the commit of the generation before.
async fn begin_segment(context: &Context, generation: u64) -> String {
    let object = id(generation, 9).object("set");
    let any = bytes(context, &id(1, 1).object("set")).await;
    context.storage.put(&object, any.into()).await.unwrap();
    object
}

#[tokio::test]
async fn a_lost_newest_manifest_is_proven_by_what_was_begun_after_it() {
    let context = context();
    backup(&context, "set").await;
    // Of a run at work, or one that was killed: nothing is wrong.
    let begun = begin_segment(&context, 3).await;
    let report = verified(&context).await;
    assert_eq!(
        (report.verdict, report.objects.len()),
        (Verdict::Good, 0),
        "{report:#?}"
    );
    assert!(
        report.notes[0].contains("segments of generation 3"),
        "{report:#?}"
    );
    // An earlier generation is asked for: the newest is there all the same.
    context.storage.delete(&begun).await.unwrap();
    let first = VerifyOptions {
        generation: Some(1),
        ..FULL
    };
    let report = run(&context, "set", &first).await.unwrap();
    assert!(report.notes.is_empty(), "{report:#?}");

    begin_segment(&context, 3).await;
    let newest = layout::manifest_name("set", 2);
    let whole = bytes(&context, &newest).await;
    context.storage.delete(&newest).await.unwrap();
    let report = verified(&context).await;
    assert_eq!(
        (report.verdict, report.generation),
        (Verdict::Damaged, Some(1)),
        "{report:#?}"
    );
    assert_eq!(report.objects.len(), 1, "{report:#?}");
    assert_eq!(report.objects[0].object, newest);
    assert!(
        report.notes[0].contains("after generation 1 were lost"),
        "{report:#?}"
    );
    replace(&context, &newest, whole).await;
    assert_eq!(verified(&context).await.verdict, Verdict::Good);
}

#[tokio::test]
async fn what_is_lost_is_told_in_offsets() {
    let context = context();
    backup(&context, "set").await;
    let object = id(1, 1).object("set");
    let whole = bytes(&context, &object).await;

    context.storage.delete(&object).await.unwrap();
    let report = verified(&context).await;
    assert_eq!(lost(&report), [orders(0, 0, 12), orders(1, 100, 112)]);
    assert_eq!(report.partitions[1].status, PartitionStatus::Missing);
    assert_eq!(report.groups[0].status, PositionStatus::Lost);

    // The third block is the first of orders-1, and not compressed: damage in its second batch.
    let footer = segment_format::Footer::decode(&whole, whole.len() as u64).unwrap();
    let range = footer.index_range();
    let index =
        segment_format::Index::decode(&whole[range.start as usize..range.end as usize], &footer).unwrap();
    let block = index.blocks_of("orders", 1)[0].range();
    let mut damaged = whole.clone();
    damaged[block.end as usize - 1] ^= 1;
    replace(&context, &object, damaged).await;
    let report = verified(&context).await;
    assert_eq!(lost(&report), [orders(1, 100, 106)]);
    assert_eq!(report.partitions[2].status, PartitionStatus::Damaged);
    assert!(report.groups.is_empty());
    assert!(
        report.objects[0].problem.contains("orders-1 from offset 100"),
        "{report:#?}"
    );
}

#[tokio::test]
async fn damage_does_not_hide_other_damage() {
    let context = context();
    backup(&context, "set").await;
    let (first, second, third) = (
        id(1, 1).object("set"),
        id(1, 2).object("set"),
        id(2, 1).object("set"),
    );
    let mut damaged = bytes(&context, &first).await;
    damaged[0] ^= 1;
    replace(&context, &first, damaged).await;
    context.storage.delete(&second).await.unwrap();
    let short = bytes(&context, &third).await;
    replace(&context, &third, short[..short.len() - 1].to_vec()).await;
    let report = verified(&context).await;
    let found: Vec<_> = report
        .objects
        .iter()
        .map(|f| (f.object.as_str(), f.status))
        .collect();
    let expected = [
        (first.as_str(), ObjectStatus::Damaged),
        (second.as_str(), ObjectStatus::Missing),
        (third.as_str(), ObjectStatus::Damaged),
    ];
    assert_eq!(found, expected);
    // The header of a segment is read by no restore.
    assert_eq!(
        lost(&report),
        [("audit".to_owned(), 0, 50, 62), orders(0, 20, 32)]
    );
}

#[tokio::test]
async fn swapped_and_foreign_objects_are_found() {
    let context = context();
    backup(&context, "set").await;
    let (one, two) = (id(1, 1).object("set"), id(1, 2).object("set"));
    let (first, second) = (bytes(&context, &one).await, bytes(&context, &two).await);
    replace(&context, &one, second).await;
    replace(&context, &two, first.clone()).await;
    let report = verified(&context).await;
    assert_eq!(report.objects.len(), 2, "{report:#?}");
    replace(&context, &one, first).await;

    // A segment of another set has all its checksums right, and here even the same size.
    backup(&context, "tes").await;
    let other = bytes(&context, &id(2, 1).object("tes")).await;
    let third = id(2, 1).object("set");
    let mut report = None;
    for manifest in [layout::manifest_name("set", 1), layout::manifest_name("set", 2)] {
        let own = bytes(&context, &manifest).await;
        let foreign = bytes(&context, &manifest.replacen("set", "tes", 1)).await;
        replace(&context, &manifest, foreign).await;
        let found = verified(&context).await;
        assert!(
            found
                .objects
                .iter()
                .any(|f| f.object == manifest && f.problem.contains("tes")),
            "{found:#?}"
        );
        replace(&context, &manifest, own).await;
        report = Some(found);
    }
    // The set is named in the manifest, not in a segment: the same bytes are the same segment.
    assert_eq!(other, bytes(&context, &third).await);
    assert_eq!(report.unwrap().generation, Some(1), "the newest that opens");
}

#[tokio::test]
async fn a_shallow_check_finds_what_is_not_in_the_records() {
    let context = context();
    backup(&context, "set").await;
    let shallow = VerifyOptions {
        depth: Depth::Shallow,
        ..FULL
    };
    let object = id(2, 1).object("set");
    let whole = bytes(&context, &object).await;
    let footer = segment_format::Footer::decode(&whole, whole.len() as u64).unwrap();
    for (place, found) in [
        (100, false),
        (5, true),
        (footer.index_position as usize + 20, true),
    ] {
        let mut damaged = whole.clone();
        damaged[place] ^= 1;
        replace(&context, &object, damaged).await;
        let report = run(&context, "set", &shallow).await.unwrap();
        assert_eq!(report.verdict == Verdict::Damaged, found, "byte {place}");
        assert_eq!(report.records, 0);
    }
}

#[tokio::test]
async fn samples_together_find_everything() {
    let context = context();
    backup(&context, "set").await;
    let object = id(1, 2).object("set");
    let mut damaged = bytes(&context, &object).await;
    damaged[100] ^= 1;
    replace(&context, &object, damaged).await;
    let mut found = 0;
    for part in 1..=2 {
        let options = VerifyOptions {
            sample: Some(Sample::new(part, 2).unwrap()),
            ..FULL
        };
        let report = run(&context, "set", &options).await.unwrap();
        assert_eq!(report.segments.checked + report.segments.not_in_sample, 3);
        found += report.objects.len();
    }
    assert_eq!(found, 1);
}

#[tokio::test]
async fn generations_and_backups_that_are_not_there_are_errors() {
    let context = context();
    backup(&context, "set").await;
    let unknown = run(&context, "other", &FULL).await;
    assert!(matches!(unknown, Err(Error::UnknownBackup { .. })), "{unknown:?}");
    let of = |generation| VerifyOptions {
        generation: Some(generation),
        ..FULL
    };
    let unknown = run(&context, "set", &of(3)).await;
    assert!(
        matches!(unknown, Err(Error::UnknownGeneration { newest: 2, .. })),
        "{unknown:?}"
    );
    let first = run(&context, "set", &of(1)).await.unwrap();
    assert_eq!((first.generation, first.records), (Some(1), 36));
}

#[tokio::test]
async fn a_segment_with_all_checksums_right_is_still_compared_with_its_digest() {
    let context = context();
    backup(&context, "set").await;
    let object = id(1, 2).object("set");
    let mut other = bytes(&context, &object).await;
    // The same segment, begun a millisecond later.
    other[27] ^= 1;
    let crc = kafka_wire::batch::crc32c(&other[..28]);
    other[28..32].copy_from_slice(&crc.to_be_bytes());
    replace(&context, &object, other).await;
    let report = verified(&context).await;
    assert!(report.objects[0].problem.contains("BLAKE3"), "{report:#?}");
    assert_eq!(lost(&report), [("audit".to_owned(), 0, 50, 62)]);
}
