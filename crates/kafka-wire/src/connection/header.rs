//! What stands before the body of a response: the correlation id, and in flexible versions tagged fields.

use crate::error::ConnectionError;

/// The header that is due.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    pub(super) correlation_id: i32,
    pub(super) api: &'static str,
    /// Version of the response header.
    pub(super) version: i16,
}

/// Checks correlation id and response header; returns where the body begins.
pub(super) fn check_header(frame: &[u8], expected: Expected) -> Result<usize, ConnectionError> {
    let truncated =
        || ConnectionError::Protocol(format!("the header of a {} response is cut off", expected.api));
    let (id, rest) = frame.split_first_chunk::<4>().ok_or_else(truncated)?;
    let id = i32::from_be_bytes(*id);
    if id != expected.correlation_id {
        return Err(ConnectionError::Protocol(format!(
            "correlation id {id} where {} ({}) is due",
            expected.correlation_id, expected.api
        )));
    }
    if expected.version == 0 {
        return Ok(4);
    }
    let after = skip_tags(rest).ok_or_else(truncated)?;
    Ok(frame.len() - after.len())
}

/// Skips the tagged fields of a flexible header.
fn skip_tags(mut bytes: &[u8]) -> Option<&[u8]> {
    let count = varint(&mut bytes)?;
    for _ in 0..count {
        varint(&mut bytes)?;
        let size = usize::try_from(varint(&mut bytes)?).ok()?;
        bytes = bytes.get(size..)?;
    }
    Some(bytes)
}

fn varint(bytes: &mut &[u8]) -> Option<u32> {
    let mut value = 0_u32;
    for shift in (0..32).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u32::from(byte & 0x7f).checked_shl(shift)?;
        if *byte < 0x80 {
            return Some(value);
        }
    }
    None
}
