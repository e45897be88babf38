//! Frames to bytes. Owner: the writing side.
//!
//! Never writes a frame that the receiver would refuse, and leaves the output as it was when it
//! refuses one itself.

use crate::error::WireError;
use crate::header::Header;
use crate::limits::{BODY_MAX, HEADER_LEN};
use crate::rules;

/// A typed body that knows its length before it is written.
pub trait Body {
    /// Whether the receiver will take it.
    fn check(&self) -> Result<(), WireError>;
    /// The bytes that [`Self::write`] will append.
    fn encoded_len(&self) -> usize;
    /// Appends the body.
    fn write(&self, out: &mut Vec<u8>);
}

/// Appends a frame whose body is the concatenation of `parts`. The header's `len` is filled in.
pub fn encode(header: &Header, parts: &[&[u8]], out: &mut Vec<u8>) -> Result<(), WireError> {
    let len = parts
        .iter()
        .fold(0_usize, |sum, part| sum.saturating_add(part.len()));
    open(header, len, out)?;
    for part in parts {
        out.extend_from_slice(part);
    }
    Ok(())
}

/// Appends a frame with a typed body. The header's `len` is filled in.
pub fn encode_body<B: Body + ?Sized>(
    header: &Header,
    body: &B,
    out: &mut Vec<u8>,
) -> Result<(), WireError> {
    body.check()?;
    let len = body.encoded_len();
    open(header, len, out)?;
    let start = out.len();
    body.write(out);
    debug_assert_eq!(
        out.len() - start,
        len,
        "a body must keep to the length it announced"
    );
    Ok(())
}

/// Checks the header for a body of `len` bytes, makes room for both and writes the header.
fn open(header: &Header, len: usize, out: &mut Vec<u8>) -> Result<(), WireError> {
    let too_long = WireError::BodyTooLong { len: len as u64 };
    if len > BODY_MAX {
        return Err(too_long);
    }
    let header = Header {
        len: u32::try_from(len).map_err(|_| too_long)?,
        ..*header
    };
    rules::check(&header)?;
    out.reserve(HEADER_LEN + len);
    out.extend_from_slice(&header.to_bytes());
    Ok(())
}
