//! The end of a worker is said once, in the step that tells it, and called what it was.

use loky_core::{Departure, Effect, Event, KillReason, LeaveReason, WorkerId};

use super::record::Record;
use super::{Checker, Line, Verdict, demand};

#[derive(Default)]
pub struct Departing {
    expected: Option<(WorkerId, Departure)>,
}

/// What the end of this worker means.
pub fn meaning(record: &Record, worker: WorkerId, any_started: bool) -> Option<Departure> {
    let seen = record.workers.get(&worker)?;
    if seen.condemned {
        return Some(Departure::Died);
    }
    if seen.killed {
        let left = seen.asked || seen.said.is_some();
        let late = seen.kill_reason == Some(KillReason::NotReady) && !left;
        return Some(if late {
            Departure::Died
        } else {
            Departure::Killed
        });
    }
    let reason = if seen.asked {
        Some(LeaveReason::Asked)
    } else {
        seen.said
    };
    Some(match reason {
        Some(reason) if !any_started => Departure::Retired(reason),
        // The pool has done something by which it may have ended.
        Some(_) | None if seen.interrupted_ns.is_some() => Departure::Killed,
        Some(_) | None => Departure::Died,
    })
}

impl Checker for Departing {
    fn name(&self) -> &'static str {
        "departing"
    }

    fn see(&mut self, record: &Record, line: &Line) -> Verdict {
        match line {
            Line::Told(_, Event::WorkerExited { worker, started }) => {
                let any_started = !record.started_of(*worker, started).is_empty();
                let meant = meaning(record, *worker, any_started).filter(|_| !record.stopped);
                self.expected = meant.map(|departure| (*worker, departure));
                Ok(())
            }
            Line::Told(..) => {
                self.expected = None;
                Ok(())
            }
            Line::Ordered(Effect::WorkerGone { worker, departure }) => {
                let expected = self.expected.take();
                demand(expected == Some((*worker, *departure)), || {
                    format!("{worker} is gone as {departure:?}, {expected:?} was meant")
                })?;
                let seen = record.workers.get(worker).ok_or("unrecorded worker")?;
                demand(seen.held.is_empty(), || {
                    format!("{worker} is gone and holds tasks")
                })
            }
            Line::Rest { .. } => demand(self.expected.is_none(), || {
                format!("an end went unsaid: {:?}", self.expected)
            }),
            Line::Ordered(_) | Line::Started { .. } | Line::Struck { .. } => Ok(()),
        }
    }
}
