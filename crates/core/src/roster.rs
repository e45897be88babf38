//! All workers, with the orders in which the pool looks for one: by load, by what can be taken
//! from it, by how long it has idled.
//!
//! Owner: the pool. Every change of a worker goes through `change`, which keeps the orders and the
//! counts true, so that no question here needs a walk over all workers. Never decides anything.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{TaskId, WorkerId};
use crate::worker::{Doom, Farewell, Stage, Worker};

/// The counted kinds of worker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Spawning,
    Spawned,
    Condemned,
    Surplus,
    Other,
}

/// By what the orders and counts know a worker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Standing {
    kind: Kind,
    load: Option<u32>,
    stealable: u32,
    idle_since_ns: Option<u64>,
    moving: u32,
}

impl Standing {
    fn of(worker: &Worker) -> Self {
        let kind = match worker.stage() {
            Stage::Spawning => Kind::Spawning,
            Stage::Starting | Stage::Ready => Kind::Spawned,
            Stage::Doomed(
                Doom::Condemned | Doom::Late { .. } | Doom::Struck(_) | Doom::Overweight,
            ) => Kind::Condemned,
            Stage::Leaving(Farewell::Surplus) => Kind::Surplus,
            Stage::Leaving(
                Farewell::Idle
                | Farewell::Memory
                | Farewell::OwnWord
                | Farewell::Spent
                | Farewell::Drained,
            )
            | Stage::Doomed(Doom::Ending) => Kind::Other,
        };
        Self {
            kind,
            load: worker.load_if_sendable(),
            stealable: worker.stealable(),
            idle_since_ns: worker.idle_since_ns(),
            moving: worker.moving(),
        }
    }
}

/// The derived orders and counts.
#[derive(Default, PartialEq, Eq, Debug)]
struct Standings {
    by_load: BTreeSet<(u32, WorkerId)>,
    by_stealable: BTreeSet<(u32, WorkerId)>,
    by_idle: BTreeSet<(u64, WorkerId)>,
    spawning: BTreeSet<WorkerId>,
    spawned: u32,
    condemned: u32,
    surplus: u32,
    moving: u32,
}

impl Standings {
    fn enter(&mut self, id: WorkerId, standing: Standing) {
        match standing.kind {
            Kind::Spawning => {
                self.spawning.insert(id);
            }
            Kind::Spawned => self.spawned += 1,
            Kind::Condemned => self.condemned += 1,
            Kind::Surplus => self.surplus += 1,
            Kind::Other => {}
        }
        if let Some(load) = standing.load {
            self.by_load.insert((load, id));
        }
        if standing.stealable > 0 {
            self.by_stealable.insert((standing.stealable, id));
        }
        if let Some(since_ns) = standing.idle_since_ns {
            self.by_idle.insert((since_ns, id));
        }
        self.moving += standing.moving;
    }

    fn quit(&mut self, id: WorkerId, standing: Standing) {
        match standing.kind {
            Kind::Spawning => {
                self.spawning.remove(&id);
            }
            Kind::Spawned => self.spawned -= 1,
            Kind::Condemned => self.condemned -= 1,
            Kind::Surplus => self.surplus -= 1,
            Kind::Other => {}
        }
        if let Some(load) = standing.load {
            self.by_load.remove(&(load, id));
        }
        if standing.stealable > 0 {
            self.by_stealable.remove(&(standing.stealable, id));
        }
        if let Some(since_ns) = standing.idle_since_ns {
            self.by_idle.remove(&(since_ns, id));
        }
        self.moving -= standing.moving;
    }
}

/// The places of the pool that no worker has.
#[derive(Default, Debug)]
struct Indices {
    free: BTreeSet<u32>,
    next: u32,
}

impl Indices {
    fn take(&mut self) -> u32 {
        self.free.pop_first().unwrap_or_else(|| {
            let index = self.next;
            self.next += 1;
            index
        })
    }

    fn put_back(&mut self, index: u32) {
        self.free.insert(index);
    }
}

/// Every worker that is ordered, alive or not yet known to be over.
#[derive(Default, Debug)]
pub(crate) struct Roster {
    workers: BTreeMap<WorkerId, Worker>,
    standings: Standings,
    indices: Indices,
    last: u64,
    /// Ordered workers that were given up without an answer.
    abandoned: BTreeSet<WorkerId>,
}

impl Roster {
    /// Enters a new worker; answers its number and place.
    pub(crate) fn order(&mut self, quota: Option<u32>) -> (WorkerId, u32) {
        self.last += 1;
        let id = WorkerId(self.last);
        (id, self.enter(id, quota))
    }

    fn enter(&mut self, id: WorkerId, quota: Option<u32>) -> u32 {
        let index = self.indices.take();
        let worker = Worker::ordered(index, quota);
        self.standings.enter(id, Standing::of(&worker));
        self.workers.insert(id, worker);
        index
    }

