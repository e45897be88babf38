//! Only what had started on a dead worker is charged with its death; and that always is, once.

use loky_core::{Attempt, Effect, Event, OnCrash, Outcome, TaskId, WorkerId};

use super::record::Record;
use super::{Checker, Line, Verdict, demand};

#[derive(Default)]
pub struct Blaming {
    dead: Option<WorkerId>,
    started: Vec<TaskId>,
}

impl Checker for Blaming {
    fn name(&self) -> &'static str {
        "blaming"
    }

    fn see(&mut self, record: &Record, line: &Line) -> Verdict {
        match line {
            Line::Told(_, Event::WorkerExited { worker, started }) => {
                self.dead = Some(*worker);
                self.started = record.started_of(*worker, started);
                Ok(())
            }
            Line::Told(..) => {
                self.dead = None;
                self.started.clear();
                Ok(())
            }
            Line::Ordered(Effect::CompleteTask {
                task,
                outcome: Outcome::Died { worker, attempt },
            }) => {
                let known = self.dead == Some(*worker) && self.started.contains(task);
                demand(known, || format!("{task} is blamed on {worker}, wrongly"))?;
                demand(record.config.on_crash == OnCrash::Recover, || {
                    format!("{task} dies alone, where it should have broken the pool")
                })?;
                let seen = record.tasks.get(task).ok_or("unrecorded task")?;
                let same = seen.started_at == Some((*worker, Attempt(seen.attempt)));
                demand(same && attempt.0 == seen.attempt, || {
                    format!("{task} is blamed for attempt {attempt:?}: {seen:?}")
                })
            }
            Line::Rest { .. } => {
                for task in self.started.drain(..) {
                    let seen = record.tasks.get(&task).ok_or("unrecorded task")?;
                    let fits = match record.config.on_crash {
                        OnCrash::Recover => matches!(seen.outcome, Some(Outcome::Died { .. })),
                        OnCrash::Break => matches!(seen.outcome, Some(Outcome::Broken(_))),
                    };
                    demand(fits, || {
                        format!("{task} died with its worker and is: {seen:?}")
                    })?;
                }
                Ok(())
            }
            Line::Ordered(_) | Line::Started { .. } => Ok(()),
        }
    }
}
