//! Forms of compressed data that our own writers do not produce, and other clients do.

use std::io::Write;

use super::xxh32::xxh32;
use super::*;

const LIMIT: usize = 1 << 20;

fn read(codec: Codec, input: &[u8]) -> Result<Vec<u8>, CodecError> {
    let mut scratch = Vec::new();
    Decompressor::new()
        .decompress(codec, input, LIMIT, &mut scratch)
        .map(<[u8]>::to_vec)
}

fn compress(codec: Codec, input: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Compressor::new().compress(codec, None, input, &mut out).unwrap();
    out
}

fn text(len: usize) -> Vec<u8> {
    (0..len)
        .map(|i| b"{\"user\": , name}"[(i * i / 7) % 16])
        .collect()
}

/// An lz4 frame of blocks that reach into the blocks before, with every checksum there is, and the content's size.
fn linked_lz4_frame(content: &[u8], block: usize) -> Vec<u8> {
    let mut descriptor = vec![0b0101_1100, 4 << 4];
    descriptor.extend((content.len() as u64).to_le_bytes());
    let mut out = 0x184d_2204u32.to_le_bytes().to_vec();
    out.extend(&descriptor);
    out.push((xxh32(&descriptor) >> 8) as u8);
    for (index, chunk) in content.chunks(block).enumerate() {
        let before = &content[(index * block).saturating_sub(65_536)..index * block];
        let mut compressed = vec![0; lz4_flex::block::get_maximum_output_size(chunk.len())];
        let len = lz4_flex::block::compress_into_with_dict(chunk, &mut compressed, before).unwrap();
        compressed.truncate(len);
        out.extend((len as u32).to_le_bytes());
        out.extend(&compressed);
        out.extend(xxh32(&compressed).to_le_bytes());
    }
    out.extend(0u32.to_le_bytes());
    out.extend(xxh32(content).to_le_bytes());
    out
}

#[test]
fn lz4_with_dependent_blocks_and_checksums() {
    for len in [0, 1, 100, 5_000, 200_000] {
        let content = text(len);
        for block in [700, 65_536] {
            let frame = linked_lz4_frame(&content, block);
            assert_eq!(read(Codec::Lz4, &frame).unwrap(), content);
            assert_eq!(
                read(Codec::Lz4, &[&frame[..], &frame].concat()).unwrap(),
                content.repeat(2)
            );
        }
    }
}

#[test]
fn every_damaged_byte_of_a_checked_lz4_frame_is_seen() {
    let content = text(2_000);
    let frame = linked_lz4_frame(&content, 700);
    for at in 0..frame.len() {
        let mut damaged = frame.clone();
        damaged[at] ^= 1 << (at % 8);
        assert_ne!(
            read(Codec::Lz4, &damaged).as_deref(),
            Ok(&content[..]),
            "byte {at}"
        );
    }
}

#[test]
fn lz4_header_checksum_of_the_first_clients_covered_the_magic() {
    let content = text(3_000);
    let mut frame = compress(Codec::Lz4, &content);
    frame[6] = (xxh32(&frame[..6]) >> 8) as u8;
    assert_eq!(read(Codec::Lz4, &frame).unwrap(), content);
    frame[6] ^= 1;
    assert!(read(Codec::Lz4, &frame).is_err());
}

#[test]
fn lz4_frames_with_large_blocks_take_memory_for_what_a_block_can_hold() {
    let mut frame = compress(Codec::Lz4, &[5; 3_000]);
    frame[5] = 7 << 4;
    frame[6] = (xxh32(&frame[4..6]) >> 8) as u8;
    let mut scratch = Vec::new();
    let read = Decompressor::new()
        .decompress(Codec::Lz4, &frame, usize::MAX, &mut scratch)
        .unwrap();
    assert_eq!(read, [5; 3_000]);
    assert!(
        scratch.capacity() <= frame.len() * 255,
        "a block of 4 MiB was not what it took"
    );
}

#[test]
fn lz4_skippable_frames_are_skipped() {
    let mut frame = 0x184d_2a53u32.to_le_bytes().to_vec();
    frame.extend(3u32.to_le_bytes());
    frame.extend(b"abc");
    frame.extend(compress(Codec::Lz4, b"content"));
    assert_eq!(read(Codec::Lz4, &frame).unwrap(), b"content");
}

#[test]
fn snappy_without_framing() {
    let content = text(100_000);
    let raw = snap::raw::Encoder::new().compress_vec(&content).unwrap();
    assert_eq!(read(Codec::Snappy, &raw).unwrap(), content);
    assert_eq!(
        read(
            Codec::Snappy,
            &snap::raw::Encoder::new().compress_vec(&[]).unwrap()
        )
        .unwrap(),
        b""
    );
}