    /// Changes a worker and keeps the books.
    pub(crate) fn change<T>(
        &mut self,
        id: WorkerId,
        change: impl FnOnce(&mut Worker) -> T,
    ) -> Option<T> {
        let worker = self.workers.get_mut(&id)?;
        let before = Standing::of(worker);
        let answer = change(worker);
        let after = Standing::of(worker);
        if before != after {
            self.standings.quit(id, before);
            self.standings.enter(id, after);
        }
        Some(answer)
    }

    /// The worker is over or was never made.
    pub(crate) fn remove(&mut self, id: WorkerId) -> Option<Worker> {
        let worker = self.workers.remove(&id)?;
        self.standings.quit(id, Standing::of(&worker));
        self.indices.put_back(worker.index);
        Some(worker)
    }

    /// Gives up every worker without a known process. Answers how many.
    pub(crate) fn abandon_unmade(&mut self) -> u64 {
        let unmade: Vec<WorkerId> = self
            .iter()
            .filter(|(_, worker)| !worker.has_process())
            .map(|(id, _)| id)
            .collect();
        let mut count = 0;
        for id in unmade {
            if self.remove(id).is_some() {
                self.abandoned.insert(id);
                count += 1;
            }
        }
        count
    }

    /// Whether this worker had been given up; it is not any more.
    pub(crate) fn forget_abandoned(&mut self, id: WorkerId) -> bool {
        self.abandoned.remove(&id)
    }

    /// Enters a worker again that had been given up and exists all the same.
    pub(crate) fn enter_again(&mut self, id: WorkerId) {
        self.enter(id, None);
    }

    pub(crate) fn get(&self, id: WorkerId) -> Option<&Worker> {
        self.workers.get(&id)
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (WorkerId, &Worker)> + '_ {
        self.workers.iter().map(|(&id, worker)| (id, worker))
    }

    /// The workers in order of age, for changes while walking.
    pub(crate) fn ids(&self) -> Vec<WorkerId> {
        self.workers.keys().copied().collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.workers.is_empty()
    }

    /// The number that was given last.
    pub(crate) fn last(&self) -> WorkerId {
        WorkerId(self.last)
    }

    /// Those who work or will.
    pub(crate) fn live(&self) -> u32 {
        self.spawning().saturating_add(self.standings.spawned)
    }

    /// Those whose place is taken: the live, and those who are killed alone until they are over.
    pub(crate) fn members(&self) -> u32 {
        self.live().saturating_add(self.standings.condemned)
    }

    pub(crate) fn spawning(&self) -> u32 {
        u32::try_from(self.standings.spawning.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn first_spawning(&self) -> Option<WorkerId> {
        self.standings.spawning.first().copied()
    }

    /// Those who are killed alone, for what they did, and are not yet over.
    pub(crate) fn condemned(&self) -> u32 {
        self.standings.condemned
    }

    /// Those who leave because the pool became smaller.
    pub(crate) fn surplus(&self) -> u32 {
        self.standings.surplus
    }

    /// How many tasks are being taken from one worker for another.
    pub(crate) fn moving(&self) -> u32 {
        self.standings.moving
    }

    /// How many ready workers hold nothing.
    pub(crate) fn idle(&self) -> u32 {
        u32::try_from(self.standings.by_idle.len()).unwrap_or(u32::MAX)
    }

    /// The ready worker that holds least and may be sent a task, the oldest first.
    pub(crate) fn least_loaded(&self) -> Option<(u32, WorkerId)> {
        self.standings.by_load.first().copied()
    }

    /// The worker with most to take, and its newest task that can be taken.
    pub(crate) fn most_stealable(&self) -> Option<(WorkerId, TaskId)> {
        let &(_, id) = self.standings.by_stealable.last()?;
        let task = self.workers.get(&id)?.newest_stealable()?;
        Some((id, task))
    }

    /// The worker that has idled longest, and since when.
    pub(crate) fn longest_idle(&self) -> Option<(u64, WorkerId)> {
        self.standings.by_idle.first().copied()
    }

    /// Whether the orders and counts are what a walk over all workers gives.
    pub(crate) fn standings_are_true(&self) -> bool {
        let mut anew = Standings::default();
        for (id, worker) in self.iter() {
            anew.enter(id, Standing::of(worker));
        }
        anew == self.standings
    }

    /// Whether no two workers have one place, and no worker has a free one.
    pub(crate) fn places_are_single(&self) -> bool {
        let taken: BTreeSet<u32> = self.workers.values().map(|worker| worker.index).collect();
        taken.len() == self.workers.len()
            && taken.is_disjoint(&self.indices.free)
            && taken.iter().all(|&index| index < self.indices.next)
    }
}
