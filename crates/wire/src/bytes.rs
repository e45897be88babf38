//! A cursor over the bytes of a body. Owner: reading little-endian numbers without a panic.
//!
//! Never allocates.

use crate::error::WireError;

/// What of a body has not been read yet.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        match self.rest.split_first_chunk::<N>() {
            Some((chunk, rest)) => {
                self.rest = rest;
                Ok(*chunk)
            }
            None => Err(WireError::BodyShort {
                missing: N - self.rest.len(),
            }),
        }
    }

    pub(crate) fn u16(&mut self) -> Result<u16, WireError> {
        self.chunk().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, WireError> {
        self.chunk().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, WireError> {
        self.chunk().map(u64::from_le_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, WireError> {
        self.chunk().map(i32::from_le_bytes)
    }

    /// The next `len` bytes.
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], WireError> {
        match self.rest.split_at_checked(len) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(WireError::BodyShort {
                missing: len - self.rest.len(),
            }),
        }
    }

    /// All that is left.
    pub(crate) const fn remainder(self) -> &'a [u8] {
        self.rest
    }

    /// Demands that nothing is left.
    pub(crate) fn end(self) -> Result<(), WireError> {
        match self.rest.len() {
            0 => Ok(()),
            bytes => Err(WireError::BytesLeftOver { bytes }),
        }
    }
}
