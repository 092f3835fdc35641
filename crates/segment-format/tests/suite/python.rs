//! A reader written from docs/FORMAT.md alone, in another language, agrees with this crate.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use segment_format::manifest::Partition;
use segment_format::{BackupSet, MergePolicy, Opening, layout};
use sha2::{Digest, Sha256};

use crate::golden::{BACKUP_ID, compare, segment_object, storage};
use crate::manifest::small_commit;
use crate::support::project;

/// Runs testdata/read_backup.py. Python is not optional: without it nobody would notice that the two disagree.
fn read_backup(storage: &Path) -> Output {
    Command::new("python3")
        .arg(project().join("testdata/read_backup.py"))
        .arg(storage)
        .output()
        .unwrap_or_else(|error| panic!("python3 is needed for this test: {error}"))
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}

fn copy_of_storage() -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in files_below(&storage()) {
        let target = copy.path().join(file.strip_prefix(storage()).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(file, target).unwrap();
    }
    copy
}

#[test]
fn the_python_reader_lists_the_golden_backup() {
    let output = read_backup(&storage());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    compare("backup.txt", &output.stdout);
}

#[test]
fn the_python_reader_finds_damage() {
    let copy = copy_of_storage();
    for (object, byte) in [
        (layout::manifest_name(BACKUP_ID, 2), 500),
        (layout::manifest_name(BACKUP_ID, 1), 500),
        (segment_object(1), 200),
        (segment_object(2), 200),
    ] {
        let path = copy.path().join(&object);
        let good = fs::read(&path).unwrap();
        let mut damaged = good.clone();
        damaged[byte] ^= 1;
        fs::write(&path, damaged).unwrap();
        let output = read_backup(copy.path());
        fs::write(&path, good).unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{object}: {errors}");
        let file = object.rsplit('/').next().unwrap();
        assert!(
            errors.contains(file) && !errors.contains("Traceback"),
            "{object}: {errors}"
        );
    }
    assert!(read_backup(copy.path()).status.success());
}

/// A partition without a leader, which is found to start at 5, beside one that stays away.
#[test]
fn the_python_reader_takes_a_start_that_was_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let commit = |state: Partition| {
        let mut commit = small_commit();
        (commit.segments, commit.groups, commit.complete) = (vec![], None, false);
        commit.topics.truncate(1);
        commit.topics[0].partitions = vec![state, Partition::unknown(1)];
        commit
    };
    let mut set = BackupSet::empty(BACKUP_ID);
    set.set_merge_policy(MergePolicy {
        floor_bytes: 0,
        seal_bytes: 0,
    });
    for state in [Partition::unknown(0), Partition::empty(0, 5)] {
        let planned = set.plan_commit(commit(state)).unwrap().unwrap();
        let path = folder.path().join(planned.object());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, planned.bytes()).unwrap();
        set.apply(planned).unwrap();
    }
    assert_eq!(set.manifests().len(), 2);
    let output = read_backup(folder.path());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(listed.contains("partition 0: 5 to 5,"), "{listed}");
    assert!(listed.contains("partition 1: ? to 0,"), "{listed}");
}

/// What the newest manifest says is changed, with a digest that matches: both readers refuse it, for the same reason.
#[test]
fn the_python_reader_refuses_what_no_writer_says() {
    let copy = copy_of_storage();
    let newest = layout::manifest_name(BACKUP_ID, 2);
    let layer = fs::read(storage().join(layout::manifest_name(BACKUP_ID, 1))).unwrap();
    let good = fs::read_to_string(storage().join(&newest)).unwrap();
    let (_, body) = good.split_once('\n').unwrap();
    for (from, to, told) in [
        // Segments of a commit before and of one after.
        (
            "\"id\":\"0000000000000002-",
            "\"id\":\"0000000000000001-",
            "written for another commit",
        ),
        (
            "\"id\":\"0000000000000002-",
            "\"id\":\"0000000000000003-",
            "written for another commit",
        ),
        (
            "\"generation\":1,\"bytes\"",
            "\"generation\":2,\"bytes\"",
            "layers",
        ),
        // Of a partition that the first commit knows.
        ("\"gaps\":", "\"start_unknown\":true,\"gaps\":", "its start"),
    ] {
        let body = body.replacen(from, to, 1);
        assert!(!good.ends_with(&body));
        let digest: String = Sha256::digest(&body)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let forged = format!("kafka-backup-manifest 1 sha256:{digest}\n{body}");
        fs::write(copy.path().join(&newest), &forged).unwrap();
        let output = read_backup(copy.path());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{to}: {errors}");
        assert!(errors.contains(told), "{to}: {errors}");
        let opened = Opening::new(BACKUP_ID, 2, forged.as_bytes()).and_then(|mut opening| {
            opening.add(&layer)?;
            opening.finish()
        });
        assert!(opened.is_err(), "{to}");
    }
}
