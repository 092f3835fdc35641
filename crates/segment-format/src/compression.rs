//! Compression of a block as a whole, with contexts that are kept for each thread.

use std::cell::RefCell;
use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use lz4_flex::block::{CompressTable, compress_into_with_table, decompress_into, get_maximum_output_size};
use zstd_safe::{CCtx, CParameter, DCtx};

use crate::error::{Error, Result};

/// How the batches of a block are stored.
///
/// Batches that the producer compressed do not shrink again; whoever writes a block decides whether it is worth
/// trying.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// As they are.
    #[default]
    None,
    /// One LZ4 block (not a frame).
    Lz4,
    /// One Zstandard frame.
    Zstd,
}

/// The highest ratio of raw to stored bytes in a block, so that a few hostile bytes cannot ask for a gigabyte.
pub(crate) fn max_ratio(compression: Compression) -> u64 {
    match compression {
        Compression::None => 1,
        // What the format of LZ4 allows at most.
        Compression::Lz4 => 255,
        // Zstandard can do 30,000; a block that shrinks more than this is stored as LZ4.
        Compression::Zstd => 1024,
    }
}

impl Compression {
    pub(crate) fn code(self) -> u8 {
        match self {
            Compression::None => 0,
            Compression::Lz4 => 1,
            Compression::Zstd => 2,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Compression::None),
            1 => Some(Compression::Lz4),
            2 => Some(Compression::Zstd),
            _ => None,
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Compression::None => "none",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        })
    }
}

impl FromStr for Compression {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "none" => Ok(Compression::None),
            "lz4" => Ok(Compression::Lz4),
            "zstd" => Ok(Compression::Zstd),
            _ => Err(Error::Name {
                value: text.to_owned(),
                expected: "a compression (none, lz4 or zstd)",
            }),
        }
    }
}

