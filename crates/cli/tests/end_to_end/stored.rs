//! What a backup holds, read from its objects without a restore; compared with what the Java consumer sees.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use kafka_wire::batch::{BatchIter, LogEntry};
use kafka_wire::codec::Decompressor;
use restore_engine::storage::FilesystemStorage;
use restore_engine::{Catalog, Context};
use segment_format::{BackupSet, TopicId, check_segment, decode_block};
use testkit::{JavaClient, Record};

use crate::program::files_below;

/// A backup set in a folder.
pub(crate) struct Stored<'a> {
    folder: &'a Path,
    pub(crate) set: BackupSet,
}

/// A record as it is stored.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StoredRecord {
    pub(crate) offset: i64,
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
}

impl<'a> Stored<'a> {
    /// Opens what is there now; `None` before the first commit.
    pub(crate) async fn open(folder: &'a Path, backup_id: &str) -> Option<Self> {
        let context = Context::new(Arc::new(FilesystemStorage::new(folder)), 0);
        match Catalog::new(&context).open(backup_id).await {
            Ok(set) => Some(Self { folder, set }),
            Err(restore_engine::Error::UnknownBackup { .. }) => None,
            Err(error) => panic!("{}", restore_engine::chain(&error)),
        }
    }

    /// Every record of a partition of the latest topic of this name, in the order of their offsets.
    pub(crate) fn records(&self, topic: &str, partition: i32) -> Vec<StoredRecord> {
        let topic_id = self.set.topic(topic).unwrap().topic_id;
        self.records_of(topic, topic_id, partition)
    }

    pub(crate) fn records_of(&self, topic: &str, topic_id: TopicId, partition: i32) -> Vec<StoredRecord> {
        let number = self.set.incarnation_number(topic, topic_id).unwrap();
        let mut records = Vec::new();
        let mut decompressor = Decompressor::new();
        for segment in self.set.segments() {
            let holds = |p: &segment_format::manifest::SegmentPartition| {
                (p.topic, p.partition) == (number, partition)
            };
            if !segment.partitions().any(|p| holds(&p)) {
                continue;
            }
            let path = self.folder.join(segment.id.object(self.set.backup_id()));
            let object = Bytes::from(std::fs::read(path).unwrap());
            assert_eq!(object.len() as u64, segment.bytes);
            let index = check_segment(&object).unwrap();
            for block in index.blocks_of(topic, partition) {
                let (from, to) = (block.range().start as usize, block.range().end as usize);
                let batches = decode_block(block, object.slice(from..to)).unwrap();
                add_records(&mut decompressor, batches, &mut records);
            }
        }
        records.sort_by_key(|record| record.offset);
        // A batch may begin before the log did.
        let start = self
            .set
            .incarnation(number)
            .unwrap()
            .partition(partition)
            .unwrap()
            .log_start_offset;
        records.retain(|record| record.offset >= start);
        records
    }

    /// The partition holds what the Java consumer sees from `from` on, and nothing else.
    pub(crate) async fn is_same(&self, java: &JavaClient, topic: &str, partition: i32) {
        let seen = java.consume_all(topic, partition).await.unwrap();
        self.holds(topic, partition, &seen);
    }

    #[track_caller]
    pub(crate) fn holds(&self, topic: &str, partition: i32, seen: &[Record]) {
        let stored = self.records(topic, partition);
        let seen: Vec<StoredRecord> = seen.iter().map(StoredRecord::of).collect();
        let differs = stored.iter().zip(&seen).position(|(a, b)| a != b);
        assert!(
            differs.is_none() && stored.len() == seen.len(),
            "{topic}/{partition}: {} stored, {} seen, first difference at {differs:?}",
            stored.len(),
            seen.len()
        );
    }

    /// Every segment in the folder is named by the set, and every one that it names is there.
    pub(crate) fn has_no_orphans(&self) {
        let named: BTreeSet<_> = self
            .set
            .segments()
            .iter()
            .map(|segment| self.folder.join(segment.id.object(self.set.backup_id())))
            .collect();
        let found: BTreeSet<_> = files_below(self.folder)
            .into_iter()
            .filter(|path| path.to_str().unwrap().ends_with(".segment"))
            .collect();
        assert_eq!(named, found);
    }
}

impl StoredRecord {
    fn of(record: &Record) -> Self {
        Self {
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key.clone(),
            value: record.value.clone(),
        }
    }
}

fn add_records(decompressor: &mut Decompressor, batches: Bytes, records: &mut Vec<StoredRecord>) {
    for entry in BatchIter::new(batches) {
        let LogEntry::Batch(batch) = entry.unwrap() else {
            panic!("an old format")
        };
        batch.verify_crc().unwrap();
        let mut scratch = Vec::new();
        for record in decompressor.records(&batch, 64 << 20, &mut scratch).unwrap() {
            let record = record.unwrap();
            records.push(StoredRecord {
                offset: batch.header.base_offset + i64::from(record.offset_delta),
                timestamp: batch.header.timestamp(record.timestamp_delta),
                key: record.key.map(<[u8]>::to_vec),
                value: record.value.map(<[u8]>::to_vec),
            });
        }
    }
}
