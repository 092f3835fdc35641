//! Object names come back, sort as promised, and stay in their folder.

use std::collections::BTreeSet;

use proptest::prelude::*;
use segment_format::layout::{
    ManifestName, RunName, SegmentName, backup_prefix, manifest_name, manifests_prefix, mapping_name,
    mappings_prefix, parse_backup_prefix, parse_manifest_name, parse_mapping_name, parse_reset_name,
    parse_segment_name, reset_name, resets_prefix, segment_name, segments_of_generation_prefix,
    segments_prefix, shelter_name, shelters_prefix,
};

#[test]
fn names_are_the_documented_ones() {
    let id = "prod-backup-2024";
    assert_eq!(backup_prefix(id), "prod-backup-2024/");
    assert_eq!(
        manifest_name(id, 1),
        "prod-backup-2024/manifests/fffffffffffffffe-1.manifest"
    );
    assert_eq!(
        segment_name(id, 1, 26, 0xdead_beef_0000_0001),
        "prod-backup-2024/segments/0000000000000001-000000000000001a-deadbeef00000001.segment"
    );
    assert_eq!(
        segments_of_generation_prefix(id, 26),
        "prod-backup-2024/segments/000000000000001a-"
    );
    assert_eq!(
        mapping_name(id, 1_700_000_000_000, "dr-1"),
        "prod-backup-2024/mappings/7ffffe74301a97ff-dr-1.json"
    );
    assert_eq!(
        reset_name(id, 1_700_000_000_000, "Run 1"),
        "prod-backup-2024/resets/7ffffe74301a97ff-%52un%201.json"
    );
}

#[test]
fn ids_become_one_plain_folder_name() {
    for (id, encoded) in [
        ("", "%"),
        ("%", "%25"),
        (".", "%2e"),
        ("..", "%2e%2e"),
        (".hidden", "%2ehidden"),
        ("v1.2", "v1.2"),
        ("v1.", "v1%2e"),
        ("a/b", "a%2fb"),
        ("a\\b", "a%5cb"),
        ("../../etc", "%2e.%2f..%2fetc"),
        ("Prod", "%50rod"),
        ("é", "%c3%a9"),
        ("a\0\nb", "a%00%0ab"),
    ] {
        assert_eq!(backup_prefix(id), format!("{encoded}/"), "{id:?}");
        assert_eq!(parse_backup_prefix(&backup_prefix(id)).as_deref(), Some(id));
    }
}

#[test]
fn other_spellings_are_not_names() {
    let folders = [
        "", "/", "a", "a//", "A/", "%41", "%41/b/", "%61/", "%2E/", "%4/", "%zz/", "a%/", "%%/", "%ff/",
        "./", "../",
    ];
    for prefix in folders {
        assert_eq!(parse_backup_prefix(prefix), None, "{prefix:?}");
    }
    for name in [
        "",
        "a/manifests/",
        "a/manifests/fffffffffffffffe-2.manifest",
        "a/manifests/fffffffffffffffe-01.manifest",
        "a/manifests/fffffffffffffffe-+1.manifest",
        "a/manifests/FFFFFFFFFFFFFFFE-1.manifest",
        "a/manifests/fffffffffffffffe.manifest",
        "a/manifests/fffffffffffffffe-1.manifest.tmp",
        "a/manifests/x/fffffffffffffffe-1.manifest",
        "a/segments/fffffffffffffffe-1.manifest",
        "/a/manifests/fffffffffffffffe-1.manifest",
        "A/manifests/fffffffffffffffe-1.manifest",
    ] {
        assert_eq!(parse_manifest_name(name), None, "{name:?}");
    }
    let good = segment_name("a", 1, 2, 3);
    for name in [
        good.replace(".segment", ""),
        good.replace(".segment", "-0000000000000003.segment"),
        good.replace("0001-", "001-"),
        good.replace("a/", "a/../a/"),
        good.replace("0003", "000x"),
    ] {
        assert_eq!(parse_segment_name(&name), None, "{name:?}");
    }
    let good = mapping_name("a", 1, "b");
    assert_eq!(parse_reset_name(&good), None);
    for name in [
        good.replace("-b", "-B"),
        good.replace("-b", "-"),
        good.replace("-b", ""),
        good.replace("7", "07"),
    ] {
        assert_eq!(parse_mapping_name(&name), None, "{name:?}");
    }
}

