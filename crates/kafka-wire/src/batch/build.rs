//! Batches from single records: for tests, tools, and whoever has no batch to begin with.

use bytes::Bytes;

use super::header::{HEADER_LEN, attribute_bits};
use super::records::{Header, Headers};
use super::write::{Body, Suffix, push_bytes, push_record, seal};
use super::{BatchError, BatchHeader, ProducePatch, RawBatch};
use crate::codec::{Codec, Compressor};

/// A record to be written.
#[derive(Debug, Clone, Copy, Default)]
pub struct NewRecord<'a> {
    /// Milliseconds since 1970, or -1 for none.
    pub timestamp: i64,
    /// The key, if any.
    pub key: Option<&'a [u8]>,
    /// The value, if any.
    pub value: Option<&'a [u8]>,
    /// The headers in order.
    pub headers: &'a [Header<'a>],
}

/// Builds one batch.
///
/// ```
/// use kafka_wire::batch::{BatchBuilder, NewRecord};
///
/// let mut builder = BatchBuilder::new();
/// builder.push(&NewRecord { timestamp: 1_700_000_000_000, value: Some(b"hello"), ..NewRecord::default() })?;
/// let batch = builder.build()?;
/// assert_eq!(batch.header.record_count, 1);
/// batch.verify_crc()?;
/// # Ok::<(), kafka_wire::batch::BatchError>(())
/// ```
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    codec: Codec,
    level: Option<i32>,
    base_offset: i64,
    leader_epoch: i32,
    producer: ProducePatch,
    transactional: bool,
    control: bool,
    log_append_time: Option<i64>,
    delete_horizon: Option<i64>,
    last_offset_delta: Option<i32>,
    records: Vec<u8>,
    scratch: Vec<u8>,
    count: i32,
    next_delta: i32,
    base_timestamp: i64,
    max_timestamp: i64,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchBuilder {
    /// An empty, uncompressed batch at offset 0, of no producer.
    pub fn new() -> Self {
        Self {
            codec: Codec::None,
            level: None,
            base_offset: 0,
            leader_epoch: -1,
            producer: ProducePatch::NONE,
            transactional: false,
            control: false,
            log_append_time: None,
            delete_horizon: None,
            last_offset_delta: None,
            records: Vec::new(),
            scratch: Vec::new(),
            count: 0,
            next_delta: 0,
            base_timestamp: -1,
            max_timestamp: -1,
        }
    }

    /// Compresses the records with `codec`, at its usual level when `level` is `None`.
    pub fn compression(mut self, codec: Codec, level: Option<i32>) -> Self {
        self.codec = codec;
        self.level = level;
        self
    }

    /// Sets the offset of the first slot.
    pub fn base_offset(mut self, offset: i64) -> Self {
        self.base_offset = offset;
        self
    }

    /// Sets the partition leader epoch.
    pub fn leader_epoch(mut self, epoch: i32) -> Self {
        self.leader_epoch = epoch;
        self
    }

    /// Sets producer id, epoch and first sequence.
    pub fn producer(mut self, producer: ProducePatch) -> Self {
        self.producer = producer;
        self
    }

    /// Sets the transactional bit.
    pub fn transactional(mut self) -> Self {
        self.transactional = true;
        self
    }

    /// Sets the control bit.
    pub fn control(mut self) -> Self {
        self.control = true;
        self
    }

    /// Marks the batch as appended at `timestamp`, which is then what consumers see; the records keep their own.
    pub fn log_append_time(mut self, timestamp: i64) -> Self {
        self.log_append_time = Some(timestamp);
        self
    }

    /// Sets a delete horizon, from which timestamp deltas count. To be called before the first record.
    pub fn delete_horizon(mut self, timestamp: i64) -> Self {
        self.delete_horizon = Some(timestamp);
        self
    }

    /// Sets the distance to the last slot, when it is not that of the last record.
    pub fn last_offset_delta(mut self, delta: i32) -> Self {
        self.last_offset_delta = Some(delta);
        self
    }

    /// Adds a record in the next slot.
    pub fn push(&mut self, record: &NewRecord<'_>) -> Result<(), BatchError> {
        self.push_at(self.next_delta, record)
    }

    /// Adds a record `offset_delta` slots after the base offset; order is not checked, so that tests can build batches
    /// that are wrong.
    pub fn push_at(&mut self, offset_delta: i32, record: &NewRecord<'_>) -> Result<(), BatchError> {
        let base_offset = self.base_offset;
        if self.count == 0 {
            self.base_timestamp = self.delete_horizon.unwrap_or(record.timestamp);
            self.max_timestamp = record.timestamp;
        }
        self.scratch.clear();
        push_bytes(&mut self.scratch, base_offset, record.key)?;
        push_bytes(&mut self.scratch, base_offset, record.value)?;
        let split = self.scratch.len();
        for header in record.headers {
            push_bytes(&mut self.scratch, base_offset, Some(header.name))?;
            push_bytes(&mut self.scratch, base_offset, header.value)?;
        }
        let too_large = BatchError::TooLarge { base_offset };
        let (key_and_value, headers) = self.scratch.split_at(split);
        let count = u32::try_from(record.headers.len()).map_err(|_| too_large.clone())?;
        let suffix = Suffix {
            count,
            len: headers.len(),
            padded: headers,
            slots: &[],
        };
        let body = Body {
            attributes: 0,
            key_and_value,
            headers: Headers::EMPTY,
            suffix,
        };
        let timestamp_delta = record.timestamp.wrapping_sub(self.base_timestamp);
        push_record(&mut self.records, &body, timestamp_delta, offset_delta).ok_or(too_large.clone())?;
        self.max_timestamp = self.max_timestamp.max(record.timestamp);
        self.count = self.count.checked_add(1).ok_or(too_large)?;
        self.next_delta = offset_delta.wrapping_add(1);
        Ok(())
    }

    /// The batch. The builder can go on and build a longer one.
    pub fn build(&self) -> Result<RawBatch, BatchError> {
        let mut batch = vec![0; HEADER_LEN];
        Compressor::new()
            .compress(self.codec, self.level, &self.records, &mut batch)
            .map_err(|source| BatchError::codec(self.base_offset, source))?;
        let flags = attribute_bits(
            self.log_append_time.is_some(),
            self.transactional,
            self.control,
            self.delete_horizon.is_some(),
        );
        let header = BatchHeader {
            base_offset: self.base_offset,
            length: 0,
            partition_leader_epoch: self.leader_epoch,
            magic: 2,
            crc: 0,
            attributes: flags | i16::from(self.codec.id()),
            last_offset_delta: self
                .last_offset_delta
                .unwrap_or(self.next_delta.saturating_sub(1).max(0)),
            base_timestamp: self.base_timestamp,
            max_timestamp: self.log_append_time.unwrap_or(self.max_timestamp),
            producer_id: self.producer.producer_id,
            producer_epoch: self.producer.producer_epoch,
            base_sequence: self.producer.base_sequence,
            record_count: self.count,
        };
        let header = seal(header, &mut batch)?;
        Ok(RawBatch {
            header,
            bytes: Bytes::from(batch),
        })
    }
}
