//! Whom a launcher left that died: everybody who has its mark and nobody's protection.
//!
//! A launcher that ends in an orderly way has ended all below it. One that is killed may have had no time to look whom a
//! worker left that died just before; those have gone to a process that knows nothing of them. All that descends
//! from a launcher has its mark, so they are found by that. It never waits under the lock of the pool's state.

use std::collections::BTreeSet;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;

use loky_sys::lifeline::LET_LIVE_VARIABLE;
use loky_sys::mark::{self, Mark};
use loky_sys::poll::poll;
use loky_sys::signal::{SIGCONT, SIGKILL};
use loky_sys::{clock, descriptor, process};

use crate::launcher::LauncherProcess;

/// The pause between two looks: who is killed needs a moment to end.
const LOOK_INTERVAL_NS: u64 = 2_000_000;

/// The pause where nothing could be seen, for lack of a descriptor.
const BLIND_INTERVAL_NS: u64 = 20_000_000;

/// How often a search looks at the most, which takes two seconds or more. Whoever is still there has been killed and
/// waits in the kernel, or makes others faster than they can be killed.
const LOOKS_MAX: u32 = 1000;

/// For how many looks, half a second or more, the workers may end by themselves. They take along what is below them, also
/// what has lost the mark.
const LENIENT_LOOKS: u32 = 250;

/// A list may lack somebody who is being made, so one empty look is no proof.
const EMPTY_LOOKS: u32 = 2;

/// How far up somebody who is left alone is looked for.
const ANCESTORS_MAX: u32 = 64;

/// Puts a mark on a launcher that has started nothing yet. `None` where the system has no marks or refuses them: then
/// whom it leaves is not looked for.
pub(crate) fn mark_launcher(pid: i32) -> Option<Mark> {
    // The keys of a map are random; nothing else is asked of the number.
    let random = RandomState::new().build_hasher().finish();
    let salt = u32::try_from(random >> u32::BITS).unwrap_or(0);
    let mark = Mark::new(pid, salt);
    mark::put(pid, mark).is_ok().then_some(mark)
}

/// All searches that are under way.
#[derive(Default)]
pub(crate) struct Strays {
    searches: Vec<Search>,
    look_at_ns: Option<u64>,
}

/// The search for whom one launcher left.
struct Search {
    mark: Mark,
    /// Those that were known as workers when the launcher died.
    workers: BTreeSet<i32>,
    /// Whoever was executed with this variable, and what is below him, is left alone.
    let_live: String,
    looks: u32,
    empty_looks: u32,
}

impl Strays {
    /// Looks for whom a launcher left that is over, and goes on with that until nobody is found. These are the workers
    /// that may still be there.
    pub(crate) fn search(&mut self, launcher: &LauncherProcess, workers: BTreeSet<i32>) {
        let Some(mark) = launcher.mark else { return };
        self.searches.push(Search {
            mark,
            workers,
            let_live: format!("{LET_LIVE_VARIABLE}={}", launcher.pid),
            looks: 0,
            empty_looks: 0,
        });
        self.look(clock::monotonic_ns(), false);
    }

    /// When to look again.
    pub(crate) fn look_at_ns(&self) -> Option<u64> {
        self.look_at_ns
    }

    /// Looks, where it is time for that.
    pub(crate) fn look_on_time(&mut self, now_ns: u64) {
        if self.look_at_ns.is_some_and(|at_ns| at_ns <= now_ns) {
            self.look(now_ns, false);
        }
    }

    /// Goes on until all searches are over. To be called without the lock.
    pub(crate) fn finish(&mut self) {
        while let Some(at_ns) = self.look_at_ns {
            let pause_ns = at_ns.saturating_sub(clock::monotonic_ns());
            // An interruption makes the next look an early one.
            drop(poll(&mut [], Some(pause_ns)));
            self.look(clock::monotonic_ns(), true);
        }
    }

