//! Memory that somebody else mapped. Owner: what a mapping must promise.
//!
//! Never maps, unmaps or grows anything.

use core::sync::atomic::AtomicU64;
use std::sync::Arc;

/// Bytes that stay where they are while the value lives, shared or not.
///
/// # Safety
///
/// As long as the value lives, [`Self::as_ptr`] gives the same address and [`Self::len`] the same
/// number, and that many bytes from that address stay mapped, readable and writable, and backed (a
/// file that is cut short would be a bus error). Nobody in this process may reach them but through
/// atomic operations.
pub unsafe trait Region: Send + Sync {
    /// Where the bytes start.
    fn as_ptr(&self) -> *mut u8;

    /// How many there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

// SAFETY: an `Arc` keeps its value alive and in place, so the promise of `R` holds for as long.
unsafe impl<R: Region + ?Sized> Region for Arc<R> {
    fn as_ptr(&self) -> *mut u8 {
        R::as_ptr(self)
    }

    fn len(&self) -> usize {
        R::len(self)
    }
}

/// A zeroed region on the heap: a stand-in for a shared mapping wherever one process is enough,
/// as in tests. Wrapped in an `Arc` it can carry the parent's and the worker's ledger at once.
#[derive(Debug)]
pub struct HeapRegion {
    words: Box<[AtomicU64]>,
}

impl HeapRegion {
    /// A region of at least `len` zero bytes, rounded up to whole words.
    pub fn zeroed(len: usize) -> Self {
        let words = len.div_ceil(size_of::<AtomicU64>());
        Self {
            words: (0..words).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// The words, for a test that plays a wild peer.
    pub fn words(&self) -> &[AtomicU64] {
        &self.words
    }
}

// SAFETY: the box is never replaced, so address and length stay; its elements are atomics, so
// writing through the pointer is allowed and the only access.
unsafe impl Region for HeapRegion {
    fn as_ptr(&self) -> *mut u8 {
        self.words.as_ptr().cast_mut().cast()
    }

    fn len(&self) -> usize {
        size_of_val::<[AtomicU64]>(&self.words)
    }
}
