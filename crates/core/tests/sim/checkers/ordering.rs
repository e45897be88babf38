//! Tasks are first sent in the order of their numbers, and those that come back go first.

use loky_core::Effect;

use super::record::Record;
use super::{Checker, Line, Verdict, demand};

pub struct Ordering;

impl Checker for Ordering {
    fn name(&self) -> &'static str {
        "ordering"
    }

    fn see(&mut self, record: &Record, line: &Line) -> Verdict {
        let Line::Ordered(Effect::SendTask { task, attempt, .. }) = line else {
            return Ok(());
        };
        if attempt.0 > 1 {
            return Ok(());
        }
        let attempts = |task| record.tasks.get(task).map_or(0, |seen| seen.attempt);
        for waiting in &record.queued {
            demand(attempts(waiting) == 0, || {
                format!("{task} overtakes {waiting}, sent before")
            })?;
            demand(waiting >= task, || format!("{task} overtakes {waiting}"))?;
        }
        Ok(())
    }
}
