//! The laws of a pool at rest, each a named check.
//!
//! Owner: `Pool::step`, which runs them in debug and test builds. A law looks and says; it never
//! repairs anything.

use std::collections::BTreeSet;

use crate::agenda::Due;
use crate::event::ShutdownMode;
use crate::ids::{TaskId, WorkerId};
use crate::pool::Pool;
use crate::task::Place;
use crate::worker::{Claim, Doom, Stage, Why};

/// A law that does not hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Violation {
    /// A task is in no place, in two, or in another than it believes.
    #[error("{0} is not in exactly one place")]
    TaskPlace(TaskId),
    /// Something that is over is still waiting or held.
    #[error("{0} is over and still named")]
    OverAndNamed(TaskId),
    /// The kept counts and orders of workers are not what a walk gives.
    #[error("the roster's counts are not true")]
    RosterCounts,
    /// A worker's counts of claims are not what a walk gives.
    #[error("{0} miscounts its claims")]
    ClaimCounts(WorkerId),
    /// Two workers have one place.
    #[error("a place in the pool is taken twice or lost")]
    Places,
    /// A worker holds more tasks than its ledger has room for.
    #[error("{0} holds more tasks than it may")]
    HeldTooMany(WorkerId),
    /// A worker holds tasks in a stage in which it may not.
    #[error("{0} holds tasks in the wrong stage")]
    HeldInStage(WorkerId),
    /// A worker that could take a task idles while one waits.
    #[error("{0} has nothing to do while tasks wait")]
    IdleWhileWaiting(WorkerId),
    /// Tasks wait and nobody will ever take them.
    #[error("tasks wait, and no worker is there, ordered or waited for")]
    Stranded,
    /// There are more live workers than asked for, or fewer than wanted without a reason.
    #[error("{live} live workers where {wanted} are wanted and {target} allowed")]
    Size {
        /// Live workers.
        live: u32,
        /// Wanted at the moment.
        wanted: u32,
        /// The size asked for.
        target: u32,
    },
    /// A need without a timer.
    #[error("the timer is set later than the earliest need")]
    Timer,
    /// Something is due that nobody waits for, or the reverse.
    #[error("the agenda is not what tasks and workers wait for")]
    Agenda,
    /// Something is left after the end.
    #[error("the pool has come to its end and something is left")]
    LeftAfterTheEnd,
    /// The counts of tasks do not add up.
    #[error("the counts of tasks do not add up")]
    TaskBooks,
    /// The counts of sent tasks do not add up.
    #[error("the counts of sent and released tasks do not add up")]
    SendBooks,
    /// The counts of withdrawals do not add up.
    #[error("a withdrawal is unaccounted for")]
    RevokeBooks,
    /// The counts of spawns do not add up.
    #[error("a spawn is unaccounted for")]
    SpawnBooks,
}

type Verdict = Result<(), Violation>;

fn demand(holds: bool, violation: Violation) -> Verdict {
    if holds { Ok(()) } else { Err(violation) }
}

impl Pool {
    /// Holds the state against every law. Meant for after a step.
    ///
    /// # Errors
    /// The first law that does not hold.
    pub fn check_invariants(&self) -> Verdict {
        self.law_every_task_is_in_one_place()?;
        self.law_nothing_over_is_named()?;
        self.law_the_roster_counts_truly()?;
        self.law_workers_hold_what_they_may()?;
        self.law_nobody_idles_while_tasks_wait()?;
        self.law_no_task_is_stranded()?;
        self.law_the_size_is_kept()?;
        self.law_every_need_has_a_timer()?;
        self.law_the_agenda_is_true()?;
        self.law_the_end_is_empty()?;
        self.law_the_books_balance()
    }

