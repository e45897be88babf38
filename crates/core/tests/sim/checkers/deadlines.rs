//! Time that has run out is acted on, in stages, and never before it has: runs, waits, starts.

use loky_core::{Effect, Event, KillReason, Outcome, TaskId, Verdict as Judged, WorkerId};

use super::record::Record;
use super::{Checker, Line, Verdict, demand};

#[derive(Default)]
pub struct Deadlines {
    /// The worker and task for which this step must do something.
    must_act: Option<(WorkerId, TaskId)>,
    /// The timer has fired in this step.
    fired: bool,
}

/// Whether a task runs, or ran, for as long as it may.
fn is_out_of_time(record: &Record, task: TaskId) -> bool {
    record.tasks.get(&task).is_some_and(|seen| {
        let timeout_ns = seen.options.timeout_ns;
        let due_ns = timeout_ns.map(|timeout_ns| seen.began_ns.saturating_add(timeout_ns));
        seen.starts > seen.failures && due_ns.is_some_and(|due_ns| due_ns <= record.now_ns)
    })
}

impl Deadlines {
    fn see_order(record: &Record, effect: &Effect) -> Verdict {
        match effect {
            Effect::InterruptWorker {
                worker,
                task,
                attempt,
                verdict,
            } => {
                let seen = record.workers.get(worker).ok_or("no such worker")?;
                let alone = seen.held == [*task] && record.holds(*worker, *task, *attempt);
                demand(alone, || {
                    format!(
                        "{worker} is interrupted for {task} and holds {:?}",
                        seen.held
                    )
                })?;
                demand(seen.interrupted_ns.is_none(), || {
                    format!("{worker} is interrupted twice")
                })?;
                let force = record.tasks.get(task).is_some_and(|seen| seen.force);
                let due = match verdict {
                    Judged::TimedOut => is_out_of_time(record, *task),
                    Judged::Cancelled => force,
                };
                demand(due, || format!("{task} is interrupted before its time"))
            }
            Effect::TerminateWorker { worker }
            | Effect::KillWorker {
                worker,
                why: KillReason::Task(_),
            } => Self::see_strike(record, *worker),
            Effect::KillWorker {
                worker,
                why: KillReason::NotReady,
            } => {
                let seen = record.workers.get(worker).ok_or("no such worker")?;
                let timeout_ns = record.config.start_timeout_ns;
                let due_ns =
                    timeout_ns.map(|timeout_ns| seen.spawned_ns.saturating_add(timeout_ns));
                demand(due_ns.is_some_and(|due_ns| due_ns <= record.now_ns), || {
                    format!("{worker} had more time to be ready")
                })
            }
            Effect::TellSlow { task, ran_ns, .. } => {
                let seen = record.tasks.get(task).ok_or("unrecorded task")?;
                let after_ns = seen.options.slow_after_ns;
                let truly_ns = record.now_ns.saturating_sub(seen.began_ns);
                let due = after_ns.is_some_and(|after_ns| after_ns <= *ran_ns);
                demand(due && *ran_ns <= truly_ns && !seen.told_slow, || {
                    format!("{task} is told as slow after {ran_ns}: {seen:?}")
                })
            }
            Effect::CompleteTask { task, outcome } => Self::see_end(record, *task, *outcome),
            _ => Ok(()),
        }
    }

    fn see_strike(record: &Record, worker: WorkerId) -> Verdict {
        let seen = record.workers.get(&worker).ok_or("no such worker")?;
        // A wish to cancel brings a grace of its own, which may be shorter.
        let force = |task| record.tasks.get(&task).is_some_and(|seen| seen.force);
        let grace_ns = match seen.sentence {
            Some(task) if !force(task) => record.config.interrupt_grace_ns,
            Some(_) | None => 0,
        };
        let due_ns = seen
            .interrupted_ns
            .map(|at_ns| at_ns.saturating_add(grace_ns));
        demand(due_ns.is_some_and(|due_ns| due_ns <= record.now_ns), || {
            format!("{worker} is struck before its grace is over: {seen:?}")
        })
    }

    fn see_end(record: &Record, task: TaskId, outcome: Outcome) -> Verdict {
        let seen = record.tasks.get(&task).ok_or("unrecorded task")?;
        match outcome {
            Outcome::TimedOut { worker, attempt } => {
                let ran = seen.started_at == Some((worker, attempt));
                demand(ran && is_out_of_time(record, task), || {
                    format!("{task} ends as out of time and is not: {seen:?}")
                })
            }
            Outcome::Expired => demand(seen.starts == 0 && seen.is_overdue(record.now_ns), || {
                format!("{task} ends as expired: {seen:?}")
            }),
            Outcome::Answered { .. }
            | Outcome::Cancelled
            | Outcome::Died { .. }
            | Outcome::Broken(_)
            | Outcome::ShutDown => Ok(()),
        }
    }

    fn see_rest(&mut self, record: &Record) -> Verdict {
        if let Some((worker, task)) = self.must_act.take()
            && let Some(seen) = record.workers.get(&worker)
        {
            let others = seen.held.iter().any(|held| *held != task);
            let asked = record.revoking.contains(&task);
            let acts =
                asked || seen.interrupted_ns.is_some() || others || !seen.held.contains(&task);
            demand(acts, || {
                format!("{task} is out of time and goes on: {seen:?}")
            })?;
        }
        if let Some(fired_ns) = record.fired_ns {
            let overdue = |task: &&TaskId| {
                let seen = record.tasks.get(task);
                seen.is_some_and(|seen| seen.submitted_ns < fired_ns && seen.is_overdue(fired_ns))
            };
            let waiting = record.queued.iter().find(overdue);
            demand(waiting.is_none(), || {
                format!("{waiting:?} should have started and waits")
            })?;
        }
        if !self.fired || record.is_final() {
            return Ok(());
        }
        let Some(timeout_ns) = record.config.start_timeout_ns else {
            return Ok(());
        };
        let late = record.workers.iter().find(|(_, seen)| {
            let due = seen.spawned_ns.saturating_add(timeout_ns) <= record.now_ns;
            let over = seen.condemned || seen.killed || seen.exited;
            seen.spawned && !seen.ready && !over && due
        });
        demand(late.is_none(), || {
            format!("one should be ready and is left alone: {late:?}")
        })
    }
}

impl Checker for Deadlines {
    fn name(&self) -> &'static str {
        "deadlines"
    }

    fn see(&mut self, record: &Record, line: &Line) -> Verdict {
        match line {
            Line::Told(now_ns, event) => {
                self.fired = matches!(event, Event::TimerFired);
                let free = |worker: &WorkerId| {
                    let seen = record.workers.get(worker);
                    seen.is_some_and(|seen| !seen.is_leaving() && !seen.is_quarantined())
                };
                let found = record.deadline_found(*now_ns, event);
                self.must_act = found.filter(|(worker, _)| free(worker));
                Ok(())
            }
            Line::Ordered(effect) => Self::see_order(record, effect),
            Line::Rest { .. } => self.see_rest(record),
            Line::Started { .. } | Line::Struck { .. } => Ok(()),
        }
    }
}
