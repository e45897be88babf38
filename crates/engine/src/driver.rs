//! The poll loop: one thread that waits for sockets and timers, without any language's lock.
//!
//! It takes the pool's lock only to change the state. Large copies and the end of the launcher are
//! done without it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use loky_core::event::Event;
use loky_core::ids::WorkerId;
use loky_sys::poll::{Interest, poll};
use loky_sys::wake::Wake;
use loky_sys::{clock, signal};

use crate::front::Delivery;
use crate::pool::Shared;
use crate::standby::Standby;
use crate::state::{Phase, State};

/// Bytes that one read takes at the most.
const SCRATCH_LEN: usize = 256 * 1024;

/// Reads from one worker before the others get their turn.
const READS_MAX: usize = 4;

/// What a place in the poll set is, kept open while it is polled.
enum Source {
    Wake(Arc<Wake>),
    Launcher(Arc<OwnedFd>),
    Worker(WorkerId, Arc<OwnedFd>),
    /// The standard error of a worker.
    Errors(WorkerId, Arc<OwnedFd>),
    /// The pipe to a program that is not needed yet.
    Standby(Arc<Standby>, Arc<OwnedFd>),
}

impl Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Wake(wake) => wake.as_fd(),
            Self::Launcher(end)
            | Self::Worker(_, end)
            | Self::Errors(_, end)
            | Self::Standby(_, end) => end.as_fd(),
        }
    }
}

/// A place in the poll set.
struct Polled {
    source: Source,
    /// There are bytes to write.
    writes: bool,
}

/// Runs until the pool's life is over.
pub(crate) fn run(shared: &Arc<Shared>) {
    signal::block_all_in_this_thread();
    let run = catch_unwind(AssertUnwindSafe(|| turn_until_stopped(shared)));
    if let Err(panic) = run {
        shared.on_fault(&panic_text(panic.as_ref()));
    }
    close(shared);
}

/// The text of a panic.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without text".to_owned())
}

fn turn_until_stopped(shared: &Arc<Shared>) {
    let mut scratch = vec![0_u8; SCRATCH_LEN];
    loop {
        let (sources, timeout_ns) = {
            let mut state = shared.lock();
            if state.phase != Phase::Open {
                return;
            }
            state.stir = false;
            let sources = sources_of(&state);
            let may_sleep = state.may_sleep();
            (
                sources,
                if may_sleep {
                    timeout_of(&state)
                } else {
                    Some(0)
                },
            )
        };
        let ready = wait(&sources, timeout_ns);
        let mut state = shared.lock();
        state.read_rings();
        for (polled, ready) in sources.iter().zip(ready) {
            if ready {
                serve(&mut state, &polled.source, &mut scratch);
            }
        }
        on_time(&mut state, &mut scratch);
        state.feed_pending();
        state.flush();
        shared.unlock(state);
        copy_waiting(shared);
    }
}

fn sources_of(state: &State) -> Vec<Polled> {
    let mut sources: Vec<Polled> = Vec::with_capacity(state.channels.len() + 2);
    if let Some(wake) = &state.wake {
        sources.push(Polled {
            source: Source::Wake(Arc::clone(wake)),
            writes: false,
        });
    }
    if let Some(launcher) = &state.launcher {
        let source = Source::Launcher(Arc::clone(&launcher.control));
        sources.push(Polled {
            source,
            writes: !launcher.outbox.is_empty(),
        });
    }
    for (standby, reader) in state.standbys.watched(clock::monotonic_ns) {
        sources.push(Polled {
            source: Source::Standby(standby, reader),
            writes: false,
        });
    }
    let has_room = state.config.capture_stderr && state.passing.has_room();
    for channel in state.channels.values() {
        if let Some(capture) = channel
            .capture
            .as_ref()
            .filter(|capture| !capture.ended && has_room)
        {
            sources.push(Polled {
                source: Source::Errors(channel.worker, Arc::clone(&capture.pipe)),
                writes: false,
            });
        }
        if channel.wants_read() {
            let source = Source::Worker(channel.worker, Arc::clone(&channel.socket));
            sources.push(Polled {
                source,
                writes: !channel.outbox.is_empty(),
            });
        }
    }
    sources
}

fn timeout_of(state: &State) -> Option<u64> {
    if state.has_work_for_the_loop() {
        return Some(0);
    }
    state
        .deadline_ns()
        .map(|at_ns| at_ns.saturating_sub(clock::monotonic_ns()))
}

