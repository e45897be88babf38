//! Everything that can be wrong with bytes. Owner: the one error enum of the crate.
//!
//! Never carries text made at run time: a peer can make any of these happen as often as it likes.

use core::fmt;

use crate::header::Kind;
use crate::role::Role;

/// A numeric field of a header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Field {
    /// The task or, in control frames, the worker.
    Task,
    /// Which try at the task.
    Attempt,
    /// The field whose sense depends on the kind.
    Aux,
    /// How many descriptors travel with the frame.
    Fds,
    /// Single bits whose sense depends on the kind.
    Flags,
    /// The length of the body.
    Len,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Task => "task",
            Self::Attempt => "attempt",
            Self::Aux => "aux",
            Self::Fds => "fds",
            Self::Flags => "flags",
            Self::Len => "len",
        })
    }
}

/// Why bytes are not a frame, or a frame's body is not what its kind says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WireError {
    /// No frame has this kind.
    #[error("{code} is no kind of frame")]
    KindUnknown {
        /// The kind byte.
        code: u8,
    },
    /// The kind exists, but not in this direction.
    #[error("a {kind:?} frame cannot travel {role:?}")]
    KindMisplaced {
        /// What came.
        kind: Kind,
        /// Where it came.
        role: Role,
    },
    /// A body was asked of a frame whose kind has another.
    #[error("a {kind:?} frame has no such body")]
    KindUnexpected {
        /// The kind of the frame that was asked.
        kind: Kind,
    },
    /// A body longer than any frame may have.
    #[error("a body of {len} bytes is longer than a frame may have")]
    BodyTooLong {
        /// The length claimed or asked for.
        len: u64,
    },
    /// A header field holds a value that its kind does not allow.
    #[error("a {kind:?} frame cannot have {field} = {value}")]
    FieldInvalid {
        /// The kind of the frame.
        kind: Kind,
        /// The field.
        field: Field,
        /// Its value.
        value: u64,
    },
    /// More bytes were pushed than a reader that takes its frames would ever hold.
    #[error("{bytes} bytes are waiting, more than a decoder holds")]
    Flooded {
        /// The bytes that would have been held.
        bytes: usize,
    },
    /// The stream ended inside a frame.
    #[error("the stream ended inside a frame, {bytes} bytes into it")]
    Truncated {
        /// The bytes of the unfinished frame.
        bytes: usize,
    },
    /// A body ended before all its fields.
    #[error("a body ends {missing} bytes before its fields do")]
    BodyShort {
        /// How many bytes are missing at least.
        missing: usize,
    },
    /// A body goes on after all its fields.
    #[error("{bytes} bytes follow the last field of a body")]
    BytesLeftOver {
        /// How many.
        bytes: usize,
    },
    /// Bytes that must be zero are not, or unknown bits are set inside a body.
    #[error("a reserved field of a body holds {value:#x}")]
    ReservedUsed {
        /// What it holds.
        value: u64,
    },
    /// A payload with more buffers than allowed.
    #[error("{count} out-of-band buffers are more than a payload may have")]
    BuffersTooMany {
        /// How many.
        count: u64,
    },
    /// A payload with more segments than allowed.
    #[error("{count} segments are more than a payload may have")]
    SegmentsTooMany {
        /// How many.
        count: u64,
    },
    /// A stream of more pieces than allowed.
    #[error("{count} pieces are more than a stream may have")]
    PiecesTooMany {
        /// How many.
        count: u64,
    },
    /// A piece is empty, or inline behind an inline one, or none of them lies in a segment.
    #[error("piece {index} of a stream has no reason to be one")]
    PieceInvalid {
        /// Which.
        index: usize,
    },
    /// The inline pieces of a stream are not what the frame holds.
    #[error("a frame holds {bytes} bytes of a stream but its pieces speak of {inline}")]
    PiecesDisagree {
        /// The bytes in the frame.
        bytes: u64,
        /// What the pieces say.
        inline: u64,
    },
    /// A part lies in a segment that the payload does not name.
    #[error("a payload places bytes in its segment {index} but names fewer")]
    SegmentMissing {
        /// The index of the segment.
        index: u32,
    },
    /// A segment is named, but nothing lies in it.
    #[error("a payload names segment {id} but places nothing in it")]
    SegmentUnused {
        /// The segment.
        id: u32,
    },
    /// A segment of no bytes, or of more than a file may have.
    #[error("a segment cannot have {size} bytes")]
    SegmentSize {
        /// Its size.
        size: u64,
    },
    /// A part of a segment that is not inside it.
    #[error("{len} bytes at {offset} are not inside a segment of {size} bytes")]
    ExtentOutside {
        /// Where the part starts.
        offset: u64,
        /// How long it is.
        len: u64,
        /// The segment's size.
        size: u64,
    },
    /// A buffer that does not start at a multiple of the alignment.
    #[error("a buffer starts at {offset}, which is not aligned")]
    ExtentMisaligned {
        /// Where it starts.
        offset: u64,
    },
    /// A buffer or stream that shares bytes with another, or is out of order.
    #[error("the part at {offset} overlaps another or is out of order")]
    ExtentOverlaps {
        /// Where it starts.
        offset: u64,
    },
    /// More extra descriptors than a frame carries.
    #[error("{count} extra descriptors are more than a frame carries")]
    ExtrasTooMany {
        /// How many.
        count: u64,
    },
    /// A descriptor number that a worker cannot be given.
    #[error("an extra descriptor cannot become number {target}")]
    TargetInvalid {
        /// The number.
        target: i32,
    },
    /// Two extra descriptors want the same number.
    #[error("two extra descriptors want to become number {target}")]
    TargetRepeated {
        /// The number.
        target: i32,
    },
    /// The number of descriptors in the header is not the number the body speaks of.
    #[error("a {kind:?} frame carries {fds} descriptors but its body speaks of {expected}")]
    DescriptorsDisagree {
        /// The kind of the frame.
        kind: Kind,
        /// The header's number.
        fds: u16,
        /// The body's number.
        expected: u16,
    },
    /// A text is not UTF-8.
    #[error("a text is not UTF-8 after {valid} bytes")]
    TextInvalid {
        /// How many leading bytes are.
        valid: usize,
    },
}
