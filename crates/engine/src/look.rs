//! A thread that waits for one task looks for its answer itself, for a short time.
//!
//! An answer that comes at once would otherwise wake the loop, the loop the front's thread, and that
//! the one that waits: three wake-ups for one answer. Nobody looks longer than the worker of a short
//! task needs, nor while others want the processor, and nobody has to: the loop brings every answer.

use std::hint::spin_loop;
use std::thread::yield_now;
use std::time::Duration;

use loky_core::ids::{TaskId, WorkerId};
use loky_shm::{Spin, Step};
use loky_sys::clock;

use crate::pool::{Pool, Shared, ring};
use crate::rings::{FRAMES_MAX, Tail};
use crate::state::State;

/// The longest look.
const LOOK_MAX_NS: u64 = 50_000;

/// The longest look: whoever has less time than this should not begin one.
pub const LOOK_MAX: Duration = Duration::from_nanos(LOOK_MAX_NS);

/// A task that ran longer than this teaches that answers do not come at once. The three wake-ups that a
/// look saves cost some 20 µs of processor time, and more of waiting.
const RUN_MAX_NS: u64 = 40_000;

/// With more unfinished tasks than this the loop has enough to do to be awake anyway.
const UNFINISHED_MAX: usize = 4;

/// Looks between two readings of the clock.
const LOOKS: u32 = 32;

/// A look that has begun.
struct Look {
    task: TaskId,
    worker: WorkerId,
    tail: Tail,
    spin: Spin,
    /// The task is over.
    over: bool,
}

impl State {
    /// Whether a look for an answer is likely to pay: few tasks, and short ones.
    pub(crate) fn may_look(&self) -> bool {
        self.tasks.len() <= UNFINISHED_MAX
            && self.processors > 1
            && self.run_ns_last <= RUN_MAX_NS
            && self.looks.is_ready()
    }

    /// Begins to look for the answer of a task, where that is likely to pay and takes no processor from a
    /// worker that is busy. One that had to be woken for the task may not get ready in so short a time.
    fn begin_look(&mut self, task: TaskId) -> Option<Look> {
        if !self.may_look() || !self.has_processor_left() {
            return None;
        }
        let worker = self.tasks.get(&task)?.placement?.worker;
        let channel = self.channels.get_mut(&worker)?;
        let outlet = channel.outlet.as_ref()?;
        if outlet.has_woken() {
            return None;
        }
        let look = Look {
            task,
            worker,
            tail: outlet.tail(),
            spin: self.looks.begin(clock::monotonic_ns(), LOOK_MAX_NS)?,
            over: false,
        };
        channel.intake.inlet.as_mut()?.disarm();
        self.lookers += 1;
        Some(look)
    }

    /// Ends a look. False: the loop has to be woken for what lies in the rings.
    fn end_look(&mut self) -> bool {
        self.lookers = self.lookers.saturating_sub(1);
        self.lookers > 0 || self.may_sleep()
    }

    /// A task has run for so long.
    pub(crate) fn note_run(&mut self, run_ns: u64) {
        // Where answers do not come at once nobody looks, so it is learnt here that they do again.
        let short = run_ns <= RUN_MAX_NS;
        self.looks
            .learn(if short { 0 } else { u64::MAX }, LOOK_MAX_NS);
        self.run_ns_last = run_ns;
    }
}

impl Pool {
    /// Begins to look for the end of a task, where that is likely to pay. It does not wait.
    pub fn begin_look(&self, task: TaskId) -> Option<PendingLook<'_>> {
        if !self.is_own() {
            return None;
        }
        let shared = self.shared();
        let look = shared.try_lock()?.begin_look(task)?;
        Some(PendingLook {
            shared,
            look,
            found: false,
        })
    }
}

/// A look that has begun, and ends with this value.
pub struct PendingLook<'a> {
    shared: &'a Shared,
    look: Look,
    /// `claim` has taken the end of the task.
    found: bool,
}

impl PendingLook<'_> {
    /// Looks for a short time. `claim` is asked, under the lock under which things are delivered,
    /// whether what has been delivered is the end of the task; it must not wait and must not call the
    /// pool. `None` where it was not found: it will be delivered as any other.
    pub fn look<T>(mut self, mut claim: impl FnMut() -> Option<T>) -> Option<T> {
        let found = self.look.until_found(self.shared, &mut claim);
        self.found = found.is_some();
        found
    }
}

impl Drop for PendingLook<'_> {
    fn drop(&mut self) {
        let now_ns = clock::monotonic_ns();
        let spin = self.look.spin.clone();
        let mut state = self.shared.lock();
        state.looks.end(spin, now_ns, self.look.over);
        state.counts.found += u64::from(self.found);
        let wake = if state.end_look() {
            None
        } else {
            state.wake.clone()
        };
        self.shared.unlock(state);
        ring(wake);
    }
}

impl Look {
    fn until_found<T>(
        &mut self,
        shared: &Shared,
        claim: &mut impl FnMut() -> Option<T>,
    ) -> Option<T> {
        // What was committed before the look is found as well.
        let mut seen = None;
        loop {
            match self.spin.step(clock::monotonic_ns()) {
                Step::Look => {}
                Step::Yield => {
                    yield_now();
                    let found = self.delivered(shared, claim);
                    if self.over {
                        return found;
                    }
                }
                Step::Stop => return None,
            }
            for _ in 0..LOOKS {
                let now = Some(self.tail.read());
                if now != seen {
                    seen = now;
                    let found = take(shared, self.worker, claim);
                    if found.is_some() {
                        self.over = true;
                        return found;
                    }
                }
                spin_loop();
            }
        }
    }

    /// What the loop has found meanwhile: an answer that is long, or has buffers, comes by the socket.
    fn delivered<T>(
        &mut self,
        shared: &Shared,
        claim: &mut impl FnMut() -> Option<T>,
    ) -> Option<T> {
        let state = shared.try_lock()?;
        self.over = !state.tasks.contains_key(&self.task);
        if self.over { claim() } else { None }
    }
}

/// Takes what has come from the worker, and of what is delivered by that the end of the task.
fn take<T>(shared: &Shared, worker: WorkerId, claim: &mut impl FnMut() -> Option<T>) -> Option<T> {
    let mut state = shared.lock();
    state.take_frames(worker, FRAMES_MAX);
    state.dirty.push(worker);
    let found = claim();
    state.feed_pending();
    state.flush();
    let wake = if state.stir { state.wake.clone() } else { None };
    shared.unlock(state);
    ring(wake);
    found
}
