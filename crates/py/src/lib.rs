//! The only door to Python: thin classes over the engine and the worker.
//!
//! Every call that can wait lets go of the interpreter and looks for signals; every panic has been
//! turned into an error that ends all futures before it gets here.

mod buffers;
mod child;
mod deliveries;
mod door;
mod errors;
mod machine;
mod pool;
mod statistics;

use pyo3::prelude::*;

/// The native half of the package. Its names are private to the package.
#[pymodule(gil_used = false)]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::buffers::{Payload, View};
    #[pymodule_export]
    use super::child::{Seed, Worker, Zygote, worker_from_exec};
    #[pymodule_export]
    use super::errors::{PoolBroken, PoolClosed, PoolForked};
    #[pymodule_export]
    use super::machine::machine;
    #[pymodule_export]
    use super::pool::Pool;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("STACK_SIGNAL", loky_engine::STACK_SIGNAL)?;
        module.add("BUFFER_MIN", super::buffers::BUFFER_MIN_BYTES)
    }
}
