//! `Found`: an answer that the thread that waits for it has found itself.

use std::sync::{Mutex, PoisonError};

use loky_engine::inbox::Borrowed;
use pyo3::prelude::*;

use crate::buffers::Payload;

/// An answer to be told by whoever holds it. Where it is let go of without `settled`, as by an
/// interrupt at any point, `Pool.next_batch` tells it.
#[pyclass(frozen, module = "loky._native")]
pub(crate) struct Found(Mutex<Borrowed>);

impl Found {
    pub(crate) fn new(borrowed: Borrowed) -> Self {
        Self(Mutex::new(borrowed))
    }
}

#[pymethods]
impl Found {
    /// The encoded answer, and whether the task raised it.
    fn payload(&self) -> Option<(Payload, bool)> {
        let borrowed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (answer, raised) = borrowed.answer()?;
        Some((Payload::new(answer.clone()), raised))
    }

    /// It has been told: nobody else shall.
    fn settled(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .settle();
    }
}
