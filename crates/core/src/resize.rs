//! How many workers there are to be: the size that the owner asked for, the strength that idling
//! has left of it, and a change of size until it has taken effect.
//!
//! Owner: the pool. Survivors of a smaller size are old workers; a worker with claimed work
//! finishes it first. Never interrupts a task.

use crate::effect::Effect;
use crate::ids::WorkerId;
use crate::pool::{Pool, Turn};
use crate::worker::{Farewell, Stage};

/// A change of size that has not settled.
#[derive(Clone, Copy, Debug)]
struct Resize {
    /// Workers up to this one must have a process. Later ones replace somebody, and are not
    /// waited for: in a pool that replaces workers all the time they would never all be there.
    up_to: WorkerId,
    /// One of those could not be made: whoever is ordered next is waited for in its stead.
    lost_a_spawn: bool,
    /// The workers have all been there.
    grown: bool,
}

/// How many workers.
#[derive(Debug)]
pub(crate) struct Size {
    target: u32,
    /// How many workers are kept: the target, less those that idled away since the last task.
    strength: u32,
    started: bool,
    resize: Option<Resize>,
    /// Places of lost workers that have not been filled.
    vacancies: u32,
}

impl Size {
    pub(crate) fn new(target: u32) -> Self {
        Self {
            target,
            strength: 0,
            started: false,
            resize: None,
            vacancies: 0,
        }
    }

    pub(crate) fn target(&self) -> u32 {
        self.target
    }

    pub(crate) fn strength(&self) -> u32 {
        self.strength
    }

    /// A task has come: everybody is wanted.
    pub(crate) fn muster(&mut self) {
        self.started = true;
        self.strength = self.target;
    }

    /// So many tasks are there while some wait: as many hands are wanted.
    pub(crate) fn muster_for(&mut self, tasks: usize) {
        let hands = u32::try_from(tasks).unwrap_or(u32::MAX).min(self.target);
        self.strength = self.strength.max(hands);
    }

    /// A worker idled away and is not replaced.
    pub(crate) fn shrink_by_idling(&mut self) {
        self.strength = self.strength.saturating_sub(1);
    }

    /// A worker was lost whose place is to be filled.
    pub(crate) fn open_vacancy(&mut self) {
        self.vacancies = self.vacancies.saturating_add(1).min(self.target);
    }

    /// A worker is ordered. Answers whether it fills the place of a lost one.
    pub(crate) fn fill_vacancy(&mut self) -> bool {
        let fills = self.vacancies > 0;
        self.vacancies = self.vacancies.saturating_sub(1);
        fills
    }

    /// An unsettled resize is still short of workers.
    pub(crate) fn is_growing(&self) -> bool {
        self.resize.is_some_and(|resize| !resize.grown)
    }

    pub(crate) fn is_resizing(&self) -> bool {
        self.resize.is_some()
    }

    /// A worker could not be made.
    pub(crate) fn lose_a_spawn(&mut self, id: WorkerId) {
        if let Some(resize) = &mut self.resize {
            resize.lost_a_spawn |= id <= resize.up_to;
        }
    }

    /// Workers have been ordered, this one the last.
    pub(crate) fn note_ordered(&mut self, last: WorkerId) {
        if let Some(resize) = &mut self.resize
            && std::mem::take(&mut resize.lost_a_spawn)
        {
            resize.up_to = last;
        }
    }
}

impl Pool {
    pub(crate) fn on_resize(&mut self, turn: &mut Turn<'_>, workers: u32) {
        if !self.accepts() {
            self.size.resize = None;
            turn.emit(Effect::ResizeSettled);
            return;
        }
        self.size.target = workers.max(1);
        if !self.size.started {
            turn.emit(Effect::ResizeSettled);
            return;
        }
        self.size.strength = self.size.target;
        self.size.vacancies = self.size.vacancies.min(self.size.target);
        // Whoever is ordered next belongs to it, be it at once or after a shortage.
        let up_to = self.roster.last();
        self.size.resize = Some(Resize {
            up_to,
            lost_a_spawn: true,
            grown: false,
        });
        self.dismiss_surplus(turn);
    }

    /// Asks as many live workers to leave as there are too many: first those that are not there
    /// yet, then the idle, then the others; among equals the youngest.
    fn dismiss_surplus(&mut self, turn: &mut Turn<'_>) {
        let surplus = self.roster.live().saturating_sub(self.size.target);
        if surplus == 0 {
            return;
        }
        let mut candidates: Vec<(u8, WorkerId)> = Vec::new();
        for (id, worker) in self.roster.iter().rev() {
            match worker.stage() {
                Stage::Spawning => candidates.push((0, id)),
                Stage::Starting => candidates.push((1, id)),
                Stage::Ready if worker.load() == 0 => candidates.push((2, id)),
                Stage::Ready => candidates.push((3, id)),
                Stage::Leaving(_) | Stage::Doomed(_) => {}
            }
        }
        // The sort is stable, so the youngest stay first within a class.
        candidates.sort_by_key(|&(class, _)| class);
        for (_, id) in candidates.into_iter().take(surplus as usize) {
            self.ask_to_leave(turn, id, Farewell::Surplus);
        }
    }

    /// Says once that the size asked for has been reached, or that it never will be.
    pub(crate) fn settle_resize(&mut self, turn: &mut Turn<'_>) {
        let Some(mut resize) = self.size.resize else {
            return;
        };
        let all_there = self.roster.live() == self.size.target
            && self
                .roster
                .first_spawning()
                .is_none_or(|first| first > resize.up_to);
        resize.grown |= all_there || self.shortage.is_exhausted();
        let leaving = self.roster.surplus() + self.roster.condemned();
        let settled = resize.grown && leaving == 0;
        if settled || !self.accepts() {
            self.size.resize = None;
            turn.emit(Effect::ResizeSettled);
        } else {
            self.size.resize = Some(resize);
        }
    }
}
