//! A zygote that owes something and does not stir: woken, and ended where that does not help.
//!
//! Every end that is asked for goes through the zygote, which may have been stopped, by anybody and at
//! any moment. What it was told to do waits in its socket then, and so would whoever asked for it. So as
//! long as something is due from it, the loop continues it from time to time, which changes nothing
//! for one that runs. Where it has been asked for somebody's end and still does not answer, it is killed:
//! that works on stopped processes, and its workers end with it. Looks are counted and not time, so that
//! a program which was stopped itself finds no reproach in the clock when it goes on.

use crate::channel::Channel;
use crate::state::State;

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
}

impl Vigil {
    /// When to look next.
    pub(crate) fn next_at_ns(&self) -> Option<u64> {
        self.next_at_ns
    }
}

impl State {
    /// Looks at a zygote that owes something, when it is time for that.
    pub(crate) fn keep_vigil(&mut self, now_ns: u64, scratch: &mut [u8]) {
        let due = self.due();
        if due == Due::Nothing {
            self.vigil = Vigil::default();
            return;
        }
        match self.vigil.next_at_ns {
            None => {}
            Some(at_ns) if at_ns > now_ns => return,
            Some(_) => {
                self.vigil.looks = self.vigil.looks.saturating_add(1);
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
