//! One produce connection: fills requests, keeps some in flight, hands out the answers.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::doubt::Doubt;
use super::partition::{Next, Partition};
use super::queue::{LaneQueue, Load, Sent};
use super::request::{self, FIRST_FLEXIBLE, FIRST_WITH_TOPIC_IDS, FIRST_WITH_ZSTD, ProduceEntry, VERSIONS};
use super::response::{PartitionAnswer, ProduceResponse};
use super::shared::Shared;
use crate::cluster::Leader;
use crate::connection::{Link, Pending, RawRequest, Role};
use crate::error::{Error, ErrorCode};
use crate::hint::{LeaderHint, NodeEndpoint};
use crate::problem::PartitionProblem;

const API: &str = "Produce";
const KEY: i16 = 0;

/// The task behind a [`LaneQueue`].
pub(super) struct Lane {
    pub(super) queue: Arc<LaneQueue>,
    pub(super) shared: Arc<Shared>,
}

/// A request whose answer is due.
struct Flight {
    pending: Pending,
    link: Link,
    version: i16,
    sent: Vec<Sent>,
    names: Vec<(Arc<str>, [u8; 16], i32)>,
    /// Its size, as it is announced to the broker.
    bytes: usize,
}

impl Lane {
    /// Runs until the producer is dropped.
    pub(super) async fn run(self) {
        let mut flights: VecDeque<Flight> = VecDeque::new();
        let most = self.shared.options.requests_per_connection.max(1);
        loop {
            while flights.len() < most && in_order(&flights) {
                let load = self.queue.gather(self.most_bytes());
                if load.entries.is_empty() {
                    break;
                }
                let link = flights.back().map(|flight| flight.link.clone());
                flights.extend(self.send(load, link).await);
            }
            let may_send = flights.len() < most && in_order(&flights);
            tokio::select! {
                biased;
                answer = first(&mut flights) => {
                    if let Some(flight) = flights.pop_front() {
                        self.landed(flight, answer).await;
                    }
                }
                () = self.queue.woken(), if may_send => {}
                () = self.shared.closed() => return,
            }
        }
    }

