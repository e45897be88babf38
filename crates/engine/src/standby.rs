//! Programs that start when somebody writes to them: helpers that most pools never need.
//!
//! The pipe is there from the start, so whoever may write to it can be given its end. Its reader is kept
//! here, watched by the loops of all pools that attend to it, and handed to the program at the first
//! byte. Until then nothing runs. One thing is lost by that: bytes that were written in the moment
//! before this process is killed, and that no loop has seen, are read by nobody.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use loky_sys::poll::{Interest, poll};
use loky_sys::spawn::{Spawn, spawn};
use loky_sys::wake::Wake;

use crate::config::LauncherCommand;

/// The number of the reader in the program: the first after the standard streams.
const READER_FD: i32 = 3;

/// How long to leave it after a failed start.
pub(crate) const RETRY_NS: u64 = 100_000_000;

/// A program that has not been needed yet, or runs.
pub struct Standby {
    command: LauncherCommand,
    stage: Mutex<Stage>,
}

enum Stage {
    /// The reader, and whom to wake when it is not to be watched any more: as long as a loop holds
    /// it, whoever writes cannot see the end of the program.
    Waiting(Arc<OwnedFd>, Vec<Weak<Wake>>),
    Started(i32),
}

impl Standby {
    /// A program that is to read from this end of a pipe. The number of the descriptor that it gets
    /// is appended to the arguments.
    pub fn new(reader: OwnedFd, command: LauncherCommand) -> Self {
        Self {
            command,
            stage: Mutex::new(Stage::Waiting(Arc::new(reader), Vec::new())),
        }
    }

    /// Starts the program if it does not run; answers its process id.
    pub fn start(&self) -> io::Result<i32> {
        let mut stage = self.lock();
        let (reader, loops) = match &mut *stage {
            Stage::Started(pid) => return Ok(*pid),
            Stage::Waiting(reader, loops) => (Arc::clone(reader), loops),
        };
        let mut args = self.command.arguments.clone();
        args.push(OsString::from(READER_FD.to_string()));
        let pid = spawn(&Spawn {
            program: &self.command.program,
            args: &args,
            env: self.command.environment.as_deref(),
            keep: &[(reader.as_fd(), READER_FD)],
            null_stdin: false,
        })?;
        let loops = std::mem::take(loops);
        *stage = Stage::Started(pid);
        for wake in loops.iter().filter_map(Weak::upgrade) {
            wake.ring();
        }
        Ok(pid)
    }

    /// Starts the program if it waits and something has been written to it, for whoever has no loop
    /// that watches.
    pub fn start_if_written(&self) -> io::Result<()> {
        let Some(reader) = self.watched() else {
            return Ok(());
        };
        let mut interests = [Interest::new(reader.as_fd(), true, false)];
        poll(&mut interests, Some(0))?;
        if interests.iter().any(|interest| interest.ready.any()) {
            self.start()?;
        }
        Ok(())
    }

    /// The process id of the program, once it was started.
    pub fn pid(&self) -> Option<i32> {
        match *self.lock() {
            Stage::Started(pid) => Some(pid),
            Stage::Waiting(..) => None,
        }
    }

    /// The end of the pipe that is to be watched; `None` where the program runs.
    fn watched(&self) -> Option<Arc<OwnedFd>> {
        match &*self.lock() {
            Stage::Waiting(reader, _) => Some(Arc::clone(reader)),
            Stage::Started(_) => None,
        }
    }

    /// From now on this loop may hold the reader; false where the program runs.
    fn watch_by(&self, wake: &Arc<Wake>) -> bool {
        match &mut *self.lock() {
            Stage::Waiting(_, loops) => {
                loops.retain(|wake| wake.strong_count() > 0);
                loops.push(Arc::downgrade(wake));
                true
            }
            Stage::Started(_) => false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The programs that a pool attends to.
#[derive(Default)]
pub(crate) struct Standbys {
    waiting: Vec<Arc<Standby>>,
    retry_at_ns: Option<u64>,
}

impl Standbys {
    /// Attends to one more, for the loop with this wake-up, which is to look at its list again.
    pub(crate) fn attend(&mut self, standby: Arc<Standby>, wake: &Arc<Wake>) {
        let known = self
            .waiting
            .iter()
            .any(|other| Arc::ptr_eq(other, &standby));
        if !known && standby.watch_by(wake) {
            self.waiting.push(standby);
        }
    }

    /// Those to be watched now, with what to watch.
    pub(crate) fn watched(
        &self,
        now_ns: impl FnOnce() -> u64,
    ) -> impl Iterator<Item = (Arc<Standby>, Arc<OwnedFd>)> + '_ {
        let resting = self.retry_at_ns.is_some_and(|at_ns| now_ns() < at_ns);
        self.waiting
            .iter()
            .filter(move |_| !resting)
            .filter_map(|standby| Some((Arc::clone(standby), standby.watched()?)))
    }

    /// Starts one that was written to. Where that fails for the moment, all rest for a while.
    pub(crate) fn start(&mut self, standby: &Standby, now_ns: u64) {
        self.retry_at_ns = match standby.start() {
            Ok(_) => None,
            Err(_) => Some(now_ns.saturating_add(RETRY_NS)),
        };
        self.waiting.retain(|standby| standby.watched().is_some());
    }

    /// When to look again after a failed start.
    pub(crate) fn retry_at_ns(&self) -> Option<u64> {
        self.retry_at_ns.filter(|_| !self.waiting.is_empty())
    }
}
