//! The worker's ledger: the page that was mapped, as the words that claims are made in.
//!
//! Owned by the worker. It decides nothing: the protocol of the words is that of `loky_shm`.

use std::os::fd::AsFd;
use std::sync::atomic::AtomicU64;

use loky_shm::Words;
use loky_sys::memory::{self, Mapping};
use loky_wire::limits::LEDGER_LEN;

use crate::error::WorkerError;

/// A mapped page as a row of words.
pub(crate) struct LedgerPage(memory::Words);

impl Words for LedgerPage {
    fn word(&self, offset: usize) -> Option<&AtomicU64> {
        let whole = offset.is_multiple_of(size_of::<AtomicU64>());
        self.0
            .as_ref()
            .get(offset / size_of::<AtomicU64>())
            .filter(|_| whole)
    }
}

pub(crate) type Ledger = loky_shm::Ledger<LedgerPage>;

/// Maps the page that the parent has made.
pub(crate) fn open_ledger(file: impl AsFd) -> Result<Ledger, WorkerError> {
    let page = Mapping::shared(file, LEDGER_LEN).map_err(WorkerError::begin("map its ledger"))?;
    Ok(Ledger::with_words(LedgerPage(page.into_words()))?)
}