    /// One look for each search. Who waits for the end cannot wait for descriptors for ever, so that looks in vain
    /// count then as well.
    fn look(&mut self, now_ns: u64, is_waited_for: bool) {
        let mut pause_ns = None;
        self.searches.retain_mut(|search| {
            let found = search.strike_all();
            let blind = found.as_ref().is_err_and(descriptor::is_table_full);
            // Any other error is no reason to look again.
            search.note(
                if blind {
                    None
                } else {
                    Some(found.unwrap_or(0))
                },
                is_waited_for,
            );
            if search.is_over() {
                return false;
            }
            let own_ns = if blind {
                BLIND_INTERVAL_NS
            } else {
                LOOK_INTERVAL_NS
            };
            pause_ns = Some(pause_ns.map_or(own_ns, |other: u64| other.min(own_ns)));
            true
        });
        self.look_at_ns = pause_ns.map(|pause_ns| now_ns.saturating_add(pause_ns));
    }
}

impl Search {
    /// Notes how many a look has found; `None` if it could see nothing, because the table of descriptors is full.
    fn note(&mut self, found: Option<usize>, blind_counts: bool) {
        self.looks += u32::from(found.is_some() || blind_counts);
        self.empty_looks = match found {
            Some(0) => self.empty_looks + 1,
            Some(_) | None => 0,
        };
    }

    fn is_over(&self) -> bool {
        self.empty_looks >= EMPTY_LOOKS || self.looks >= LOOKS_MAX
    }

    /// How many have been found, struck already or not.
    fn strike_all(&self) -> io::Result<usize> {
        let mut count = 0;
        for pid in mark::bearers(self.mark)? {
            if self.is_spared(pid)? {
                continue;
            }
            count += 1;
            // Whoever cannot be killed (he may have become another user) is found again, until the looks are over.
            drop(mark::signal(pid, self.mark, self.signal_for(pid)));
        }
        Ok(count)
    }

    /// A worker that was stopped has to go on to end by itself.
    fn signal_for(&self, pid: i32) -> i32 {
        if self.looks < LENIENT_LOOKS && self.workers.contains(&pid) {
            SIGCONT
        } else {
            SIGKILL
        }
    }

    fn is_spared(&self, pid: i32) -> io::Result<bool> {
        let mut next = pid;
        for _ in 0..ANCESTORS_MAX {
            if next <= 1 || next == process::pid() {
                return Ok(false);
            }
            if process::was_given(next, &self.let_live)? {
                return Ok(true);
            }
            next = match process::parent_of(next) {
                Err(error) if descriptor::is_table_full(&error) => return Err(error),
                parent => parent.unwrap_or(0),
            };
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search() -> Search {
        Search {
            mark: Mark::new(1, 1),
            workers: BTreeSet::from([7]),
            let_live: String::new(),
            looks: 0,
            empty_looks: 0,
        }
    }

    #[test]
    fn a_search_is_over_when_nobody_was_found_twice_in_a_row() {
        let mut search = search();
        for found in [Some(0), Some(1), Some(0), None, Some(0)] {
            search.note(found, false);
            assert!(!search.is_over());
        }
        search.note(Some(0), false);
        assert!(search.is_over());
    }

    #[test]
    fn somebody_who_cannot_be_ended_does_not_keep_it_going_for_ever() {
        let mut search = search();
        for _ in 1..LOOKS_MAX {
            search.note(Some(1), false);
        }
        assert!(!search.is_over());
        search.note(Some(1), false);
        assert!(search.is_over());
    }

    #[test]
    fn workers_may_end_by_themselves_for_a_while() {
        let mut search = search();
        assert_eq!(
            (search.signal_for(7), search.signal_for(8)),
            (SIGCONT, SIGKILL)
        );
        for _ in 0..LENIENT_LOOKS {
            search.note(Some(1), false);
        }
        assert_eq!(search.signal_for(7), SIGKILL);
    }

    #[test]
    fn without_descriptors_it_goes_on_unless_somebody_waits_for_it() {
        let mut search = search();
        for _ in 0..2 * LOOKS_MAX {
            search.note(None, false);
        }
        assert!(!search.is_over());
        for _ in 0..LOOKS_MAX {
            search.note(None, true);
        }
        assert!(search.is_over());
    }
}
