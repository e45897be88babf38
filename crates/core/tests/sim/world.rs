//! The surroundings of a pool, simulated: launcher, workers, channels, ledgers, timer.
//!
//! It is honest: whatever it reports is what truly happened in it, in an order that the real
//! surroundings could bring about as well. Each channel keeps its order; between channels there
//! is none. A worker's end is told after everything that it had sent has been read.

use std::collections::{BTreeMap, VecDeque};

use loky_core::{Attempt, Effect, Event, KillReason, TaskId, TaskOptions, WorkerId};

use crate::checkers::Line;
use crate::process::{Frame, Process, Slot, Stage};
use crate::profile::Profile;
use crate::rng::Rng;

/// Something that can happen next without anybody's will.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Move {
    LauncherActs(WorkerId),
    WorkerActs(WorkerId),
    KillStrikes(WorkerId),
    InterruptStrikes(WorkerId),
    TerminateStrikes(WorkerId),
    ReadControl,
    ReadChannel(WorkerId),
    ReadExit(WorkerId),
    ReadAnswer,
    FireTimer,
}

/// The effect cannot be carried out in this world.
pub type Impossible = String;

#[derive(Debug)]
pub struct World {
    pub now_ns: u64,
    pub(crate) processes: BTreeMap<WorkerId, Process>,
    control: VecDeque<Event>,
    answers: VecDeque<Event>,
    timer_at_ns: Option<u64>,
    launcher_dead: bool,
    /// Replies that have been read, to be read again.
    pub(crate) read: Vec<Event>,
    pub(crate) gone: Vec<WorkerId>,
    /// What was asked for the tasks for which anything was.
    pub options: BTreeMap<TaskId, TaskOptions>,
    /// A worker may take for ever to be ready: somebody looks after that.
    starts_may_hang: bool,
}

impl World {
    pub fn new(starts_may_hang: bool) -> Self {
        Self {
            now_ns: 0,
            processes: BTreeMap::new(),
            control: VecDeque::new(),
            answers: VecDeque::new(),
            timer_at_ns: None,
            launcher_dead: false,
            read: Vec::new(),
            gone: Vec::new(),
            options: BTreeMap::new(),
            starts_may_hang,
        }
    }

    /// Everything that can happen next.
    pub fn moves(&self, moves: &mut Vec<Move>) {
        moves.clear();
        for (&id, process) in &self.processes {
            let made = process.stage != Stage::Ordered;
            let alive = made && process.stage != Stage::Dead;
            if !made && !self.launcher_dead {
                moves.push(Move::LauncherActs(id));
            }
            let waits = match process.stage {
                Stage::Idle => process.inbox.is_empty(),
                Stage::Hanging(..) => true,
                Stage::Initializing => process.stuck,
                Stage::Ordered | Stage::Running(..) | Stage::Parting | Stage::Dead => false,
            };
            if alive && !waits {
                moves.push(Move::WorkerActs(id));
            }
            // The launcher sends signals in the order in which they were ordered.
            if process.interrupts > 0 {
                if !self.launcher_dead {
                    moves.push(Move::InterruptStrikes(id));
                }
            } else if alive && process.terminate_ordered {
                moves.push(Move::TerminateStrikes(id));
            } else if alive && process.kill_ordered {
                moves.push(Move::KillStrikes(id));
            }
            if !process.channel.is_empty() {
                moves.push(Move::ReadChannel(id));
            } else if process.stage == Stage::Dead && !self.control_precedes(id) {
                moves.push(Move::ReadExit(id));
            }
        }
        if !self.control.is_empty() {
            moves.push(Move::ReadControl);
        }
        if !self.answers.is_empty() {
            moves.push(Move::ReadAnswer);
        }
        if self.timer_at_ns.is_some_and(|at_ns| at_ns <= self.now_ns) {
            moves.push(Move::FireTimer);
        }
    }

    /// The launcher has something to say that comes before this worker's end.
    fn control_precedes(&self, id: WorkerId) -> bool {
        self.control.iter().any(|event| {
            let of_this = *event == Event::WorkerSpawned { worker: id };
            of_this || *event == Event::LauncherDied
        })
    }

