//! Events that must do no harm: late, repeated, forged, or from nobody.

use loky_core::{Attempt, Event, LeaveReason, TaskId, WorkerId};

use crate::rng::Rng;
use crate::world::World;

impl World {
    /// Something that comes late, twice, or from nobody.
    pub fn stray(&mut self, rng: &mut Rng) -> Option<Event> {
        let nobody = WorkerId(10_000_000);
        let event = if self.read.is_empty() {
            None
        } else {
            Some(rng.pick_ref(&self.read).clone())
        };
        let gone = if self.gone.is_empty() {
            nobody
        } else {
            rng.pick(&self.gone)
        };
        match rng.below(10) {
            0 => Some(Event::WorkerSpawned { worker: gone }),
            1 => Some(Event::WorkerReady { worker: gone }),
            2 => Some(Event::WorkerExited {
                worker: gone,
                started: vec![TaskId(1), TaskId(2)],
            }),
            3 => Some(Event::WorkerCondemned { worker: gone }),
            4 => Some(Event::WorkerLeaving {
                worker: gone,
                reason: LeaveReason::MemoryGrowth,
            }),
            5 => Some(Event::SpawnFailed {
                worker: gone,
                errno: 11,
            }),
            6 => Some(Event::InitializerFailed { worker: nobody }),
            7 | 8 => self.forged(rng),
            _ => event.and_then(|event| self.repeated(event)),
        }
    }

    /// A reply or an answer to a claim that exists, with the wrong attempt or from another worker.
    fn forged(&self, rng: &mut Rng) -> Option<Event> {
        let claims = self.processes.iter().flat_map(|(&worker, process)| {
            process
                .slots
                .iter()
                .map(move |(&task, slot)| (worker, task, slot.attempt))
        });
        let claims: Vec<(WorkerId, TaskId, Attempt)> = claims.collect();
        if claims.is_empty() {
            return None;
        }
        let (holder, task, current) = rng.pick(&claims);
        let (worker, attempt) = match rng.below(3) {
            0 => (holder, Attempt(current.0 + 1)),
            1 => (holder, Attempt(current.0 - 1)),
            _ => (WorkerId(holder.0 + 1), current),
        };
        if self.holds(worker, task, attempt) {
            return None;
        }
        Some(match rng.below(4) {
            3 => Event::TaskInspected {
                worker,
                task,
                attempt,
                started_ns: Some(0),
            },
            0 => Event::TaskFinished {
                worker,
                task,
                attempt,
                run_ns: 1,
                retry_wanted: false,
            },
            1 => Event::RevokeAnswered {
                worker,
                task,
                attempt,
                revoked: true,
            },
            _ => Event::RevokeAnswered {
                worker,
                task,
                attempt,
                revoked: false,
            },
        })
    }

    fn holds(&self, worker: WorkerId, task: TaskId, attempt: Attempt) -> bool {
        let slots = self.processes.get(&worker).map(|process| &process.slots);
        slots
            .and_then(|slots| slots.get(&task))
            .is_some_and(|slot| slot.attempt == attempt)
    }

    /// The same again, where that says nothing new: replies and answers name an attempt that is
    /// over, and a worker is ready only once.
    fn repeated(&self, event: Event) -> Option<Event> {
        if let Event::TaskFinished {
            worker,
            task,
            attempt,
            ..
        } = event
        {
            return (!self.holds(worker, task, attempt)).then_some(event);
        }
        let again = matches!(
            event,
            Event::RevokeAnswered { .. } | Event::WorkerReady { .. } | Event::TaskInspected { .. }
        );
        again.then_some(event)
    }
}
