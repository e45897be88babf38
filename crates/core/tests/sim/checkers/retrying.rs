//! A task is tried again only if that was asked for, for a reason that was told, not before its
//! time, and never more often than it may be; and it is tried again as long as it may be.

use loky_core::{Effect, Event, Outcome, ShutdownMode, TaskId};

use super::record::{Record, TaskSeen};
use super::{Checker, Line, Verdict, demand};

#[derive(Default)]
pub struct Retrying {
    /// The task whose answer in this step asks for it.
    asks: Option<TaskId>,
}

/// Whether another attempt may follow.
fn may_follow(record: &Record, seen: &TaskSeen) -> bool {
    let ends = record.is_final() || record.shutdown >= Some(ShutdownMode::CancelPending);
    !ends && !seen.cancel && seen.failures < seen.options.retries
}

impl Retrying {
    fn see_rest(&self, record: &Record, task: TaskId, until_ns: u64) -> Verdict {
        let seen = record.tasks.get(&task).ok_or("unrecorded task")?;
        demand(may_follow(record, seen), || {
            format!("{task} is to be tried again and may not be: {seen:?}")
        })?;
        demand(seen.starts == seen.failures + 1, || {
            format!("{task} is to be tried again and did not run: {seen:?}")
        })?;
        let asked = self.asks == Some(task)
            || matches!(record.event, Some(Event::WorkerExited { .. }))
            || seen.options.retry_timeouts;
        demand(asked, || format!("{task} is to be tried again for nothing"))?;
        let longest_ns = record.now_ns + seen.options.retry_backoff.max_ns;
        demand(until_ns <= longest_ns, || {
            format!("{task} is to be tried again too late")
        })
    }
}

impl Checker for Retrying {
    fn name(&self) -> &'static str {
        "retrying"
    }

    fn see(&mut self, record: &Record, line: &Line) -> Verdict {
        match line {
            Line::Told(_, event) => {
                self.asks = match event {
                    Event::TaskFinished {
                        task,
                        retry_wanted: true,
                        ..
                    } => Some(*task),
                    _ => None,
                };
                Ok(())
            }
            Line::Ordered(Effect::RestTask { task, until_ns, .. }) => {
                self.see_rest(record, *task, *until_ns)
            }
            Line::Ordered(Effect::SendTask { task, .. }) => {
                let seen = record.tasks.get(task).ok_or("unrecorded task")?;
                demand(seen.resting_until_ns.is_none(), || {
                    format!("{task} is sent before its time")
                })
            }
            Line::Ordered(Effect::CompleteTask { task, outcome }) => {
                let seen = record.tasks.get(task).ok_or("unrecorded task")?;
                let given_up = match outcome {
                    Outcome::Died { .. } => true,
                    Outcome::Answered { .. } => self.asks == Some(*task),
                    Outcome::TimedOut { .. } => seen.options.retry_timeouts,
                    Outcome::Cancelled
                    | Outcome::Expired
                    | Outcome::Broken(_)
                    | Outcome::ShutDown => false,
                };
                demand(!(given_up && may_follow(record, seen)), || {
                    format!("{task} ends as {outcome:?} and may be tried again: {seen:?}")
                })
            }
            Line::Ordered(_) | Line::Rest { .. } | Line::Started { .. } | Line::Struck { .. } => {
                Ok(())
            }
        }
    }
}
