//! The laws of a pool as seen from outside, one a file.
//!
//! A checker sees every fact that the pool was told, every order that it gave, every true start of
//! a task in the simulated world, and where a step ended. It never sees the pool itself.

mod answering;
mod blaming;
mod breaking;
mod cancelling;
mod completing;
mod deadlines;
mod departing;
mod ending;
mod executing;
mod leaving;
mod ordering;
pub mod record;
mod resizing;
mod retrying;
mod revoking;
mod seen;
mod sending;
mod spawning;
mod striking;
mod timing;
mod working;

#[cfg(test)]
mod falsified;

use loky_core::{Attempt, Config, Effect, Event, TaskId, WorkerId};

use record::Record;

/// One line of the chronicle of a run.
#[derive(Clone, Debug)]
pub enum Line {
    /// The pool is told something, at this time.
    Told(u64, Event),
    /// The pool orders something.
    Ordered(Effect),
    /// The step is over; what the pool answers to two questions.
    Rest { alive: usize, unfinished: usize },
    /// In the world, not told to the pool: a worker began to execute a task.
    Started {
        task: TaskId,
        worker: WorkerId,
        attempt: Attempt,
        at_ns: u64,
    },
    /// In the world, not told to the pool: a signal that was sent for the sake of a task met this.
    Struck { worker: WorkerId, task: TaskId },
}

/// What a checker says: nothing, or what is wrong.
pub type Verdict = Result<(), String>;

/// A law. `see` is called before the line is entered into the record.
pub trait Checker {
    fn name(&self) -> &'static str;
    fn see(&mut self, record: &Record, line: &Line) -> Verdict;
    /// The run is over and everything should have ended.
    fn end(&mut self, _record: &Record) -> Verdict {
        Ok(())
    }
}

/// A law that was broken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broken {
    pub law: &'static str,
    pub text: String,
}

/// All checkers over one record.
pub struct Panel {
    pub record: Record,
    checkers: Vec<Box<dyn Checker>>,
}

impl Panel {
    pub fn new(config: &Config) -> Self {
        Self {
            record: Record::new(config),
            checkers: vec![
                Box::new(answering::Answering::default()),
                Box::new(blaming::Blaming::default()),
                Box::new(breaking::Breaking::default()),
                Box::new(cancelling::Cancelling::default()),
                Box::new(completing::Completing),
                Box::new(deadlines::Deadlines::default()),
                Box::new(departing::Departing::default()),
                Box::new(ending::Ending),
                Box::new(executing::Executing),
                Box::new(leaving::Leaving::default()),
                Box::new(ordering::Ordering),
                Box::new(resizing::Resizing::default()),
                Box::new(retrying::Retrying::default()),
                Box::new(revoking::Revoking),
                Box::new(sending::Sending),
                Box::new(spawning::Spawning::default()),
                Box::new(striking::Striking),
                Box::new(timing::Timing::default()),
                Box::new(working::Working),
            ],
        }
    }

    /// One law alone.
    #[cfg(test)]
    pub fn only(config: &Config, law: &str) -> Self {
        let mut panel = Self::new(config);
        panel.checkers.retain(|checker| checker.name() == law);
        panel
    }

    /// The names of the laws.
    #[cfg(test)]
    pub fn laws(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.checkers.iter().map(|checker| checker.name())
    }

    pub fn see(&mut self, line: &Line) -> Result<(), Broken> {
        for checker in &mut self.checkers {
            checker.see(&self.record, line).map_err(|text| Broken {
                law: checker.name(),
                text,
            })?;
        }
        self.record.enter(line);
        Ok(())
    }

    pub fn end(&mut self) -> Result<(), Broken> {
        for checker in &mut self.checkers {
            checker.end(&self.record).map_err(|text| Broken {
                law: checker.name(),
                text,
            })?;
        }
        Ok(())
    }
}

/// Says `text` unless `holds`.
fn demand(holds: bool, text: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(text()) }
}
