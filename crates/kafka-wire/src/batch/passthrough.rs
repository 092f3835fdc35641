//! Which batches can be produced again with their record bytes untouched.

use super::BatchHeader;

/// Whether a fetched batch can be produced as it is, but for its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passthrough {
    /// A new header ([`super::ProducePatch`]) is all it takes.
    Yes,
    /// The records have to be written again ([`super::Transcoder`]), or the batch is not to be written at all.
    No(Obstacle),
}

/// Why a batch cannot be passed through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Obstacle {
    /// A transaction marker: clients cannot write those.
    Control,
    /// No record is left in the batch: there is nothing to write.
    Empty,
    /// Fewer records than offsets: brokers refuse such a batch from a producer.
    Compacted,
    /// The records still hold the producer's times, which no consumer of the source saw.
    LogAppendTime,
    /// A codec number that Kafka does not define.
    UnknownCodec,
    /// The records do not parse, or their offset deltas are not 0, 1, 2, ...: a broker would store them as they are.
    Records,
    /// Headers are to be appended to every record.
    AppendedHeaders,
    /// Some offsets of the batch are not wanted.
    OffsetRange,
    /// Every record's own timestamp has to be looked at.
    TimestampRange,
    /// Another codec is wanted.
    Codec,
    /// The batch is larger than the target takes.
    TooLarge,
}

impl std::fmt::Display for Obstacle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Control => "control batch",
            Self::Empty => "no records",
            Self::Compacted => "records were removed by compaction",
            Self::LogAppendTime => "append times have to be written into the records",
            Self::UnknownCodec => "unknown compression codec",
            Self::Records => "the records are malformed or not consecutive",
            Self::AppendedHeaders => "headers have to be appended",
            Self::OffsetRange => "part of it lies outside the offset range",
            Self::TimestampRange => "records have to be filtered by time",
            Self::Codec => "another codec is wanted",
            Self::TooLarge => "larger than the largest batch of the target",
        })
    }
}

impl Passthrough {
    /// What the header says. Transactional and delete-horizon bits are no obstacle: the patch clears them, and record
    /// timestamps keep counting from the same base.
    ///
    /// The record bytes are not looked at; brokers do not check offset deltas of uncompressed batches either, so see
    /// [`super::Transcoder::passthrough`], which does.
    pub fn check(header: &BatchHeader) -> Self {
        if header.is_control() {
            Self::No(Obstacle::Control)
        } else if header.record_count == 0 {
            Self::No(Obstacle::Empty)
        } else if !header.is_dense() {
            Self::No(Obstacle::Compacted)
        } else if header.is_log_append_time() {
            Self::No(Obstacle::LogAppendTime)
        } else if header.compression().is_err() {
            Self::No(Obstacle::UnknownCodec)
        } else {
            Self::Yes
        }
    }
}
