//! Reading many partitions in bulk.

pub(crate) mod request;
pub(crate) mod response;
