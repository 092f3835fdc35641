//! The offset mapping report: the JSON form of an [`OffsetMapping`].
//!
//! ```json
//! {
//!   "entries": {
//!     "orders/0": {
//!       "topic": "orders", "partition": 0,
//!       "source_first_offset": 0, "source_last_offset": 1000,
//!       "target_first_offset": 5000, "target_last_offset": 6000,
//!       "first_timestamp": 1700000000000, "last_timestamp": 1700001000000,
//!       "backup_start_offset": 0, "backup_end_offset": 1001, "gaps": [],
//!       "target_next_offset": 6001, "records": 1001
//!     }
//!   },
//!   "detailed_mappings": {
//!     "orders/0": [
//!       { "source_offset": 0, "target_offset": 5000, "timestamp": 1700000000000, "length": 1001 }
//!     ]
//!   },
//!   "consumer_groups": {
//!     "order-processor": {
//!       "group_id": "order-processor",
//!       "offsets": { "orders": { "0": {
//!         "source_offset": 750, "target_offset": 5750, "timestamp": null,
//!         "resolution": "exact", "metadata": ""
//!       } } }
//!     }
//!   },
//!   "source_cluster_id": "prod-us-east-1",
//!   "created_at": 1700002000000
//! }
//! ```
//!
//! A pair of offsets without a `length` is one record, so that a report with an element per record is the
//! same format. The keys after `last_timestamp`, and `resolution`, may be missing; [`read`] says what then
//! holds.

mod entry;
mod format;
mod read;
mod unique;
mod write;

use std::io;

pub(crate) use format::pretty;
pub(crate) use write::pairs;

use crate::mapping::OffsetMapping;

/// How many records an element of `detailed_mappings` stands for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Pairs {
    /// A run of records, with its `length`.
    #[default]
    Runs,
    /// One record. The report is as long as the restore, and is written without being held in memory.
    All,
}

impl OffsetMapping {
    /// Writes the report as indented JSON, piece by piece. Give it a buffered writer.
    ///
    /// # Errors
    ///
    /// Those of the writer.
    pub fn write_json(&self, out: impl io::Write, pairs: Pairs) -> io::Result<()> {
        pretty(out, &write::Report { mapping: self, pairs }, 1)
    }

    /// Reads a report in either form. `serde_json::from_reader` does the same; this one buffers, and its errors
    /// are of this crate.
    ///
    /// # Errors
    ///
    /// [`Error::Json`](crate::Error::Json), also when reading fails.
    pub fn read_json(input: impl io::Read) -> Result<Self, crate::Error> {
        serde_json::from_reader(io::BufReader::new(input)).map_err(crate::Error::json)
    }
}
