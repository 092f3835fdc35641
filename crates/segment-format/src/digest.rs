//! The digest of a segment.

/// Digests the bytes of a segment as they pass: BLAKE3, with 256 bits.
///
/// Strong, so that nobody can make another segment with the same digest, and several times as fast as SHA-256, which would
/// take more time than everything else that is done to a compressed batch on its way into a segment.
#[derive(Clone, Default)]
pub struct SegmentDigest(blake3::Hasher);

impl SegmentDigest {
    /// Of no bytes yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in the next bytes of the object.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes so far.
    pub fn finish(&self) -> [u8; 32] {
        self.0.finalize().into()
    }

    /// The digest of a whole object.
    pub fn of(object: &[u8]) -> [u8; 32] {
        blake3::hash(object).into()
    }
}

impl std::fmt::Debug for SegmentDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SegmentDigest").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_the_published_value_in_whatever_pieces_the_bytes_come() {
        // The first 32 bytes of the official test vector for 2048 bytes, and for none.
        let input: Vec<u8> = (0..2048u32).map(|i| (i % 251) as u8).collect();
        let published = "e776b6028c7cd22a4d0ba182a8bf62205d2ef576467e838ed6f2529b85fba24a";
        let mut digest = SegmentDigest::new();
        for piece in input.chunks(1000) {
            digest.update(piece);
        }
        assert_eq!(crate::checksum::hex(&digest.finish()), published);
        assert_eq!(SegmentDigest::of(&input), digest.finish());
        let empty = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!(crate::checksum::hex(&SegmentDigest::new().finish()), empty);
    }
}
