//! Workers are made when there is a reason, as many as asked for, each with a place of its own,
//! and not while the system has just refused.

use loky_core::{Effect, Event, WorkerId};

use super::record::Record;
use super::{Checker, Line, Verdict, demand};

#[derive(Default)]
pub struct Spawning {
    /// Nothing is made before this time.
    not_before_ns: u64,
    /// Orders up to this one went down with a launcher.
    orphans_up_to: u64,
    /// A spawn has failed since the last order.
    failed: bool,
}

impl Spawning {
    fn see_event(&mut self, record: &Record, now_ns: u64, event: &Event) {
        if let Event::LauncherDied = event {
            self.orphans_up_to = record.last_worker;
        }
        if let Event::SpawnFailed { worker, .. } = event
            && let Some(seen) = record.workers.get(worker)
            && worker.0 > self.orphans_up_to
            && !seen.is_leaving()
            && !record.ever_shrunk
            && record.accepts()
            && !std::mem::replace(&mut self.failed, true)
        {
            self.not_before_ns = now_ns + record.config.spawn_backoff.first_ns;
        }
    }

    fn see_order(&self, record: &Record, worker: WorkerId, index: u32) -> Verdict {
        demand(record.started, || {
            format!("{worker} is made before the first task")
        })?;
        demand(!record.is_final() && !record.stopped, || {
            format!("{worker} is made at the end")
        })?;
        demand(worker.0 > record.last_worker, || {
            format!("{worker} is an old number")
        })?;
        let taken = record.workers.iter().find(|(_, seen)| seen.index == index);
        demand(taken.is_none(), || {
            format!("{worker} gets place {index}, of {taken:?}")
        })?;
        let lower = (0..index).all(|lower| record.workers.values().any(|seen| seen.index == lower));
        demand(lower, || {
            format!("{worker} gets place {index}, and a lower one is free")
        })?;
        demand(record.now_ns >= self.not_before_ns, || {
            format!("{worker} is made before {}", self.not_before_ns)
        })
    }
}

impl Checker for Spawning {
    fn name(&self) -> &'static str {
        "spawning"
    }

    fn see(&mut self, record: &Record, line: &Line) -> Verdict {
        match line {
            Line::Told(now_ns, event) => {
                self.see_event(record, *now_ns, event);
                Ok(())
            }
            Line::Ordered(Effect::SpawnWorker { worker, index }) => {
                self.see_order(record, *worker, *index)?;
                self.failed = false;
                Ok(())
            }
            Line::Rest { alive, .. } => {
                let size = record.size as usize;
                demand(*alive <= size, || {
                    format!("{alive} workers live, {size} may")
                })?;
                // A worker that was sent away before it was there cannot be told from outside.
                let strict = !record.ever_shrunk && record.accepts();
                let there = record
                    .workers
                    .values()
                    .filter(|seen| !seen.is_leaving() && (strict || seen.spawned));
                let there = there.count();
                demand(there <= size, || {
                    format!("{there} workers are there, {size} may be")
                })?;
                let submitted = matches!(
                    record.event,
                    Some(Event::TaskSubmitted { .. } | Event::WorkersWanted)
                );
                let refused = record.now_ns < self.not_before_ns || record.ever_shrunk;
                if submitted && record.accepts() && !refused && self.not_before_ns == 0 {
                    let condemned = record
                        .workers
                        .values()
                        .filter(|seen| seen.is_doomed_alone())
                        .count();
                    demand(there + condemned >= size, || {
                        format!("{there} workers after a submission, {size} should be there")
                    })?;
                }
                Ok(())
            }
            Line::Ordered(_) | Line::Started { .. } | Line::Struck { .. } => Ok(()),
        }
    }
}
