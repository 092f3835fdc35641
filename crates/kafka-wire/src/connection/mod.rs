//! One TCP connection to one broker: framing, correlation, versions.
//!
//! A broker serves one request per connection at a time and answers in order. So requests may be pipelined, which
//! hides latency, but only several connections give parallelism, and a long poll blocks what is behind it. Hence
//! connections are made per [`Role`] and shard.
//!
//! Everything above speaks through [`Link`]. [`Dialer`] makes it: it opens the stream, wraps it in TLS, agrees on versions
//! and logs in. While the connection works, `renew` logs in again before the broker's session ends.

mod address;
mod api;
mod buffers;
mod deadline;
mod dial;
mod driver;
#[cfg(test)]
pub(crate) mod fake;
mod frame;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod guard;
mod header;
mod link;
mod login;
mod negotiate;
#[cfg(test)]
mod negotiate_tests;
mod outbox;
mod parking;
mod parting;
mod renew;
#[cfg(test)]
mod renew_tests;
mod secured;
mod stream;
#[cfg(test)]
mod tests;

pub(crate) use address::BrokerAddress;
pub(crate) use api::{Api, group_id, text, topic_name};
pub(crate) use dial::Dialer;
pub(crate) use link::{Link, Pending, RawRequest};
pub(crate) use secured::Secured;

/// What a connection is used for. Different roles never share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    /// Metadata, topics, configs, offsets of the log: short requests.
    Control,
    /// Consumer groups; a coordinator may take its time.
    Group,
    /// Reading logs: long polls and large responses.
    Fetch,
    /// Writing logs: large requests, acknowledged late.
    Produce,
}
