//! A pool breaks once, for a reason that was told, and then in full: every task, every worker.

use loky_core::{BreakReason, Departure, Effect, Event, OnCrash, Outcome};

use super::departing::meaning;
use super::record::Record;
use super::{Checker, Line, Verdict, demand};

#[derive(Default)]
pub struct Breaking {
    /// The event of this step must break the pool.
    must_break: bool,
    /// Ends of workers and of launchers since the last answer, the one of this step included.
    exits: u32,
    launcher_deaths: u32,
}

impl Breaking {
    fn count(&mut self, record: &Record, event: &Event) {
        if let Event::WorkerExited { worker, .. } = event
            && record.workers.contains_key(worker)
        {
            self.exits += 1;
        }
        self.launcher_deaths += u32::from(*event == Event::LauncherDied);
    }

    /// A budget is not spent by fewer ends than it bears.
    fn is_spent(&self, record: &Record, reason: BreakReason) -> bool {
        let deaths_max = record.config.restart_budget.deaths_max;
        match reason {
            BreakReason::RestartBudget(_) => self.exits > deaths_max,
            BreakReason::LauncherDied => {
                record.config.on_crash == OnCrash::Break || self.launcher_deaths > deaths_max
            }
            BreakReason::WorkerDied(_)
            | BreakReason::InitializerFailed(_)
            | BreakReason::SpawnFailed(_)
            | BreakReason::SetupFailed => true,
        }
    }
}

/// Whether this reason can come from this event.
fn is_told(record: &Record, reason: BreakReason) -> bool {
    let break_mode = record.config.on_crash == OnCrash::Break;
    match (reason, &record.event) {
        (BreakReason::WorkerDied(worker), Some(Event::WorkerExited { worker: gone, .. })) => {
            break_mode && worker == *gone
        }
        (BreakReason::RestartBudget(worker), Some(Event::WorkerExited { worker: gone, .. })) => {
            // In break mode a death breaks the pool by itself, but leaving unasked adds up.
            let unasked = record
                .workers
                .get(gone)
                .is_some_and(|seen| seen.said.is_some());
            (!break_mode || unasked) && worker == *gone
        }
        (BreakReason::InitializerFailed(worker), Some(Event::InitializerFailed { worker: at })) => {
            worker == *at
        }
        (BreakReason::SpawnFailed(errno), Some(Event::SpawnFailed { errno: told, .. })) => {
            errno == *told
        }
        (BreakReason::LauncherDied, Some(Event::LauncherDied))
        | (BreakReason::SetupFailed, Some(Event::SetupFailed)) => true,
        (
            BreakReason::WorkerDied(_)
            | BreakReason::RestartBudget(_)
            | BreakReason::InitializerFailed(_)
            | BreakReason::SpawnFailed(_)
            | BreakReason::LauncherDied
            | BreakReason::SetupFailed,
            _,
        ) => false,
    }
}

fn breaks_at_once(record: &Record, event: &Event) -> bool {
    if record.is_final() || record.stopped {
        return false;
    }
    let break_mode = record.config.on_crash == OnCrash::Break;
    if let Event::InitializerFailed { worker } = event {
        return record
            .workers
            .get(worker)
            .is_some_and(|seen| !seen.condemned && !seen.killed);
    }
    if let Event::WorkerExited { worker, started } = event {
        let any_started = !record.started_of(*worker, started).is_empty();
        let died = meaning(record, *worker, any_started) == Some(Departure::Died);
        return break_mode && died;
    }
    let launcher_died = matches!(event, Event::LauncherDied);
    (launcher_died && break_mode) || matches!(event, Event::SetupFailed)
}

impl Checker for Breaking {
    fn name(&self) -> &'static str {
        "breaking"
    }

    fn see(&mut self, record: &Record, line: &Line) -> Verdict {
        match line {
            Line::Told(_, event) => {
                self.must_break = breaks_at_once(record, event);
                self.count(record, event);
                Ok(())
            }
            Line::Ordered(Effect::BreakPool { reason }) => {
                demand(record.broken.is_none(), || {
                    format!("broken again, by {reason:?}")
                })?;
                demand(!record.is_final(), || {
                    format!("broken by {reason:?} after a kill")
                })?;
                demand(is_told(record, *reason), || {
                    format!("broken by {reason:?} after {:?}", record.event)
                })?;
                demand(self.is_spent(record, *reason), || {
                    format!(
                        "broken by {reason:?} after {} ends since an answer",
                        self.exits
                    )
                })
            }
            Line::Ordered(Effect::CompleteTask { task, outcome }) => match record.broken {
                None if matches!(outcome, Outcome::Answered { .. }) => {
                    self.exits = 0;
                    self.launcher_deaths = 0;
                    Ok(())
                }
                Some(reason) => demand(*outcome == Outcome::Broken(reason), || {
                    format!("{task} ends as {outcome:?} in a pool broken by {reason:?}")
                }),
                None => demand(!matches!(outcome, Outcome::Broken(_)), || {
                    format!("{task} ends as {outcome:?} in a pool that is not broken")
                }),
            },
            Line::Rest { .. } => {
                demand(!self.must_break || record.broken.is_some(), || {
                    format!("not broken by {:?}", record.event)
                })?;
                if record.broken.is_none() {
                    return Ok(());
                }
                demand(record.unfinished == 0, || {
                    "broken, and tasks go on".to_owned()
                })?;
                let spared = record
                    .workers
                    .iter()
                    .find(|(_, seen)| seen.spawned && !seen.killed && !seen.exited);
                demand(spared.is_none(), || {
                    format!("broken, and one lives: {spared:?}")
                })
            }
            Line::Ordered(_) | Line::Started { .. } | Line::Struck { .. } => Ok(()),
        }
    }
}
