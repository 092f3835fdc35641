//! Behaviour of the batch layer as a whole, on batches of our own builder.

mod hostile;
mod model;
mod patch;
mod records;
mod slab;
mod transcode;
