//! Whoever outlived a zygote that ended without looking after its own.
//!
//! A worker's descendants end with it, as long as there is a zygote: they fall to it, and it kills them.
//! Where it is killed before it has looked whom a worker left, they fall to the first process of the
//! system, and no list of children leads to them any more. What they still have is the environment
//! they were executed with. This looks for it; it is slow, and happens only at the end of such a zygote.

use std::collections::BTreeSet;
use std::ffi::OsString;

use loky_sys::lifeline::{FAMILY_VARIABLE, LET_LIVE_VARIABLE};
use loky_sys::signal::{SIGCONT, SIGKILL};
use loky_sys::spawn::set_variable;
use loky_sys::{clock, pidfd, process};

/// How many times all processes are looked through, as long as new ones are found: one that was met
/// may have made another just before.
const ROUNDS_MAX: u32 = 16;

/// A zygote and all that descends from it.
#[derive(Clone, Debug)]
pub(crate) struct Family {
    /// The value of its variable: no other pool of this system has it, now or later.
    name: String,
}

impl Family {
    /// A new name.
    pub(crate) fn new() -> Self {
        let (owner, now_ns) = (process::pid(), clock::monotonic_ns());
        Self {
            name: format!("{owner}-{now_ns}"),
        }
    }

    /// The environment to execute the zygote with: this one, or that of this process, with the name.
    pub(crate) fn environment(
        &self,
        given: Option<&[(OsString, OsString)]>,
    ) -> Vec<(OsString, OsString)> {
        let mut variables = given.map_or_else(|| std::env::vars_os().collect(), <[_]>::to_vec);
        set_variable(&mut variables, FAMILY_VARIABLE, OsString::from(&self.name));
        variables
    }

    /// Whether a process was executed as one of the family, or descends from it by forks.
    pub(crate) fn has(&self, pid: i32) -> bool {
        process::was_given(pid, &self.variable())
    }

    fn variable(&self) -> String {
        format!("{FAMILY_VARIABLE}={}", self.name)
    }

    /// Kills all of the family whose zygote `zygote` is over, but those that a task has meant to live
    /// on. Its workers end by themselves, with all that is below them; one that was stopped
    /// is woken for that.
    ///
    /// Where the list of processes cannot be read nobody can be found.
    pub(crate) fn end_strays(&self, zygote: i32, workers: &BTreeSet<i32>) {
        let family = self.variable();
        let let_live = format!("{LET_LIVE_VARIABLE}={zygote}");
        let mut met = BTreeSet::new();
        for _ in 0..ROUNDS_MAX {
            let mut found = process::all_given(&family).unwrap_or_default();
            found.retain(|pid| met.insert(*pid));
            if found.is_empty() {
                break;
            }
            for pid in found {
                let signal = if workers.contains(&pid) {
                    SIGCONT
                } else {
                    SIGKILL
                };
                strike(pid, signal, &family, &let_live);
            }
        }
    }
}

/// Signals one of the family. The number may have gone to a stranger since it was found, so the question
/// is put again once a descriptor holds on to the process.
fn strike(pid: i32, signal: i32, family: &str, let_live: &str) {
    // Without a descriptor the process has ended, or the kernel has none to give.
    let Ok(held) = pidfd::open(pid) else {
        return;
    };
    if !process::was_given(pid, family) || process::was_given(pid, let_live) {
        return;
    }
    let sent = match held {
        Some(held) => pidfd::signal(held, signal),
        None => process::kill(pid, signal),
    };
    // It may have ended meanwhile, or belong to another user since.
    drop(sent);
}
