//! One segment in the books. Owner: its size class and where it is in its life.
//!
//! Never reads or writes its bytes.

use loky_wire::limits::SEGMENT_MAX;

/// The page size that sizes are rounded to. A kernel with larger pages rounds again by itself.
pub const PAGE_LEN: u64 = 4096;

/// The size of a segment for `len` bytes: whole pages, in four steps a power of two, so that at most
/// a fifth is unused and that segments of similar lengths can take each other's place. `None` if no
/// segment is that large.
pub fn size_for(len: u64) -> Option<u64> {
    let pages = len.div_ceil(PAGE_LEN).max(1);
    // For more than four pages: a quarter of the power of two that is reached or begun.
    let step = match (pages - 1).checked_ilog2() {
        Some(log) if log > 2 => 1_u64 << (log - 2),
        Some(_) | None => 1,
    };
    let size = pages
        .checked_next_multiple_of(step)?
        .checked_mul(PAGE_LEN)?;
    (size <= SEGMENT_MAX).then_some(size)
}

/// Who has been lent a segment. A pool with several peers numbers them; one with a single peer uses
/// [`Holder::ONLY`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Holder(pub u64);

impl Holder {
    /// The peer of a pool that has just one.
    pub const ONLY: Self = Self(0);
}

/// Where a segment is in its life.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Life {
    /// Nobody's: it may be taken. The time is that of the first trim that found it so.
    Free {
        /// When the pool first noticed that it was not needed.
        idle_since_ns: Option<u64>,
    },
    /// Its taker is writing it.
    Taken,
    /// Peers have it; one that has it twice is named twice.
    Lent(Vec<Holder>),
}

/// A segment and what belongs to it.
#[derive(Debug)]
pub(crate) struct Segment<S> {
    pub(crate) storage: S,
    pub(crate) size: u64,
    pub(crate) life: Life,
}
