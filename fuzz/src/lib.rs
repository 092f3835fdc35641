//! One function for each decoder of bytes that come from a network or a file. Each takes any bytes whatsoever, and
//! panics when the decoder does what it must not: panic, not end, take memory out of proportion, contradict itself or
//! a second way to the same result.
//!
//! The programs in `fuzz_targets` hand the functions to a fuzzing engine; the test in `tests` replays the corpus through
//! the same functions without one.

mod batches;
mod codecs;
mod documents;
mod input;
mod legacy;
mod memory;
mod network;
mod segments;
mod transcoding;

pub use batches::{batch, slab};
pub use codecs::{gzip, lz4, snappy, zstd};
pub use documents::{manifest, mapping};
pub use legacy::legacy;
pub use network::{fetch, frame, login, produce, response};
pub use segments::segment;
pub use transcoding::transcode;

/// A target: takes any bytes, and panics when something is wrong.
pub type Target = fn(&[u8]);

/// All targets by name; the folder of the corpus and the program are called the same.
pub const ALL: [(&str, Target); 16] = [
    ("batch", batch),
    ("slab", slab),
    ("transcode", transcode),
    ("legacy", legacy),
    ("gzip", gzip),
    ("snappy", snappy),
    ("lz4", lz4),
    ("zstd", zstd),
    ("frame", frame),
    ("response", response),
    ("login", login),
    ("fetch", fetch),
    ("produce", produce),
    ("segment", segment),
    ("manifest", manifest),
    ("mapping", mapping),
];
