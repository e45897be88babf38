//! A withdrawal names a task that is there, is not being withdrawn, and is not known to have
//! started; one that serves another worker takes no more than that one can use, and not the next in
//! turn.

use loky_core::{Effect, Event, ShutdownMode, WorkerId};

use super::record::{Record, WorkerSeen};
use super::{Checker, Line, Verdict, demand};

pub struct Revoking;

impl Checker for Revoking {
    fn name(&self) -> &'static str {
        "revoking"
    }

    fn see(&mut self, record: &Record, line: &Line) -> Verdict {
        let Line::Ordered(Effect::RevokeTask {
            worker,
            task,
            attempt,
        }) = line
        else {
            return Ok(());
        };
        demand(record.holds(*worker, *task, *attempt), || {
            format!("{task} {attempt:?} is withdrawn from {worker}, which does not hold it")
        })?;
        let seen = record.tasks.get(task).ok_or("unrecorded task")?;
        demand(!seen.revoking, || format!("{task} is withdrawn twice"))?;
        demand(!seen.claimed, || {
            format!("{task} is withdrawn and has started")
        })?;
        let condemned = record
            .workers
            .get(worker)
            .is_some_and(|seen| seen.condemned);
        let unwanted =
            seen.cancel || seen.expiring || record.shutdown >= Some(ShutdownMode::CancelPending);
        demand(!condemned || unwanted, || {
            format!("{task} is withdrawn from the condemned")
        })?;
        if seen.cancel || seen.expiring || !is_for_another(record, *worker) {
            return Ok(());
        }
        let idle = record.idle();
        demand(record.moving() < idle, || {
            format!("{task} is withdrawn for nobody of {idle}")
        })?;
        let oldest = record
            .workers
            .get(worker)
            .and_then(|seen| seen.held.first());
        demand(oldest != Some(task), || {
            format!("{task} is withdrawn and comes next")
        })
    }
}

/// Whether a task can only be withdrawn from this worker because another has nothing to do.
fn is_for_another(record: &Record, worker: WorkerId) -> bool {
    let resized = matches!(record.event, Some(Event::ResizeRequested { .. }));
    let cancels = record.shutdown >= Some(ShutdownMode::CancelPending);
    let clears = record
        .workers
        .get(&worker)
        .is_some_and(|seen| seen.sentence.is_some() || seen.overweight);
    let works = record
        .workers
        .get(&worker)
        .is_some_and(WorkerSeen::is_working);
    works && !resized && !cancels && !clears
}
