//! A worker process of the simulated world: its stage, its channel, its ledger.

use std::collections::{BTreeMap, VecDeque};

use loky_core::{Attempt, Event, LeaveReason, TaskId, WorkerId};

use crate::checkers::Line;
use crate::profile::Profile;
use crate::rng::Rng;

/// What a worker reads from its channel.
#[derive(Clone, Copy, Debug)]
pub enum Frame {
    Task(TaskId, Attempt),
    Leave,
}

/// A slot of a worker's ledger.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot {
    pub attempt: Attempt,
    /// When it was claimed.
    pub claimed_ns: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// The order has not been carried out.
    Ordered,
    Initializing,
    Idle,
    Running(TaskId, Attempt),
    /// Runs and will not end by itself.
    Hanging(TaskId, Attempt),
    /// Said that it leaves; exits next.
    Parting,
    Dead,
}

/// A worker process, or the order to make one.
#[expect(
    clippy::struct_excessive_bools,
    reason = "what is true of it, fact by fact"
)]
#[derive(Debug)]
pub struct Process {
    pub stage: Stage,
    /// From the worker to the parent.
    pub channel: VecDeque<Event>,
    /// From the parent to the worker.
    pub inbox: VecDeque<Frame>,
    pub slots: BTreeMap<TaskId, Slot>,
    pub kill_ordered: bool,
    /// It was ordered for the sake of a task.
    pub kill_is_for_task: bool,
    pub terminate_ordered: bool,
    /// Interrupts that the launcher has not sent yet.
    pub interrupts: u32,
    /// It will never be ready.
    pub stuck: bool,
    /// The engine still reads what it says.
    pub heard: bool,
    pub has_worked: bool,
}

impl Process {
    pub fn ordered() -> Self {
        Self {
            stage: Stage::Ordered,
            channel: VecDeque::new(),
            inbox: VecDeque::new(),
            slots: BTreeMap::new(),
            kill_ordered: false,
            kill_is_for_task: false,
            terminate_ordered: false,
            interrupts: 0,
            stuck: false,
            heard: true,
            has_worked: false,
        }
    }

    /// Reads the next frame, or leaves by its own word between two tasks.
    pub fn take_up(
        &mut self,
        id: WorkerId,
        now_ns: u64,
        rng: &mut Rng,
        profile: &Profile,
    ) -> Option<Line> {
        let own_word = rng.per_mille(profile.own_word);
        if own_word || (self.has_worked && rng.per_mille(profile.memory_growth)) {
            let reason = if own_word {
                LeaveReason::Asked
            } else {
                LeaveReason::MemoryGrowth
            };
            self.channel
                .push_back(Event::WorkerLeaving { worker: id, reason });
            self.stage = Stage::Parting;
            return None;
        }
        match self.inbox.pop_front()? {
            Frame::Leave => {
                if rng.below(2) == 0 {
                    let reason = LeaveReason::Asked;
                    self.channel
                        .push_back(Event::WorkerLeaving { worker: id, reason });
                }
                self.stage = Stage::Parting;
                None
            }
            Frame::Task(task, attempt) => {
                let slot = self
                    .slots
                    .get_mut(&task)
                    .filter(|slot| slot.attempt == attempt)?;
                slot.claimed_ns = Some(now_ns);
                self.stage = Stage::Running(task, attempt);
                Some(Line::Started {
                    task,
                    worker: id,
                    attempt,
                    at_ns: now_ns,
                })
            }
        }
    }
}