    /// Makes a move. Answers what the pool is told by it, if anything, and the start of a task.
    pub fn make(
        &mut self,
        next: Move,
        rng: &mut Rng,
        profile: &Profile,
    ) -> (Option<Event>, Option<Line>) {
        match next {
            Move::LauncherActs(id) => self.launcher_acts(id, rng, profile),
            Move::WorkerActs(id) => return (None, self.worker_acts(id, rng, profile)),
            Move::KillStrikes(id) => {
                let line = self.struck(id, |process| process.kill_is_for_task);
                self.kill(id);
                return (None, line);
            }
            Move::InterruptStrikes(id) => return (None, self.interrupt(id, rng, profile)),
            Move::TerminateStrikes(id) => {
                let line = self.struck(id, |_| true);
                if let Some(process) = self.processes.get_mut(&id) {
                    process.terminate_ordered = false;
                }
                if rng.below(3) > 0 {
                    self.kill(id);
                }
                return (None, line);
            }
            Move::ReadControl => return (self.read_control(), None),
            Move::ReadChannel(id) => return (self.read_channel(id), None),
            Move::ReadExit(id) => return (self.read_exit(id, rng), None),
            Move::ReadAnswer => {
                let answer = self.answers.pop_front();
                self.read.extend(answer.clone());
                return (answer, None);
            }
            Move::FireTimer => {
                self.timer_at_ns = None;
                return (Some(Event::TimerFired), None);
            }
        }
        (None, None)
    }

    fn launcher_acts(&mut self, id: WorkerId, rng: &mut Rng, profile: &Profile) {
        if rng.per_mille(profile.spawn_failure) {
            self.processes.remove(&id);
            self.control.push_back(Event::SpawnFailed {
                worker: id,
                errno: rng.pick(&[11, 12, 24]),
            });
        } else if let Some(process) = self.processes.get_mut(&id) {
            process.stage = Stage::Initializing;
            process.stuck = self.starts_may_hang && rng.per_mille(profile.start_hang);
            self.control.push_back(Event::WorkerSpawned { worker: id });
        }
    }

    fn worker_acts(&mut self, id: WorkerId, rng: &mut Rng, profile: &Profile) -> Option<Line> {
        let now_ns = self.now_ns;
        let process = self.processes.get_mut(&id)?;
        if rng.per_mille(profile.crash) {
            process.stage = Stage::Dead;
            return None;
        }
        match process.stage {
            Stage::Ordered | Stage::Hanging(..) | Stage::Dead => None,
            Stage::Initializing => {
                if rng.per_mille(profile.initializer_failure) {
                    process
                        .channel
                        .push_back(Event::InitializerFailed { worker: id });
                    process.stage = Stage::Parting;
                } else {
                    process.channel.push_back(Event::WorkerReady { worker: id });
                    process.stage = Stage::Idle;
                }
                None
            }
            Stage::Idle => process.take_up(id, now_ns, rng, profile),
            Stage::Running(task, attempt) => {
                let options = self.options.get(&task).copied().unwrap_or_default();
                if options.timeout_ns.is_some() && rng.per_mille(profile.hang) {
                    process.stage = Stage::Hanging(task, attempt);
                    return None;
                }
                let run_ns = rng.below(profile.run_ns);
                let retry_wanted = options.retries > 0 && rng.per_mille(profile.raise);
                let reply = Event::TaskFinished {
                    worker: id,
                    task,
                    attempt,
                    run_ns,
                    retry_wanted,
                };
                process.channel.push_back(reply);
                process.stage = Stage::Idle;
                process.has_worked = true;
                None
            }
            Stage::Parting => {
                process.stage = Stage::Dead;
                None
            }
        }
    }

    /// A process dies at this very moment.
    pub fn kill(&mut self, id: WorkerId) {
        if let Some(process) = self.processes.get_mut(&id)
            && process.stage != Stage::Ordered
        {
            process.stage = Stage::Dead;
        }
    }

    /// What a signal meets that was sent for the sake of a task.
    fn struck(&self, id: WorkerId, counts: impl Fn(&Process) -> bool) -> Option<Line> {
        let process = self.processes.get(&id).filter(|process| counts(process))?;
        match process.stage {
            Stage::Running(task, _) | Stage::Hanging(task, _) => {
                Some(Line::Struck { worker: id, task })
            }
            Stage::Ordered | Stage::Initializing | Stage::Idle | Stage::Parting | Stage::Dead => {
                None
            }
        }
    }

    /// The launcher sends an interrupt and says so; the worker may end its task by it.
    fn interrupt(&mut self, id: WorkerId, rng: &mut Rng, profile: &Profile) -> Option<Line> {
        let line = self.struck(id, |_| true);
        let process = self.processes.get_mut(&id)?;
        process.interrupts -= 1;
        self.control
            .push_back(Event::InterruptDelivered { worker: id });
        if let Stage::Running(task, attempt) | Stage::Hanging(task, attempt) = process.stage
            && !rng.per_mille(profile.deaf)
        {
            process.channel.push_back(Event::TaskFinished {
                worker: id,
                task,
                attempt,
                run_ns: rng.below(profile.run_ns),
                retry_wanted: rng.below(2) == 0,
            });
            process.stage = Stage::Idle;
            process.has_worked = true;
        }
        line
    }

