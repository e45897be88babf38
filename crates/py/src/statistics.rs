//! The counts of a pool, as a dictionary.

use loky_engine::Statistics;
use loky_engine::tally::{Ends, Tally};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Every field of a struct with its name. One that is not listed does not compile.
macro_rules! named {
    ($kind:ident $value:expr; $($name:ident),+ $(,)?) => {{
        let $kind { $($name),+ } = $value;
        [$((stringify!($name), $name)),+]
    }};
}

/// Everything that is counted, by name; `ends` and `lost` are dictionaries of their own.
pub(crate) fn to_dict<'py>(py: Python<'py>, tally: &Tally) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    let core = named!(Statistics tally.core;
        submitted, answered, cancelled, died, timed_out,
        expired, retried, interrupts, broken, shut_down, sent, released, requeued,
        revokes, revokes_granted, revokes_refused, revokes_overtaken, replies_dropped,
        events_dropped, spawns_ordered, spawned, spawns_failed, spawns_abandoned, respawned,
        retired, retired_idle, recycled, workers_killed, workers_died, launchers_died,
    );
    for (name, count) in core {
        dict.set_item(name, count)?;
    }
    let ends = PyDict::new(py);
    for (name, count) in named!(Ends tally.ends;
        values, raised, died, timed_out, expired, cancelled, broken, shut_down, undeliverable,
    ) {
        ends.set_item(name, count)?;
    }
    let lost = PyDict::new(py);
    for (name, count) in tally.losses.iter() {
        lost.set_item(name, count)?;
    }
    dict.set_item("ends", ends)?;
    dict.set_item("lost", lost)?;
    for (name, count) in [
        ("accepted", tally.accepted),
        ("unfinished", tally.unfinished),
        ("running", tally.running),
        ("workers", tally.workers),
        ("copied_bytes", tally.copied_bytes),
        ("recognised_bytes", tally.recognised_bytes),
        ("shared_bytes", tally.shared_bytes),
    ] {
        dict.set_item(name, count)?;
    }
    Ok(dict)
}
