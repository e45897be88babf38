//! A page as a row of atomic words. Owner: what a page must offer.
//!
//! Never knows what a word means. The ledger is written over [`Words`], so that the model checker
//! runs the very code that runs between processes.

use crate::primitive::AtomicU64;

/// A row of atomic words.
pub trait Words: Send + Sync {
    /// The word that starts `offset` bytes into the page, if there is one.
    fn word(&self, offset: usize) -> Option<&AtomicU64>;
}

/// The words of a page that its owner gives out as atomics.
#[cfg(not(loom))]
#[derive(Debug)]
pub struct AtomicWords<T>(pub T);

#[cfg(not(loom))]
impl<T: AsRef<[AtomicU64]>> AsRef<[AtomicU64]> for AtomicWords<T> {
    fn as_ref(&self) -> &[AtomicU64] {
        self.0.as_ref()
    }
}

#[cfg(not(loom))]
impl<T: AsRef<[AtomicU64]> + Send + Sync> Words for AtomicWords<T> {
    fn word(&self, offset: usize) -> Option<&AtomicU64> {
        let whole = offset.is_multiple_of(size_of::<AtomicU64>());
        let words = self.0.as_ref();
        words.get(offset / size_of::<AtomicU64>()).filter(|_| whole)
    }
}

/// The words of a page that only the model checker sees.
#[cfg(loom)]
pub struct ModelWords {
    words: Vec<AtomicU64>,
}

#[cfg(loom)]
impl ModelWords {
    /// A zeroed page of a head and so many slots: the fewer, the fewer states to walk through.
    pub fn zeroed(slots: usize) -> Self {
        let words = (slots + 1) * loky_wire::limits::SLOT_LEN / size_of::<u64>();
        Self {
            words: (0..words).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

#[cfg(loom)]
impl Words for ModelWords {
    fn word(&self, offset: usize) -> Option<&AtomicU64> {
        self.words.get(offset / size_of::<u64>())
    }
}

impl<W: Words + ?Sized> Words for std::sync::Arc<W> {
    fn word(&self, offset: usize) -> Option<&AtomicU64> {
        W::word(self, offset)
    }
}
