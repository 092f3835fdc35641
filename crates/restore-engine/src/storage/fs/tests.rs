//! What files have beyond the conformance suite: disks that are full or not for writing, and replies that are lost.

use std::fs;

use super::*;

#[tokio::test]
async fn a_disk_that_is_full_says_so_and_nothing_is_published() {
    let folder = tempfile::tempdir().unwrap();
    let storage = FilesystemStorage::new(folder.path());
    let mut staged = Staged::new(&folder.path().join("object")).unwrap();
    // Every write to this device ends as on a full disk.
    staged.file = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut writer = Box::new(FileWriter {
        storage: storage.clone(),
        name: "object".to_owned(),
        staged: Some(staged),
    });
    let full = writer.write(vec![Bytes::from_static(b"-")]).await.unwrap_err();
    assert!(
        matches!(full, StorageError::Full { .. }) && full.may_pass(),
        "{full:?}"
    );
    let text = full.to_string();
    assert!(
        text.contains("cannot write object") && text.contains("No space left") && text.contains("make room"),
        "{text}"
    );
    assert!(writer.finish().await.is_err());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_folder_that_is_not_for_writing_says_so() {
    // Not even the administrator makes folders in it.
    let storage = FilesystemStorage::new("/sys/kafka-backups");
    for failed in [
        storage.put("a", Bytes::new()).await.unwrap_err(),
        storage.create("a").await.unwrap_err(),
    ] {
        assert!(
            matches!(failed, StorageError::Refused { .. }) && !failed.may_pass(),
            "{failed:?}"
        );
        let text = failed.to_string();
        assert!(
            text.contains("folder /sys/kafka-backups") && text.contains("or take another folder"),
            "{text}"
        );
    }
}

#[test]
fn a_link_whose_reply_was_lost_is_not_a_conflict() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("object");
    let staged = Staged::new(&target).unwrap();
    fs::hard_link(staged.path(), &target).unwrap();
    staged.publish().unwrap();
    // Somebody else's object is one.
    let conflict = Staged::new(&target).unwrap().publish().unwrap_err();
    assert_eq!(conflict.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn only_staged_files_can_be_removed_as_unfinished() {
    let folder = tempfile::tempdir().unwrap();
    let storage = FilesystemStorage::new(folder.path());
    storage.put("a", Bytes::from_static(b"-")).await.unwrap();
    let object = Unfinished {
        name: "a".to_owned(),
        id: "a".to_owned(),
        last_seen_ms: None,
    };
    let refused = storage.abort_unfinished(&object).await;
    assert!(
        matches!(refused, Err(StorageError::Refused { .. })),
        "{refused:?}"
    );
    assert_eq!(storage.get("a", 9).await.unwrap(), "-");
}
