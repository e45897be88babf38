//! The ends of workers and of the launcher: what was running, and what is known of the death.

use std::collections::BTreeSet;
use std::sync::Arc;

use loky_core::effect::{KillReason, Verdict};
use loky_core::event::Event;
use loky_core::ids::{TaskId, WorkerId};
use loky_sys::faults::LastWords;
use loky_sys::process::WaitStatus;
use loky_sys::{memory, signal};
use loky_wire::limits::LEDGER_SLOTS;
use loky_wire::{ExitedBody, Ticket};

use crate::capture::Capture;
use crate::channel::{Channel, Stage, Standing};
use crate::evidence::{self, is_stack_full};
use crate::report::{Cause, CrashReport};
use crate::state::{Phase, State};
use crate::vigil::Vigil;

/// How the end of a worker became known.
pub(crate) enum Ending {
    /// The launcher reaped it.
    Reaped {
        /// The status as the kernel gives it.
        status: i32,
        /// What it used.
        usage: Option<ExitedBody>,
    },
    /// The launcher died, and the worker with it.
    WithLauncher,
}

/// What a worker that is over leaves behind.
struct Remains {
    worker: WorkerId,
    report: Arc<CrashReport>,
    /// The tasks that it had begun.
    started: Vec<TaskId>,
}

/// How much of a fault handler's text is kept.
const STACK_TEXT_MAX: usize = 64 * 1024;

/// How many reads may be needed to empty the socket of a dead worker; far more than a socket holds.
const DRAIN_READS_MAX: usize = 1 << 20;

/// The errno for workers that were ordered from a launcher that died.
const NEVER_MADE: i32 = loky_sys::errno::ECHILD;

impl State {
    /// A worker is over. Everything that it had sent is read first, so that an answer that was
    /// written before the death counts.
    pub(crate) fn on_worker_end(&mut self, worker: WorkerId, ending: &Ending, scratch: &mut [u8]) {
        self.note_group_kill(worker, ending, scratch);
        if let Some(remains) = self.bury(worker, ending, scratch) {
            self.feed_exit(remains);
        }
    }

    /// Closes the channel of a worker that is over, and finds out what it had begun.
    fn bury(&mut self, worker: WorkerId, ending: &Ending, scratch: &mut [u8]) -> Option<Remains> {
        self.read_worker(worker, scratch, DRAIN_READS_MAX);
        let mut channel = self.channels.remove(&worker)?;
        self.end_sighting(&mut channel);
        if let Some(capture) = &mut channel.capture {
            capture.read_rest(scratch, &self.passing);
        }
        let report = Arc::new(self.report_of(&channel, ending));
        let started = self.started_on(&channel, &report);
        self.report_struck(&channel, &report);
        for segment in channel.lent {
            self.segments.give_back(segment, worker);
        }
        Some(Remains {
            worker,
            report,
            started,
        })
    }

    fn feed_exit(&mut self, remains: Remains) {
        let Remains {
            worker,
            report,
            started,
        } = remains;
        self.reports.insert(worker, report);
        self.feed(Event::WorkerExited { worker, started });
        self.reports.remove(&worker);
    }

    /// The tasks that had begun, each with a report of its own. Claims that were not taken are
    /// withdrawn here, so that a worker in its last instructions cannot begin what is sent elsewhere.
    fn started_on(&mut self, channel: &Channel, report: &CrashReport) -> Vec<TaskId> {
        let mut started = Vec::new();
        for slot in 0..LEDGER_SLOTS {
            let Ok(view) = channel.ledger.view(slot) else {
                continue;
            };
            let ticket = Ticket {
                slot,
                generation: view.generation,
            };
            let task = TaskId(view.task);
            let Some(entry) = self.tasks.get_mut(&task) else {
                continue;
            };
            let ours = entry.placement.is_some_and(|placement| {
                placement.worker == channel.worker && placement.ticket == Some(ticket)
            });
            if !ours {
                continue;
            }
            entry.placement = None;
            if channel.ledger.revoke(ticket) {
                continue;
            }
            // The start is read again: a claim may have been taken since the first look.
            let started_ns = channel.ledger.view(slot).map_or(0, |view| view.started_ns);
            entry.report = Some(Arc::new(report.of_task(entry.attempt(), started_ns)));
            started.push(task);
        }
        started
    }

    /// The launcher is over: its workers end by their lifelines, and none will be reaped by it.
    pub(crate) fn on_launcher_end(&mut self, scratch: &mut [u8]) {
        let Some(launcher) = self.launcher.take() else {
            return;
        };
        let status = launcher.end();
        self.strays.search(&launcher, self.worker_pids());
        self.launcher_fact = if launcher.given_up {
            Some(evidence::GIVEN_UP.to_owned())
        } else {
            status.map(evidence::launcher_fact)
        };
        // What it owed is over.
        self.vigil = Vigil::default();
        if self.phase != Phase::Open {
            return;
        }
        let (ordered, running): (Vec<_>, Vec<_>) = self
            .channels
            .values()
            .partition(|channel| channel.stage == Stage::Ordered);
        let mut ordered: Vec<WorkerId> = ordered.iter().map(|channel| channel.worker).collect();
        let mut running: Vec<WorkerId> = running.iter().map(|channel| channel.worker).collect();
        ordered.sort_unstable();
        running.sort_unstable();
        // What had begun is found out first: where this breaks the pool, those tasks are told more.
        let buried: Vec<Remains> = running
            .into_iter()
            .filter_map(|worker| self.bury(worker, &Ending::WithLauncher, scratch))
            .collect();
        self.feed(Event::LauncherDied);
        for worker in ordered {
            self.channels.remove(&worker);
            self.feed(Event::SpawnFailed {
                worker,
                errno: NEVER_MADE,
            });
        }
        for remains in buried {
            self.feed_exit(remains);
        }
    }

