//! What a task or its result is made of. Owner: the pickle stream, its out-of-band buffers and
//! where they lie.
//!
//! Never maps or reads a segment: it only proves that every part lies inside, and apart from all
//! others.

use crate::bytes::Reader;
use crate::encode::Body;
use crate::error::WireError;
use crate::limits::{
    BUFFER_ALIGN, BUFFERS_MAX, INLINE_MAX, PART_LEN, PAYLOAD_FIXED, PIECES_MAX, SEGMENT_MAX,
    SEGMENT_REF_LEN, SEGMENTS_MAX,
};

/// What stands in the place of a segment's index for a piece that travels in the frame.
const IN_FRAME: u32 = u32::MAX;

/// A range of bytes.
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
}

/// A segment of a payload: its number in the sender's pool and its size. One that is named twice is
/// mapped twice, so that two buffers of the same bytes do not share memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SegmentRef {
    /// The number to name in `SegmentFreed`.
    pub id: u32,
    /// Its size in bytes.
    pub size: u64,
}

/// A range of one of a payload's segments.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Part {
    /// The index of the segment in the payload.
    pub segment: u32,
    /// Where in the segment.
    pub extent: Extent,
}

impl Part {
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let segment = reader.u32()?;
        read_zero(reader)?;
        Ok(Self {
            segment,
            extent: Extent {
                offset: reader.u64()?,
                len: reader.u64()?,
            },
        })
    }

    fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.segment.to_le_bytes());
        out.extend_from_slice(&0_u32.to_le_bytes());
        out.extend_from_slice(&self.extent.offset.to_le_bytes());
        out.extend_from_slice(&self.extent.len.to_le_bytes());
    }
}

/// A piece of a stream that does not lie in the frame as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Piece {
    /// The next so many bytes of the frame.
    Inline(u64),
    /// A range of a segment.
    Placed(Part),
}

impl Piece {
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let part = Part::read(reader)?;
        match part.segment {
            IN_FRAME if part.extent.offset != 0 => Err(WireError::ReservedUsed {
                value: part.extent.offset,
            }),
            IN_FRAME => Ok(Self::Inline(part.extent.len)),
            _ => Ok(Self::Placed(part)),
        }
    }

    fn write(self, out: &mut Vec<u8>) {
        let part = match self {
            Self::Placed(part) => part,
            Self::Inline(len) => Part {
                segment: IN_FRAME,
                extent: Extent { offset: 0, len },
            },
        };
        part.write(out);
    }

    const fn len(self) -> u64 {
        match self {
            Self::Inline(len) => len,
            Self::Placed(part) => part.extent.len,
        }
    }
}

/// A payload that borrows what of its stream travels in the frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PayloadRef<'a> {
    /// The segments that hold all that is not inline.
    pub segments: Vec<SegmentRef>,
    /// The out-of-band buffers, in order, aligned and apart.
    pub buffers: Vec<Part>,
    /// What the stream is put together from; empty where it is `inline` as it is.
    pub pieces: Vec<Piece>,
    /// The bytes in the frame: the whole stream, or its inline pieces one behind the other.
    pub inline: &'a [u8],
}

impl<'a> PayloadRef<'a> {
    /// A payload without a segment.
    pub const fn inline(stream: &'a [u8]) -> Self {
        Self {
            segments: Vec::new(),
            buffers: Vec::new(),
            pieces: Vec::new(),
            inline: stream,
        }
    }

    /// Reads a payload that takes all of `body`.
    pub fn decode(body: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let (segments, pieces, buffers) = (reader.u16()?, reader.u16()?, reader.u32()?);
        let segments = count_of(u32::from(segments), SEGMENTS_MAX, segments_too_many)?;
        let pieces = count_of(u32::from(pieces), PIECES_MAX, pieces_too_many)?;
        let buffers = count_of(buffers, BUFFERS_MAX, buffers_too_many)?;
        // All that is claimed has come before anything is made of it.
        let segment_rows = reader.take(segments * SEGMENT_REF_LEN)?;
        let piece_rows = reader.take(pieces * PART_LEN)?;
        let buffer_rows = reader.take(buffers * PART_LEN)?;
        let payload = Self {
            segments: read_all(segment_rows, segments, read_segment)?,
            pieces: read_all(piece_rows, pieces, Piece::read)?,
            buffers: read_all(buffer_rows, buffers, Part::read)?,
            inline: reader.remainder(),
        };
        payload.check()?;
        Ok(payload)
    }

