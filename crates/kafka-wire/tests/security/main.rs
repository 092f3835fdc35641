//! Encryption and logins, against a real broker with listeners of every kind.
//!
//! - [`tls`]: certificates, authorities, names
//! - [`sasl`]: the mechanisms with passwords
//! - [`oauth`]: tokens from files, commands and an endpoint
//! - [`iam`]: signatures of AWS
//! - [`renewal`]: sessions that end while they are used
//! - [`mismatch`]: the wrong protocol for a port
//! - [`secrecy`]: nothing that is secret is shown anywhere
//! - [`damage`]: bytes that are changed or cut off on the way
//! - [`rights`]: what a user may not do
//! - [`versions`]: the same on older releases

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod capture;
mod damage;
mod iam;
mod mismatch;
mod oauth;
mod relay;
mod renewal;
mod rights;
mod sasl;
mod secrecy;
mod support;
mod tls;
mod token_endpoint;
mod versions;
