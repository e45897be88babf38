//! The timer covers what idling needs, and is set no more often than that.

use loky_core::{Effect, Event};

use super::record::Record;
use super::{Checker, Line, Verdict, demand};

#[derive(Default)]
pub struct Timing {
    fired: bool,
}

impl Timing {
    /// With nothing on its way to them, idle workers have a timer; after it fired, none is overdue. A resize holds idling up.
    fn see_rest(&self, record: &Record) -> Verdict {
        let Some(timeout_ns) = record.config.idle_timeout_ns else {
            return Ok(());
        };
        if !record.revoking.is_empty() || record.resizing || record.is_final() || record.stopped {
            return Ok(());
        }
        for (id, seen) in &record.workers {
            if !seen.is_idle() {
                continue;
            }
            let due_ns = seen.idle_since_ns.saturating_add(timeout_ns);
            demand(
                record.armed_at_ns.is_some_and(|at_ns| at_ns <= due_ns),
                || format!("{id} idles and the timer is at {:?}", record.armed_at_ns),
            )?;
            demand(!self.fired || due_ns > record.now_ns, || {
                format!("{id} idles since {} and stays", seen.idle_since_ns)
            })?;
        }
        Ok(())
    }
}

impl Checker for Timing {
    fn name(&self) -> &'static str {
        "timing"
    }

    fn see(&mut self, record: &Record, line: &Line) -> Verdict {
        match line {
            Line::Told(_, event) => {
                self.fired = matches!(event, Event::TimerFired) && !record.resizing;
                Ok(())
            }
            Line::Ordered(Effect::ArmTimer { at_ns }) => demand(
                record.armed_at_ns.is_none_or(|armed_ns| *at_ns < armed_ns),
                || format!("the timer moves from {:?} to {at_ns}", record.armed_at_ns),
            ),
            Line::Ordered(Effect::DisarmTimer) => demand(record.armed_at_ns.is_some(), || {
                "no timer to disarm".to_owned()
            }),
            // A task that was tried again kept everybody, and the timer has been set anew.
            Line::Ordered(Effect::SendTask { .. }) => {
                self.fired = false;
                Ok(())
            }
            Line::Rest { .. } => self.see_rest(record),
            Line::Ordered(_) | Line::Started { .. } | Line::Struck { .. } => Ok(()),
        }
    }
}
