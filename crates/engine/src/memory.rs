//! Limits on memory: who has passed his, found by looking from outside.
//!
//! The poll loop looks at the resident memory of workers that are at work under a limit, and of what
//! they have started, at intervals that get short as the limit comes near. Nothing runs in the worker
//! for it, so no loop in native code can keep it from working. Without a limit nobody looks.

use loky_core::ids::{TaskId, WorkerId};
use loky_sys::{clock, process, usage};
use loky_wire::SlotState;
use loky_wire::limits::LEDGER_SLOTS;

use crate::channel::{Channel, Stage, Standing};
use crate::evidence::mebibytes;
use crate::state::State;

/// As fast as a process is taken to fill memory: new pages have to be cleared by the kernel.
const FILL_BYTES_PER_NS: u64 = 2;

/// The shortest and the longest time between two looks.
const INTERVAL_MIN_NS: u64 = 4_000_000;
const INTERVAL_MAX_NS: u64 = 100_000_000;

/// How many descendants of a worker are looked at.
const DESCENDANTS_MAX: usize = 256;

/// A worker that has passed its limit.
pub(crate) struct Excess {
    pub(crate) worker: WorkerId,
    pub(crate) fact: String,
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
    pub(crate) fn look_at_memory(&mut self, now_ns: u64) {
        if self.memory_at_ns.is_none_or(|at_ns| at_ns > now_ns) {
            return;
        }
        let mut next_ns = None;
        let mut excesses = Vec::new();
        for channel in self.channels.values() {
            let Some(limit_bytes) = self.limit_of(channel) else {
                continue;
            };
            let used_bytes = used_bytes(channel.pid);
            if used_bytes > limit_bytes {
                excesses.push(Excess {
                    worker: channel.worker,
                    fact: format!(
                        "it had {} resident, and its limit was {}",
                        mebibytes(used_bytes),
                        mebibytes(limit_bytes)
                    ),
                });
            }
            let interval_ns = interval_ns(used_bytes, limit_bytes);
            next_ns = Some(next_ns.map_or(interval_ns, |next: u64| next.min(interval_ns)));
        }
        self.memory_at_ns = next_ns.map(|next_ns| now_ns.saturating_add(next_ns));
        for excess in excesses {
            self.end_for_memory(excess);
        }
    }

    /// The limit that holds for a worker now; `None` for one that is idle, or that nothing limits.
    fn limit_of(&self, channel: &Channel) -> Option<u64> {
        let at_work = channel.stage == Stage::Running
            && channel.standing < Standing::Killed
            && channel.slots_free.len() < usize::from(LEDGER_SLOTS);
        if !at_work {
            return None;
        }
        let of_tasks = (0..LEDGER_SLOTS)
            .filter_map(|slot| channel.ledger.view(slot).ok())
            .filter(|view| view.state == SlotState::Running)
            .filter_map(|view| self.tasks.get(&TaskId(view.task))?.memory_limit_bytes);
        of_tasks.chain(self.config.memory_limit_bytes).min()
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
