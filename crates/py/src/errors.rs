//! The engine's and the worker's errors as Python exceptions, one by one.

use loky_engine::error::EngineError;
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;

pyo3::create_exception!(
    loky._native,
    PoolClosed,
    PyRuntimeError,
    "The pool takes no more tasks: it was shut down."
);
pyo3::create_exception!(
    loky._native,
    PoolBroken,
    PyRuntimeError,
    "The pool takes no more tasks: it is broken."
);
pyo3::create_exception!(
    loky._native,
    PoolForked,
    PyRuntimeError,
    "The pool belongs to the process that this one was forked from."
);

/// The exception for a refusal of the engine.
pub(crate) fn to_python(error: EngineError) -> PyErr {
    match error {
        EngineError::ShutDown => PoolClosed::new_err(error.to_string()),
        EngineError::Broken(_) | EngineError::Fault(_) => PoolBroken::new_err(error.to_string()),
        EngineError::Forked => PoolForked::new_err(error.to_string()),
        EngineError::Config { .. } => PyValueError::new_err(error.to_string()),
        EngineError::Resource { what, source } => match source.raw_os_error() {
            Some(errno) => {
                PyOSError::new_err((errno, format!("the engine cannot {what}: {source}")))
            }
            None => PyOSError::new_err(format!("the engine cannot {what}: {source}")),
        },
    }
}
