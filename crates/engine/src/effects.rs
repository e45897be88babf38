//! The orders of the core, carried out: one arm an effect, no wildcard.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use loky_core::effect::{Departure, Effect, KillReason};
use loky_core::event::Event;
use loky_core::ids::{Attempt, TaskId, WorkerId};
use loky_core::outcome::{BreakReason, Outcome};
use loky_shm::{AtomicWords, Ledger};
use loky_sys::memory::{self, Mapping};
use loky_sys::{clock, errno, signal, socket};
use loky_wire::limits::LEDGER_SLOTS;
use loky_wire::{Header, Kind, PayloadRef, Role, TaskBody};

use crate::capture::Capture;
use crate::channel::{Channel, Intake, Outbox, Stage, Standing};
use crate::config::Launcher;
use crate::front::{Delivery, TaskEnd};
use crate::launcher::{Dowry, LauncherProcess, Setup};
use crate::report::Breakage;
use crate::rings;
use crate::stacks::Wish;
use crate::state::{Phase, Placement, Received, State};

/// How long a respawn waits for a fresh description of the surroundings before it takes the last.
const SETUP_WAIT_NS: u64 = 50_000_000;

/// The number of a standard error.
const STDERR: i32 = 2;

/// How much a fault handler may write.
const STACK_FILE_LEN: u64 = 0;

impl State {
    /// Carries out one order.
    pub(crate) fn carry_out(&mut self, effect: &Effect) {
        match *effect {
            Effect::SpawnWorker { worker, index } => self.want_worker(worker, index),
            Effect::SendTask {
                worker,
                task,
                attempt,
            } => self.hand_out(worker, task, attempt),
            Effect::RevokeTask {
                worker,
                task,
                attempt,
            } => self.revoke(worker, task, attempt),
            Effect::AskToLeave { worker } => self.ask_to_leave(worker),
            Effect::InspectTask {
                worker,
                task,
                attempt,
            } => self.inspect(worker, task, attempt),
            Effect::InterruptWorker {
                worker,
                task,
                attempt: _,
                verdict,
            } => self.interrupt(worker, task, verdict),
            Effect::TerminateWorker { worker } => self.terminate(worker),
            Effect::KillWorker { worker, why } => self.kill(worker, why),
            Effect::RestTask {
                task,
                worker,
                attempt: _,
                until_ns: _,
            } => self.rest(worker, task),
            Effect::CompleteTask { task, outcome } => self.complete(task, outcome),
            Effect::WorkerGone { worker, departure } => self.tell_gone(worker, departure),
            Effect::BreakPool { reason } => self.break_pool(reason),
            Effect::ArmTimer { at_ns } => {
                self.timer_at_ns = Some(at_ns);
                self.stir = true;
            }
            Effect::DisarmTimer => self.timer_at_ns = None,
            Effect::Notify { notice } => self.front.deliver(Delivery::Notice(notice)),
            Effect::TellSlow {
                task,
                worker,
                ran_ns,
            } => self.sight(worker, Wish::Slow { task, ran_ns }),
            Effect::ResizeSettled => self.resizing = false,
            Effect::Stopped => {
                self.phase = Phase::Stopped;
                self.stir = true;
            }
        }
    }

    fn tell_gone(&mut self, worker: WorkerId, departure: Departure) {
        if let Some(report) = self.reports.get(&worker) {
            let report = Arc::clone(report);
            self.counts.losses.count(departure, &report);
            self.front.deliver(Delivery::WorkerGone {
                pid: report.pid,
                index: report.index,
                departure,
                report,
            });
        }
    }

    fn want_worker(&mut self, worker: WorkerId, index: u32) {
        self.setup.waiting.push((worker, index));
        if self.setup.asked {
            return;
        }
        self.setup.asked = true;
        if self.setup.last.is_some() {
            self.setup.give_up_at_ns = Some(clock::monotonic_ns().saturating_add(SETUP_WAIT_NS));
            self.stir = true;
        }
        self.front.deliver(Delivery::SetupWanted);
    }

