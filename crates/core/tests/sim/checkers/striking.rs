//! A signal that is sent for the sake of a task meets that task or none: whatever the worker does
//! by then, no other task is touched.

use super::record::Record;
use super::{Checker, Line, Verdict, demand};

pub struct Striking;

impl Checker for Striking {
    fn name(&self) -> &'static str {
        "striking"
    }

    fn see(&mut self, record: &Record, line: &Line) -> Verdict {
        let Line::Struck { worker, task } = line else {
            return Ok(());
        };
        // A worker of a pool that has ended may be struck whatever it does.
        let seen = record.workers.get(worker);
        let target = seen.and_then(|seen| seen.target);
        demand(record.is_final() || target == Some(*task), || {
            format!("{task} is struck on {worker}, where {target:?} was to end")
        })
    }
}