/// Waits; answers for each source whether to serve it.
fn wait(sources: &[Polled], timeout_ns: Option<u64>) -> Vec<bool> {
    let mut interests: Vec<Interest<'_>> = sources
        .iter()
        .map(|polled| Interest::new(polled.source.as_fd(), true, polled.writes))
        .collect();
    match poll(&mut interests, timeout_ns) {
        Ok(_) => interests
            .iter()
            .map(|interest| interest.ready.any())
            .collect(),
        // All signals are blocked here; a debugger can still interrupt. Nothing is served, and the
        // next turn polls again.
        Err(error) if error.kind() == io::ErrorKind::Interrupted => vec![false; sources.len()],
        // The kernel lacks memory for the set: look at everything, the sockets do not block.
        Err(_) => vec![true; sources.len()],
    }
}

fn serve(state: &mut State, source: &Source, scratch: &mut [u8]) {
    match source {
        Source::Wake(wake) => wake.drain(),
        Source::Launcher(_) => state.read_launcher(scratch),
        Source::Worker(worker, _) => {
            state.read_worker(*worker, scratch, READS_MAX);
            state.dirty.push(*worker);
        }
        Source::Standby(standby, _) => {
            state.standbys.start(standby, clock::monotonic_ns());
        }
        Source::Errors(worker, _) => {
            let capture = state
                .channels
                .get_mut(worker)
                .map(|channel| &mut channel.capture);
            if let Some(Some(capture)) = capture {
                capture.read(scratch, &state.passing);
            }
        }
    }
}

fn on_time(state: &mut State, scratch: &mut [u8]) {
    let now_ns = clock::monotonic_ns();
    if state.timer_at_ns.is_some_and(|at_ns| at_ns <= now_ns) {
        state.timer_at_ns = None;
        // An answer that was written before a deadline counts, also where nobody has read it yet.
        let workers: Vec<WorkerId> = state.channels.keys().copied().collect();
        for worker in workers {
            state.read_worker(worker, scratch, READS_MAX);
        }
        state.feed(Event::TimerFired);
    }
    if state
        .setup
        .give_up_at_ns
        .is_some_and(|at_ns| at_ns <= now_ns)
    {
        state.setup.give_up_at_ns = None;
        if let Some(setup) = state.setup.last.clone() {
            state.order_workers(&setup);
        }
    }
    state.look_at_memory(now_ns, scratch);
    state.look_at_stacks(now_ns);
    state.strays.look_on_time(now_ns);
    state.condemn_overdue(now_ns);
    state.keep_vigil(now_ns, scratch);
    state.segments.trim(now_ns);
}

/// Compares and copies the buffers of large tasks, without the lock.
fn copy_waiting(shared: &Shared) {
    loop {
        let Some(job) = shared.lock().begin_job() else {
            return;
        };
        let done = job.run();
        let mut state = shared.lock();
        state.end_job(done);
        state.feed_pending();
        state.flush();
    }
}

/// Ends the launcher, then tells the front that all is over.
fn close(shared: &Shared) {
    let (launcher, workers, mut strays) = {
        let mut state = shared.lock();
        let workers = state.worker_pids();
        (
            state.launcher.take(),
            workers,
            std::mem::take(&mut state.strays),
        )
    };
    if let Some(mut launcher) = launcher
        && !launcher.stop()
    {
        strays.search(&launcher, workers);
    }
    strays.finish();
    let passing = Arc::clone(&shared.lock().passing);
    passing.close();
    let mut state = shared.lock();
    state.close();
    shared.unlock(state);
}

impl State {
    /// Feeds events that were put aside.
    pub(crate) fn feed_pending(&mut self) {
        while let Some(event) = self.events.pop_front() {
            self.feed(event);
        }
    }

    fn has_work_for_the_loop(&self) -> bool {
        !self.events.is_empty() || self.can_begin_copy()
    }

    /// Lets go of everything and says that the pool's life is over.
    pub(crate) fn close(&mut self) {
        if self.phase == Phase::Closed {
            return;
        }
        self.phase = Phase::Closed;
        self.channels.clear();
        self.setup = crate::state::SetupDesk::default();
        self.segments.clear();
        self.wake = None;
        self.front.deliver(Delivery::Stopped);
        self.front.settle();
    }
}