    /// Something that is told before the timer, if there is anything left.
    pub fn told_before_the_timer(&self) -> Option<Move> {
        let mut channels = self.processes.iter();
        let unread = channels.find(|(_, process)| !process.channel.is_empty());
        match unread {
            Some((&id, _)) => Some(Move::ReadChannel(id)),
            None if self.answers.is_empty() => None,
            None => Some(Move::ReadAnswer),
        }
    }

    /// Every worker that runs a task dies in the middle of it.
    pub fn kill_running(&mut self) {
        for process in self.processes.values_mut() {
            if matches!(process.stage, Stage::Running(..) | Stage::Hanging(..)) {
                process.stage = Stage::Dead;
            }
        }
    }

    /// The launcher dies and takes its workers along. With `lose`, it dies before it has said of
    /// the last ones that they exist.
    pub fn kill_launcher(&mut self, lose: bool) {
        if self.launcher_dead {
            return;
        }
        self.launcher_dead = true;
        let ids: Vec<WorkerId> = self.processes.keys().copied().collect();
        for id in ids {
            let unsaid = self.control.contains(&Event::WorkerSpawned { worker: id });
            let Some(process) = self.processes.get_mut(&id) else {
                continue;
            };
            process.interrupts = 0;
            if lose && unsaid && process.stage == Stage::Initializing {
                process.stage = Stage::Ordered;
                self.control
                    .retain(|event| *event != Event::WorkerSpawned { worker: id });
            } else if process.stage != Stage::Ordered {
                process.stage = Stage::Dead;
            }
        }
        self.control.push_back(Event::LauncherDied);
    }

    fn read_control(&mut self) -> Option<Event> {
        let event = self.control.pop_front()?;
        if event == Event::LauncherDied {
            self.launcher_dead = false;
            let unmade = |process: &Process| process.stage == Stage::Ordered;
            let lost = self.processes.iter().filter(|(_, process)| unmade(process));
            let lost = lost.map(|(&worker, _)| Event::SpawnFailed { worker, errno: 0 });
            self.control.extend(lost);
            self.processes.retain(|_, process| !unmade(process));
        }
        Some(event)
    }

    fn read_channel(&mut self, id: WorkerId) -> Option<Event> {
        let process = self.processes.get_mut(&id)?;
        let event = process.channel.pop_front()?;
        if let Event::TaskFinished { task, .. } = &event
            && process.heard
        {
            process.slots.remove(task);
        }
        self.read.push(event.clone());
        Some(event)
    }

    fn read_exit(&mut self, id: WorkerId, rng: &mut Rng) -> Option<Event> {
        let process = self.processes.remove(&id)?;
        self.gone.push(id);
        let claimed = process
            .slots
            .iter()
            .filter(|(_, slot)| slot.claimed_ns.is_some());
        let mut started: Vec<TaskId> = claimed.map(|(&task, _)| task).collect();
        // Numbers of tasks that this worker does not hold must do no harm.
        let foreign = TaskId(rng.below(60));
        let withdrawn = self
            .answers
            .iter()
            .any(|answer| matches!(answer, Event::RevokeAnswered { task, .. } if *task == foreign));
        if rng.below(8) == 0 && !withdrawn && !process.slots.contains_key(&foreign) {
            started.push(foreign);
        }
        Some(Event::WorkerExited {
            worker: id,
            started,
        })
    }

    /// Processes that could be killed from outside.
    pub fn victims(&self) -> Vec<WorkerId> {
        let alive = self
            .processes
            .iter()
            .filter(|(_, process)| process.stage != Stage::Ordered && process.stage != Stage::Dead);
        alive.map(|(&id, _)| id).collect()
    }

    /// A worker of which the parent has read something is found to break the protocol.
    pub fn condemn(&mut self, rng: &mut Rng) -> Option<Event> {
        let made = self
            .processes
            .iter_mut()
            .filter(|(_, process)| process.stage != Stage::Ordered && process.heard);
        let mut made: Vec<(&WorkerId, &mut Process)> = made.collect();
        if made.is_empty() {
            return None;
        }
        let chosen = rng.index(made.len());
        let (&worker, process) = made.swap_remove(chosen);
        process.heard = false;
        if rng.below(2) == 0 {
            process.channel.clear();
        }
        Some(Event::WorkerCondemned { worker })
    }

