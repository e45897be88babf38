//! Who is asked to leave or killed: once, while it exists, and without a task that might be lost.

use std::collections::BTreeSet;

use loky_core::{Effect, Event, KillReason, WorkerId};

use super::record::Record;
use super::{Checker, Line, Verdict, demand};

#[derive(Default)]
pub struct Leaving {
    /// Workers that were told or have said in this step that they leave.
    leaving: BTreeSet<WorkerId>,
    condemned: Option<WorkerId>,
}

impl Leaving {
    fn see_event(&mut self, record: &Record, event: &Event) {
        self.leaving.clear();
        self.condemned = None;
        if let Event::WorkerLeaving { worker, .. } = event {
            self.leaving.insert(*worker);
        }
        if let Event::WorkerCondemned { worker } = event
            && record
                .workers
                .get(worker)
                .is_some_and(|seen| seen.spawned && !seen.killed)
        {
            self.condemned = Some(*worker);
        }
    }

    fn see_rest(&self, record: &Record) -> Verdict {
        for id in &self.leaving {
            let Some(worker) = record.workers.get(id).filter(|seen| !seen.condemned) else {
                continue;
            };
            for task in &worker.held {
                let safe = record
                    .tasks
                    .get(task)
                    .is_some_and(|seen| seen.revoking || seen.claimed);
                demand(safe, || format!("{id} leaves and {task} is left with it"))?;
            }
        }
        match self.condemned {
            Some(id) => {
                let killed = record.workers.get(&id).is_none_or(|seen| seen.killed);
                demand(killed, || format!("{id} is condemned and lives on"))
            }
            None => Ok(()),
        }
    }
}

impl Checker for Leaving {
    fn name(&self) -> &'static str {
        "leaving"
    }

    fn see(&mut self, record: &Record, line: &Line) -> Verdict {
        match line {
            Line::Told(_, event) => {
                self.see_event(record, event);
                Ok(())
            }
            Line::Ordered(Effect::AskToLeave { worker }) => {
                let seen = record
                    .workers
                    .get(worker)
                    .ok_or(format!("no {worker} to ask"))?;
                let there = seen.spawned && !seen.is_leaving();
                demand(there, || {
                    format!("{worker} is asked to leave and is {seen:?}")
                })?;
                let idle = seen.held.is_empty() || record.ever_shrunk;
                demand(idle, || {
                    format!("{worker} has tasks and is asked to leave: {seen:?}")
                })?;
                self.leaving.insert(*worker);
                let by_timer = record.event == Some(Event::TimerFired) && record.accepts();
                demand(
                    !by_timer || (record.moving() == 0 && record.queued.is_empty()),
                    || format!("{worker} idles away and a task is on its way"),
                )
            }
            Line::Ordered(Effect::KillWorker { worker, why }) => {
                let seen = record
                    .workers
                    .get(worker)
                    .ok_or(format!("no {worker} to kill"))?;
                let there = seen.spawned && !seen.killed && !seen.exited;
                demand(there, || format!("{worker} is killed and is {seen:?}"))?;
                let reason = match why {
                    KillReason::Ending => record.is_final(),
                    KillReason::Condemned => seen.condemned,
                    KillReason::Task(_) => seen.interrupted_ns.is_some() && seen.sentence.is_some(),
                    KillReason::NotReady => !seen.ready,
                    KillReason::Memory => seen.overweight,
                };
                demand(reason, || format!("{worker} is killed for nothing"))
            }
            Line::Rest { .. } => self.see_rest(record),
            Line::Ordered(_) | Line::Started { .. } | Line::Struck { .. } => Ok(()),
        }
    }
}
