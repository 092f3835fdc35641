//! What comes from a broker: frames, responses, Fetch and Produce responses.

use bytes::Bytes;
use kafka_wire::fuzzing;

use crate::input::Input;
use crate::memory::bounded;

/// Frames: those that are found are those that are there, and none is larger than the limit.
pub fn frame(data: &[u8]) {
    let mut input = Input::new(data);
    let limit = 4 << (input.u8() % 20);
    let stream = input.rest;
    let mut position = 0;
    // Room is made for a frame before its bytes are there: that is what the limit is for. Sizes are rounded up.
    let ended = bounded(
        || {
            fuzzing::frames(stream, limit, |frame| {
                assert!((4..=limit).contains(&frame.len()));
                let length = stream[position..].first_chunk::<4>().expect("a length");
                assert_eq!(u32::from_be_bytes(*length) as usize, frame.len());
                assert_eq!(stream[position + 4..][..frame.len()], *frame);
                position += 4 + frame.len();
            })
        },
        |_| limit + (256 << 10),
    );
    assert!(!ended.is_empty());
}

/// The decoders of the other responses reserve room for what an array announces, at most for one element more than there
/// are bytes (in the flexible encoding 2^8 if that is more), once for each level of nesting.
const LARGEST_ELEMENT: usize = 256;
const NESTING: usize = 4;

/// Responses other than Fetch and Produce, behind the guard that checks their lengths.
pub fn response(data: &[u8]) {
    let mut input = Input::new(data);
    let (api, version) = (input.u8(), i16::from(input.u8()));
    let body = Bytes::copy_from_slice(input.rest);
    bounded(
        || fuzzing::response(api, version, body),
        |_| NESTING * LARGEST_ELEMENT * (input.rest.len() + (1 << 8)),
    );
}

/// A partition in memory, twice, as lists grow by doubling; and a topic with it.
const LARGEST_PARTITION: usize = 2 * (256 + 96);

/// Fetch responses: parsed as the generated message type parses them, the records slices of the body.
pub fn fetch(data: &[u8]) {
    let mut input = Input::new(data);
    let version = i16::from(input.u8());
    let body = Bytes::copy_from_slice(input.rest);
    let inside = body.as_ptr_range();
    // Partitions are read only as far as they were asked for. Of the rest only aborted transactions are kept, which are
    // as large as they are on the wire.
    for asked in [4, 1000] {
        let slabs = bounded(
            || fuzzing::fetch_response(version, body.clone(), asked),
            |_| asked * LARGEST_PARTITION + 4 * body.len(),
        );
        for slab in slabs.into_iter().flatten() {
            let slab = slab.as_ptr_range();
            assert!(
                slab.is_empty() || (inside.start <= slab.start && slab.end <= inside.end),
                "records were copied"
            );
        }
    }
    fuzzing::fetch_response_is_read_as_it_was_written(version, body);
}

/// Of each byte: a partition takes at least 22 on the wire, and words that are no text become longer.
const PRODUCED: usize = 32;

/// Produce responses: parsed as the generated message type parses them.
pub fn produce(data: &[u8]) {
    let mut input = Input::new(data);
    let version = i16::from(input.u8());
    let body = Bytes::copy_from_slice(input.rest);
    bounded(
        || fuzzing::produce_response(version, body.clone()),
        |_| PRODUCED * body.len(),
    );
    fuzzing::produce_response_is_read_as_it_was_written(version, body);
}

/// Base64 of a few bytes, a few of its fields, and what is told of them.
const SPOKEN: usize = 64;

/// What a broker says in a login: messages with a zero between them. And what a token says of itself.
pub fn login(data: &[u8]) {
    let mut input = Input::new(data);
    let mechanism = input.u8();
    let messages: Vec<&[u8]> = input.rest.split(|byte| *byte == 0).collect();
    bounded(
        || fuzzing::login(mechanism, &messages),
        |_| (16 << 10) + SPOKEN * input.rest.len(),
    );
    if let Ok(token) = std::str::from_utf8(input.rest) {
        fuzzing::lifetime_of_token(token);
    }
}
