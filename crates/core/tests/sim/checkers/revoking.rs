//! A withdrawal names a task that is there, is not being withdrawn, and is not known to have
//! started.

use loky_core::Effect;

use super::record::Record;
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
        })
    }
}
