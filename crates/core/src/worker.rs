//! One worker: its stage of life, and the tasks that it holds.
//!
//! Owner: the roster. Keeps its own counts of claims; never knows other workers.

use std::collections::VecDeque;

use crate::effect::{Departure, KillReason, Verdict};
use crate::event::LeaveReason;
use crate::ids::TaskId;
use crate::sentence::{Sentence, Step};

/// A busy worker from which so many tasks have been withdrawn gets no others until it is heard of, or
/// a stream of tasks that come and are cancelled would pile up in front of it.
const UNREAD_MAX: u32 = 64;

/// Why a task is being withdrawn from a worker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Why {
    /// To give it to another worker.
    Move,
    /// Its owner does not want it any more.
    Cancel,
    /// It should have started by now.
    Expire,
    /// The pool ends, and what has not started is not to start.
    ShutDown,
}

/// What is known of a worker's claim to a task that was sent to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Claim {
    /// It may have started or not.
    Open,
    /// `RevokeTask` has gone out and is not answered.
    Revoking(Why),
    /// It has started, for certain.
    Taken,
}

/// A task in the hands of a worker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Held {
    pub(crate) task: TaskId,
    pub(crate) claim: Claim,
}

/// Why a worker leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Farewell {
    /// It idled for too long.
    Idle,
    /// It said so, for its memory.
    Memory,
    /// It said so without having been asked, for no reason that the pool knows.
    OwnWord,
    /// It has had as many tasks as a worker may have.
    Spent,
    /// The pool became smaller.
    Surplus,
    /// The pool ends and there is nothing more to do.
    Drained,
}

impl Farewell {
    pub(crate) fn reason(self) -> LeaveReason {
        match self {
            Self::Memory => LeaveReason::MemoryGrowth,
            Self::Idle | Self::OwnWord | Self::Spent | Self::Surplus | Self::Drained => {
                LeaveReason::Asked
            }
        }
    }

    /// Whether the owner is to hear of it when tasks were waiting.
    pub(crate) fn is_noticed(self) -> bool {
        match self {
            Self::Idle | Self::Memory | Self::OwnWord => true,
            Self::Spent | Self::Surplus | Self::Drained => false,
        }
    }

    /// Whether it was the worker itself who said so.
    pub(crate) fn is_own_word(self) -> bool {
        match self {
            Self::Memory | Self::OwnWord => true,
            Self::Idle | Self::Spent | Self::Surplus | Self::Drained => false,
        }
    }
}

/// Why a worker is killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Doom {
    /// The pool ends.
    Ending,
    /// It broke the protocol: its end is a death like any other.
    Condemned,
    /// It was not ready in time: its end is a death like any other, unless it was to leave anyway.
    Late { was_leaving: bool },
    /// It does not let go of a task that is to end.
    Struck(Verdict),
    /// It has more memory than it may: it costs what it runs, and nothing else in either mode.
    Overweight,
}

impl Doom {
    pub(crate) fn reason(self) -> KillReason {
        match self {
            Self::Ending => KillReason::Ending,
            Self::Condemned => KillReason::Condemned,
            Self::Late { .. } => KillReason::NotReady,
            Self::Struck(verdict) => KillReason::Task(verdict),
            Self::Overweight => KillReason::Memory,
        }
    }
}

/// How far a worker has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// Ordered; no process is known.
    Spawning,
    /// The process runs its initializer.
    Starting,
    /// It takes tasks.
    Ready,
    /// It gets no more tasks and will exit by itself.
    Leaving(Farewell),
    /// It is not listened to and is killed as soon as there is a process.
    Doomed(Doom),
}

/// A worker from the order to make it until its process is over.
#[derive(Debug)]
pub(crate) struct Worker {
    /// Its place in the pool.
    pub(crate) index: u32,
    stage: Stage,
    /// A process is known to exist.
    process: bool,
    held: VecDeque<Held>,
    /// How many of the held are `Open`.
    open: u32,
    /// How many of the held are on the move.
    moving: u32,
    /// How many more tasks it may be sent; `None` is without limit.
    quota: Option<u32>,
    /// How many tasks have been withdrawn from it since it was last heard of: while it is busy, what
    /// told it of them lies unread in its socket.
    unread: u32,
    /// It has finished or claimed a task.
    proven: bool,
    /// Since when it holds nothing. Only meant while it is ready and holds nothing.
    idle_since_ns: u64,
    /// Tasks were waiting when it began to leave.
    left_work: bool,
    /// What is being done to end the task that it runs.
    sentence: Option<Sentence>,
    /// When it should be ready.
    pub(crate) start_by_ns: Option<u64>,
}

