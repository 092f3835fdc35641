//! What of a response is kept in memory, and the permit for it.

use bytes::Bytes;

use super::response::FetchResponse;
use crate::budget::Permit;

/// A partition's records are copied out of the frame when they are less than this part of it, so that who keeps them
/// does not keep the frame.
const SMALL_PART: usize = 16;

/// Ties the permit to the memory that the records of the response are in.
pub(super) fn account(mut response: FetchResponse, body: &Bytes, mut permit: Permit) -> FetchResponse {
    let small = |records: &Bytes| records.len() < body.len() / SMALL_PART;
    let mut copied = 0;
    let mut framed = 0;
    for answer in response.topics.iter().flat_map(|topic| &topic.partitions) {
        if small(&answer.records) {
            copied += answer.records.len();
        } else {
            framed = body.len();
        }
    }
    permit.resize_to(framed + copied);
    let mut copies = permit.split(copied);
    let frame = permit.attach(body.clone());
    for answer in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        if answer.records.is_empty() {
            answer.records = Bytes::new();
        } else if small(&answer.records) {
            let permit = copies.split(answer.records.len());
            answer.records = permit.attach(Bytes::copy_from_slice(&answer.records));
        } else {
            answer.records = frame.slice_ref(&answer.records);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::ByteBudget;
    use crate::fetch::response::{PartitionResponse, TopicKey, TopicResponse};

    fn response(body: &Bytes, sizes: &[usize]) -> FetchResponse {
        let mut from = 0;
        let partitions = sizes.iter().map(|&size| {
            from += size;
            PartitionResponse {
                partition: 0,
                error_code: 0,
                high_watermark: 0,
                last_stable_offset: 0,
                log_start_offset: None,
                aborted: Vec::new(),
                preferred_read_replica: None,
                records: body.slice(from - size..from),
                diverging_epoch: None,
                current_leader: None,
            }
        });
        let topic = TopicResponse {
            topic: TopicKey::Name(Bytes::from_static(b"t")),
            partitions: partitions.collect(),
        };
        FetchResponse {
            throttle_time_ms: 0,
            error_code: 0,
            topics: vec![topic],
            endpoints: Vec::new(),
        }
    }

    #[test]
    fn a_small_part_does_not_keep_the_frame() {
        let budget = ByteBudget::new(10_000);
        let body = Bytes::from((0..1600).map(|i| i as u8).collect::<Vec<_>>());
        let answered = response(&body, &[1500, 10, 0]);
        let mut answered = account(answered, &body, budget.try_acquire(5000).unwrap());
        assert_eq!(budget.available(), 10_000 - 1610);
        let partitions = &mut answered.topics[0].partitions;
        assert_eq!(partitions[1].records, body.slice(1500..1510));
        let (large, small) = (partitions.remove(0).records, partitions.remove(0).records);
        drop(answered);
        assert_eq!(large.as_ptr(), body.as_ptr());
        drop(large);
        assert_eq!(budget.available(), 10_000 - 10);
        drop(small);
        assert_eq!(budget.available(), 10_000);
    }

    #[test]
    fn an_empty_response_keeps_nothing() {
        let budget = ByteBudget::new(10_000);
        let body = Bytes::from(vec![0; 100]);
        let answered = account(response(&body, &[0, 0]), &body, budget.try_acquire(5000).unwrap());
        assert_eq!(budget.available(), 10_000);
        drop(answered);
    }
}
