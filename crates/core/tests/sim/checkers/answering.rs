//! A task is answered by the reply of its own worker and attempt, at once, and by no other.

use loky_core::{Effect, Event, Outcome, TaskId};

use super::record::Record;
use super::{Checker, Line, Verdict, demand};

#[derive(Default)]
pub struct Answering {
    /// The task that the event of this step answers.
    answered: Option<TaskId>,
}

impl Checker for Answering {
    fn name(&self) -> &'static str {
        "answering"
    }

    fn see(&mut self, record: &Record, line: &Line) -> Verdict {
        match line {
            Line::Told(
                _,
                Event::TaskFinished {
                    worker,
                    task,
                    attempt,
                    ..
                },
            ) => {
                let heard = record
                    .workers
                    .get(worker)
                    .is_some_and(|seen| !seen.condemned);
                let fits = heard && record.holds(*worker, *task, *attempt);
                self.answered = fits.then_some(*task);
                Ok(())
            }
            Line::Told(..) => {
                self.answered = None;
                Ok(())
            }
            Line::Ordered(Effect::CompleteTask {
                task,
                outcome: Outcome::Answered { worker },
            }) => {
                demand(self.answered == Some(*task), || {
                    format!("{task} is answered by a reply that is not its own")
                })?;
                let seen = record.tasks.get(task).ok_or("unrecorded task")?;
                demand(seen.holder == Some(*worker) && seen.starts == 1, || {
                    format!("{task} is answered by {worker}, which did not run it: {seen:?}")
                })
            }
            Line::Rest { .. } => match self.answered {
                Some(task) => {
                    let seen = record.tasks.get(&task).ok_or("unrecorded task")?;
                    demand(
                        matches!(seen.outcome, Some(Outcome::Answered { .. })),
                        || format!("the answer to {task} was ignored: {seen:?}"),
                    )
                }
                None => Ok(()),
            },
            Line::Ordered(_) | Line::Started { .. } => Ok(()),
        }
    }
}