impl Worker {
    /// A worker that has just been ordered.
    pub(crate) fn ordered(index: u32, quota: Option<u32>) -> Self {
        Self {
            index,
            stage: Stage::Spawning,
            process: false,
            held: VecDeque::new(),
            open: 0,
            moving: 0,
            quota,
            unread: 0,
            proven: false,
            idle_since_ns: 0,
            left_work: false,
            sentence: None,
            start_by_ns: None,
        }
    }

    pub(crate) fn stage(&self) -> Stage {
        self.stage
    }

    pub(crate) fn has_process(&self) -> bool {
        self.process
    }

    pub(crate) fn is_proven(&self) -> bool {
        self.proven
    }

    pub(crate) fn left_work(&self) -> bool {
        self.left_work
    }

    /// Whether it is or will be one of those who work.
    pub(crate) fn is_live(&self) -> bool {
        match self.stage {
            Stage::Spawning | Stage::Starting | Stage::Ready => true,
            Stage::Leaving(_) | Stage::Doomed(_) => false,
        }
    }

    /// Whether what it says counts.
    pub(crate) fn is_heard(&self) -> bool {
        match self.stage {
            Stage::Spawning | Stage::Starting | Stage::Ready | Stage::Leaving(_) => true,
            Stage::Doomed(_) => false,
        }
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.quota == Some(0)
    }

    /// How many tasks it holds, if it may be sent another.
    pub(crate) fn load_if_sendable(&self) -> Option<u32> {
        let reads = self.unread < UNREAD_MAX || self.held.is_empty();
        (self.stage == Stage::Ready && !self.is_spent() && self.sentence.is_none() && reads)
            .then(|| self.load())
    }