#[test]
fn snappy_length_that_cannot_be_is_refused_before_memory_is_taken() {
    let mut scratch = Vec::new();
    let claim = [0xff, 0xff, 0xff, 0x7f, 0, 0];
    let result = Decompressor::new().decompress(Codec::Snappy, &claim, usize::MAX, &mut scratch);
    assert!(matches!(
        result,
        Err(CodecError::Corrupt {
            codec: Codec::Snappy,
            ..
        })
    ));
    assert_eq!(scratch.capacity(), 0);
}

fn gzip_member(content: &[u8]) -> Vec<u8> {
    // With a file name in the header, as command line tools write it.
    let mut writer = flate2::GzBuilder::new()
        .filename("a")
        .write(Vec::new(), flate2::Compression::default());
    writer.write_all(content).unwrap();
    writer.finish().unwrap()
}

#[test]
fn gzip_members_of_equal_size_are_not_mistaken_for_one() {
    let (a, b) = (text(500), vec![b'b'; 500]);
    for second in [&b, &a] {
        let both = [gzip_member(&a), gzip_member(second)].concat();
        assert_eq!(read(Codec::Gzip, &both).unwrap(), [&a[..], second].concat());
    }
    assert_eq!(read(Codec::Gzip, &gzip_member(&a)).unwrap(), a);
}

#[test]
fn gzip_data_of_extreme_density_is_read_and_bounded() {
    let content = vec![0; LIMIT];
    let member = gzip_member(&content);
    assert!(member.len() * 500 < content.len());
    assert_eq!(read(Codec::Gzip, &member).unwrap(), content);
    let over = gzip_member(&vec![0; LIMIT + 1]);
    assert_eq!(
        read(Codec::Gzip, &over),
        Err(CodecError::OverLimit {
            codec: Codec::Gzip,
            limit: LIMIT
        })
    );
}

/// Frames as the Java client streams them: no content size, a window that the data does not need.
fn streamed_zstd_frame(content: &[u8], window_log: u32, checksum: bool) -> Vec<u8> {
    use zstd_safe::{CParameter, OutBuffer};
    let mut context = zstd_safe::CCtx::create();
    context.set_parameter(CParameter::WindowLog(window_log)).unwrap();
    context.set_parameter(CParameter::ChecksumFlag(checksum)).unwrap();
    let mut out = vec![0; zstd_safe::compress_bound(content.len()) + 64];
    let mut target = OutBuffer::around(&mut out[..]);
    for chunk in content.chunks(5_000) {
        let mut input = zstd_safe::InBuffer::around(chunk);
        context.compress_stream(&mut target, &mut input).unwrap();
        context.flush_stream(&mut target).unwrap();
    }
    context.end_stream(&mut target).unwrap();
    let len = target.pos();
    out.truncate(len);
    out
}

#[test]
fn zstd_without_content_size_and_with_a_huge_window() {
    let content = text(40_000);
    let (plain, wide) = (
        streamed_zstd_frame(&content, 17, true),
        streamed_zstd_frame(&content, 27, false),
    );
    assert_eq!(read(Codec::Zstd, &plain).unwrap(), content);
    assert_eq!(
        read(Codec::Zstd, &[&wide[..], &plain].concat()).unwrap(),
        content.repeat(2)
    );
    let mut skippable = 0x184d_2a5fu32.to_le_bytes().to_vec();
    skippable.extend([2, 0, 0, 0, 9, 9]);
    assert_eq!(
        read(Codec::Zstd, &[&plain[..], &skippable, &wide].concat()).unwrap(),
        content.repeat(2)
    );
}

#[test]
fn zstd_of_extreme_density_takes_memory_as_it_comes() {
    let content = vec![7; LIMIT];
    let frame = streamed_zstd_frame(&content, 20, false);
    assert_eq!(read(Codec::Zstd, &frame).unwrap(), content);
    let over = streamed_zstd_frame(&vec![7; LIMIT + 1], 20, false);
    assert_eq!(
        read(Codec::Zstd, &over),
        Err(CodecError::OverLimit {
            codec: Codec::Zstd,
            limit: LIMIT
        })
    );
}

#[test]
fn bytes_behind_the_data_are_errors() {
    for codec in &Codec::ALL[1..] {
        let mut compressed = compress(*codec, b"content");
        compressed.extend([1, 2, 3]);
        assert!(
            matches!(read(*codec, &compressed), Err(CodecError::Corrupt { .. })),
            "{codec}"
        );
    }
}
