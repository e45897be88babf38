//! Nobody has nothing to do while a task waits, and no waiting task is without hope.

use super::record::Record;
use super::{Checker, Line, Verdict, demand};

pub struct Working;

impl Checker for Working {
    fn name(&self) -> &'static str {
        "working"
    }

    fn see(&mut self, record: &Record, line: &Line) -> Verdict {
        let Line::Rest { .. } = line else {
            return Ok(());
        };
        let Some(waiting) = record.queued.first() else {
            return Ok(());
        };
        let idle = record
            .workers
            .iter()
            .find(|(_, seen)| seen.is_working() && seen.held.is_empty());
        demand(idle.is_none(), || {
            format!("{waiting} waits while one idles: {idle:?}")
        })?;
        let hope = record
            .workers
            .values()
            .any(|seen| seen.condemned || !seen.is_leaving());
        demand(hope || record.armed_at_ns.is_some(), || {
            format!("{waiting} waits and nobody will come")
        })
    }
}