/// Every name of a backup set that these numbers and this id can make, with the prefix under which it is listed.
fn names(id: &str, numbers: (u64, u64, u64), time: i64, run: &str) -> [(String, String); 5] {
    let (a, b, c) = numbers;
    [
        (manifest_name(id, a), manifests_prefix(id)),
        (segment_name(id, a, b, c), segments_prefix(id)),
        (mapping_name(id, time, run), mappings_prefix(id)),
        (reset_name(id, time, run), resets_prefix(id)),
        (shelter_name(id, time, run), shelters_prefix(id)),
    ]
}

proptest! {
    #[test]
    fn names_come_back(id in ".*", numbers: (u64, u64, u64), time: i64, run in ".*") {
        let (generation, sequence, writer_nonce) = numbers;
        let backup_id = id.clone();
        prop_assert_eq!(parse_backup_prefix(&backup_prefix(&id)), Some(id.clone()));
        let manifest = ManifestName { backup_id: id.clone(), generation };
        prop_assert_eq!(parse_manifest_name(&manifest_name(&id, generation)), Some(manifest));
        let segment = SegmentName { backup_id: id.clone(), generation, sequence, writer_nonce };
        prop_assert_eq!(parse_segment_name(&segment_name(&id, generation, sequence, writer_nonce)), Some(segment));
        let named = RunName { backup_id, created_at: time, run_id: run.clone() };
        prop_assert_eq!(parse_mapping_name(&mapping_name(&id, time, &run)), Some(named.clone()));
        prop_assert_eq!(parse_reset_name(&reset_name(&id, time, &run)), Some(named));
    }

    #[test]
    fn parsing_anything_is_safe_and_has_one_answer(name in "[a%./0-9f-]{0,40}|.*|a/manifests/.*|a/segments/.*") {
        if let Some(parsed) = parse_manifest_name(&name) {
            prop_assert_eq!(manifest_name(&parsed.backup_id, parsed.generation), name);
        } else if let Some(parsed) = parse_segment_name(&name) {
            let again = segment_name(&parsed.backup_id, parsed.generation, parsed.sequence, parsed.writer_nonce);
            prop_assert_eq!(again, name);
        } else if let Some(parsed) = parse_mapping_name(&name) {
            prop_assert_eq!(mapping_name(&parsed.backup_id, parsed.created_at, &parsed.run_id), name);
        } else if let Some(id) = parse_backup_prefix(&name) {
            prop_assert_eq!(backup_prefix(&id), name);
        }
    }

    #[test]
    fn the_newest_is_listed_first(id in ".{0,5}", a: u64, b: u64, times: (i64, i64), runs in (".{0,5}", ".{0,5}")) {
        prop_assert_eq!(manifest_name(&id, a).cmp(&manifest_name(&id, b)), b.cmp(&a));
        if times.0 != times.1 {
            let expected = times.1.cmp(&times.0);
            prop_assert_eq!(mapping_name(&id, times.0, &runs.0).cmp(&mapping_name(&id, times.1, &runs.1)), expected);
            prop_assert_eq!(reset_name(&id, times.0, &runs.0).cmp(&reset_name(&id, times.1, &runs.1)), expected);
        }
    }

    #[test]
    fn segments_are_listed_in_the_order_of_writing(a: (u64, u64), b: (u64, u64), nonces: (u64, u64)) {
        if a != b {
            prop_assert_eq!(segment_name("x", a.0, a.1, nonces.0).cmp(&segment_name("x", b.0, b.1, nonces.1)), a.cmp(&b));
        }
    }

    #[test]
    fn names_are_plain_and_in_their_folder(id in ".*", numbers: (u64, u64, u64), time: i64, run in ".*") {
        for (name, prefix) in names(&id, numbers, time, &run) {
            prop_assert!(name.starts_with(&prefix));
            prop_assert!(prefix.starts_with(&backup_prefix(&id)));
            prop_assert_eq!(name.split('/').count(), 3);
            for component in name.split('/') {
                prop_assert!(!component.is_empty() && !component.starts_with('.') && !component.ends_with('.'));
                let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.%".contains(c);
                prop_assert!(component.chars().all(plain), "{}", component);
            }
        }
    }

    /// File systems that fold case must not mix two backups, and no name may be the folder of another one.
    #[test]
    fn names_do_not_meet(ids in prop::collection::btree_set("[aA%./]{0,4}", 2..6), numbers: (u64, u64, u64)) {
        let all: Vec<String> = ids.iter().flat_map(|id| names(id, numbers, 5, "r")).map(|(name, _)| name).collect();
        let distinct: BTreeSet<String> = all.iter().map(|name| name.to_lowercase()).collect();
        prop_assert_eq!(distinct.len(), all.len());
        for name in &all {
            let folder = format!("{name}/");
            prop_assert!(!all.iter().any(|other| other.starts_with(&folder)));
        }
    }
}
