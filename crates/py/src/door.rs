//! Waiting without the interpreter: short waits, and a look for signals between them.

use std::time::{Duration, Instant};

use loky_engine::error::EngineError;
use pyo3::prelude::*;

use crate::errors::to_python;

/// How long Ctrl-C may have to wait for a waiting call.
const SLICE: Duration = Duration::from_millis(50);

/// Waits in slices until `wait` answers true or `timeout` passes. Runs Python's signal handlers in
/// between, so that Ctrl-C ends the wait with its exception.
pub(crate) fn wait_in_slices(
    py: Python<'_>,
    timeout: Option<Duration>,
    wait: impl Fn(Duration) -> Result<bool, EngineError> + Sync,
) -> PyResult<bool> {
    let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        let rest = until.map_or(SLICE, |until| {
            until.saturating_duration_since(Instant::now())
        });
        let slice = rest.min(SLICE);
        if py.detach(|| wait(slice)).map_err(to_python)? {
            return Ok(true);
        }
        py.check_signals()?;
        if until.is_some_and(|until| Instant::now() >= until) {
            return Ok(false);
        }
    }
}