thread_local! {
    static ZSTD_COMPRESSOR: RefCell<Option<CCtx<'static>>> = const { RefCell::new(None) };
    static ZSTD_DECOMPRESSOR: RefCell<Option<DCtx<'static>>> = const { RefCell::new(None) };
    static LZ4_TABLE: RefCell<Option<CompressTable>> = const { RefCell::new(None) };
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Why a codec gave up, in its own words.
type CodecResult<T> = std::result::Result<T, String>;

/// The concatenation of `slices` (`raw_len` bytes) in fewer bytes, and the codec that did it; `None` when it does not
/// get smaller.
pub(crate) fn compress(
    compression: Compression,
    level: i32,
    slices: &[Bytes],
    raw_len: usize,
) -> CodecResult<Option<(Compression, Vec<u8>)>> {
    let compressed = match compression {
        Compression::None => None,
        Compression::Lz4 => lz4_compress(slices, raw_len)?,
        Compression::Zstd => match zstd_compress(level, slices, raw_len)? {
            Some(stored) if !is_plausible(Compression::Zstd, raw_len as u64, stored.len() as u64) => {
                return Ok(lz4_compress(slices, raw_len)?.map(|stored| (Compression::Lz4, stored)));
            }
            other => other,
        },
    };
    Ok(compressed.map(|stored| (compression, stored)))
}

/// Whether `stored_len` bytes may stand for `raw_len` bytes.
pub(crate) fn is_plausible(compression: Compression, raw_len: u64, stored_len: u64) -> bool {
    match compression {
        Compression::None => raw_len == stored_len,
        _ => stored_len < raw_len && raw_len <= stored_len.saturating_mul(max_ratio(compression)),
    }
}

/// The `raw_len` bytes that `stored` stands for. The caller has checked that the lengths are plausible.
pub(crate) fn decompress(compression: Compression, stored: &[u8], raw_len: usize) -> CodecResult<Vec<u8>> {
    let mut raw = Vec::new();
    raw.try_reserve_exact(raw_len)
        .map_err(|error| error.to_string())?;
    let found = match compression {
        Compression::None => {
            raw.extend_from_slice(stored);
            raw.len()
        }
        Compression::Lz4 => {
            raw.resize(raw_len, 0);
            decompress_into(stored, &mut raw).map_err(|error| error.to_string())?
        }
        Compression::Zstd => zstd_decompress(stored, &mut raw)?,
    };
    if found == raw_len {
        Ok(raw)
    } else {
        Err(format!("{found} bytes instead of {raw_len}"))
    }
}

fn zstd_error(code: usize) -> String {
    zstd_safe::get_error_name(code).to_owned()
}

fn zstd_compress(level: i32, slices: &[Bytes], raw_len: usize) -> CodecResult<Option<Vec<u8>>> {
    let levels = zstd_safe::min_c_level()..=zstd_safe::max_c_level();
    if !levels.contains(&level) {
        return Err(format!("levels are {} to {}", levels.start(), levels.end()));
    }
    ZSTD_COMPRESSOR.with_borrow_mut(|slot| {
        let context = match slot {
            Some(context) => context,
            None => slot.insert(CCtx::try_create().ok_or("out of memory")?),
        };
        with_scratch(slices, raw_len, |raw, stored| {
            stored.reserve(zstd_safe::compress_bound(raw.len()));
            let window = if level <= 1 { NEAR_WINDOW } else { OWN_WINDOW };
            for parameter in [CParameter::CompressionLevel(level), CParameter::WindowLog(window)] {
                context.set_parameter(parameter).map_err(zstd_error)?;
            }
            context.compress2(stored, raw).map_err(zstd_error)
        })
    })
}

fn zstd_decompress(stored: &[u8], raw: &mut Vec<u8>) -> CodecResult<usize> {
    ZSTD_DECOMPRESSOR.with_borrow_mut(|slot| {
        let context = match slot {
            Some(context) => context,
            None => slot.insert(DCtx::try_create().ok_or("out of memory")?),
        };
        context.decompress(raw, stored).map_err(zstd_error)
    })
}

fn lz4_compress(slices: &[Bytes], raw_len: usize) -> CodecResult<Option<Vec<u8>>> {
    LZ4_TABLE.with_borrow_mut(|slot| {
        let table = slot.get_or_insert_with(CompressTable::large);
        with_scratch(slices, raw_len, |raw, stored| {
            stored.resize(get_maximum_output_size(raw.len()), 0);
            let length = compress_into_with_table(raw, stored, table).map_err(|error| error.to_string())?;
            stored.truncate(length);
            Ok(length)
        })
    })
}

/// For the fast levels: what lies 128 KiB back is still in the processor's cache. On JSON events this is an eighth faster,
/// for one hundredth more bytes.
const NEAR_WINDOW: u32 = 17;
/// What goes with the level.
const OWN_WINDOW: u32 = 0;

/// Memory that a thread keeps from block to block, as fresh megabytes cost a page fault for each of their pages.
#[derive(Default)]
struct Scratch {
    joined: Vec<u8>,
    stored: Vec<u8>,
}

/// The most that is kept. Blocks of ordinary size stay below it.
const MOST_KEPT: usize = 4 << 20;

/// Gives the concatenation of `slices` and an empty buffer to `compress`; returns what it put there, if it is shorter.
///
/// Joined first: compressors are faster with all of their input before them, by more than the copy takes.
fn with_scratch(
    slices: &[Bytes],
    raw_len: usize,
    compress: impl FnOnce(&[u8], &mut Vec<u8>) -> CodecResult<usize>,
) -> CodecResult<Option<Vec<u8>>> {
    SCRATCH.with_borrow_mut(|Scratch { joined, stored }| {
        joined.clear();
        stored.clear();
        let raw: &[u8] = match slices {
            [only] => only,
            _ => {
                joined.reserve(raw_len);
                slices.iter().for_each(|slice| joined.extend_from_slice(slice));
                joined
            }
        };
        let length = compress(raw, stored)?;
        let shorter = (length < raw_len).then(|| stored.get(..length).unwrap_or_default().to_vec());
        for buffer in [joined, stored] {
            if buffer.capacity() > MOST_KEPT {
                *buffer = Vec::new();
            }
        }
        Ok(shorter)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Compression; 3] = [Compression::None, Compression::Lz4, Compression::Zstd];

    #[test]
    fn names_and_codes_are_stable() {
        for (compression, name, code) in [
            (Compression::None, "none", 0),
            (Compression::Lz4, "lz4", 1),
            (Compression::Zstd, "zstd", 2),
        ] {
            assert_eq!(compression.to_string(), name);
            assert_eq!(name.parse::<Compression>().unwrap(), compression);
            assert_eq!(compression.code(), code);
            assert_eq!(Compression::from_code(code), Some(compression));
        }
        assert_eq!(Compression::from_code(3), None);
        assert!("ZSTD".parse::<Compression>().is_err());
    }

    #[test]
    fn slices_come_back_as_their_concatenation() {
        let slices: Vec<Bytes> = (0..200u32)
            .map(|i| Bytes::from(vec![(i % 7) as u8; 1 + i as usize * 3]))
            .collect();
        let raw = slices.concat();
        for compression in [Compression::Lz4, Compression::Zstd] {
            // Twice: a context that was used must be as good as a new one.
            for _ in 0..2 {
                let (used, stored) = compress(compression, 3, &slices, raw.len()).unwrap().unwrap();
                assert_eq!(used, compression);
                assert!(stored.len() < raw.len());
                assert_eq!(decompress(compression, &stored, raw.len()).unwrap(), raw);
                assert!(decompress(compression, &stored, raw.len() - 1).is_err());
                assert!(decompress(compression, &stored, raw.len() + 1).is_err());
            }
        }
    }

    #[test]
    fn what_does_not_shrink_is_not_compressed() {
        let mut state = 1u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .take(300_000)
        .collect();
        for raw in [
            Bytes::from(noise),
            Bytes::from_static(b"x"),
            Bytes::from_static(b"xyz"),
        ] {
            for compression in ALL {
                assert!(
                    compress(compression, 3, std::slice::from_ref(&raw), raw.len())
                        .unwrap()
                        .is_none()
                );
            }
        }
    }

    #[test]
    fn what_shrinks_beyond_the_ratio_is_stored_as_lz4() {
        let zeros = Bytes::from(vec![0; 4 << 20]);
        let (used, stored) = compress(Compression::Zstd, 3, std::slice::from_ref(&zeros), zeros.len())
            .unwrap()
            .unwrap();
        assert_eq!(used, Compression::Lz4);
        assert!(is_plausible(used, zeros.len() as u64, stored.len() as u64));
        assert_eq!(decompress(used, &stored, zeros.len()).unwrap(), zeros);
    }

    #[test]
    fn a_level_that_zstd_does_not_have_is_an_error() {
        let raw = Bytes::from_static(b"abcabcabcabcabcabcabcabcabc");
        assert!(compress(Compression::Zstd, 23, std::slice::from_ref(&raw), raw.len()).is_err());
        assert!(compress(Compression::Zstd, 22, std::slice::from_ref(&raw), raw.len()).is_ok());
    }
}