    /// A task waits at the place that it names, or is held by the worker that it names.
    fn law_every_task_is_in_one_place(&self) -> Verdict {
        let mut queued = 0;
        let mut sent = 0;
        for (id, task) in self.tasks.iter() {
            match task.place {
                Place::Queued => queued += 1,
                Place::Resting(_) => demand(task.attempt.0 > 0, Violation::TaskPlace(id))?,
                Place::Sent(worker) => {
                    sent += 1;
                    let held = self.roster.get(worker).and_then(|worker| worker.claim(id));
                    demand(
                        held.is_some() && task.attempt.0 > 0,
                        Violation::TaskPlace(id),
                    )?;
                }
            }
        }
        for (id, priority) in self.queue.iter() {
            let place = self.tasks.get(id).map(|task| task.place);
            let fits = place == Some(Place::Queued) && self.tasks.priority(id) == priority;
            demand(fits, Violation::TaskPlace(id))?;
        }
        let held: usize = self
            .roster
            .iter()
            .map(|(_, worker)| worker.held().len())
            .sum();
        let first = self.tasks.first().unwrap_or(TaskId(0));
        demand(
            queued == self.queue.len() && sent == held,
            Violation::TaskPlace(first),
        )
    }

    /// Neither the queue nor a worker names a task that is over.
    fn law_nothing_over_is_named(&self) -> Verdict {
        for (id, worker) in self.roster.iter() {
            for held in worker.held() {
                let place = self.tasks.get(held.task).map(|task| task.place);
                demand(
                    place == Some(Place::Sent(id)),
                    Violation::OverAndNamed(held.task),
                )?;
            }
        }
        for (id, _) in self.queue.iter() {
            demand(!self.tasks.is_over(id), Violation::OverAndNamed(id))?;
        }
        Ok(())
    }

    fn law_the_roster_counts_truly(&self) -> Verdict {
        demand(self.roster.standings_are_true(), Violation::RosterCounts)?;
        demand(self.roster.places_are_single(), Violation::Places)?;
        for (id, worker) in self.roster.iter() {
            demand(
                worker.recount() == worker.counts(),
                Violation::ClaimCounts(id),
            )?;
        }
        Ok(())
    }

    /// Only a ready worker holds open claims; one that is not there yet or was killed at the end
    /// holds nothing; nobody holds more than its ledger can.
    fn law_workers_hold_what_they_may(&self) -> Verdict {
        for (id, worker) in self.roster.iter() {
            let most = self.pace.prefetch_max();
            demand(worker.load() <= most, Violation::HeldTooMany(id))?;
            let fits = match worker.stage() {
                Stage::Spawning | Stage::Starting | Stage::Doomed(Doom::Ending) => {
                    worker.load() == 0
                }
                Stage::Leaving(_) => worker.held().all(|held| held.claim != Claim::Open),
                Stage::Ready => !(worker.is_spent() && worker.load() == 0),
                Stage::Doomed(Doom::Late { .. }) => worker.load() == 0,
                Stage::Doomed(Doom::Condemned | Doom::Struck(_) | Doom::Overweight) => true,
            };
            demand(fits, Violation::HeldInStage(id))?;
        }
        Ok(())
    }

