//! What a task or its result is made of. Owner: the pickle stream, its out-of-band buffers and
//! where they lie.
//!
//! Never maps or reads a segment: it only proves that every part lies inside, in order and apart.

use core::ops::Range;

use crate::bytes::Reader;
use crate::encode::Body;
use crate::error::WireError;
use crate::limits::{
    BUFFER_ALIGN, BUFFERS_MAX, EXTENT_LEN, INLINE_MAX, PAYLOAD_FIXED, SEGMENT_MAX, SEGMENT_REF_LEN,
};

const HAS_SEGMENT: u32 = 1;
const STREAM_IN_SEGMENT: u32 = 2;

/// A part of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Extent {
    /// Where it starts, in bytes.
    pub offset: u64,
    /// How long it is, in bytes.
    pub len: u64,
}

impl Extent {
    /// The first byte behind it, unless that is beyond any number.
    pub const fn end(self) -> Option<u64> {
        self.offset.checked_add(self.len)
    }

    /// The first byte behind it, if it lies inside `size` bytes.
    fn end_inside(self, size: u64) -> Result<u64, WireError> {
        let Self { offset, len } = self;
        match self.end() {
            Some(end) if end <= size => Ok(end),
            Some(_) | None => Err(WireError::ExtentOutside { offset, len, size }),
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self {
            offset: reader.u64()?,
            len: reader.u64()?,
        })
    }

    fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.len.to_le_bytes());
    }
}

/// The segment of a payload: its number in the sender's pool and its size.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SegmentRef {
    /// The number to name in `SegmentFreed`.
    pub id: u32,
    /// Its size in bytes.
    pub size: u64,
}

/// Where the pickle stream is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stream<'a> {
    /// In the frame.
    Inline(&'a [u8]),
    /// In the segment.
    InSegment(Extent),
}

/// A payload that borrows its inline stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PayloadRef<'a> {
    /// The one segment that holds all that is not inline.
    pub segment: Option<SegmentRef>,
    /// The out-of-band buffers, in order, aligned and apart.
    pub buffers: Vec<Extent>,
    /// The pickle stream.
    pub stream: Stream<'a>,
}

impl<'a> PayloadRef<'a> {
    /// A payload without a segment.
    pub const fn inline(stream: &'a [u8]) -> Self {
        Self {
            segment: None,
            buffers: Vec::new(),
            stream: Stream::Inline(stream),
        }
    }

    /// Reads a payload that takes all of `body`.
    pub fn decode(body: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let flags = reader.u32()?;
        if flags & !(HAS_SEGMENT | STREAM_IN_SEGMENT) != 0 {
            return Err(WireError::ReservedUsed {
                value: u64::from(flags),
            });
        }
        let count = reader.u32()?;
        let segment = if flags & HAS_SEGMENT != 0 {
            Some(read_segment(&mut reader)?)
        } else {
            None
        };
        let in_segment = if flags & STREAM_IN_SEGMENT != 0 {
            Some(Extent::read(&mut reader)?)
        } else {
            None
        };
        let buffers = read_buffers(&mut reader, count)?;
        let stream = match in_segment {
            Some(extent) => {
                reader.end()?;
                Stream::InSegment(extent)
            }
            None => Stream::Inline(reader.remainder()),
        };
        let payload = Self {
            segment,
            buffers,
            stream,
        };
        payload.check()?;
        Ok(payload)
    }