    /// Orders every waiting worker with this description.
    pub(crate) fn order_workers(&mut self, setup: &Setup) {
        self.setup.asked = false;
        self.setup.give_up_at_ns = None;
        for (worker, index) in std::mem::take(&mut self.setup.waiting) {
            if let Err(error) = self.order_worker(worker, index, setup.clone()) {
                let errno = error.raw_os_error().unwrap_or(0);
                self.events.push_back(Event::SpawnFailed { worker, errno });
            }
        }
        self.stir = true;
    }

    /// Gives up every waiting worker: for lack of a resource, or (0) because none is wanted any more.
    pub(crate) fn fail_waiting(&mut self, errno: i32) {
        self.setup.asked = false;
        self.setup.give_up_at_ns = None;
        for (worker, _) in std::mem::take(&mut self.setup.waiting) {
            self.events.push_back(Event::SpawnFailed { worker, errno });
        }
    }

    /// Starts the launcher where there is none.
    pub(crate) fn ensure_launcher(&mut self) -> io::Result<&mut LauncherProcess> {
        if self.launcher.is_none() {
            self.launcher = Some(LauncherProcess::start(&self.config.command)?);
            self.stir = true;
        }
        self.launcher
            .as_mut()
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn order_worker(&mut self, worker: WorkerId, index: u32, mut setup: Setup) -> io::Result<()> {
        let (ours, theirs) = socket::pair()?;
        socket::set_nonblocking(&ours)?;
        let len = rings::page_len(self.config.transport);
        let ledger_file = memory::memfd(c"loky-ledger", len as u64)?;
        let page = Arc::new(AtomicWords(
            Mapping::shared(ledger_file.as_fd(), len)?.into_words(),
        ));
        let invalid = |_| io::Error::from(io::ErrorKind::InvalidData);
        let ledger = Ledger::over(Arc::clone(&page)).map_err(invalid)?;
        let ends = rings::ends_over(&page, self.config.transport).map_err(invalid)?;
        let (outlet, inlet) = ends.unzip();
        let mut intake = Intake::new(Role::WorkerToParent);
        intake.inlet = inlet;
        let stack = Arc::new(memory::growing_memfd(c"loky-stack", STACK_FILE_LEN)?);
        let capture = self.capture_for(&mut setup)?;
        let exec = self.config.launcher == Launcher::Exec;
        let dowry = Dowry {
            socket: theirs,
            ledger: Arc::new(ledger_file),
            stack: Arc::clone(&stack),
            setup,
        };
        self.ensure_launcher()?
            .order(worker, index, exec, dowry)
            .map_err(|_| io::Error::from_raw_os_error(errno::EINVAL))?;
        self.channels.insert(
            worker,
            Channel {
                worker,
                index,
                pid: 0,
                stage: Stage::Ordered,
                socket: Arc::new(ours),
                ledger,
                slots_free: (0..LEDGER_SLOTS).rev().collect(),
                outbox: Outbox::default(),
                intake,
                outlet,
                stack,
                stack_from: 0,
                sighting: None,
                struck: None,
                killed_for: None,
                interrupts: VecDeque::new(),
                lent: Vec::new(),
                standing: Standing::Serving,
                ended: false,
                condemn_at_ns: None,
                announced: false,
                ready: false,
                signals_sent: 0,
                membership: None,
                capture,
                excess: None,
            },
        );
        Ok(())
    }

    /// Puts a pipe in the place of the worker's standard error, where its end is to be kept.
    fn capture_for(&self, setup: &mut Setup) -> io::Result<Option<Capture>> {
        if !self.config.capture_stderr {
            return Ok(None);
        }
        self.passing.start(self.wake.clone())?;
        let (capture, theirs) = Capture::new()?;
        setup.extra.retain(|(_, target)| *target != STDERR);
        setup.extra.push((Arc::new(theirs), STDERR));
        Ok(Some(capture))
    }

    /// Gives a task to a worker, or to the copier first where its bytes are many.
    fn hand_out(&mut self, worker: WorkerId, task: TaskId, attempt: Attempt) {
        let Some(entry) = self.tasks.get_mut(&task) else {
            debug_assert!(false, "{task} is sent and unknown");
            return;
        };
        entry.placement = Some(Placement {
            worker,
            attempt,
            ticket: None,
        });
        if entry.copying {
            return;
        }
        if entry.needs_segment() {
            self.copy_or_queue(task);
        } else {
            self.send(task);
        }
    }

    /// Publishes a task in its worker's ledger and sends it.
    pub(crate) fn send(&mut self, task: TaskId) {
        let Some(entry) = self.tasks.get_mut(&task) else {
            return;
        };
        let Some(placement) = &mut entry.placement else {
            return;
        };
        let worker = placement.worker;
        let Some(channel) = self.channels.get_mut(&worker) else {
            return;
        };
        let Some(slot) = channel.slots_free.pop() else {
            debug_assert!(false, "more tasks in flight than the ledger has slots");
            return;
        };
        let Ok(ticket) = channel.ledger.publish(slot, task.0, placement.attempt.0) else {
            self.condemn(worker);
            return;
        };
        placement.ticket = Some(ticket);
        let (payload, descriptors) = match &entry.placed {
            Some(placed) => placed.payload(&entry.stream),
            None => (PayloadRef::inline(&entry.stream), Vec::new()),
        };
        let body = TaskBody {
            generation: ticket.generation,
            payload,
        };
        let header = Header::for_task(Kind::Task, task.0, placement.attempt.0, ticket.slot);
        let mut pushed = Ok(());
        for segment in self.freed.take_of(worker) {
            pushed = pushed.and(channel.post(&Header::bare(Kind::SegmentFreed, segment)));
        }
        pushed = pushed.and(if descriptors.is_empty() {
            channel.post_body(header, &body)
        } else {
            channel.outbox.push_body(header, &body, descriptors)
        });
        if pushed.is_err() {
            // The frame was refused whole: the claim is withdrawn and the task ends with that.
            let withdrawn = channel.ledger.revoke(ticket);
            debug_assert!(withdrawn, "nobody has seen this claim");
            self.undeliverable(task, errno::EINVAL);
            return;
        }
        if let Some(placed) = &entry.placed {
            for (segment, _) in &placed.segments {
                channel.lent.push(segment.id);
                self.segments.lend(segment.id, worker);
            }
        }
        self.dirty.push(worker);
        self.allow_look(worker);
        self.watch_memory();
    }

    fn revoke(&mut self, worker: WorkerId, task: TaskId, attempt: Attempt) {
        let revoked = match self.tasks.get_mut(&task) {
            None => false,
            Some(entry) => match entry.placement {
                Some(placement) if placement.worker == worker && placement.attempt == attempt => {
                    let withdrawn = match (placement.ticket, self.channels.get_mut(&worker)) {
                        (None, _) => true,
                        (Some(_), None) => false,
                        (Some(ticket), Some(channel)) => {
                            let withdrawn = channel.ledger.revoke(ticket);
                            if withdrawn {
                                channel.free_slot(ticket);
                            }
                            withdrawn
                        }
                    };
                    if withdrawn {
                        entry.placement = None;
                    }
                    withdrawn
                }
                // The worker is over, which the core has not been told yet. What it had begun has a
                // report; everything else was withdrawn when its ledger was read.
                None => !self.channels.contains_key(&worker) && entry.report.is_none(),
                Some(_) => false,
            },
        };
        self.events.push_back(Event::RevokeAnswered {
            worker,
            task,
            attempt,
            revoked,
        });
    }

    fn ask_to_leave(&mut self, worker: WorkerId) {
        if let Some(channel) = self.channels.get_mut(&worker) {
            channel.downgrade(Standing::Leaving);
            let pushed = channel.post(&Header::bare(Kind::Leave, 0));
            debug_assert!(pushed.is_ok(), "{pushed:?}");
            self.dirty.push(worker);
        }
    }

    /// Tells all workers to forget what their front keeps under this name.
    pub(crate) fn forget(&mut self, name: &[u8]) {
        for channel in self.channels.values_mut() {
            if channel.standing == Standing::Serving && channel.ready {
                let pushed = channel
                    .outbox
                    .push_bytes(&Header::bare(Kind::Forget, 0), name);
                debug_assert!(pushed.is_ok(), "{pushed:?}");
                self.dirty.push(channel.worker);
            }
        }
    }

    fn kill(&mut self, worker: WorkerId, why: KillReason) {
        let Some(channel) = self.channels.get_mut(&worker) else {
            return;
        };
        channel.killed_for.get_or_insert(why);
        channel.downgrade(Standing::Killed);
        channel.note_signal(signal::SIGKILL.unsigned_abs());
        if let Some(launcher) = &mut self.launcher {
            let ordered = launcher.kill(worker, signal::SIGKILL.unsigned_abs());
            debug_assert!(ordered.is_ok(), "{ordered:?}");
            self.stir = true;
        }
    }

    /// Stops listening to a worker that cannot be trusted or reached.
    pub(crate) fn condemn(&mut self, worker: WorkerId) {
        let Some(channel) = self.channels.get_mut(&worker) else {
            return;
        };
        if channel.standing < Standing::Condemned {
            channel.downgrade(Standing::Condemned);
            channel.condemn_at_ns = None;
            self.feed_later(Event::WorkerCondemned { worker });
        }
    }

    /// Puts an event behind those that are being worked on; the driver feeds it at the latest.
    pub(crate) fn feed_later(&mut self, event: Event) {
        self.events.push_back(event);
        self.stir = true;
    }

    fn complete(&mut self, task: TaskId, outcome: Outcome) {
        let end = match outcome {
            Outcome::Answered { worker: _ } => {
                match self
                    .tasks
                    .get_mut(&task)
                    .and_then(|entry| entry.received.take())
                {
                    Some(Received::Value(answer)) => TaskEnd::Value(answer),
                    Some(Received::Raised(answer)) => TaskEnd::Raised(answer),
                    Some(Received::Undeliverable(errno)) => TaskEnd::Undeliverable { errno },
                    None => {
                        debug_assert!(false, "{task} is answered without an answer");
                        TaskEnd::Undeliverable { errno: 0 }
                    }
                }
            }
            Outcome::Cancelled => TaskEnd::Cancelled,
            Outcome::TimedOut { worker, attempt: _ } => self.timed_out(worker, task),
            Outcome::Expired => self.expired(task),
            Outcome::Died { worker, attempt: _ } => {
                let own = self
                    .tasks
                    .get_mut(&task)
                    .and_then(|entry| entry.report.take());
                match own.or_else(|| self.reports.get(&worker).cloned()) {
                    Some(report) => TaskEnd::Died(self.with_history(task, report)),
                    None => TaskEnd::Broken(self.breakage(BreakReason::WorkerDied(worker))),
                }
            }
            // The task that had begun on the dead worker is told of its own death, not of the pool's.
            Outcome::Broken(reason) => match self
                .tasks
                .get_mut(&task)
                .and_then(|entry| entry.report.take())
            {
                Some(report) => TaskEnd::Died(self.with_history(task, report)),
                None => TaskEnd::Broken(self.breakage(reason)),
            },
            Outcome::ShutDown => TaskEnd::ShutDown,
        };
        self.end_task(task, end);
    }

    fn break_pool(&mut self, reason: BreakReason) {
        let breakage = self.breakage(reason);
        self.broke = Some(Arc::clone(&breakage));
        self.ends_by_force = true;
        self.front.deliver(Delivery::Broke(breakage));
        self.fail_waiting(0);
    }

    /// What is known of a break.
    pub(crate) fn breakage(&self, reason: BreakReason) -> Arc<Breakage> {
        let (report, initializer) = match reason {
            BreakReason::WorkerDied(worker) | BreakReason::RestartBudget(worker) => {
                (self.reports.get(&worker).cloned(), None)
            }
            BreakReason::InitializerFailed(worker) => (
                self.reports.get(&worker).cloned(),
                self.initializer_failure.clone(),
            ),
            BreakReason::SpawnFailed(_) | BreakReason::LauncherDied | BreakReason::SetupFailed => {
                (None, None)
            }
        };
        Arc::new(Breakage {
            reason,
            report,
            initializer,
            fault: self.fault.clone(),
            launcher_fact: self.launcher_fact.clone(),
        })
    }
}
