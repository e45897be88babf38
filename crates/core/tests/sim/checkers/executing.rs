//! No task is executed more often than it was failed and repeated, and none after it ended in a way that says it never ran.

use loky_core::{Outcome, ShutdownMode};

use super::record::Record;
use super::{Checker, Line, Verdict, demand};

pub struct Executing;

impl Checker for Executing {
    fn name(&self) -> &'static str {
        "executing"
    }

    fn see(&mut self, record: &Record, line: &Line) -> Verdict {
        let Line::Started { task, worker, .. } = line else {
            return Ok(());
        };
        let seen = record
            .tasks
            .get(task)
            .ok_or(format!("{task} runs and was never submitted"))?;
        demand(seen.starts <= seen.failures, || {
            format!(
                "{task} runs again, on {worker}, after {:?}",
                seen.started_at
            )
        })?;
        let may_run = match seen.outcome {
            // A worker may take one up between the order to kill it and its end.
            None | Some(Outcome::Broken(_)) => true,
            Some(Outcome::ShutDown) => record.shutdown == Some(ShutdownMode::Kill),
            Some(
                Outcome::Answered { .. }
                | Outcome::Cancelled
                | Outcome::Died { .. }
                | Outcome::TimedOut { .. }
                | Outcome::Expired,
            ) => false,
        };
        demand(may_run, || {
            format!("{task} runs on {worker} after its end: {seen:?}")
        })
    }
}
