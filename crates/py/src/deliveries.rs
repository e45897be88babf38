//! What the engine delivers, as tuples and dictionaries for the manager thread.

use loky_engine::front::{Delivery, TaskEnd};
use loky_engine::report::{Breakage, Cause, CrashReport};
use loky_engine::{BreakReason, Departure, LeaveReason, Notice, Statistics, Traffic};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::buffers::Payload;

/// A delivery as the tuple that the manager thread works on; `None` for what only had to be
/// dropped while the interpreter is held.
pub(crate) fn to_tuple(py: Python<'_>, delivery: Delivery) -> PyResult<Option<Bound<'_, PyTuple>>> {
    let tuple = match delivery {
        Delivery::Ended { task, end } => end_tuple(py, task.0, end)?,
        Delivery::Discarded(buffers) => {
            drop(buffers);
            return Ok(None);
        }
        // The manager thread is told by the end of the batches.
        Delivery::Stopped => return Ok(None),
        Delivery::SetupWanted => ("setup",).into_pyobject(py)?,
        Delivery::WorkerGone {
            pid,
            index,
            departure,
            report,
        } => (
            "worker_gone",
            pid,
            index,
            departure_name(departure),
            report_dict(py, &report)?,
        )
            .into_pyobject(py)?,
        Delivery::Slow {
            task,
            ran_ns,
            pid,
            stack,
        } => ("slow", task.0, seconds(ran_ns), pid, stack).into_pyobject(py)?,
        Delivery::Notice(notice) => match notice {
            Notice::WorkerStoppedWithWork { reason } => {
                ("notice", "worker_stopped", leave_name(reason)).into_pyobject(py)?
            }
            Notice::SpawnDelayed { errno } => {
                ("notice", "spawn_delayed", errno).into_pyobject(py)?
            }
        },
        Delivery::Broke(breakage) => ("broke", breakage_dict(py, &breakage)?).into_pyobject(py)?,
    };
    Ok(Some(tuple))
}

/// The end of a task, with the name of its kind first.
fn end_tuple(py: Python<'_>, task: u64, end: TaskEnd) -> PyResult<Bound<'_, PyTuple>> {
    let tuple = match end {
        TaskEnd::Value(answer) => {
            (intern!(py, "value"), task, Payload::new(answer)).into_pyobject(py)?
        }
        TaskEnd::Raised(answer) => {
            (intern!(py, "raised"), task, Payload::new(answer)).into_pyobject(py)?
        }
        TaskEnd::Died(report) => ("died", task, report_dict(py, &report)?).into_pyobject(py)?,
        TaskEnd::Broken(breakage) => {
            ("broken", task, breakage_dict(py, &breakage)?).into_pyobject(py)?
        }
        TaskEnd::Cancelled => (intern!(py, "cancelled"), task).into_pyobject(py)?,
        TaskEnd::TimedOut(report) => {
            ("timed_out", task, report_dict(py, &report)?).into_pyobject(py)?
        }
        TaskEnd::Expired { waited_ns } => {
            ("expired", task, seconds(waited_ns)).into_pyobject(py)?
        }
        TaskEnd::ShutDown => ("shutdown", task).into_pyobject(py)?,
        TaskEnd::Undeliverable { errno } => ("undeliverable", task, errno).into_pyobject(py)?,
    };
    Ok(tuple)
}

fn departure_name(departure: Departure) -> &'static str {
    match departure {
        Departure::Retired(reason) => leave_name(reason),
        Departure::Killed => "killed",
        Departure::Died => "died",
    }
}

fn leave_name(reason: LeaveReason) -> &'static str {
    match reason {
        LeaveReason::MemoryGrowth => "memory",
        LeaveReason::Asked => "asked",
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "seconds for people: 53 bits of nanoseconds are 104 days"
)]
pub(crate) fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

