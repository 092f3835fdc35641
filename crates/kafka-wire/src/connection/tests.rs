//! Tests of a connection against a scripted peer.
