//! The codecs: reading what may be hostile, and reading back what was written.

use kafka_wire::codec::{Codec, CodecError, Compressor, Decompressor};

use crate::input::Input;
use crate::memory::bounded;

/// gzip.
pub fn gzip(data: &[u8]) {
    codec(Codec::Gzip, data);
}

/// snappy, framed and raw.
pub fn snappy(data: &[u8]) {
    codec(Codec::Snappy, data);
}

/// lz4 frames.
pub fn lz4(data: &[u8]) {
    codec(Codec::Lz4, data);
}

/// zstd frames.
pub fn zstd(data: &[u8]) {
    codec(Codec::Zstd, data);
}

fn codec(codec: Codec, data: &[u8]) {
    let mut input = Input::new(data);
    let limit = 1usize << (input.u8() % 21);
    let level = Some(i32::from(input.u8() as i8));
    decode(codec, input.rest, limit);
    there_and_back(codec, level, input.rest);
}

/// Memory that a decoder may take for `input`, as long as it has not written anything: what the densest data of its kind
/// would take, but for zstd and gzip, which must do with a small part of that.
fn before_output(codec: Codec, input: usize) -> usize {
    match codec {
        Codec::None => 0,
        Codec::Gzip | Codec::Zstd => (128 << 10) + 2 * 16 * input,
        Codec::Snappy => 2 * 22 * input,
        Codec::Lz4 => 2 * 255 * input,
    }
}

fn decode(codec: Codec, input: &[u8], limit: usize) {
    let mut decompressor = Decompressor::new();
    let mut scratch = Vec::new();
    let result = bounded(
        || {
            decompressor
                .decompress(codec, input, limit, &mut scratch)
                .map(<[u8]>::to_vec)
        },
        |result| match result {
            Ok(output) => before_output(codec, input.len()) + 6 * output.len(),
            // How much came before the error is not known, but the limit is.
            Err(_) => 3 * limit,
        },
    );
    assert!(scratch.len() <= limit, "the buffer is larger than the limit");
    let len = match result {
        Ok(ref output) => output.len(),
        Err(CodecError::OverLimit { limit: stated, .. }) => {
            assert_eq!(stated, limit);
            limit + 1
        }
        Err(_) => return,
    };
    assert_eq!(len <= limit, result.is_ok());
    let Ok(output) = result else { return };
    // A used context and a used buffer give the same; a limit that is just enough does, and one less does not.
    let again = decompressor.decompress(codec, input, output.len(), &mut scratch);
    assert_eq!(again, Ok(&output[..]));
    if let Some(less) = output.len().checked_sub(1) {
        let refused = decompressor.decompress(codec, input, less, &mut scratch);
        assert_eq!(refused, Err(CodecError::OverLimit { codec, limit: less }));
    }
}

fn there_and_back(codec: Codec, level: Option<i32>, input: &[u8]) {
    // The highest levels of zstd take tens of milliseconds to begin.
    let level = level.map(|level| level.min(9));
    let mut compressor = Compressor::new();
    let mut compressed = b"before".to_vec();
    compressor
        .compress(codec, level, input, &mut compressed)
        .expect("compression");
    assert_eq!(compressed[..6], b"before"[..]);
    let mut decompressor = Decompressor::new();
    let mut scratch = Vec::new();
    let output = decompressor.decompress(codec, &compressed[6..], input.len(), &mut scratch);
    assert_eq!(output, Ok(input));
    let mut again = Vec::new();
    compressor
        .compress(codec, level, input, &mut again)
        .expect("compression");
    assert_eq!(again, compressed[6..], "the same input gives the same bytes");
}
