//! A zygote that owes something and does not stir: woken, and ended where that does not help.
//!
//! Every end that is asked for goes through the zygote, which may have been stopped, by anybody and at
//! any moment. What it was told to do waits in its socket then, and so would whoever asked for it. So as
//! long as something is due from it, the loop continues it from time to time, which changes nothing
//! for one that runs. Where it has been asked for somebody's end and still does not answer, it is killed:
//! that works on stopped processes, and its workers end with it. Looks are counted and not time, so that
//! a program which was stopped itself finds no reproach in the clock when it goes on.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};

use loky_sys::poll::{Interest, poll};
use loky_sys::{clock, pidfd};

use crate::channel::Channel;
use crate::launcher::LauncherProcess;
use crate::state::State;
use crate::strays::Family;

/// How often it is looked at while something is due.
const LOOK_NS: u64 = 250_000_000;

/// From which look on it is continued where nobody has asked for an end: workers are to be made, or to be
/// told of as over.
const PATIENT_LOOKS: u32 = 4;

/// How many looks in a row it may leave an order unanswered, in a pool that lives on. Each costs the other
/// tasks that run, so it is far more than a loaded machine needs.
const SILENT_LOOKS_MAX: u32 = 40;

/// The same where all workers are to be killed: there is nothing to lose.
const SILENT_LOOKS_MAX_AT_END: u32 = 8;

/// How many looks the end of all workers may take. A killed process can only take long in the kernel.
const END_LOOKS_MAX: u32 = 40;

/// How long the workers of a dead zygote may take to end by themselves, with what is below them.
const FOLLOW_LOOKS_MAX: u32 = 12;

/// What is due from the zygote.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Due {
    Nothing,
    /// Workers that have been ordered and are not ready, or not told of as made, or the ends of some.
    News,
    /// A signal, or the end of a worker that was killed.
    Obedience,
}

/// How long the zygote has owed something.
#[derive(Default)]
pub(crate) struct Vigil {
    next_at_ns: Option<u64>,
    looks: u32,
    silent_looks: u32,
    end_looks: u32,
    followers: Vec<Followers>,
}

/// The workers of a zygote that died: they end by themselves, and are ended if they do not.
pub(crate) struct Followers {
    pub(crate) family: Family,
    pub(crate) zygote: i32,
    pub(crate) processes: Vec<OwnedFd>,
    looks: u32,
}

impl Followers {
    /// Whether somebody is left.
    fn are_left(&mut self) -> bool {
        self.processes.retain(|process| {
            let mut interests = [Interest::new(process.as_fd(), true, false)];
            poll(&mut interests, Some(0)).unwrap_or(0) == 0
        });
        !self.processes.is_empty()
    }

    /// Waits until nobody is left; ends those who take too long.
    fn see_off(mut self) {
        let by_ns = clock::monotonic_ns().saturating_add(u64::from(FOLLOW_LOOKS_MAX) * LOOK_NS);
        while self.are_left() {
            let left_ns = by_ns.saturating_sub(clock::monotonic_ns());
            if left_ns == 0 {
                self.end();
                return;
            }
            let first = self.processes.first().map(AsFd::as_fd);
            let mut interests: Vec<Interest<'_>> = first
                .map(|process| Interest::new(process, true, false))
                .into_iter()
                .collect();
            // An interruption only brings the next look earlier.
            drop(poll(&mut interests, Some(left_ns)));
        }
    }

    fn end(self) {
        self.family.end_strays(self.zygote, &BTreeSet::new());
    }
}

impl Vigil {
    /// When to look next.
    pub(crate) fn next_at_ns(&self) -> Option<u64> {
        self.next_at_ns
    }

    /// A zygote died: holds on to those of its workers that still live.
    pub(crate) fn follow(&mut self, launcher: &LauncherProcess, workers: &BTreeSet<i32>) {
        let processes = workers
            .iter()
            .filter_map(|&pid| {
                // One that has ended needs nobody; without descriptors nobody can be waited for.
                // (A worker without a process yet has the number 0.)
                let process = pidfd::open(pid).ok().flatten()?;
                launcher.family.has(pid).then_some(process)
            })
            .collect();
        self.followers.push(Followers {
            family: launcher.family.clone(),
            zygote: launcher.pid,
            processes,
            looks: 0,
        });
        self.looks = 0;
        self.silent_looks = 0;
    }

    /// Those who may still live when the pool is over.
    pub(crate) fn take_followers(&mut self) -> Vec<Followers> {
        std::mem::take(&mut self.followers)
    }

    fn look_after_followers(&mut self) {
        for mut followers in self.take_followers() {
            followers.looks += 1;
            if !followers.are_left() {
                continue;
            }
            if followers.looks >= FOLLOW_LOOKS_MAX {
                followers.end();
            } else {
                self.followers.push(followers);
            }
        }
    }
}

/// Waits for the workers of zygotes that died, without the pool's lock.
pub(crate) fn see_off(followers: Vec<Followers>) {
    for followers in followers {
        followers.see_off();
    }
}

impl State {
    /// Looks at a zygote that owes something, when it is time for that.
    pub(crate) fn keep_vigil(&mut self, now_ns: u64, scratch: &mut [u8]) {
        let due = self.due();
        if due == Due::Nothing && self.vigil.followers.is_empty() {
            self.vigil = Vigil::default();
            return;
        }
        match self.vigil.next_at_ns {
            None => {}
            Some(at_ns) if at_ns > now_ns => return,
            Some(_) => {
                self.vigil.looks = self.vigil.looks.saturating_add(1);
                self.vigil.look_after_followers();
                self.look_at_launcher(due, scratch);
            }
        }
        self.vigil.next_at_ns = Some(now_ns.saturating_add(LOOK_NS));
    }

    /// What the zygote has been asked for and has not told of.
    fn due(&self) -> Due {
        let Some(launcher) = &self.launcher else {
            return Due::Nothing;
        };
        let struck = |channel: &Channel| channel.was_sent(loky_sys::signal::SIGKILL);
        let owed = self.ends_by_force && !self.channels.is_empty();
        if owed || launcher.owes_answers() || self.channels.values().any(struck) {
            Due::Obedience
        } else if self
            .channels
            .values()
            .any(|channel| channel.ended || !channel.ready || !channel.announced)
        {
            Due::News
        } else {
            Due::Nothing
        }
    }

    fn look_at_launcher(&mut self, due: Due, scratch: &mut [u8]) {
        let (vigil, Some(launcher)) = (&mut self.vigil, &mut self.launcher) else {
            return;
        };
        let was_heard = launcher.was_heard();
        if due == Due::Nothing {
            return;
        }
        if launcher.is_over() {
            // A worker that was stopped right after the fork has the other end of the socket.
            self.on_launcher_end(scratch);
            return;
        }
        if due == Due::Obedience || vigil.looks >= PATIENT_LOOKS {
            launcher.wake();
        }
        if due < Due::Obedience {
            vigil.silent_looks = 0;
            return;
        }
        vigil.silent_looks = if was_heard { 0 } else { vigil.silent_looks + 1 };
        vigil.end_looks += u32::from(self.ends_by_force);
        let silent_looks_max = if self.ends_by_force {
            SILENT_LOOKS_MAX_AT_END
        } else {
            SILENT_LOOKS_MAX
        };
        if vigil.silent_looks >= silent_looks_max || vigil.end_looks >= END_LOOKS_MAX {
            // The end of its socket tells the loop.
            launcher.give_up();
        } else {
            launcher.probe();
        }
    }
}
