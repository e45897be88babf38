//! Only what had started on a dead worker is charged with its death; and that always is, once.

use loky_core::{Attempt, Departure, Effect, Event, OnCrash, Outcome, TaskId, WorkerId};

use super::departing::meaning;
use super::record::Record;
use super::{Checker, Line, Verdict, demand};

#[derive(Default)]
pub struct Blaming {
    dead: Option<WorkerId>,
    started: Vec<TaskId>,
    /// The pool itself has ended the worker, for this task.
    sentence: Option<TaskId>,
    killed: bool,
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
                let seen = record.workers.get(worker);
                self.sentence = seen.and_then(|seen| seen.sentence);
                let any_started = !self.started.is_empty();
                self.killed = meaning(record, *worker, any_started) == Some(Departure::Killed);
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
                let alone = record.config.on_crash == OnCrash::Recover || self.killed;
                demand(alone, || {
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
                    let sentenced = self.sentence == Some(task);
                    let breaks = record.config.on_crash == OnCrash::Break && !self.killed;
                    let fits = match seen.outcome {
                        Some(Outcome::Broken(_)) => breaks,
                        _ if breaks => false,
                        Some(Outcome::Died { .. }) => !sentenced,
                        Some(Outcome::TimedOut { .. }) => sentenced,
                        Some(Outcome::Cancelled) => seen.force,
                        Some(_) => false,
                        None => seen.resting_until_ns.is_some(),
                    };
                    demand(fits, || {
                        format!("{task} died with its worker and is: {seen:?}")
                    })?;
                }
                Ok(())
            }
            Line::Ordered(_) | Line::Started { .. } | Line::Struck { .. } => Ok(()),
        }
    }
}
