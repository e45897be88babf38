//! A resize is settled once, and not before the workers are as many as asked for.

use std::collections::BTreeSet;

use loky_core::{Effect, Event, WorkerId};

use super::record::{Record, WorkerSeen};
use super::{Checker, Line, Verdict, demand};

#[derive(Default)]
pub struct Resizing {
    /// Workers that were asked to leave by a resize.
    surplus: BTreeSet<WorkerId>,
    /// Some spawn has failed: a pool that is short of workers may settle for fewer.
    spawns_fail: bool,
    /// Who had been ordered when the resize was asked for, and by it.
    up_to: u64,
    /// A resize was settled in this step.
    settled: bool,
}

impl Resizing {
    fn see_settled(&self, record: &Record) -> Verdict {
        demand(record.resizing, || {
            "a resize is settled that nobody asked for".to_owned()
        })?;
        if !record.accepts() || !record.started {
            return Ok(());
        }
        let left = self
            .surplus
            .iter()
            .find(|id| record.workers.contains_key(id));
        let early = matches!(record.event, Some(Event::ResizeRequested { .. }));
        let up_to = if early {
            record.last_worker
        } else {
            self.up_to
        };
        let unmade = record
            .workers
            .iter()
            .find(|(id, seen)| id.0 <= up_to && !seen.spawned && !seen.is_leaving());
        demand(
            unmade.is_none() || self.spawns_fail || record.ever_shrunk,
            || format!("settled before {unmade:?} is there"),
        )?;
        demand(left.is_none(), || {
            format!("settled while {left:?} is there")
        })
    }
}

impl Checker for Resizing {
    fn name(&self) -> &'static str {
        "resizing"
    }

    fn see(&mut self, record: &Record, line: &Line) -> Verdict {
        match line {
            Line::Told(_, event) => {
                self.settled = false;
                self.spawns_fail |= matches!(event, Event::SpawnFailed { .. });
                Ok(())
            }
            Line::Ordered(Effect::AskToLeave { worker }) => {
                if matches!(record.event, Some(Event::ResizeRequested { .. })) {
                    self.surplus.insert(*worker);
                }
                Ok(())
            }
            Line::Ordered(Effect::ResizeSettled) => {
                self.settled = true;
                self.see_settled(record)
            }
            Line::Rest { alive, .. } => {
                if matches!(record.event, Some(Event::ResizeRequested { .. })) {
                    self.up_to = record.last_worker;
                }
                let exact = self.settled && record.accepts() && record.started;
                let grown = *alive == record.size as usize;
                // The place of a condemned worker is kept until it is over.
                let doomed = record.workers.values().any(WorkerSeen::is_doomed_alone);
                let excused = doomed || self.spawns_fail || record.config.idle_timeout_ns.is_some();
                demand(!exact || grown || excused, || {
                    format!(
                        "settled with {alive} workers, {} were asked for",
                        record.size
                    )
                })?;
                demand(record.accepts() || !record.resizing, || {
                    "a resize is left open in a pool that ends".to_owned()
                })
            }
            Line::Ordered(_) | Line::Started { .. } | Line::Struck { .. } => Ok(()),
        }
    }

    fn end(&mut self, record: &Record) -> Verdict {
        demand(!record.resizing, || "a resize was never settled".to_owned())
    }
}
