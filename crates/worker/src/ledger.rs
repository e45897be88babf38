//! The worker's ledger: the page that was mapped, as the words that claims are made in, and the rings
//! behind it where the parent made any.
//!
//! Owned by the worker. It decides nothing: the protocol of the words is that of `loky_shm`.

use std::os::fd::AsFd;
use std::sync::Arc;

use loky_shm::AtomicWords;
use loky_sys::memory::{self, Mapping};
use loky_wire::limits::LEDGER_LEN;
use loky_wire::ring::RINGS_LEN;

use crate::error::WorkerError;
use crate::rings::Rings;

/// The mapped page as a row of words.
pub(crate) type LedgerPage = AtomicWords<memory::Words>;

pub(crate) type Ledger = loky_shm::Ledger<Arc<LedgerPage>>;

/// What the parent has made for this worker in shared memory.
pub(crate) struct Shared {
    pub(crate) ledger: Ledger,
    pub(crate) page: Arc<LedgerPage>,
    /// `None`: everything goes by the socket.
    pub(crate) rings: Option<Rings>,
}

/// Maps what the parent has made: by its length it has rings or not.
pub(crate) fn open_shared(file: impl AsFd) -> Result<Shared, WorkerError> {
    let failed = |source| WorkerError::Begin {
        what: "map its ledger",
        source,
    };
    let has_rings = memory::file_len(&file).map_err(failed)? >= RINGS_LEN as u64;
    let len = if has_rings { RINGS_LEN } else { LEDGER_LEN };
    let mapping = Mapping::shared(&file, len).map_err(failed)?;
    let page = Arc::new(AtomicWords(mapping.into_words()));
    Ok(Shared {
        ledger: Ledger::over(Arc::clone(&page))?,
        rings: has_rings.then(|| Rings::over(&page)).transpose()?,
        page,
    })
}