/// A crash report as a dictionary.
fn report_dict<'py>(py: Python<'py>, report: &CrashReport) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    let (cause, signal, exitcode) = match report.cause {
        Cause::Oom => ("oom", Some("SIGKILL"), Some(-9)),
        Cause::MemoryLimit => ("memory_limit", Some("SIGKILL"), Some(-9)),
        Cause::Signal(number) => ("signal", loky_engine::signal_name(number), Some(-number)),
        Cause::Exit(status) => ("exit", None, Some(status)),
        Cause::Killed => {
            let number = report.signal.unwrap_or(9);
            ("killed", loky_engine::signal_name(number), Some(-number))
        }
        Cause::Protocol => ("protocol", None, None),
        Cause::Zygote => ("zygote", None, None),
        Cause::TimedOut => (
            "timeout",
            report.signal.and_then(loky_engine::signal_name),
            report.signal.map(|number| -number),
        ),
        Cause::NotReady => (
            "start_timeout",
            report.signal.and_then(loky_engine::signal_name),
            report.signal.map(|number| -number),
        ),
        Cause::Cancelled => (
            "cancelled",
            report.signal.and_then(loky_engine::signal_name),
            report.signal.map(|number| -number),
        ),
        Cause::Raised => ("raised", None, None),
    };
    dict.set_item("cause", cause)?;
    dict.set_item("signal", signal)?;
    dict.set_item("exitcode", exitcode)?;
    dict.set_item("pid", report.pid)?;
    dict.set_item("worker", report.index)?;
    dict.set_item("attempt", report.attempt)?;
    dict.set_item("started", report.started)?;
    dict.set_item("runtime_s", report.runtime_ns.map(seconds))?;
    dict.set_item("started_at", report.started_wall_ns.map(seconds))?;
    dict.set_item("peak_rss_bytes", report.peak_rss_bytes)?;
    dict.set_item(
        "python_stack",
        (!report.stack.is_empty()).then_some(report.stack.as_str()),
    )?;
    if !report.history.is_empty() {
        let attempts = report
            .history
            .iter()
            .map(|attempt| report_dict(py, attempt))
            .collect::<PyResult<Vec<_>>>()?;
        dict.set_item("history", attempts)?;
    }
    dict.set_item("evidence", report.evidence.as_slice())?;
    dict.set_item("stack_full", report.stack_full)?;
    dict.set_item("stderr_tail", report.stderr_tail.as_deref())?;
    Ok(dict)
}

/// What broke a pool: `why`, and `report`, `errno`, `fault` and `payload` where there is one.
pub(crate) fn breakage_dict<'py>(
    py: Python<'py>,
    breakage: &Breakage,
) -> PyResult<Bound<'py, PyDict>> {
    let (why, errno) = match breakage.reason {
        _ if breakage.fault.is_some() => ("fault", None),
        BreakReason::WorkerDied(_) => ("worker_died", None),
        BreakReason::InitializerFailed(_) => ("initializer", None),
        BreakReason::RestartBudget(_) => ("restart_budget", None),
        BreakReason::SpawnFailed(errno) => ("spawn", Some(errno)),
        BreakReason::LauncherDied => ("launcher", None),
        BreakReason::SetupFailed => ("setup", None),
    };
    let dict = PyDict::new(py);
    dict.set_item("why", why)?;
    let report = breakage
        .report
        .as_ref()
        .map(|report| report_dict(py, report))
        .transpose()?;
    dict.set_item("report", report)?;
    dict.set_item("errno", errno)?;
    dict.set_item("fault", breakage.fault.as_deref())?;
    dict.set_item("launcher_fact", breakage.launcher_fact.as_deref())?;
    let payload = breakage
        .initializer
        .clone()
        .map(|answer| Py::new(py, Payload::new(answer)))
        .transpose()?;
    dict.set_item("payload", payload)?;
    Ok(dict)
}

/// Every count of a `Statistics` with its name. One that is not listed does not compile.
macro_rules! named_counts {
    ($statistics:expr; $($name:ident),+ $(,)?) => {{
        let Statistics { $($name),+ } = $statistics;
        [$((stringify!($name), $name)),+]
    }};
}

/// The core's counts, by name.
pub(crate) fn statistics_dict(
    py: Python<'_>,
    statistics: Statistics,
    traffic: Traffic,
) -> PyResult<Bound<'_, PyDict>> {
    let counts = named_counts!(statistics;
        submitted, answered, cancelled, died, timed_out,
        expired, retried, interrupts, broken, shut_down, sent, released, requeued,
        revokes, revokes_granted, revokes_refused, revokes_overtaken, replies_dropped,
        events_dropped, spawns_ordered, spawned, spawns_failed, spawns_abandoned, respawned,
        retired, retired_idle, recycled, workers_killed, workers_died, launchers_died,
    );
    let dict = PyDict::new(py);
    for (name, count) in counts {
        dict.set_item(name, count)?;
    }
    let Traffic {
        bytes_copied,
        bytes_recognised,
    } = traffic;
    dict.set_item("bytes_copied", bytes_copied)?;
    dict.set_item("bytes_recognised", bytes_recognised)?;
    Ok(dict)
}