    pub(crate) fn load(&self) -> u32 {
        u32::try_from(self.held.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn idle_since_ns(&self) -> Option<u64> {
        (self.stage == Stage::Ready && self.held.is_empty() && self.sentence.is_none())
            .then_some(self.idle_since_ns)
    }

    /// How many of its tasks another worker could take. The oldest is never one of them: it is the
    /// one that has started, or will start first.
    pub(crate) fn stealable(&self) -> u32 {
        if self.stage != Stage::Ready || self.held.len() < 2 || self.sentence.is_some() {
            return 0;
        }
        let oldest_is_open = self
            .held
            .front()
            .is_some_and(|held| held.claim == Claim::Open);
        self.open.saturating_sub(u32::from(oldest_is_open))
    }

    pub(crate) fn moving(&self) -> u32 {
        self.moving
    }

    /// The newest of the tasks that another worker could take.
    pub(crate) fn newest_stealable(&self) -> Option<TaskId> {
        let younger = self.held.iter().skip(1);
        younger
            .rev()
            .find(|held| held.claim == Claim::Open)
            .map(|held| held.task)
    }

    pub(crate) fn held(&self) -> impl DoubleEndedIterator<Item = Held> + ExactSizeIterator + '_ {
        self.held.iter().copied()
    }

    pub(crate) fn claim(&self, task: TaskId) -> Option<Claim> {
        self.held
            .iter()
            .find(|held| held.task == task)
            .map(|held| held.claim)
    }

    /// There is a process. Answers false if that was known.
    pub(crate) fn see_process(&mut self) -> bool {
        let new = !self.process;
        self.process = true;
        if self.stage == Stage::Spawning {
            self.stage = Stage::Starting;
        }
        new
    }

    /// It takes tasks from now on. Answers false if it is past that.
    pub(crate) fn become_ready(&mut self, now_ns: u64) -> bool {
        let fits = self.stage == Stage::Starting;
        if fits {
            self.stage = Stage::Ready;
            self.idle_since_ns = now_ns;
        }
        fits
    }

    pub(crate) fn leave(&mut self, farewell: Farewell, left_work: bool) {
        self.stage = Stage::Leaving(farewell);
        self.left_work = left_work;
    }

    pub(crate) fn doom(&mut self, doom: Doom) {
        self.stage = Stage::Doomed(doom);
    }

    /// It has finished or claimed a task, so it has read what came before that.
    pub(crate) fn prove(&mut self) {
        self.proven = true;
        self.unread = 0;
    }

    pub(crate) fn hold(&mut self, task: TaskId) {
        self.held.push_back(Held {
            task,
            claim: Claim::Open,
        });
        self.open += 1;
        self.quota = self.quota.map(|quota| quota.saturating_sub(1));
    }

    pub(crate) fn set_claim(&mut self, task: TaskId, claim: Claim) {
        let Some(held) = self.held.iter_mut().find(|held| held.task == task) else {
            return;
        };
        let before = held.claim;
        held.claim = claim;
        self.uncount(before);
        self.count(claim);
    }

    /// Takes a task out of its hands.
    pub(crate) fn release(&mut self, task: TaskId, now_ns: u64) -> Option<Held> {
        let position = self.held.iter().position(|held| held.task == task)?;
        let held = self.held.remove(position)?;
        self.uncount(held.claim);
        if self.held.is_empty() {
            self.idle_since_ns = now_ns;
        }
        Some(held)
    }

    /// Takes a task out of its hands that has been withdrawn before it started. It is none of those
    /// that a worker may have.
    pub(crate) fn release_withdrawn(&mut self, task: TaskId, now_ns: u64) {
        self.release(task, now_ns);
        self.quota = self.quota.map(|quota| quota.saturating_add(1));
        self.unread = self.unread.saturating_add(1);
    }

    /// Takes every task out of its hands, oldest first.
    pub(crate) fn release_all(&mut self) -> VecDeque<Held> {
        self.open = 0;
        self.moving = 0;
        std::mem::take(&mut self.held)
    }

    pub(crate) fn sentence(&self) -> Option<Sentence> {
        self.sentence
    }

    pub(crate) fn set_sentence(&mut self, sentence: Sentence) {
        self.sentence = Some(sentence);
    }

    /// Nothing stands against it any more.
    pub(crate) fn drop_sentence(&mut self, now_ns: u64) {
        self.sentence = None;
        if self.held.is_empty() {
            self.idle_since_ns = now_ns;
        }
    }

    /// The pool has done something by which it may have ended.
    fn is_struck(&self) -> bool {
        self.sentence
            .is_some_and(|sentence| sentence.step != Step::Clearing)
    }

    /// What its end means when the process was over with or without started tasks.
    pub(crate) fn departure(&self, any_started: bool) -> Departure {
        match self.stage {
            Stage::Leaving(farewell) if !any_started => Departure::Retired(farewell.reason()),
            Stage::Doomed(
                Doom::Ending
                | Doom::Struck(_)
                | Doom::Overweight
                | Doom::Late { was_leaving: true },
            ) => Departure::Killed,
            Stage::Ready | Stage::Leaving(_) if self.is_struck() => Departure::Killed,
            Stage::Spawning
            | Stage::Starting
            | Stage::Ready
            | Stage::Leaving(_)
            | Stage::Doomed(Doom::Condemned | Doom::Late { was_leaving: false }) => Departure::Died,
        }
    }

    fn count(&mut self, claim: Claim) {
        match claim {
            Claim::Open => self.open += 1,
            Claim::Revoking(Why::Move) => self.moving += 1,
            Claim::Revoking(Why::Cancel | Why::Expire | Why::ShutDown) | Claim::Taken => {}
        }
    }

    fn uncount(&mut self, claim: Claim) {
        match claim {
            Claim::Open => self.open = self.open.saturating_sub(1),
            Claim::Revoking(Why::Move) => self.moving = self.moving.saturating_sub(1),
            Claim::Revoking(Why::Cancel | Why::Expire | Why::ShutDown) | Claim::Taken => {}
        }
    }

    /// The claims, counted anew: open and moving.
    pub(crate) fn recount(&self) -> (u32, u32) {
        let (mut open, mut moving) = (0, 0);
        for held in &self.held {
            match held.claim {
                Claim::Open => open += 1,
                Claim::Revoking(Why::Move) => moving += 1,
                Claim::Revoking(Why::Cancel | Why::Expire | Why::ShutDown) | Claim::Taken => {}
            }
        }
        (open, moving)
    }

    /// The claims as they are kept: open and moving.
    pub(crate) fn counts(&self) -> (u32, u32) {
        (self.open, self.moving)
    }
}
