//! The worker's ledger: the page that was mapped, as the words that claims are made in.
//!
//! Owned by the worker. It decides nothing: the protocol of the words is that of `loky_shm`.

use std::os::fd::AsFd;
use std::sync::Arc;

use loky_shm::AtomicWords;
use loky_sys::memory::{self, Mapping};
use loky_wire::limits::LEDGER_LEN;

use crate::error::WorkerError;

/// The mapped page as a row of words.
pub(crate) type LedgerPage = AtomicWords<memory::Words>;

pub(crate) type Ledger = loky_shm::Ledger<Arc<LedgerPage>>;

/// Maps the page that the parent has made.
pub(crate) fn open_ledger(file: impl AsFd) -> Result<(Ledger, Arc<LedgerPage>), WorkerError> {
    let page = Mapping::shared(file, LEDGER_LEN).map_err(WorkerError::begin("map its ledger"))?;
    let page = Arc::new(AtomicWords(page.into_words()));
    Ok((Ledger::with_words(Arc::clone(&page))?, page))
}
