//! What can be wrong with the log of one partition, as opposed to with a request or a connection.

use crate::batch::BatchError;

/// Why a partition cannot be read or written any further. What may pass by waiting was waited for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PartitionProblem {
    /// A fetched batch is damaged, or a batch to be written cannot be.
    #[error(transparent)]
    Batch(#[from] BatchError),

    /// The topic was deleted and created again: this is another log, with offsets of its own.
    #[error("the topic was deleted and created again (its id was {}, now it is {})", Hex(.asked), Hex(.found))]
    TopicReplaced {
        /// The topic id that was asked for.
        asked: [u8; 16],
        /// The id of the topic that has the name now.
        found: [u8; 16],
    },

    /// The log was cut behind the reader's back (an unclean leader election): what was read is not what it holds now.
    #[error(
        "the log was truncated: offset {offset} was reached in leader epoch {last_epoch}, \
         but that history now ends at offset {end_offset} in epoch {epoch}"
    )]
    Truncated {
        /// The offset to be read next.
        offset: i64,
        /// The leader epoch of the batch read before it.
        last_epoch: i32,
        /// The newest epoch not after it that the leader knows.
        epoch: i32,
        /// Where that epoch ends in the leader's log.
        end_offset: i64,
    },

    /// The log ends before the end offset that was asked for. It passes while a new leader learns what is replicated; when
    /// it stays, the log was cut.
    #[error(
        "the log can be read to offset {readable} only, and is to be read to {end}: it may have been truncated"
    )]
    EndMissing {
        /// Where what can be read ends.
        readable: i64,
        /// The end offset that was asked for.
        end: i64,
    },

    /// The log does not know the leader epoch in which the reader's offset was reached, although it holds the offset.
    #[error(
        "offset {offset} was reached in leader epoch {last_epoch}, of which the log knows nothing: it is another history"
    )]
    UnknownEpoch {
        /// The offset to be read next.
        offset: i64,
        /// The leader epoch of the batch read before it.
        last_epoch: i32,
    },

    /// The broker keeps answering with data that lies before the offset asked for.
    #[error("the broker answered {answers} times with nothing at or after offset {offset}")]
    NoProgress {
        /// The offset asked for.
        offset: i64,
        /// How often.
        answers: u32,
    },

    /// A fetched batch is where none can be: before what was read last, over it, or beyond the end of the log. Its base offset is
    /// not covered by its checksum.
    #[error(
        "a batch that says it is at offset {found} came where offset {offset} is due (high watermark {high_watermark}): \
         it was damaged on the way, or is damaged in the log"
    )]
    OutOfPlace {
        /// The offset to be read next.
        offset: i64,
        /// The offset that the batch names.
        found: i64,
        /// The end of the log, as the same answer tells it; negative when it does not.
        high_watermark: i64,
    },

    /// The broker answers with nothing although there is something. It passes when the broker reads slowly from a remote
    /// store.
    #[error(
        "the broker answered with nothing at offset {offset}, although the log can be read to offset {readable}"
    )]
    Withheld {
        /// The offset asked for.
        offset: i64,
        /// Where what can be read ends.
        readable: i64,
    },

    /// A batch is larger than the largest response that is accepted, or says so again and again.
    #[error(
        "a batch at offset {offset} has {bytes} bytes, more than the largest response accepted ({limit})"
    )]
    BatchTooLarge {
        /// The offset asked for.
        offset: i64,
        /// Bytes of the batch.
        bytes: u64,
        /// The limit.
        limit: u64,
    },

    /// A batch is larger than the broker accepts in one request: it ends the connection, and has read nothing of it.
    #[error(
        "the broker ends the connection on a request of {bytes} bytes; {}, or write smaller batches",
        RequestLimit(.limit)
    )]
    RequestTooLarge {
        /// Bytes of the request, which contains this batch alone.
        bytes: u64,
        /// The broker's `socket.request.max.bytes`; `None` when it does not tell.
        limit: Option<u64>,
    },

    /// A batch was acknowledged at another offset than the next one of an exclusive writer.
    #[error(
        "somebody else writes to the partition: a batch was stored at offset {acknowledged}, expected was {expected}"
    )]
    UnexpectedOffset {
        /// The offset that the batch had to get.
        expected: i64,
        /// The offset that it got.
        acknowledged: i64,
    },

    /// The log holds something that this writer did not send.
    #[error("somebody else wrote to the partition: offset {offset} holds {found}")]
    ForeignWrite {
        /// Where.
        offset: i64,
        /// What is there.
        found: String,
    },

    /// The log ends before what was acknowledged: data was lost by the cluster, or deleted.
    #[error("the log ends at offset {log_end}, but everything up to {expected} had been acknowledged")]
    LogShrunk {
        /// Where it had to end at least.
        expected: i64,
        /// Where it ends.
        log_end: i64,
    },

    /// Markers to fill a gap are not in the log, although the broker says that they are.
    #[error("the broker says that it has written transaction markers, and offset {offset} holds none")]
    MarkersMissing {
        /// The first offset of the gap.
        offset: i64,
    },

    /// Old brokers cannot take this batch.
    #[error("the broker is too old for batches compressed with zstd")]
    ZstdUnsupported,

    /// The broker keeps refusing this writer's sequence numbers although the log is as it should be.
    #[error("the broker refuses the producer's sequence numbers at offset {offset}")]
    SequenceRefused {
        /// The offset of the first batch refused.
        offset: i64,
    },

    /// No offset is left.
    #[error("no offsets are left after {offset}")]
    OffsetsExhausted {
        /// The offset of the batch that does not fit.
        offset: i64,
    },

    /// The writer was used after the producer had been closed.
    #[error("the producer was closed")]
    ProducerClosed,
}

/// What to do about a broker's limit for requests.
struct RequestLimit<'a>(&'a Option<u64>);

impl std::fmt::Display for RequestLimit<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(limit) => write!(f, "raise its socket.request.max.bytes, which is {limit}"),
            None => write!(
                f,
                "its socket.request.max.bytes may be too small (it does not tell): raise it"
            ),
        }
    }
}

/// Bytes in hexadecimal.
struct Hex<'a>(&'a [u8; 16]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
