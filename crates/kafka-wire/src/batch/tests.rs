//! Behaviour of the batch layer as a whole, on batches of our own builder.

mod golden;
mod hostile;
mod legacy;
mod model;
mod patch;
mod records;
mod slab;
mod stored;
mod transcode;
