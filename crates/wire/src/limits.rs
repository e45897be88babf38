//! The numbers both ends share. Owner: the relations between them, checked while compiling.
//!
//! Never depends on a machine or a configuration: both ends are built from the same source, so a
//! constant here is an agreement.

/// Bytes of a frame header.
pub const HEADER_LEN: usize = 24;

/// The longest body of a frame. A longer claim is an error as soon as the header is read.
pub const BODY_MAX: usize = 1 << 20;

/// The most bytes a [`Decoder`](crate::Decoder) holds. A reader that takes every frame before it
/// pushes the next chunk, and pushes at most [`BODY_MAX`] bytes a time, never meets it.
pub const BUFFERED_MAX: usize = 2 * (HEADER_LEN + BODY_MAX);

/// A stream longer than this travels in the segment. It is the sender's threshold, not a rule for
/// the receiver: a sender that cannot have a segment may send up to the body's limit inline.
pub const INLINE_MAX: usize = 64 << 10;

/// An out-of-band buffer shorter than this is better kept in the stream.
pub const BUFFER_MIN: usize = 32 << 10;

/// The most out-of-band buffers of one payload, so that their extents, the fixed parts and an
/// inline stream fit a body together.
pub const BUFFERS_MAX: usize = 38 << 10;

/// The most segments of one payload: far fewer than the descriptors that a frame may carry.
pub const SEGMENTS_MAX: usize = 64;

/// The most descriptors that travel with a task, one a segment.
pub const SEGMENT_FDS: u16 = 64;

/// The most pieces of one stream.
pub const PIECES_MAX: usize = 64;

/// Buffers in a segment start at multiples of this: a cache line, and enough for any vector unit.
pub const BUFFER_ALIGN: u64 = 64;

/// The largest segment: file offsets are signed.
pub const SEGMENT_MAX: u64 = i64::MAX as u64;

/// The most descriptors of one frame: the kernel takes no more in one control message.
pub const FDS_MAX: u16 = 253;

/// Descriptors that every `Spawn` frame carries: worker socket, ledger, setup, stack.
pub const SPAWN_FDS: u16 = 4;

/// The most descriptors a `Spawn` frame carries for the user.
pub const EXTRA_MAX: u16 = FDS_MAX - SPAWN_FDS;

/// The lowest number an extra descriptor may get in a worker: its standard input is never the
/// parent's, its output and its errors go where the parent's go at the time.
pub const TARGET_MIN: i32 = 1;

/// The highest signal number of Linux.
pub const SIGNAL_MAX: u32 = 64;

/// Slots of a ledger page: the most tasks a worker can have been sent and not answered.
pub const LEDGER_SLOTS: u16 = 63;

/// Bytes of a slot: a cache line, so that two slots never share one.
pub const SLOT_LEN: usize = 64;

/// Bytes of a ledger page: the head, then the slots.
pub const LEDGER_LEN: usize = 4096;

/// Fixed bytes of a payload: number of segments, of pieces and of buffers.
pub(crate) const PAYLOAD_FIXED: usize = 8;
/// Bytes of a segment reference.
pub(crate) const SEGMENT_REF_LEN: usize = 16;
/// Bytes of a part or of a piece.
pub(crate) const PART_LEN: usize = 24;
/// Fixed bytes of a task body before its payload.
pub(crate) const TASK_FIXED: usize = 4;
/// Fixed bytes of a done body before its payload.
pub(crate) const DONE_FIXED: usize = 8;
/// Fixed bytes of a spawn body.
pub(crate) const SPAWN_FIXED: usize = 8;
/// Bytes of an exited body.
pub(crate) const EXITED_LEN: usize = 32;

const _: () = assert!(
    DONE_FIXED
        + PAYLOAD_FIXED
        + SEGMENTS_MAX * SEGMENT_REF_LEN
        + PIECES_MAX * PART_LEN
        + BUFFERS_MAX * PART_LEN
        + INLINE_MAX
        <= BODY_MAX,
    "a payload that keeps every limit must fit a body"
);
const _: () = assert!(
    TASK_FIXED <= DONE_FIXED,
    "the assertion above must cover tasks too"
);
const _: () = assert!(BODY_MAX <= u32::MAX as usize, "a body's length is a u32");
const _: () = assert!(BUFFERED_MAX >= HEADER_LEN + BODY_MAX - 1 + BODY_MAX);
const _: () = assert!(BUFFER_MIN <= INLINE_MAX);
const _: () = assert!(SEGMENTS_MAX == SEGMENT_FDS as usize && SEGMENT_FDS <= FDS_MAX);
const _: () = assert!(BUFFER_ALIGN.is_power_of_two());
const _: () = assert!(SLOT_LEN * (LEDGER_SLOTS as usize + 1) == LEDGER_LEN);
const _: () = assert!(SPAWN_FIXED + EXTRA_MAX as usize * 4 <= BODY_MAX);