    /// The parts of the segment, proven to be inside it, in order and apart.
    fn check_parts(&self, size: u64) -> Result<(), WireError> {
        let mut first = None;
        let mut end = 0;
        for buffer in &self.buffers {
            if !buffer.offset.is_multiple_of(BUFFER_ALIGN) {
                return Err(WireError::ExtentMisaligned {
                    offset: buffer.offset,
                });
            }
            if buffer.offset < end {
                return Err(WireError::ExtentOverlaps {
                    offset: buffer.offset,
                });
            }
            end = buffer.end_inside(size)?;
            first.get_or_insert(buffer.offset);
        }
        match self.stream {
            Stream::Inline(_) => Ok(()),
            Stream::InSegment(extent) => {
                let stream_end = extent.end_inside(size)?;
                if extent.offset >= end || first.is_none_or(|first| stream_end <= first) {
                    Ok(())
                } else {
                    Err(WireError::ExtentOverlaps {
                        offset: extent.offset,
                    })
                }
            }
        }
    }
}

impl Body for PayloadRef<'_> {
    fn check(&self) -> Result<(), WireError> {
        if self.buffers.len() > BUFFERS_MAX {
            return Err(WireError::BuffersTooMany {
                count: self.buffers.len() as u64,
            });
        }
        let unplaced = self.buffers.is_empty() && matches!(self.stream, Stream::Inline(_));
        match self.segment {
            None if unplaced => Ok(()),
            None => Err(WireError::SegmentMissing),
            Some(SegmentRef { id, .. }) if unplaced => Err(WireError::SegmentUnused { id }),
            Some(SegmentRef { size, .. }) if size == 0 || size > SEGMENT_MAX => {
                Err(WireError::SegmentSize { size })
            }
            Some(SegmentRef { size, .. }) => self.check_parts(size),
        }
    }

    fn encoded_len(&self) -> usize {
        let segment = if self.segment.is_some() {
            SEGMENT_REF_LEN
        } else {
            0
        };
        let stream = match self.stream {
            Stream::Inline(bytes) => bytes.len(),
            Stream::InSegment(_) => EXTENT_LEN,
        };
        PAYLOAD_FIXED + segment + self.buffers.len() * EXTENT_LEN + stream
    }

    fn write(&self, out: &mut Vec<u8>) {
        let (stream_flag, stream_extent, inline) = match self.stream {
            Stream::Inline(bytes) => (0, None, bytes),
            Stream::InSegment(extent) => (STREAM_IN_SEGMENT, Some(extent), [].as_slice()),
        };
        let segment_flag = if self.segment.is_some() {
            HAS_SEGMENT
        } else {
            0
        };
        // `check` has held the count far below what a u32 can say.
        let count = u32::try_from(self.buffers.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&(segment_flag | stream_flag).to_le_bytes());
        out.extend_from_slice(&count.to_le_bytes());
        if let Some(segment) = self.segment {
            out.extend_from_slice(&segment.id.to_le_bytes());
            out.extend_from_slice(&0_u32.to_le_bytes());
            out.extend_from_slice(&segment.size.to_le_bytes());
        }
        if let Some(extent) = stream_extent {
            extent.write(out);
        }
        for buffer in &self.buffers {
            buffer.write(out);
        }
        out.extend_from_slice(inline);
    }
}

fn read_segment(reader: &mut Reader<'_>) -> Result<SegmentRef, WireError> {
    let id = reader.u32()?;
    match reader.u32()? {
        0 => Ok(SegmentRef {
            id,
            size: reader.u64()?,
        }),
        value => Err(WireError::ReservedUsed {
            value: u64::from(value),
        }),
    }
}

/// Reads the extents after proving that the body holds as many as it claims.
fn read_buffers(reader: &mut Reader<'_>, count: u32) -> Result<Vec<Extent>, WireError> {
    let too_many = WireError::BuffersTooMany {
        count: u64::from(count),
    };
    let count = usize::try_from(count).map_err(|_| too_many)?;
    if count > BUFFERS_MAX {
        return Err(too_many);
    }
    let mut extents = Reader::new(reader.take(count * EXTENT_LEN)?);
    let mut buffers = Vec::with_capacity(count);
    for _ in 0..count {
        buffers.push(Extent::read(&mut extents)?);
    }
    Ok(buffers)
}

