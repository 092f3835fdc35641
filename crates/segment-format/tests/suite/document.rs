//! The worked example in docs/FORMAT.md is what this crate writes.

use bytes::Bytes;
use segment_format::manifest::Manifest;
use segment_format::{
    BlockMeta, Compression, Opening, PartitionRef, SegmentDigest, TopicId, check_segment, encode_block,
};

use crate::golden::compare;
use crate::support::{batch, project, write_encoded};

/// One block of one batch of one record.
fn example() -> Bytes {
    let topic_id = TopicId(*b"\x71\x0d\xc0\xff\xee\x00\x4a\x11\x90\x90\x00\x11\x22\x33\x44\x55");
    let meta = BlockMeta {
        base_offset: 750,
        last_offset: 750,
        min_timestamp: 1_700_000_000_000,
        max_timestamp: 1_700_000_000_000,
        batches: 1,
        records: 1,
    };
    let batches = vec![batch(750, 1_700_000_000_000, &["paid"])];
    let block = encode_block(meta, batches, Compression::None, 0).unwrap();
    write_encoded(
        0x0123_4567_89ab_cdef,
        [(PartitionRef::new("orders", topic_id, 3), block)],
    )
    .0
}

/// The bytes of the hexadecimal dumps (lines of position and bytes) below a heading of the document, and the text of
/// the first fenced block that is marked `manifest`.
fn dump_in(document: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in document.lines() {
        let Some((position, rest)) = line.split_once("  ") else {
            continue;
        };
        let Ok(position) = usize::from_str_radix(position, 16) else {
            continue;
        };
        assert_eq!(position, bytes.len(), "{line}");
        let digits = rest.split("  ").next().unwrap();
        bytes.extend(
            digits
                .split(' ')
                .map(|byte| u8::from_str_radix(byte, 16).unwrap()),
        );
    }
    bytes
}

#[test]
fn the_example_in_the_document_is_what_is_written() {
    let example = example();
    check_segment(&example).unwrap();
    compare("example.segment", &example);
    let document = std::fs::read_to_string(project().join("docs/FORMAT.md")).unwrap();
    assert_eq!(dump_in(&document), example, "the dump in docs/FORMAT.md");
}

/// The manifests in the document, in order.
fn manifests_in(document: &str) -> Vec<&str> {
    let fenced = document.split("```manifest\n").skip(1);
    fenced.map(|text| text.split("```").next().unwrap()).collect()
}

#[test]
fn the_manifests_in_the_document_are_two_generations() {
    let document = std::fs::read_to_string(project().join("docs/FORMAT.md")).unwrap();
    let manifests = manifests_in(&document);
    let [first, second] = manifests[..] else {
        panic!("{} manifests", manifests.len())
    };
    for object in [first, second] {
        let (manifest, _) = Manifest::decode(object.as_bytes()).unwrap();
        assert_eq!(manifest.encode().unwrap().0, object.as_bytes());
    }
    let mut opening = Opening::new("prod", 2, second.as_bytes()).unwrap();
    opening.add(first.as_bytes()).unwrap();
    let set = opening.finish().unwrap();
    let [described] = set.segments() else {
        panic!("{} segments", set.segments().len())
    };
    let stored = example();
    assert_eq!(described.bytes, stored.len() as u64);
    assert_eq!(described.blake3, SegmentDigest::of(&stored));
    assert_eq!(set.topic("orders").unwrap().partition(3).unwrap().end_offset, 760);
    assert_eq!(set.groups().len(), 1);
}
