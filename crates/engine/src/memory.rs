//! Limits on memory: who has passed his, found by looking from outside.
//!
//! The poll loop looks at the resident memory of workers that are at work under a limit, and of what
//! they have started, at intervals that get short as the limit comes near. Nothing runs in the worker
//! for it, so no loop in native code can keep it from working. Without a limit nobody looks.

use loky_core::event::Event;
use loky_core::ids::{TaskId, WorkerId};
use loky_sys::process::WaitStatus;
use loky_sys::{clock, process, signal, usage};
use loky_wire::SlotState;
use loky_wire::limits::LEDGER_SLOTS;

use crate::channel::{Channel, Stage, Standing};
use crate::ends::Ending;
use crate::evidence::mebibytes;
use crate::state::State;

/// As fast as a process is taken to fill memory: new pages have to be cleared by the kernel.
const FILL_BYTES_PER_NS: u64 = 2;

/// The shortest and the longest time between two looks.
const INTERVAL_MIN_NS: u64 = 4_000_000;
const INTERVAL_MAX_NS: u64 = 100_000_000;

/// The time until the next look at a worker that has a task and has not begun one under a limit.
const INTERVAL_WAITING_NS: u64 = 10_000_000;

/// How many reads empty the socket of a worker.
const READS_MAX: usize = 64;

/// How many descendants of a worker are looked at.
const DESCENDANTS_MAX: usize = 256;

/// Whether there are tasks in the hands of a worker. One of them may begin at any time.
fn has_work(channel: &Channel) -> bool {
    channel.stage == Stage::Running
        && channel.standing < Standing::Killed
        && channel.slots_free.len() < usize::from(LEDGER_SLOTS)
}

/// How long it cannot matter not to look.
fn interval_ns(used_bytes: u64, limit_bytes: u64) -> u64 {
    let room_bytes = limit_bytes.saturating_sub(used_bytes);
    (room_bytes / FILL_BYTES_PER_NS).clamp(INTERVAL_MIN_NS, INTERVAL_MAX_NS)
}

/// What a process and everything below it have resident. Pages that they share are counted for each.
fn used_bytes(pid: i32) -> u64 {
    let mut used = 0_u64;
    let mut pids = vec![pid];
    let mut at = 0;
    while let Some(pid) = pids.get(at).copied() {
        at += 1;
        // One that has just ended has nothing.
        used = used.saturating_add(usage::resident_bytes(pid).unwrap_or(0));
        if pids.len() < DESCENDANTS_MAX {
            pids.extend(process::children_of(pid).unwrap_or_default());
        }
    }
    used
}

impl State {
    /// Has the loop look at memory from now on, where there is a limit.
    pub(crate) fn watch_memory(&mut self) {
        let wanted = self.config.memory_limit_bytes.is_some() || self.limited_tasks > 0;
        if wanted && self.memory_at_ns.is_none() {
            self.memory_at_ns = Some(clock::monotonic_ns().saturating_add(INTERVAL_MIN_NS));
            self.stir = true;
        }
    }

    /// Looks at the workers that are at work under a limit, and ends those that have passed it.
    pub(crate) fn look_at_memory(&mut self, now_ns: u64, scratch: &mut [u8]) {
        if self.memory_at_ns.is_none_or(|at_ns| at_ns > now_ns) {
            return;
        }
        let mut next_ns = None;
        let mut excesses = Vec::new();
        for channel in self.channels.values() {
            let Some((task, limit_bytes)) = self.limit_of(channel) else {
                if has_work(channel) {
                    next_ns = Some(next_ns.map_or(INTERVAL_WAITING_NS, |next: u64| {
                        next.min(INTERVAL_WAITING_NS)
                    }));
                }
                continue;
            };
            let used_bytes = used_bytes(channel.pid);
            if used_bytes > limit_bytes {
                let fact = format!(
                    "it had {} resident, and its limit was {}",
                    mebibytes(used_bytes),
                    mebibytes(limit_bytes)
                );
                excesses.push((channel.worker, task, fact));
            }
            let interval_ns = interval_ns(used_bytes, limit_bytes);
            next_ns = Some(next_ns.map_or(interval_ns, |next: u64| next.min(interval_ns)));
        }
        let wanted = self.config.memory_limit_bytes.is_some() || self.limited_tasks > 0;
        self.memory_at_ns = next_ns
            .filter(|_| wanted)
            .map(|next_ns| now_ns.saturating_add(next_ns));
        for (worker, task, fact) in excesses {
            self.end_for_memory(worker, task, fact, scratch);
        }
    }

    /// Ends a worker for the memory that it had while it ran this task. What it has said by now
    /// counts: if the task is over, nobody is ended.
    fn end_for_memory(&mut self, worker: WorkerId, task: TaskId, fact: String, scratch: &mut [u8]) {
        self.read_worker(worker, scratch, READS_MAX);
        let still = self
            .channels
            .get(&worker)
            .and_then(|channel| self.limit_of(channel))
            .is_some_and(|(now, _)| now == task);
        if !still {
            return;
        }
        if let Some(channel) = self.channels.get_mut(&worker) {
            channel.excess = Some(fact);
        }
        self.feed(Event::MemoryExceeded { worker });
    }

    /// The kernel has ended a process of a worker's own cgroup, and that was the worker: it is told
    /// as one that this pool ends for its memory, which costs the others nothing.
    pub(crate) fn note_group_kill(
        &mut self,
        worker: WorkerId,
        ending: &Ending,
        scratch: &mut [u8],
    ) {
        let Ending::Reaped {
            status,
            usage: Some(usage),
        } = ending
        else {
            return;
        };
        let killed = WaitStatus(*status).signal() == Some(signal::SIGKILL);
        if !(usage.passed_limit && killed && !usage.killed_on_request) {
            return;
        }
        self.read_worker(worker, scratch, READS_MAX);
        let limit = self.config.memory_limit_bytes.map(mebibytes);
        if let Some(channel) = self.channels.get_mut(&worker) {
            let limit = limit.unwrap_or_default();
            channel.excess = Some(format!(
                "the kernel ended it at the limit of its own memory cgroup, {limit}"
            ));
            self.feed(Event::MemoryExceeded { worker });
        }
    }

    /// The task that a worker runs under a limit, and the limit.
    fn limit_of(&self, channel: &Channel) -> Option<(TaskId, u64)> {
        if !has_work(channel) {
            return None;
        }
        let running = (0..LEDGER_SLOTS)
            .filter_map(|slot| channel.ledger.view(slot).ok())
            .filter(|view| view.state == SlotState::Running);
        let limits = running.filter_map(|view| {
            let task = TaskId(view.task);
            let watched = self.tasks.get(&task)?.watched.as_ref();
            let own = watched.and_then(|watched| watched.memory_limit_bytes);
            Some((task, own.or(self.config.memory_limit_bytes)?))
        });
        limits.min_by_key(|(_, limit_bytes)| *limit_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearer_the_limit_the_sooner_the_next_look() {
        let limit = 1 << 30;
        assert_eq!(interval_ns(0, limit), INTERVAL_MAX_NS);
        assert_eq!(interval_ns(limit, limit), INTERVAL_MIN_NS);
        assert_eq!(interval_ns(2 * limit, limit), INTERVAL_MIN_NS);
        let near = interval_ns(limit - (50 << 20), limit);
        assert!(near > INTERVAL_MIN_NS && near < INTERVAL_MAX_NS);
    }

    #[test]
    fn this_process_uses_memory_and_one_that_is_not_there_does_not() {
        assert!(used_bytes(process::pid()) > 1 << 20);
        assert_eq!(used_bytes(-1), 0);
    }
}