    fn check_counts(&self) -> Result<(), WireError> {
        if self.segments.len() > SEGMENTS_MAX {
            return Err(segments_too_many(self.segments.len() as u64));
        }
        if self.pieces.len() > PIECES_MAX {
            return Err(pieces_too_many(self.pieces.len() as u64));
        }
        if self.buffers.len() > BUFFERS_MAX {
            return Err(buffers_too_many(self.buffers.len() as u64));
        }
        for &SegmentRef { size, .. } in &self.segments {
            if size == 0 || size > SEGMENT_MAX {
                return Err(WireError::SegmentSize { size });
            }
        }
        Ok(())
    }

    /// The pieces of the stream: none is empty, no two beside each other are inline, one at least is
    /// not, and the inline ones are what is in the frame.
    fn check_pieces(&self) -> Result<(), WireError> {
        if self.pieces.is_empty() {
            return Ok(());
        }
        let mut inline = 0_u64;
        let mut placed = false;
        let mut after_inline = false;
        for (index, piece) in self.pieces.iter().enumerate() {
            let is_inline = match piece {
                Piece::Inline(len) => {
                    inline = inline.saturating_add(*len);
                    true
                }
                Piece::Placed(_) => {
                    placed = true;
                    false
                }
            };
            if piece.len() == 0 || (is_inline && after_inline) {
                return Err(WireError::PieceInvalid { index });
            }
            after_inline = is_inline;
        }
        if !placed {
            return Err(WireError::PieceInvalid { index: 0 });
        }
        let bytes = self.inline.len() as u64;
        if inline == bytes {
            Ok(())
        } else {
            Err(WireError::PiecesDisagree { bytes, inline })
        }
    }

    /// The parts of the segments, proven to be inside them and apart.
    fn check_parts(&self) -> Result<(), WireError> {
        let mut ranges: Vec<(u32, u64, u64)> = Vec::new();
        let mut add = |part: &Part| {
            let size = usize::try_from(part.segment)
                .ok()
                .and_then(|index| self.segments.get(index))
                .map(|segment| segment.size)
                .ok_or(WireError::SegmentMissing {
                    index: part.segment,
                })?;
            let end = part.extent.end_inside(size)?;
            ranges.push((part.segment, part.extent.offset, end));
            Ok(())
        };
        for buffer in &self.buffers {
            let offset = buffer.extent.offset;
            if !offset.is_multiple_of(BUFFER_ALIGN) {
                return Err(WireError::ExtentMisaligned { offset });
            }
            add(buffer)?;
        }
        for piece in &self.pieces {
            if let Piece::Placed(part) = piece {
                add(part)?;
            }
        }
        ranges.sort_unstable();
        let mut used = 0_usize;
        let mut last: Option<(u32, u64)> = None;
        for (segment, offset, end) in ranges {
            match last {
                Some((same, last_end)) if same == segment => {
                    if offset < last_end {
                        return Err(WireError::ExtentOverlaps { offset });
                    }
                }
                Some(_) | None => {
                    // Ranges come in the order of their segments: one that is skipped is unused.
                    self.expect_used(used, segment)?;
                    used += 1;
                }
            }
            last = Some((segment, end));
        }
        self.expect_used(used, u32::try_from(self.segments.len()).unwrap_or(u32::MAX))
    }

