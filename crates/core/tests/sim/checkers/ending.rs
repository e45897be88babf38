//! A shutdown does what its word says, and the stop comes last, when nothing is left.

use loky_core::{Effect, Outcome, ShutdownMode};

use super::record::Record;
use super::{Checker, Line, Verdict, demand};

pub struct Ending;

impl Checker for Ending {
    fn name(&self) -> &'static str {
        "ending"
    }

    fn see(&mut self, record: &Record, line: &Line) -> Verdict {
        match line {
            Line::Ordered(Effect::Stopped) => {
                demand(!record.stopped, || "stopped twice".to_owned())?;
                let begun = record.broken.is_some() || record.shutdown.is_some();
                demand(begun, || "stopped unasked".to_owned())?;
                demand(record.unfinished == 0, || "stopped with tasks".to_owned())?;
                demand(record.workers.is_empty(), || {
                    format!("stopped with workers {:?}", record.workers)
                })?;
                demand(!record.resizing && record.armed_at_ns.is_none(), || {
                    "stopped with a resize or a timer under way".to_owned()
                })
            }
            Line::Ordered(Effect::CompleteTask { task, outcome }) => {
                let seen = record.tasks.get(task).ok_or("unrecorded task")?;
                demand(seen.refused || !record.stopped, || {
                    format!("{task} ends after the stop")
                })?;
                let drained = record.shutdown < Some(ShutdownMode::CancelPending);
                let shut_down = *outcome == Outcome::ShutDown && !seen.refused;
                demand(!(shut_down && drained), || {
                    format!("{task} is shut down by nobody, or by a drain")
                })
            }
            Line::Ordered(effect) => {
                demand(!record.stopped, || format!("{effect:?} after the stop"))
            }
            Line::Rest { .. } => {
                let killed = record.shutdown == Some(ShutdownMode::Kill);
                demand(!killed || record.unfinished == 0, || {
                    "killed, and tasks go on".to_owned()
                })?;
                let spared = record.workers.iter().find(|(_, seen)| {
                    seen.spawned && !seen.killed && !seen.exited && !seen.condemned
                });
                demand(!killed || spared.is_none(), || {
                    format!("killed, and one lives: {spared:?}")
                })
            }
            Line::Told(..) | Line::Started { .. } | Line::Struck { .. } => Ok(()),
        }
    }

    fn end(&mut self, record: &Record) -> Verdict {
        demand(record.stopped, || {
            format!("never stopped; workers: {:?}", record.workers)
        })
    }
}