    fn law_nobody_idles_while_tasks_wait(&self) -> Verdict {
        match self.roster.least_loaded() {
            Some((load, id)) if load < self.pace.depth() => {
                demand(self.queue.is_empty(), Violation::IdleWhileWaiting(id))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// A waiting task has a worker, a coming one, or a time at which one is tried again.
    fn law_no_task_is_stranded(&self) -> Verdict {
        let hope = self.roster.members() > 0 || self.shortage.retry_at_ns().is_some();
        demand(self.queue.is_empty() || hope, Violation::Stranded)
    }

    fn law_the_size_is_kept(&self) -> Verdict {
        let (live, wanted, target) = (self.roster.live(), self.wanted(), self.size.target());
        let short = self.roster.members() < wanted;
        let excused = self.shortage.retry_at_ns().is_some();
        let kept = live <= target && (!short || excused);
        demand(
            kept,
            Violation::Size {
                live,
                wanted,
                target,
            },
        )
    }

    fn law_every_need_has_a_timer(&self) -> Verdict {
        let covered = match (self.earliest_need_ns(), self.timer.armed_at_ns()) {
            (Some(need_ns), Some(armed_ns)) => armed_ns <= need_ns,
            (Some(_), None) => false,
            (None, _) => true,
        };
        demand(covered, Violation::Timer)
    }

    /// What is due is what tasks and workers wait for, no more and no less.
    fn law_the_agenda_is_true(&self) -> Verdict {
        let mut anew = BTreeSet::new();
        let mut enter = |at_ns: Option<u64>, due| {
            if let Some(at_ns) = at_ns {
                anew.insert((at_ns, due));
            }
        };
        for (id, extras) in self.tasks.all_extras() {
            enter(extras.expires_at_ns, Due::Expire(id));
            enter(extras.look_at_ns, Due::Look(id));
            if let Some(Place::Resting(at_ns)) = self.tasks.get(id).map(|task| task.place) {
                enter(Some(at_ns), Due::Resume(id));
            }
        }
        for (id, worker) in self.roster.iter() {
            let sentence = worker.sentence();
            enter(
                sentence.and_then(|sentence| sentence.next_at_ns),
                Due::Escalate(id),
            );
            enter(worker.start_by_ns, Due::StartOver(id));
        }
        demand(&anew == self.agenda.items(), Violation::Agenda)
    }

    /// After a break or a kill no task is left and every worker is doomed; once what is pending has
    /// been cancelled nothing waits or may come to wait again; after the stop there is no worker, no
    /// timer and no unsettled resize.
    fn law_the_end_is_empty(&self) -> Verdict {
        if self.ending.is_final() {
            let doomed = |stage| matches!(stage, Stage::Doomed(_));
            let all_doomed = self.roster.iter().all(|(_, worker)| doomed(worker.stage()));
            demand(
                self.tasks.is_empty() && all_doomed,
                Violation::LeftAfterTheEnd,
            )?;
        }
        if self.ending.shutdown() >= Some(ShutdownMode::CancelPending) {
            let may_wait = |claim| matches!(claim, Claim::Open | Claim::Revoking(Why::Move));
            let mut held = self.roster.iter().flat_map(|(_, worker)| worker.held());
            let waits = !self.queue.is_empty() || held.any(|held| may_wait(held.claim));
            demand(!waits, Violation::LeftAfterTheEnd)?;
        }
        let over = self.ending.has_begun() && self.tasks.is_empty() && self.roster.is_empty();
        let quiet = self.timer.armed_at_ns().is_none() && !self.size.is_resizing();
        demand(self.ending.is_stopped() == over, Violation::LeftAfterTheEnd)?;
        demand(!over || quiet, Violation::LeftAfterTheEnd)
    }

    /// Whatever was begun has ended in one of its ways or is still under way.
    fn law_the_books_balance(&self) -> Verdict {
        let books = &self.statistics;
        let unfinished = self.tasks.len() as u64;
        demand(
            books.submitted == books.completed() + unfinished,
            Violation::TaskBooks,
        )?;
        let held: u64 = self
            .roster
            .iter()
            .map(|(_, worker)| worker.held().len() as u64)
            .sum();
        demand(books.sent == books.released + held, Violation::SendBooks)?;
        let revoking = |claim| matches!(claim, Claim::Revoking(_));
        let pending: usize = self
            .roster
            .iter()
            .map(|(_, worker)| worker.held().filter(|held| revoking(held.claim)).count())
            .sum();
        let ended = books.revokes_granted + books.revokes_refused + books.revokes_overtaken;
        demand(
            books.revokes == ended + pending as u64,
            Violation::RevokeBooks,
        )?;
        let unmade = self
            .roster
            .iter()
            .filter(|(_, worker)| !worker.has_process())
            .count() as u64;
        let answered = books.spawned + books.spawns_failed + books.spawns_abandoned;
        demand(
            books.spawns_ordered == answered + unmade,
            Violation::SpawnBooks,
        )
    }
}