    /// A worker that runs something is found to have too much memory. All that it had said has been
    /// read before, and what it says from then on is not.
    pub fn overfill(&mut self, rng: &mut Rng) -> Option<Event> {
        let runs = |process: &Process| {
            process.stage != Stage::Ordered
                && process.stage != Stage::Dead
                && process.heard
                && process.channel.is_empty()
                && process.slots.values().any(|slot| slot.claimed_ns.is_some())
        };
        let found = self.processes.iter().filter(|(_, process)| runs(process));
        let found: Vec<WorkerId> = found.map(|(&id, _)| id).collect();
        if found.is_empty() {
            return None;
        }
        let worker = rng.pick(&found);
        if let Some(process) = self.processes.get_mut(&worker) {
            process.heard = false;
        }
        Some(Event::MemoryExceeded { worker })
    }

    /// Nobody will describe the surroundings: unmade workers are forgotten.
    pub fn fail_setup(&mut self) -> Event {
        self.processes
            .retain(|_, process| process.stage != Stage::Ordered);
        Event::SetupFailed
    }

    /// The time of the timer, if it is set.
    pub fn timer_at_ns(&self) -> Option<u64> {
        self.timer_at_ns
    }

    /// Carries out an order.
    pub fn carry_out(&mut self, effect: &Effect) -> Result<(), Impossible> {
        match effect {
            Effect::SpawnWorker { worker, .. } => {
                self.processes.insert(*worker, Process::ordered());
                Ok(())
            }
            Effect::SendTask {
                worker,
                task,
                attempt,
            } => self.send(*worker, *task, *attempt),
            Effect::RevokeTask {
                worker,
                task,
                attempt,
            } => self.revoke(*worker, *task, *attempt),
            Effect::AskToLeave { worker } => {
                self.process(*worker)?.inbox.push_back(Frame::Leave);
                Ok(())
            }
            Effect::InspectTask {
                worker,
                task,
                attempt,
            } => {
                self.inspect(*worker, *task, *attempt);
                Ok(())
            }
            Effect::InterruptWorker { worker, .. } => {
                self.process(*worker)?.interrupts += 1;
                Ok(())
            }
            Effect::TerminateWorker { worker } => {
                self.process(*worker)?.terminate_ordered = true;
                Ok(())
            }
            Effect::KillWorker { worker, why } => {
                let process = self.process(*worker)?;
                process.kill_ordered = true;
                process.kill_is_for_task = matches!(why, KillReason::Task(_));
                Ok(())
            }
            Effect::ArmTimer { at_ns } => {
                self.timer_at_ns = Some(*at_ns);
                Ok(())
            }
            Effect::DisarmTimer => {
                self.timer_at_ns = None;
                Ok(())
            }
            Effect::CompleteTask { .. }
            | Effect::WorkerGone { .. }
            | Effect::BreakPool { .. }
            | Effect::Notify { .. }
            | Effect::RestTask { .. }
            | Effect::TellSlow { .. }
            | Effect::ResizeSettled
            | Effect::Stopped => Ok(()),
        }
    }

    fn send(&mut self, worker: WorkerId, task: TaskId, attempt: Attempt) -> Result<(), Impossible> {
        let process = self.process(worker)?;
        let slot = Slot {
            attempt,
            claimed_ns: None,
        };
        process.inbox.push_back(Frame::Task(task, attempt));
        let taken = process.slots.insert(task, slot);
        if taken.is_some() || process.slots.len() > 63 {
            return Err(format!("no slot for {task} at {worker}"));
        }
        Ok(())
    }

    fn inspect(&mut self, worker: WorkerId, task: TaskId, attempt: Attempt) {
        let slots = self.processes.get(&worker).map(|process| &process.slots);
        let slot = slots
            .and_then(|slots| slots.get(&task))
            .filter(|slot| slot.attempt == attempt);
        self.answers.push_back(Event::TaskInspected {
            worker,
            task,
            attempt,
            started_ns: slot.and_then(|slot| slot.claimed_ns),
        });
    }

    fn process(&mut self, id: WorkerId) -> Result<&mut Process, Impossible> {
        let made = self
            .processes
            .get_mut(&id)
            .filter(|process| process.stage != Stage::Ordered);
        made.ok_or(format!("an order to {id}, which does not exist"))
    }

    fn revoke(
        &mut self,
        worker: WorkerId,
        task: TaskId,
        attempt: Attempt,
    ) -> Result<(), Impossible> {
        let process = self.process(worker)?;
        let slot = process
            .slots
            .get(&task)
            .filter(|slot| slot.attempt == attempt);
        let slot = slot.ok_or(format!(
            "{task} {attempt:?} is not in the ledger of {worker}"
        ))?;
        let revoked = slot.claimed_ns.is_none();
        if revoked {
            process.slots.remove(&task);
        }
        self.answers.push_back(Event::RevokeAnswered {
            worker,
            task,
            attempt,
            revoked,
        });
        Ok(())
    }
}
