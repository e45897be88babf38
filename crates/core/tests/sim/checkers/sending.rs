//! A task is sent to a worker that is ready and stays, only while it waits, no more than may be.

use loky_core::Effect;

use super::record::Record;
use super::{Checker, Line, Verdict, demand};

pub struct Sending;

impl Checker for Sending {
    fn name(&self) -> &'static str {
        "sending"
    }

    fn see(&mut self, record: &Record, line: &Line) -> Verdict {
        let Line::Ordered(Effect::SendTask {
            worker,
            task,
            attempt,
        }) = line
        else {
            return Ok(());
        };
        let to = record
            .workers
            .get(worker)
            .ok_or(format!("{task} is sent to no {worker}"))?;
        demand(to.is_working() && !to.is_quarantined(), || {
            format!("{task} is sent to {worker}, which is {to:?}")
        })?;
        demand(record.queued.contains(task), || {
            format!("{task} is sent and was not waiting")
        })?;
        let seen = record.tasks.get(task).ok_or("unrecorded task")?;
        demand(seen.outcome.is_none(), || {
            format!("{task} is sent after its end")
        })?;
        demand(attempt.0 == seen.attempt + 1, || {
            format!(
                "{task} is sent as {attempt:?} after attempt {}",
                seen.attempt
            )
        })?;
        let held = to.held.len();
        demand(held < record.config.prefetch_max as usize, || {
            format!("{worker} gets {task} and holds {held} already")
        })?;
        demand(held == 0 || record.answers > 0, || {
            format!("{task} is sent ahead while no run time is known")
        })?;
        let quota = record.config.tasks_per_worker_max;
        demand(quota.is_none_or(|quota| to.sent < quota.max(1)), || {
            format!("{worker} gets {task}, its {}th", to.sent + 1)
        })?;
        demand(!record.is_final(), || {
            format!("{task} is sent after the end")
        })
    }
}
