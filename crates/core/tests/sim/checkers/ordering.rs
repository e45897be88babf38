//! Of the waiting tasks the highest is sent, and of equals the oldest: in the order of their numbers, and those that come back
//! before those that were never sent.

use std::cmp::Reverse;

use loky_core::{Effect, TaskId};

use super::record::Record;
use super::{Checker, Line, Verdict, demand};

pub struct Ordering;

impl Checker for Ordering {
    fn name(&self) -> &'static str {
        "ordering"
    }

    fn see(&mut self, record: &Record, line: &Line) -> Verdict {
        let Line::Ordered(Effect::SendTask { task, .. }) = line else {
            return Ok(());
        };
        let rank = |task: &TaskId| {
            let seen = record.tasks.get(task);
            (Reverse(seen.map_or(0, |seen| seen.options.priority)), *task)
        };
        let first = record.queued.iter().map(rank).min();
        demand(first.is_none_or(|first| first >= rank(task)), || {
            format!("{task} overtakes {first:?}")
        })
    }
}
