//! What this machine offers, as a dictionary.

use loky_engine::machine::{LimitMechanism, Machine};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Looks at this machine with the engine's own eyes.
#[pyfunction]
pub(crate) fn machine(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let machine = py.detach(Machine::look);
    let dict = PyDict::new(py);
    dict.set_item("pidfd", machine.pidfd)?;
    dict.set_item("memory_files", machine.memory_files)?;
    dict.set_item("seals", machine.seals)?;
    dict.set_item("children_lists", machine.children_lists)?;
    dict.set_item("marks", machine.marks)?;
    dict.set_item("open_files", machine.open_files)?;
    dict.set_item("kernel_kills", machine.kernel_kills)?;
    let group = machine
        .group
        .map(|group| {
            let facts = PyDict::new(py);
            facts.set_item("version", group.version)?;
            facts.set_item("name", group.name)?;
            facts.set_item("limit_bytes", group.limit_bytes)?;
            facts.set_item("usage_bytes", group.usage_bytes)?;
            facts.set_item("kills", group.kills)?;
            Ok::<_, PyErr>(facts)
        })
        .transpose()?;
    dict.set_item("group", group)?;
    let (mechanism, place) = match machine.limit_mechanism {
        LimitMechanism::Group(folder) => ("cgroup", Some(folder)),
        LimitMechanism::Sampling => ("sampling", None),
    };
    dict.set_item("limit_mechanism", mechanism)?;
    dict.set_item("limit_place", place)?;
    Ok(dict)
}
