//! Writing many partitions in bulk, each record exactly once.

pub(crate) mod request;
pub(crate) mod response;
