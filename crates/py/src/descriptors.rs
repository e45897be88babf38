//! Descriptors across the door: by number, and never taken over from Python.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// A copy of an open descriptor; the inner error is that of the system.
pub(crate) fn duplicate(number: i32) -> PyResult<io::Result<OwnedFd>> {
    if number < 0 {
        return Err(PyValueError::new_err(format!(
            "descriptors must be open, got {number}"
        )));
    }
    // SAFETY: the number is not negative, and the caller keeps it open during this call. It is only
    // duplicated here; a number that is not open makes that fail.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    Ok(borrowed.try_clone_to_owned())
}
