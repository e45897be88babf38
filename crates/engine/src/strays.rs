//! Whom a launcher left that died: everybody who has its mark and nobody's protection.
//!
//! A launcher that ends in an orderly way has ended all below it. One that is killed may have had no time to look whom a
//! worker left that died just before; those have gone to a process that knows nothing of them. All that descends
//! from a launcher has its mark, so they are found by that. It never waits under the lock of the pool's state.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;

use loky_sys::lifeline::LET_LIVE_VARIABLE;
use loky_sys::mark::{self, Mark};
use loky_sys::poll::poll;
use loky_sys::{clock, process};

/// The pause between two looks: who is killed needs a moment to end.
const LOOK_INTERVAL_NS: u64 = 2_000_000;

/// How often a search looks at the most, which takes two seconds or more. Whoever is still there has been killed and
/// waits in the kernel, or makes others faster than they can be killed.
const LOOKS_MAX: u32 = 1000;

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
    /// Whoever was executed with this variable, and what is below him, is left alone.
    let_live: String,
    looks: u32,
    empty_looks: u32,
}

impl Strays {
    /// Looks for whom a launcher left that is over, and goes on with that until nobody is found.
    pub(crate) fn search(&mut self, launcher_pid: i32, mark: Option<Mark>) {
        let Some(mark) = mark else { return };
        self.searches.push(Search {
            mark,
            let_live: format!("{LET_LIVE_VARIABLE}={launcher_pid}"),
            looks: 0,
            empty_looks: 0,
        });
        self.look(clock::monotonic_ns());
    }

    /// When to look again.
    pub(crate) fn look_at_ns(&self) -> Option<u64> {
        self.look_at_ns
    }

    /// Looks, where it is time for that.
    pub(crate) fn look_on_time(&mut self, now_ns: u64) {
        if self.look_at_ns.is_some_and(|at_ns| at_ns <= now_ns) {
            self.look(now_ns);
        }
    }

    /// Goes on until all searches are over. To be called without the lock.
    pub(crate) fn finish(&mut self) {
        while let Some(at_ns) = self.look_at_ns {
            let pause_ns = at_ns.saturating_sub(clock::monotonic_ns());
            // An interruption makes the next look an early one.
            drop(poll(&mut [], Some(pause_ns)));
            self.look(clock::monotonic_ns());
        }
    }

    fn look(&mut self, now_ns: u64) {
        self.searches.retain_mut(|search| !search.look());
        let more = !self.searches.is_empty();
        self.look_at_ns = more.then(|| now_ns.saturating_add(LOOK_INTERVAL_NS));
    }
}

impl Search {
    /// Kills all that there are; whether the search is over.
    fn look(&mut self) -> bool {
        self.looks += 1;
        match self.kill_all() {
            Ok(0) => self.empty_looks += 1,
            // Without a list (the table of descriptors is full) nothing is known.
            Ok(_) | Err(_) => self.empty_looks = 0,
        }
        self.empty_looks >= EMPTY_LOOKS || self.looks >= LOOKS_MAX
    }

    /// How many have been found, killed already or not.
    fn kill_all(&self) -> io::Result<usize> {
        let mut found = mark::bearers(self.mark)?;
        found.retain(|pid| !self.is_spared(*pid));
        for pid in &found {
            // Whoever cannot be killed (he may have become another user) is found again, until the looks are over.
            drop(mark::kill(*pid, self.mark));
        }
        Ok(found.len())
    }

    fn is_spared(&self, pid: i32) -> bool {
        let mut next = pid;
        for _ in 0..ANCESTORS_MAX {
            if next <= 1 || next == process::pid() {
                return false;
            }
            if process::was_given(next, &self.let_live) {
                return true;
            }
            next = process::parent_of(next).unwrap_or(0);
        }
        false
    }
}
