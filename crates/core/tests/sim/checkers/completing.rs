//! Every submitted task ends exactly once.

use loky_core::{Effect, Event, Outcome};

use super::record::Record;
use super::{Checker, Line, Verdict, demand};

pub struct Completing;

impl Checker for Completing {
    fn name(&self) -> &'static str {
        "completing"
    }

    fn see(&mut self, record: &Record, line: &Line) -> Verdict {
        match line {
            Line::Ordered(Effect::CompleteTask { task, outcome }) => {
                let seen = record
                    .tasks
                    .get(task)
                    .ok_or(format!("{task} was never submitted"))?;
                demand(seen.outcome.is_none(), || format!("{task} ends twice"))?;
                let as_refused = match (record.broken, record.shutdown) {
                    (Some(reason), _) => *outcome == Outcome::Broken(reason),
                    (None, Some(_)) => *outcome == Outcome::ShutDown,
                    (None, None) => false,
                };
                demand(!seen.refused || as_refused, || {
                    format!("{task} was refused and ends as {outcome:?}")
                })
            }
            Line::Rest { unfinished, .. } => {
                if let Some(Event::TaskSubmitted { task, .. }) = &record.event {
                    let seen = record.tasks.get(task).ok_or("unrecorded task")?;
                    demand(!seen.refused || seen.outcome.is_some(), || {
                        format!("{task} was refused and not completed at once")
                    })?;
                }
                demand(*unfinished == record.unfinished, || {
                    format!(
                        "{unfinished} unfinished tasks are claimed, {} are",
                        record.unfinished
                    )
                })
            }
            Line::Told(..) | Line::Ordered(_) | Line::Started { .. } | Line::Struck { .. } => {
                Ok(())
            }
        }
    }

    fn end(&mut self, record: &Record) -> Verdict {
        match record.tasks.iter().find(|(_, seen)| seen.outcome.is_none()) {
            None => Ok(()),
            Some((task, seen)) => Err(format!("{task} never ended: {seen:?}")),
        }
    }
}
