//! Nobody has nothing to do while a task waits or could be had from another, and no waiting task
//! is without hope.

use super::record::{Record, WorkerSeen};
use super::{Checker, Line, Verdict, demand};

pub struct Working;

/// Whether another worker could take one of its tasks: any but the oldest that may not have
/// started.
fn has_to_give(record: &Record, seen: &WorkerSeen) -> bool {
    let open = |task| {
        let seen = record.tasks.get(task);
        seen.is_some_and(|seen| !seen.revoking && !seen.claimed)
    };
    seen.is_working() && !seen.is_quarantined() && seen.held.iter().skip(1).any(open)
}

impl Checker for Working {
    fn name(&self) -> &'static str {
        "working"
    }

    fn see(&mut self, record: &Record, line: &Line) -> Verdict {
        let Line::Rest { .. } = line else {
            return Ok(());
        };
        let idle = record.idle();
        if idle > record.moving() {
            let giver = record
                .workers
                .iter()
                .find(|(_, seen)| has_to_give(record, seen));
            demand(giver.is_none(), || format!("one idles beside {giver:?}"))?;
        }
        let Some(waiting) = record.queued.first() else {
            return Ok(());
        };
        demand(idle == 0, || format!("{waiting} waits while {idle} idle"))?;
        let hope = record
            .workers
            .values()
            .any(|seen| seen.is_doomed_alone() || !seen.is_leaving());
        demand(hope || record.armed_at_ns.is_some(), || {
            format!("{waiting} waits and nobody will come")
        })
    }
}