    /// Sends a request behind those in flight on `link`, or on a new connection when there are none.
    async fn send(&self, load: Load, link: Option<Link>) -> Option<Flight> {
        let LaneQueue { node, shard, .. } = *self.queue;
        let link = match link {
            Some(link) => Ok(link),
            None => self.shared.cluster.link(node, Role::Produce, shard).await,
        };
        let prepared = link.and_then(|link| {
            let version = link.version(KEY, VERSIONS)?;
            Ok((link, version))
        });
        let (link, negotiated) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                self.all_failed(load.sent, &error);
                return None;
            }
        };
        let Load { entries, sent } = self.without_zstd(load, negotiated);
        if entries.is_empty() {
            return None;
        }
        let version = usable_version(negotiated, &entries);
        let timeout = self.shared.options.request_timeout;
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        let body = request::encode(&entries, timeout_ms, version);
        let bytes = self.header_bytes(version) + body.iter().map(Bytes::len).sum::<usize>();
        let raw = RawRequest {
            api_key: KEY,
            version,
            body,
            timeout: self.shared.options.answer_timeout(),
            guard: None,
        };
        match link.start_raw(raw) {
            Ok(pending) => {
                let names = entries
                    .into_iter()
                    .map(|entry| (entry.topic, entry.topic_id, entry.partition));
                Some(Flight {
                    pending,
                    link,
                    version,
                    sent,
                    names: names.collect(),
                    bytes,
                })
            }
            Err(error) => {
                self.all_failed(sent, &error);
                None
            }
        }
    }

    /// Bytes of a request's header: API, version, correlation id, client id, and the tagged fields of flexible requests.
    fn header_bytes(&self, version: i16) -> usize {
        let client_id = &self.shared.cluster.config().client_id;
        2 + 2 + 4 + 2 + client_id.len() + usize::from(version >= FIRST_FLEXIBLE)
    }

    /// Takes out what an old broker would refuse together with the rest of the request.
    fn without_zstd(&self, load: Load, version: i16) -> Load {
        if version >= FIRST_WITH_ZSTD || !load.sent.iter().any(|sent| sent.zstd) {
            return load;
        }
        let mut kept = Load::default();
        for (entry, sent) in load.entries.into_iter().zip(load.sent) {
            if sent.zstd {
                sent.partition
                    .fail(sent.partition.error(PartitionProblem::ZstdUnsupported));
            } else {
                kept.entries.push(entry);
                kept.sent.push(sent);
            }
        }
        kept
    }

    /// None of these batches is known to be in the log.
    pub(super) fn all_failed(&self, sent: Vec<Sent>, error: &Error) {
        for Sent { partition, .. } in sent {
            let next = partition.answered(Err(error.clone()));
            self.follow_up(partition, next);
        }
    }

    async fn landed(&self, flight: Flight, answer: Result<Bytes, Error>) {
        let Flight {
            link,
            version,
            sent,
            names,
            bytes,
            ..
        } = flight;
        let response = answer.and_then(|body| {
            ProduceResponse::decode(body, version)
                .map_err(|malformed| link.malformed(API, version, malformed.to_string()))
        });
        let mut response = match response {
            Ok(response) => response,
            Err(error) => {
                if matches!(error, Error::InDoubt { .. }) {
                    self.doubted(&sent, &link);
                }
                self.lost(sent, bytes, &error).await;
                return;
            }
        };
        link.throttle(response.throttle_time_ms);
        self.shared.throttled.add(response.throttle_time_ms);
        for (index, (sent, (topic, topic_id, partition))) in sent.into_iter().zip(names).enumerate() {
            let is_mine =
                |answer: &PartitionAnswer| answer.partition == partition && answer.topic.is(&topic, topic_id);
            // Brokers need not answer in the order of the request.
            let position = match response.partitions.get(index).is_some_and(is_mine) {
                true => Some(index),
                false => response.partitions.iter().position(is_mine),
            };
            let outcome = match position.and_then(|position| response.partitions.get_mut(position)) {
                Some(answer) => {
                    self.hinted(&sent.partition, answer, &response.endpoints);
                    outcome(answer, &sent, &link)
                }
                None => Err(link.left_out(&sent.partition.name)),
            };
            let next = sent.partition.answered(outcome);
            self.follow_up(sent.partition, next);
        }
    }

    /// Takes note of what an answer says about the leader of its partition.
    fn hinted(&self, partition: &Partition, answer: &PartitionAnswer, endpoints: &[NodeEndpoint]) {
        let hint = ErrorCode::new(answer.error_code)
            .and_then(|code| LeaderHint::of(code, answer.topic.id(), answer.current_leader, endpoints));
        let asked = Leader {
            node: self.queue.node,
            epoch: None,
            topic_id: Some(partition.topic_id),
        };
        if let Some(hint) = hint
            && partition.may_follow()
            && self.shared.cluster.take_hint(&partition.name, asked, &hint)
        {
            partition.knows_leader();
        }
    }

    /// These batches may be appended for as long as the broker is not done with the connection.
    fn doubted(&self, sent: &[Sent], link: &Link) {
        let requests = u32::try_from(self.shared.options.requests_per_connection.max(1)).unwrap_or(u32::MAX);
        let doubt = Doubt {
            node: self.queue.node,
            link: link.clone(),
            patience: self.shared.options.answer_timeout().saturating_mul(requests),
        };
        for Sent { partition, .. } in sent {
            partition.doubts(doubt.clone());
        }
    }

    fn follow_up(&self, partition: Arc<Partition>, next: Next) {
        match next {
            Next::Nothing => {}
            Next::List => self.queue.push(partition),
            Next::Settle => self.shared.settle_later(partition),
        }
    }
}

/// The offset that a batch got.
fn outcome(answer: &mut PartitionAnswer, sent: &Sent, link: &Link) -> Result<i64, Error> {
    match (ErrorCode::new(answer.error_code), answer.base_offset) {
        (None, Some(offset)) => Ok(offset),
        (None, None) => Err(link.left_out(&sent.partition.name)),
        (Some(code), _) => {
            Err(
                Error::kafka(code, API, link.broker(), sent.partition.name.to_string())
                    .with_message(refusal(code, sent, answer.error_text.take())),
            )
        }
    }
}

/// What the broker says, and what it leaves out: how large the batch is that it finds too large.
fn refusal(code: ErrorCode, sent: &Sent, words: Option<String>) -> Option<String> {
    if !matches!(
        code,
        ErrorCode::MESSAGE_TOO_LARGE | ErrorCode::RECORD_LIST_TOO_LARGE
    ) {
        return words;
    }
    let Sent { bytes, records, .. } = sent;
    let size = format!("the batch has {bytes} bytes and {records} records");
    Some(words.map_or(size.clone(), |words| format!("{size}; {words}")))
}

fn usable_version(negotiated: i16, entries: &[ProduceEntry]) -> i16 {
    let unknown = entries.iter().any(|entry| entry.topic_id == [0; 16]);
    if unknown {
        negotiated.min(FIRST_WITH_TOPIC_IDS - 1)
    } else {
        negotiated
    }
}

/// Whether what is sent now comes after what is in flight. It does not when their connection has ended: on a new one, a
/// later batch would overtake those of which it is not known yet that they were lost.
fn in_order(flights: &VecDeque<Flight>) -> bool {
    flights.back().is_none_or(|flight| flight.link.is_open())
}

/// The answer to the oldest request. Answers come in the order of the requests.
async fn first(flights: &mut VecDeque<Flight>) -> Result<Bytes, Error> {
    match flights.front_mut() {
        Some(flight) => (&mut flight.pending).await,
        None => std::future::pending().await,
    }
}