/// A payload that owns the frame's body its inline stream lies in, so that receiving copies
/// nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Payload {
    body: Vec<u8>,
    segment: Option<SegmentRef>,
    buffers: Vec<Extent>,
    place: Place,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Place {
    Inline(Range<usize>),
    InSegment(Extent),
}

impl Payload {
    /// Reads the payload that starts `skip` bytes into `body` and takes all the rest.
    pub fn decode(body: Vec<u8>, skip: usize) -> Result<Self, WireError> {
        let bytes = body.get(skip..).ok_or_else(|| WireError::BodyShort {
            missing: skip.saturating_sub(body.len()),
        })?;
        let PayloadRef {
            segment,
            buffers,
            stream,
        } = PayloadRef::decode(bytes)?;
        let place = match stream {
            // An inline stream is always the last part of a body.
            Stream::Inline(stream) => Place::Inline(body.len() - stream.len()..body.len()),
            Stream::InSegment(extent) => Place::InSegment(extent),
        };
        Ok(Self {
            body,
            segment,
            buffers,
            place,
        })
    }

    /// The one segment that holds all that is not inline.
    pub const fn segment(&self) -> Option<SegmentRef> {
        self.segment
    }

    /// The out-of-band buffers.
    pub fn buffers(&self) -> &[Extent] {
        &self.buffers
    }

    /// The pickle stream.
    pub fn stream(&self) -> Stream<'_> {
        match &self.place {
            Place::Inline(range) => {
                Stream::Inline(self.body.get(range.clone()).unwrap_or_default())
            }
            Place::InSegment(extent) => Stream::InSegment(*extent),
        }
    }
}

/// Where a sender puts the parts of a payload: buffers first, each aligned, then the stream if it
/// is too long for a frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layout {
    /// The bytes a segment must have; 0 if none is needed.
    pub segment_len: u64,
    /// The place of each buffer.
    pub buffers: Vec<Extent>,
    /// The place of the stream, unless it stays in the frame.
    pub stream: Option<Extent>,
}

impl Layout {
    /// Places a stream and buffers of these lengths.
    pub fn of(
        stream_len: usize,
        buffer_lens: impl IntoIterator<Item = usize>,
    ) -> Result<Self, WireError> {
        let mut end = 0_u64;
        let mut buffers = Vec::new();
        for len in buffer_lens {
            if buffers.len() == BUFFERS_MAX {
                return Err(WireError::BuffersTooMany {
                    count: BUFFERS_MAX as u64 + 1,
                });
            }
            buffers.push(place(&mut end, len)?);
        }
        let stream = if stream_len > INLINE_MAX {
            Some(place(&mut end, stream_len)?)
        } else {
            None
        };
        // A segment that only holds empty buffers still needs a byte, since files of no length
        // cannot be mapped.
        let segment_len = if buffers.is_empty() { end } else { end.max(1) };
        Ok(Self {
            segment_len,
            buffers,
            stream,
        })
    }

    /// The payload for this layout, once the parts are where they belong. `stream` is sent inline
    /// unless the layout places it in the segment.
    pub fn into_payload(self, segment: Option<SegmentRef>, stream: &[u8]) -> PayloadRef<'_> {
        let stream = match self.stream {
            Some(extent) => Stream::InSegment(extent),
            None => Stream::Inline(stream),
        };
        PayloadRef {
            segment,
            buffers: self.buffers,
            stream,
        }
    }
}

/// Puts `len` bytes at the next aligned place behind `end`.
fn place(end: &mut u64, len: usize) -> Result<Extent, WireError> {
    let oversize = WireError::SegmentSize { size: u64::MAX };
    let len = u64::try_from(len).map_err(|_| oversize)?;
    let offset = end.checked_next_multiple_of(BUFFER_ALIGN).ok_or(oversize)?;
    let extent = Extent { offset, len };
    *end = extent.end_inside(SEGMENT_MAX)?;
    Ok(extent)
}
