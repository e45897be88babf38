//! A task is answered by the reply of its own worker and attempt, at once, and by no other.

use loky_core::{Attempt, Effect, Event, Outcome, TaskId};

use super::record::Record;
use super::{Checker, Line, Verdict, demand};

#[derive(Default)]
pub struct Answering {
    /// The task that the event of this step answers.
    answered: Option<TaskId>,
    /// It was to end, or wants to be repeated: then it may end otherwise.
    free: bool,
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
                    retry_wanted,
                    ..
                },
            ) => {
                let heard = record
                    .workers
                    .get(worker)
                    .is_some_and(|seen| !seen.condemned && !seen.killed);
                let fits = heard && record.holds(*worker, *task, *attempt);
                self.answered = fits.then_some(*task);
                let sentence = record.workers.get(worker).and_then(|seen| seen.sentence);
                self.free = *retry_wanted || sentence == Some(*task);
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
                let ran = seen.started_at == Some((*worker, Attempt(seen.attempt)));
                demand(seen.holder == Some(*worker) && ran, || {
                    format!("{task} is answered by {worker}, which did not run it: {seen:?}")
                })
            }
            Line::Rest { .. } => match self.answered {
                Some(task) => {
                    let seen = record.tasks.get(&task).ok_or("unrecorded task")?;
                    let ended = match seen.outcome {
                        Some(Outcome::Answered { .. }) => true,
                        Some(Outcome::TimedOut { .. } | Outcome::Cancelled) => self.free,
                        Some(_) => false,
                        None => self.free && seen.resting_until_ns.is_some(),
                    };
                    demand(ended, || {
                        format!("the answer to {task} was ignored: {seen:?}")
                    })
                }
                None => Ok(()),
            },
            Line::Ordered(_) | Line::Started { .. } | Line::Struck { .. } => Ok(()),
        }
    }
}
