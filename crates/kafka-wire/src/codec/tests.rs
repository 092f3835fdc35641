//! Every codec, forth and back, and on hostile input.

use proptest::prelude::*;

use super::*;

fn compress(codec: Codec, level: Option<i32>, input: &[u8]) -> Vec<u8> {
    let mut out = b"before".to_vec();
    Compressor::new().compress(codec, level, input, &mut out).unwrap();
    assert_eq!(out.drain(..6).as_slice(), b"before");
    out
}

fn decompress(codec: Codec, input: &[u8], limit: usize) -> Result<Vec<u8>, CodecError> {
    let mut scratch = Vec::new();
    Decompressor::new()
        .decompress(codec, input, limit, &mut scratch)
        .map(<[u8]>::to_vec)
}

/// Bytes of every density, some longer than the blocks of the codecs.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..3000),
        (any::<u8>(), 0..200_000usize).prop_map(|(byte, len)| vec![byte; len]),
        (prop::collection::vec(any::<u8>(), 1..50), 0..2000usize)
            .prop_map(|(unit, times)| unit.repeat(times)),
    ];
    prop::collection::vec(part, 0..5).prop_map(|parts| parts.concat())
}

fn compressing() -> impl Strategy<Value = Codec> {
    prop::sample::select(Codec::ALL[1..].to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn forth_and_back(input in payload(), codec in compressing(), level in prop::option::of(-100..100i32)) {
        let compressed = compress(codec, level, &input);
        prop_assert_eq!(decompress(codec, &compressed, input.len()).unwrap(), &input[..]);
        if let Some(limit) = input.len().checked_sub(1) {
            prop_assert_eq!(decompress(codec, &compressed, limit), Err(CodecError::OverLimit { codec, limit }));
        }
    }

    #[test]
    fn contexts_and_buffers_are_reused(inputs in prop::collection::vec((payload(), compressing()), 1..6)) {
        let (mut compressor, mut decompressor) = (Compressor::new(), Decompressor::new());
        let mut scratch = Vec::new();
        for (input, codec) in inputs {
            let mut out = Vec::new();
            compressor.compress(codec, None, &input, &mut out).unwrap();
            prop_assert_eq!(decompressor.decompress(codec, &out, input.len(), &mut scratch).unwrap(), &input[..]);
            prop_assert!(decompressor.decompress(codec, &out[..out.len() - 1], 1 << 20, &mut scratch).is_err());
            prop_assert_eq!(decompressor.decompress(codec, &out, input.len(), &mut scratch).unwrap(), &input[..]);
        }
    }

    #[test]
    fn several_streams_in_a_row_are_one(parts in prop::collection::vec(payload(), 2..4), codec in compressing()) {
        let compressed = parts.iter().map(|part| compress(codec, None, part)).collect::<Vec<_>>().concat();
        let whole = parts.concat();
        prop_assert_eq!(decompress(codec, &compressed, whole.len()).unwrap(), whole);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn damage_never_panics_and_memory_stays_bounded(
        input in prop::collection::vec(0..4u8, 0..600),
        codec in compressing(),
        at: prop::sample::Index,
        byte: u8,
        cut: prop::sample::Index,
    ) {
        let mut compressed = compress(codec, None, &input);
        let at = at.index(compressed.len());
        compressed[at] ^= byte;
        compressed.truncate(cut.index(compressed.len() + 1));
        let mut scratch = Vec::new();
        let result = Decompressor::new().decompress(codec, &compressed, 1 << 24, &mut scratch).map(<[u8]>::len);
        let needed = result.unwrap_or(0);
        prop_assert!(scratch.len() <= needed * 2 + compressed.len() * 255 + (128 << 10), "{}", scratch.len());
    }

    #[test]
    fn random_bytes_never_panic(input in prop::collection::vec(any::<u8>(), 0..200), codec in compressing()) {
        drop(decompress(codec, &input, 1 << 20));
    }
}

#[test]
fn every_cut_is_seen() {
    let input: Vec<u8> = (0..2000u32).flat_map(|i| (i * i).to_le_bytes()).collect();
    for codec in &Codec::ALL[1..] {
        let compressed = compress(*codec, None, &input);
        for cut in 0..compressed.len() {
            let result = decompress(*codec, &compressed[..cut], 1 << 20);
            assert!(result.as_deref() != Ok(&input[..]), "{codec} cut at {cut}");
        }
    }
}

#[test]
fn names_and_numbers() {
    for (codec, id) in Codec::ALL.into_iter().zip(0..) {
        assert_eq!((codec.id(), Codec::from_id(id)), (id, Some(codec)));
        assert_eq!(codec.name().parse(), Ok(codec));
    }
    assert_eq!(Codec::from_id(5), None);
    assert!("brotli".parse::<Codec>().is_err());
}
