//! The pool that a whole program has in common.
//!
//! Owned by the program: it lives until it is replaced, or until the program ends.

use std::sync::{Mutex, PoisonError};

use crate::builder::Builder;
use crate::error::Error;
use crate::executor::ProcessPoolExecutor;

/// The pool, and what it was made from.
static COMMON: Mutex<Option<(Builder, ProcessPoolExecutor)>> = Mutex::new(None);

/// The pool that this whole program has in common, with this many workers.
///
/// It is made when it is first asked for. Later calls give the same one, resized if need be; one that
/// is broken or has been shut down is replaced. Workers that idle for ten seconds leave, and come back
/// when they are needed.
///
/// [`Builder::reuse`] does the same for a pool with other settings; where they differ in more than the
/// number of workers, the old pool finishes its tasks and a new one takes its place.
pub fn get_reusable_executor(workers: usize) -> Result<ProcessPoolExecutor, Error> {
    ProcessPoolExecutor::builder()
        .workers(workers)
        .idle_timeout(IDLE_TIMEOUT)
        .reuse()
}

const IDLE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// The common pool, made to be like this.
pub(crate) fn like(builder: Builder) -> Result<ProcessPoolExecutor, Error> {
    let mut common = COMMON.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((known, pool)) = &mut *common
        && pool.is_usable()
        && known.differs_in_size_alone(&builder)
    {
        if pool.size() != builder.worker_number() {
            pool.resize(builder.worker_number())?;
        }
        *known = builder;
        return Ok(pool.clone());
    }
    let pool = builder.clone().build()?;
    *common = Some((builder, pool.clone()));
    Ok(pool)
}
