//! Of the waiting tasks the oldest is sent: in the order of their numbers, and those that come back
//! before those that were never sent.

use loky_core::Effect;

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
        let first = record.queued.first();
        demand(first.is_none_or(|first| first >= task), || {
            format!("{task} overtakes {first:?}")
        })
    }
}
