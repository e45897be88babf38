//! The worker's ledger: the page that was mapped, as the words that claims are made in.
//!
//! Owned by the worker. It decides nothing: the protocol of the words is that of `loky_shm`.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use loky_shm::Words;
use loky_sys::memory::{self, Mapping};
use loky_wire::limits::LEDGER_LEN;

use crate::error::WorkerError;

/// A mapped page as a row of words.
pub(crate) struct LedgerPage(memory::Words);

impl AsRef<[AtomicU64]> for LedgerPage {
    fn as_ref(&self) -> &[AtomicU64] {
        self.0.as_ref()
    }
}

impl Words for LedgerPage {
    fn word(&self, offset: usize) -> Option<&AtomicU64> {
        let whole = offset.is_multiple_of(size_of::<AtomicU64>());
        self.0
            .as_ref()
            .get(offset / size_of::<AtomicU64>())
            .filter(|_| whole)
    }
}

pub(crate) type Ledger = loky_shm::Ledger<Arc<LedgerPage>>;

/// Maps the page that the parent has made.
pub(crate) fn open_ledger(file: impl AsFd) -> Result<(Ledger, Arc<LedgerPage>), WorkerError> {
    let page = Mapping::shared(file, LEDGER_LEN).map_err(WorkerError::begin("map its ledger"))?;
    let page = Arc::new(LedgerPage(page.into_words()));
    Ok((Ledger::with_words(Arc::clone(&page))?, page))
}
