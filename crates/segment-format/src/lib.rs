//! The file format of a Kafka backup: segments of whole record batches, manifests, object names. No I/O.