    fn expect_used(&self, used: usize, next: u32) -> Result<(), WireError> {
        match self.segments.get(used) {
            Some(segment) if usize::try_from(next).is_ok_and(|next| next != used) => {
                Err(WireError::SegmentUnused { id: segment.id })
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl Body for PayloadRef<'_> {
    fn check(&self) -> Result<(), WireError> {
        self.check_counts()?;
        if self.segments.is_empty() && self.buffers.is_empty() && self.pieces.is_empty() {
            return Ok(());
        }
        self.check_pieces()?;
        self.check_parts()
    }

    fn encoded_len(&self) -> usize {
        PAYLOAD_FIXED
            + self.segments.len() * SEGMENT_REF_LEN
            + (self.pieces.len() + self.buffers.len()) * PART_LEN
            + self.inline.len()
    }

    fn write(&self, out: &mut Vec<u8>) {
        // `check` has held the counts far below what these can say.
        let segments = u16::try_from(self.segments.len()).unwrap_or(u16::MAX);
        let pieces = u16::try_from(self.pieces.len()).unwrap_or(u16::MAX);
        let buffers = u32::try_from(self.buffers.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&segments.to_le_bytes());
        out.extend_from_slice(&pieces.to_le_bytes());
        out.extend_from_slice(&buffers.to_le_bytes());
        for segment in &self.segments {
            out.extend_from_slice(&segment.id.to_le_bytes());
            out.extend_from_slice(&0_u32.to_le_bytes());
            out.extend_from_slice(&segment.size.to_le_bytes());
        }
        for piece in &self.pieces {
            piece.write(out);
        }
        for buffer in &self.buffers {
            buffer.write(out);
        }
        out.extend_from_slice(self.inline);
    }
}

const fn segments_too_many(count: u64) -> WireError {
    WireError::SegmentsTooMany { count }
}

const fn pieces_too_many(count: u64) -> WireError {
    WireError::PiecesTooMany { count }
}

const fn buffers_too_many(count: u64) -> WireError {
    WireError::BuffersTooMany { count }
}

fn count_of(count: u32, max: usize, too_many: fn(u64) -> WireError) -> Result<usize, WireError> {
    usize::try_from(count)
        .ok()
        .filter(|count| *count <= max)
        .ok_or_else(|| too_many(u64::from(count)))
}

fn read_zero(reader: &mut Reader<'_>) -> Result<(), WireError> {
    match reader.u32()? {
        0 => Ok(()),
        value => Err(WireError::ReservedUsed {
            value: u64::from(value),
        }),
    }
}

fn read_segment(reader: &mut Reader<'_>) -> Result<SegmentRef, WireError> {
    let id = reader.u32()?;
    read_zero(reader)?;
    Ok(SegmentRef {
        id,
        size: reader.u64()?,
    })
}

/// The items of rows that have come.
fn read_all<T>(
    rows: &[u8],
    count: usize,
    read: fn(&mut Reader<'_>) -> Result<T, WireError>,
) -> Result<Vec<T>, WireError> {
    let mut rows = Reader::new(rows);
    let mut items = Vec::with_capacity(count);
    for _ in 0..count {
        items.push(read(&mut rows)?);
    }
    Ok(items)
}

/// A payload that owns the frame's body its inline bytes lie in, so that receiving copies nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Payload {
    body: Vec<u8>,
    inline_at: usize,
    segments: Vec<SegmentRef>,
    buffers: Vec<Part>,
    pieces: Vec<Piece>,
}

impl Payload {
    /// Reads the payload that starts `skip` bytes into `body` and takes all the rest.
    pub fn decode(body: Vec<u8>, skip: usize) -> Result<Self, WireError> {
        let bytes = body.get(skip..).ok_or_else(|| WireError::BodyShort {
            missing: skip.saturating_sub(body.len()),
        })?;
        let PayloadRef {
            segments,
            buffers,
            pieces,
            inline,
        } = PayloadRef::decode(bytes)?;
        // Inline bytes are always the last part of a body.
        let inline_at = body.len() - inline.len();
        Ok(Self {
            body,
            inline_at,
            segments,
            buffers,
            pieces,
        })
    }

    /// The segments that hold all that is not inline.
    pub fn segments(&self) -> &[SegmentRef] {
        &self.segments
    }

    /// The out-of-band buffers.
    pub fn buffers(&self) -> &[Part] {
        &self.buffers
    }

    /// What the stream is put together from; empty where it is inline as it is.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The bytes in the frame.
    pub fn inline(&self) -> &[u8] {
        self.body.get(self.inline_at..).unwrap_or_default()
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
        let placed = |extent| Part { segment: 0, extent };
        PayloadRef {
            segments: segment.into_iter().collect(),
            buffers: self.buffers.into_iter().map(placed).collect(),
            pieces: self
                .stream
                .map(placed)
                .map(Piece::Placed)
                .into_iter()
                .collect(),
            inline: if self.stream.is_some() { &[] } else { stream },
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
