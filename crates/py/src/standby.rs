//! `Standby`: a program that starts when somebody writes to it.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use loky_engine::config::LauncherCommand;
use loky_engine::standby::Standby as EngineStandby;
use pyo3::prelude::*;

use crate::descriptors::duplicate;

/// A program that reads from a pipe and is not needed until somebody writes into it.
#[pyclass(frozen, module = "loky._native", weakref)]
pub(crate) struct Standby {
    pub(crate) engine: Arc<EngineStandby>,
}

#[pymethods]
impl Standby {
    /// `reader` is an open descriptor, which is duplicated. The program has its copy under the number
    /// that is appended to its arguments, the standard streams, and nothing else.
    #[new]
    fn new(
        reader: i32,
        executable: PathBuf,
        arguments: Vec<OsString>,
        environment: Vec<(OsString, OsString)>,
    ) -> PyResult<Self> {
        let reader: OwnedFd = duplicate(reader)??;
        let command = LauncherCommand {
            program: executable,
            arguments,
            environment: Some(environment),
        };
        Ok(Self {
            engine: Arc::new(EngineStandby::new(reader, command)),
        })
    }

    /// Starts the program if it does not run; answers its process id.
    fn start(&self, py: Python<'_>) -> PyResult<i32> {
        Ok(py.detach(|| self.engine.start())?)
    }

    /// Starts the program if it waits and something has been written to it.
    fn start_if_written(&self, py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(|| self.engine.start_if_written())?)
    }

    /// The process id of the program; `None` until it was started.
    #[getter]
    fn pid(&self) -> Option<i32> {
        self.engine.pid()
    }
}
