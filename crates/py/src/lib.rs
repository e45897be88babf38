//! The only door to Python: thin classes over the engine and the worker.
//!
//! Every call that can wait lets go of the interpreter and looks for signals; every panic has been
//! turned into an error that ends all futures before it gets here.

mod buffers;
mod child;
mod deliveries;
mod descriptors;
mod door;
mod errors;
mod found;
mod light;
mod machine;
mod pool;
mod standby;
mod statistics;

use pyo3::prelude::*;
use pyo3::types::PyList;

/// The native half of the package. Its names are private to the package.
#[pymodule(gil_used = false)]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // Before the first name is added, which would look for this list: from 3.13 on, looking for what
    // a module does not have fails without an error where the working directory has been removed.
    module.setattr("__all__", PyList::empty(module.py()))?;
    module.add_class::<buffers::Payload>()?;
    module.add_class::<buffers::View>()?;
    module.add_class::<child::Seed>()?;
    module.add_class::<child::Worker>()?;
    module.add_class::<child::Zygote>()?;
    module.add_function(wrap_pyfunction!(child::worker_from_exec, module)?)?;
    let py = module.py();
    module.add("PoolBroken", py.get_type::<errors::PoolBroken>())?;
    module.add("PoolClosed", py.get_type::<errors::PoolClosed>())?;
    module.add("PoolForked", py.get_type::<errors::PoolForked>())?;
    module.add_class::<found::Found>()?;
    module.add_function(wrap_pyfunction!(machine::machine, module)?)?;
    module.add_class::<pool::Pool>()?;
    module.add_class::<standby::Standby>()?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("STACK_SIGNAL", loky_engine::STACK_SIGNAL)?;
    module.add("BUFFER_MIN", buffers::BUFFER_MIN_BYTES)
}