    /// The processes that are workers as far as is known.
    pub(crate) fn worker_pids(&self) -> BTreeSet<i32> {
        self.channels.values().map(|channel| channel.pid).collect()
    }

    /// Notes in which cgroups a worker is. An initializer may have moved it since it was made.
    pub(crate) fn meet(&mut self, worker: WorkerId) {
        if let Some(channel) = self.channels.get_mut(&worker) {
            channel.membership = self.witness.meet(channel.pid).or(channel.membership.take());
        }
    }

    fn report_of(&mut self, channel: &Channel, ending: &Ending) -> CrashReport {
        let (pid, index) = (channel.pid, channel.index);
        let mut report = CrashReport::of_process(pid, index, Cause::Zygote, stack_text(channel));
        report.stderr_tail = channel.capture.as_ref().map(Capture::tail);
        if matches!(ending, Ending::WithLauncher) {
            report.evidence.extend(self.launcher_fact.clone());
        }
        if let Ending::Reaped { status, usage } = ending {
            let status = WaitStatus(*status);
            let words = LastWords::read(channel.ledger.last_words());
            let requested = usage.as_ref().is_some_and(|usage| usage.killed_on_request);
            report.peak_rss_bytes = usage.as_ref().map(|usage| usage.max_rss_bytes);
            report.signal = status.signal();
            report.exit_status = status.exited();
            report.cause = cause_of(channel, status, requested);
            report.evidence = evidence::facts_of(status, words, channel.ready, channel.pid);
            report.stack_full = status.signal() == Some(words.signal) && is_stack_full(words);
            report.evidence.extend(channel.excess.clone());
            if report.cause == Cause::Signal(signal::SIGKILL)
                && channel.killed_for == Some(KillReason::Memory)
            {
                // The kernel was faster than this pool, or had a limit of its own to keep.
                report.cause = Cause::MemoryLimit;
            } else if report.cause == Cause::Signal(signal::SIGKILL) {
                let memory = self.witness.judge(channel.membership.as_deref());
                report.evidence.extend(memory.facts);
                if memory.killed {
                    report.cause = Cause::Oom;
                }
            }
        }
        report
    }

    /// Condemns workers that closed their socket and are not over.
    pub(crate) fn condemn_overdue(&mut self, now_ns: u64) {
        let overdue: Vec<WorkerId> = self
            .channels
            .values()
            .filter(|channel| channel.condemn_at_ns.is_some_and(|at_ns| at_ns <= now_ns))
            .map(|channel| channel.worker)
            .collect();
        for worker in overdue {
            self.condemn(worker);
        }
    }
}

fn cause_of(channel: &Channel, status: WaitStatus, requested: bool) -> Cause {
    let own = status
        .signal()
        .and_then(|signal| cause_of_own(channel, signal, requested));
    match (channel.standing, own, status.signal()) {
        (Standing::Condemned, _, _) => Cause::Protocol,
        (_, Some(cause), _) => cause,
        (_, None, Some(signal)) if requested && channel.was_sent(signal) => Cause::Killed,
        (_, None, Some(signal)) => Cause::Signal(signal),
        (_, None, None) => Cause::Exit(status.exited().unwrap_or(0)),
    }
}

/// Why the pool has ended a worker by this signal, if it has for a reason of that worker's own.
fn cause_of_own(channel: &Channel, signal: i32, requested: bool) -> Option<Cause> {
    let killed = requested && signal == signal::SIGKILL;
    match channel.killed_for {
        Some(KillReason::NotReady) if killed => Some(Cause::NotReady),
        Some(KillReason::Memory) if killed => Some(Cause::MemoryLimit),
        Some(KillReason::Condemned) if killed => Some(Cause::Protocol),
        Some(KillReason::Task(verdict)) if killed => Some(cause_by(verdict)),
        Some(_) | None => channel
            .struck
            .filter(|_| signal == signal::SIGINT || signal == signal::SIGTERM)
            .map(|struck| cause_by(struck.verdict)),
    }
}

/// The cause of an end that the pool brought about for the sake of a task.
pub(crate) fn cause_by(verdict: Verdict) -> Cause {
    match verdict {
        Verdict::TimedOut => Cause::TimedOut,
        Verdict::Cancelled => Cause::Cancelled,
    }
}

/// What the fault handler wrote. An unreadable file is an empty one: the death is told all the same.
fn stack_text(channel: &Channel) -> String {
    let from = channel
        .struck
        .map_or(channel.stack_from, |struck| struck.stack_from);
    stack_from(channel, from)
}

/// What the fault handler has written from a place on.
pub(crate) fn stack_from(channel: &Channel, from: u64) -> String {
    let text = memory::read_file_at(&channel.stack, from, STACK_TEXT_MAX).unwrap_or_default();
    String::from_utf8_lossy(&text).into_owned()
}
