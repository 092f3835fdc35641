//! Record batches as bytes: reading them in place, and rewriting as little of them as possible.
//!
//! A slab of log data is walked with [`BatchIter`]; each [`RawBatch`] is checked by its CRC and otherwise left alone.
//! Whoever needs the records decompresses and walks them in place ([`RecordIter`]), without an allocation per record.
//! To write a batch to another cluster, [`ProducePatch`] gives it a new header when [`Passthrough`] says that this is
//! enough; else a [`Transcoder`] writes the records again. Message sets of the formats 0 and 1 can be read
//! ([`LegacyEntry`]) and transcoded, never written.
//!
//! Facts about the format come from Apache Kafka's `DefaultRecordBatch` and `DefaultRecord`.

mod append;
mod buffer;
mod build;
mod crc;
mod error;
mod header;
mod iter;
mod legacy;
mod output;
mod passthrough;
mod patch;
mod records;
mod transcode;
mod usual;
mod varint;
mod write;

pub use crate::codec::Codec;
pub use append::{AppendedHeader, AppendedValue, ORIGINAL_OFFSET, ORIGINAL_TIMESTAMP, SOURCE_CLUSTER};
pub use build::{BatchBuilder, NewRecord};
pub use crc::crc32c;
pub use error::BatchError;
pub use header::{BatchHeader, CRC_START, HEADER_LEN, LENGTH_OVERHEAD, RawBatch};
pub use iter::{BatchIter, LogEntry};
pub use legacy::{LegacyEntry, LegacyRecord, LegacyRecords};
pub use output::{SourceRun, Transcoded};
pub use passthrough::{Obstacle, Passthrough};
pub use patch::ProducePatch;
pub use records::{Header, HeaderError, HeaderIter, Headers, Record, RecordIter};
pub use transcode::{TranscodeOptions, Transcoder};

#[cfg(test)]
mod tests;
