//! Record batches, their records, and slabs of them.

use bytes::Bytes;
use kafka_wire::batch::{BatchHeader, BatchIter, HEADER_LEN, LENGTH_OVERHEAD, ProducePatch, RawBatch};
use kafka_wire::codec::Decompressor;

use crate::memory::bounded;

/// Most bytes that a batch may decompress to here.
pub(crate) const LIMIT: usize = 1 << 20;

/// Memory for a batch of `len` bytes: its decompressed records, and twice that while their buffer grows.
pub(crate) fn decompressed(_len: usize) -> usize {
    3 * LIMIT
}

/// `data` as a batch whose length and format are right, so that a fuzzer gets behind them at once.
pub(crate) fn as_batch(data: &[u8]) -> Option<RawBatch> {
    let mut bytes = data.to_vec();
    let length = i32::try_from(bytes.len().checked_sub(LENGTH_OVERHEAD)?).ok()?;
    bytes.get_mut(8..12)?.copy_from_slice(&length.to_be_bytes());
    *bytes.get_mut(16)? = 2;
    RawBatch::parse(Bytes::from(bytes)).ok()
}

/// A record batch: header, checksum, records, headers of records, the header for another producer.
pub fn batch(data: &[u8]) {
    let _ = RawBatch::parse(Bytes::copy_from_slice(data));
    let Some(batch) = as_batch(data) else { return };
    assert_eq!(batch.header.encode(), batch.bytes[..HEADER_LEN]);
    assert_eq!(BatchHeader::parse(&batch.bytes), Ok(batch.header));
    bounded(|| walk(&batch), |_| decompressed(data.len()));
    patch(&batch);
}

fn walk(batch: &RawBatch) {
    let mut scratch = Vec::new();
    let Ok(mut records) = Decompressor::new().records(batch, LIMIT, &mut scratch) else {
        return;
    };
    let total = records.remaining_bytes();
    let (mut count, mut bytes, mut failed) = (0, 0, false);
    for record in records.by_ref() {
        assert!(!failed, "the walk goes on after an error");
        let Ok(record) = record else {
            failed = true;
            continue;
        };
        count += 1;
        bytes += record.raw.len();
        let parts = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
        let (mut headers, mut malformed) = (0, false);
        for header in record.headers {
            assert!(!malformed, "the headers go on after an error");
            malformed = header.is_err();
            headers += usize::from(!malformed);
        }
        assert!(malformed || headers == record.headers.len());
        assert!(parts + 2 * headers <= record.raw.len());
    }
    assert!(records.next().is_none());
    assert!(count <= batch.header.record_count);
    if !failed {
        assert_eq!((count, bytes), (batch.header.record_count, total));
    }
}

/// A patched header changes neither the records nor whether the checksum is right.
fn patch(batch: &RawBatch) {
    let (producer_id, producer_epoch, base_sequence) = (1 << 40, 7, 1 << 20);
    let patch = ProducePatch {
        producer_id,
        producer_epoch,
        base_sequence,
    };
    let Ok(header) = patch.patched_header(batch) else {
        return;
    };
    let bytes = Bytes::from([&header[..], batch.stored_records()].concat());
    let patched = RawBatch::parse(bytes).expect("a patched batch is a batch");
    assert_eq!(patched.verify_crc().is_ok(), batch.verify_crc().is_ok());
    assert_eq!(patched.header.base_offset, 0);
    assert_eq!(patched.header.producer_id, producer_id);
    assert!(!patched.header.is_transactional() && !patched.header.has_delete_horizon());
}

/// A slab of log data, as a Fetch response carries it.
pub fn slab(data: &[u8]) {
    let slab = Bytes::copy_from_slice(data);
    let mut entries = BatchIter::new(slab.clone());
    let (mut position, mut failed) = (0, false);
    bounded(
        || {
            while let Some(entry) = entries.next() {
                assert!(!failed, "the walk goes on after an error");
                let Ok(entry) = entry else {
                    failed = true;
                    continue;
                };
                let bytes = match &entry {
                    kafka_wire::batch::LogEntry::Batch(batch) => {
                        let _ = batch.verify_crc();
                        assert_eq!(batch.header.total_len(), batch.bytes.len());
                        assert_eq!(RawBatch::parse(batch.bytes.clone()).as_ref(), Ok(batch));
                        &batch.bytes
                    }
                    kafka_wire::batch::LogEntry::Legacy(entry) => {
                        let _ = entry.verify_crc();
                        &entry.bytes
                    }
                };
                assert_eq!(bytes[..], slab[position..position + bytes.len()]);
                assert!(!bytes.is_empty() && entry.next_offset() > 0);
                position += bytes.len();
                assert_eq!(entries.position(), position);
            }
        },
        |()| 0,
    );
    assert_eq!(entries.trailing(), slab.len() - position);
    assert!(entries.next().is_none());
}
