//! A task that ends as cancelled or shut down has never run; a wish to cancel is acted on at once.

use loky_core::{Effect, Event, Outcome, ShutdownMode, TaskId};

use super::record::{Record, TaskSeen};
use super::{Checker, Line, Verdict, demand};

#[derive(Default)]
pub struct Cancelling {
    /// The task that the event of this step must bring to an end.
    must_end: Option<TaskId>,
    /// The task that must be under withdrawal after this step.
    must_withdraw: Option<TaskId>,
}

/// Whatever of it ran has failed, and was to be repeated.
fn never_ran(seen: &TaskSeen) -> bool {
    seen.starts == seen.failures
}

impl Cancelling {
    fn expect(&mut self, record: &Record, event: &Event) {
        self.must_end = None;
        self.must_withdraw = None;
        if let Event::CancelRequested { task, .. } = event
            && let Some(seen) = record.tasks.get(task)
        {
            if record.queued.contains(task) || seen.resting_until_ns.is_some() {
                self.must_end = Some(*task);
            } else if seen.holder.is_some() && !seen.claimed {
                self.must_withdraw = Some(*task);
            }
        }
        if let Event::RevokeAnswered {
            worker,
            task,
            attempt,
            revoked: true,
        } = event
            && record.holds(*worker, *task, *attempt)
            && let Some(seen) = record.tasks.get(task)
        {
            let ending = record.shutdown >= Some(ShutdownMode::CancelPending);
            if seen.revoking && (seen.cancel || seen.expiring || ending) {
                self.must_end = Some(*task);
            }
        }
    }
}

impl Checker for Cancelling {
    fn name(&self) -> &'static str {
        "cancelling"
    }

    fn see(&mut self, record: &Record, line: &Line) -> Verdict {
        match line {
            Line::Told(_, event) => {
                self.expect(record, event);
                Ok(())
            }
            Line::Ordered(Effect::CompleteTask { task, outcome }) => {
                let seen = record.tasks.get(task).ok_or("unrecorded task")?;
                let killed = record.shutdown == Some(ShutdownMode::Kill);
                match outcome {
                    Outcome::Cancelled => {
                        demand(seen.cancel && (seen.force || never_ran(seen)), || {
                            format!("{task} ends as cancelled: {seen:?}")
                        })
                    }
                    Outcome::ShutDown if !killed => demand(never_ran(seen), || {
                        format!("{task} has run and ends as shut down: {seen:?}")
                    }),
                    Outcome::ShutDown
                    | Outcome::Answered { .. }
                    | Outcome::Died { .. }
                    | Outcome::TimedOut { .. }
                    | Outcome::Expired
                    | Outcome::Broken(_) => Ok(()),
                }
            }
            Line::Rest { .. } => {
                if let Some(task) = self.must_end.take() {
                    let seen = record.tasks.get(&task).ok_or("unrecorded task")?;
                    demand(seen.outcome.is_some(), || {
                        format!("{task} goes on: {seen:?}")
                    })?;
                }
                if let Some(task) = self.must_withdraw.take() {
                    let seen = record.tasks.get(&task).ok_or("unrecorded task")?;
                    demand(seen.revoking, || {
                        format!("{task} is not withdrawn: {seen:?}")
                    })?;
                }
                Ok(())
            }
            Line::Ordered(_) | Line::Started { .. } | Line::Struck { .. } => Ok(()),
        }
    }
}
