//! Bytes to frames. Owner: the reading side and its buffer.
//!
//! Total: any bytes give frames, "more needed" or an error, and an error is final, since after it
//! nobody knows where the next frame starts. Never allocates for bytes that have not arrived.

use crate::error::WireError;
use crate::frame::Frame;
use crate::header::Header;
use crate::limits::{BUFFERED_MAX, HEADER_LEN};
use crate::role::Role;

/// A buffer larger than this is given back once it is empty, so that one long frame does not hold
/// a megabyte for each worker for ever.
const KEPT_MAX: usize = 128 << 10;

/// Cuts a stream of bytes into frames.
#[derive(Debug)]
pub struct Decoder {
    role: Role,
    buffer: Vec<u8>,
    /// How much of the buffer has been handed out. It is removed by the push that finds at least
    /// as much handed out as waiting, so every byte is moved at most once for a byte consumed.
    taken: usize,
    /// The header of the frame that is being waited for, once it is complete and checked.
    header: Option<Header>,
    condemned: Option<WireError>,
}

impl Decoder {
    /// A decoder for bytes that flow this way.
    pub const fn new(role: Role) -> Self {
        Self {
            role,
            buffer: Vec::new(),
            taken: 0,
            header: None,
            condemned: None,
        }
    }

    /// Adds bytes as they came. After an error they are dropped.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.condemned.is_some() {
            return;
        }
        let waiting = self.waiting();
        let held = waiting.saturating_add(bytes.len());
        if held > BUFFERED_MAX {
            self.condemn(WireError::Flooded { bytes: held });
            return;
        }
        if waiting == 0 {
            self.buffer.clear();
            self.taken = 0;
            if self.buffer.capacity() > KEPT_MAX && bytes.len() < KEPT_MAX {
                self.buffer.shrink_to(KEPT_MAX);
            }
        } else if self.taken >= waiting {
            self.buffer.drain(..self.taken);
            self.taken = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame, `None` if more bytes are needed, or what is wrong: the same answer ever
    /// after.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would end at the first None"
    )]
    pub fn next(&mut self) -> Result<Option<Frame>, WireError> {
        if let Some(error) = self.condemned {
            return Err(error);
        }
        let result = self.cut();
        if let Err(error) = result {
            self.condemn(error);
        }
        result
    }

    /// To be called at end of file: whether the stream ended between two frames.
    pub fn end(&self) -> Result<(), WireError> {
        if let Some(error) = self.condemned {
            return Err(error);
        }
        match self.pending() {
            0 => Ok(()),
            bytes => Err(WireError::Truncated { bytes }),
        }
    }

    /// Bytes that have come and are not part of a frame handed out.
    pub fn pending(&self) -> usize {
        self.waiting() + if self.header.is_some() { HEADER_LEN } else { 0 }
    }

    const fn waiting(&self) -> usize {
        self.buffer.len() - self.taken
    }

    fn condemn(&mut self, error: WireError) {
        self.condemned = Some(error);
        self.buffer = Vec::new();
        self.taken = 0;
        self.header = None;
    }

    fn cut(&mut self) -> Result<Option<Frame>, WireError> {
        let rest = self.buffer.get(self.taken..).unwrap_or_default();
        let (header, rest) = match self.header {
            Some(header) => (header, rest),
            None => match rest.split_first_chunk::<HEADER_LEN>() {
                Some((bytes, rest)) => {
                    let header = Header::from_bytes(bytes, self.role)?;
                    self.taken += HEADER_LEN;
                    (header, rest)
                }
                None => return Ok(None),
            },
        };
        let len = header.len as usize;
        if let Some(body) = rest.get(..len) {
            let body = body.to_vec();
            self.taken += len;
            self.header = None;
            Ok(Some(Frame { header, body }))
        } else {
            self.header = Some(header);
            Ok(None)
        }
    }
}
