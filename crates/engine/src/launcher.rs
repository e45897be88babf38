//! The zygote as the parent sees it: one process, one control socket.
//!
//! The pool's state owns it. Orders go out as frames; what it reports is read by the poll loop.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use loky_core::ids::WorkerId;
use loky_sys::mark::Mark;
use loky_sys::poll::{Interest, poll};
use loky_sys::process::WaitStatus;
use loky_sys::signal::{SIGCONT, SIGKILL};
use loky_sys::spawn::{Spawn, spawn};
use loky_sys::{clock, pidfd, process, socket};
use loky_wire::{Header, Kind, Role, SPAWN_EXEC, SpawnBody, WireError};

use crate::channel::{Intake, Outbox, Read};
use crate::config::LauncherCommand;
use crate::strays::mark_launcher;

/// The number of the control descriptor in the zygote: the first after the standard streams.
const CONTROL_FD: i32 = 3;

/// How long a zygote may take to end everything below it before it is killed itself.
const STOP_MAX_NS: u64 = 2_000_000_000;

/// How long one that is killed may take to be over. Only the kernel or a tracer can hold it.
const REAP_MAX_NS: u64 = 2_000_000_000;

/// How often it is looked at meanwhile.
const LOOK_AGAIN_NS: u64 = 500_000;

/// How long one whose socket has ended may take to be over before it is killed: an interpreter that leaves with an
/// error takes some milliseconds.
const LEAVING_MAX_NS: u64 = 50_000_000;

/// The number of a worker that there never is.
const NOBODY: WorkerId = WorkerId(u64::MAX);

/// What describes the surroundings of workers, made by the front and read by its child.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) file: Arc<OwnedFd>,
    pub(crate) len: u32,
    /// Further descriptors and the numbers that they have in the worker.
    pub(crate) extra: Vec<(Arc<OwnedFd>, i32)>,
    /// An environment that only a fresh program can take on, encoded; empty where a fork of the
    /// zygote will do.
    pub(crate) environment: Vec<u8>,
}

/// The descriptors that a worker is born with.
pub(crate) struct Dowry {
    pub(crate) socket: OwnedFd,
    pub(crate) ledger: Arc<OwnedFd>,
    pub(crate) stack: Arc<OwnedFd>,
    pub(crate) setup: Setup,
}

/// The running zygote.
pub(crate) struct LauncherProcess {
    pub(crate) pid: i32,
    /// What it and all that it will ever start have in common. It starts nothing before it is told to.
    pub(crate) mark: Option<Mark>,
    pub(crate) control: Arc<OwnedFd>,
    pub(crate) outbox: Outbox,
    pub(crate) intake: Intake,
    /// Forking is refused from now on; workers are executed.
    pub(crate) unfit: bool,
    /// How many orders it has not answered that it has to answer.
    unanswered: usize,
    /// It has said something since somebody asked for that.
    heard: bool,
    /// It was killed because it did nothing.
    pub(crate) given_up: bool,
}

impl LauncherProcess {
    /// Executes the zygote.
    pub(crate) fn start(command: &LauncherCommand) -> io::Result<Self> {
        let (control, theirs) = socket::pair()?;
        socket::set_nonblocking(&control)?;
        let mut args = command.arguments.clone();
        args.push(OsString::from(CONTROL_FD.to_string()));
        let pid = spawn(&Spawn {
            program: &command.program,
            args: &args,
            env: command.environment.as_deref(),
            keep: &[(theirs.as_fd(), CONTROL_FD)],
            null_stdin: true,
        })?;
        Ok(Self {
            pid,
            mark: mark_launcher(pid),
            control: Arc::new(control),
            outbox: Outbox::default(),
            intake: Intake::new(Role::ZygoteToParent),
            unfit: false,
            unanswered: 0,
            heard: false,
            given_up: false,
        })
    }

    /// Orders a worker.
    pub(crate) fn order(
        &mut self,
        worker: WorkerId,
        index: u32,
        exec: bool,
        dowry: Dowry,
    ) -> Result<(), WireError> {
        let targets = dowry
            .setup
            .extra
            .iter()
            .map(|(_, target)| *target)
            .collect();
        let body = SpawnBody {
            setup_len: dowry.setup.len,
            targets,
            rest: &dowry.setup.environment,
        };
        let mut descriptors = vec![
            Arc::new(dowry.socket),
            dowry.ledger,
            dowry.setup.file,
            dowry.stack,
        ];
        descriptors.extend(
            dowry
                .setup
                .extra
                .into_iter()
                .map(|(descriptor, _)| descriptor),
        );
        let fresh = exec || self.unfit || !dowry.setup.environment.is_empty();
        let flags = if fresh { SPAWN_EXEC } else { 0 };
        let header = Header::for_worker(Kind::Spawn, worker.0, index).with_flags(flags);
        self.outbox.push_body(header, &body, descriptors)
    }

    /// Orders a signal for a worker. The zygote reaps, so the number it signals is never stale.
    pub(crate) fn kill(&mut self, worker: WorkerId, signal: u32) -> Result<(), WireError> {
        self.outbox
            .push(&Header::for_worker(Kind::Kill, worker.0, signal))?;
        // The end of whoever is killed tells of itself.
        self.unanswered += usize::from(signal != SIGKILL.unsigned_abs());
        Ok(())
    }

    /// Has it say something, unless it has to anyway: that it found nobody to signal.
    pub(crate) fn probe(&mut self) {
        if self.unanswered == 0 {
            let asked = self.kill(NOBODY, SIGCONT.unsigned_abs());
            debug_assert!(asked.is_ok(), "{asked:?}");
        }
    }

    /// Notes that it has said something, and whether that was the answer to an order.
    pub(crate) fn note_word(&mut self, kind: Kind) {
        self.heard = true;
        if kind == Kind::Signalled {
            self.unanswered = self.unanswered.saturating_sub(1);
        }
    }

    pub(crate) fn owes_answers(&self) -> bool {
        self.unanswered > 0
    }

    /// Whether it has said anything since the last call.
    pub(crate) fn was_heard(&mut self) -> bool {
        std::mem::take(&mut self.heard)
    }

    /// Whether it has ended, whoever may hold its end of the socket. It is not waited for.
    pub(crate) fn is_over(&self) -> bool {
        let Ok(Some(process)) = pidfd::open(self.pid) else {
            return false;
        };
        let mut interests = [Interest::new(process.as_fd(), true, false)];
        poll(&mut interests, Some(0)).is_ok_and(|found| found > 0)
    }

    /// Has it go on where it was stopped.
    pub(crate) fn wake(&self) {
        // Its own unreaped child has the number. One that is over tells so by its socket.
        drop(process::kill(self.pid, SIGCONT));
    }

    /// Kills it, because it does nothing. Its socket tells of the end.
    pub(crate) fn give_up(&mut self) {
        self.given_up = true;
        drop(process::kill(self.pid, SIGKILL));
    }

    /// Writes what waits.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.outbox.flush(self.control.as_fd())
    }

    /// Ends the zygote with everything below it, and reaps it. Bounded: a zygote that does not end
    /// is killed, and its workers die with it. Whether it says that it has ended all below it.
    pub(crate) fn stop(&mut self) -> bool {
        let asked = self.outbox.push(&Header::bare(Kind::Stop, 0));
        self.wake();
        let deadline_ns = clock::monotonic_ns().saturating_add(STOP_MAX_NS);
        let mut scratch = [0_u8; 4096];
        loop {
            let flushed = self.flush();
            let now_ns = clock::monotonic_ns();
            if asked.is_err() || flushed.is_err() || now_ns >= deadline_ns {
                break;
            }
            let writable = !self.outbox.is_empty();
            let mut interests = [Interest::new(self.control.as_fd(), true, writable)];
            let waited = poll(&mut interests, Some(deadline_ns - now_ns));
            if waited.is_err_and(|error| error.kind() != io::ErrorKind::Interrupted) {
                break;
            }
            match self.intake.read(self.control.as_fd(), &mut scratch) {
                Ok(Read::End) => {
                    return self.reap().and_then(WaitStatus::exited) == Some(0);
                }
                Ok(Read::Some | Read::Empty) => {}
                Err(_) => break,
            }
        }
        self.end();
        false
    }

    /// Ends a zygote whose control socket has ended or that broke the protocol.
    ///
    /// Answers how it ended, where that was not the work of this call.
    pub(crate) fn end(&self) -> Option<WaitStatus> {
        // Its socket ends a little before it does. Whether it was killed, and by whom, is known only if it was waited for.
        if let Some(status) = self.reap_within(LEAVING_MAX_NS) {
            return Some(status);
        }
        // Its own unreaped child has the number, dead or alive.
        let killed = process::kill(self.pid, SIGKILL);
        debug_assert!(killed.is_ok(), "{killed:?}");
        // One that was already exiting keeps its own status.
        self.reap()
            .filter(|status| status.signal() != Some(SIGKILL))
    }

    /// Reaps the zygote, whose control socket has ended or that was killed. A program that ignores
    /// SIGCHLD or reaps every child takes the status away from us, and one that is traced belongs to
    /// its tracer until that has looked at it; nothing depends on it.
    pub(crate) fn reap(&self) -> Option<WaitStatus> {
        self.reap_within(REAP_MAX_NS)
    }

    fn reap_within(&self, wait_ns: u64) -> Option<WaitStatus> {
        let deadline_ns = clock::monotonic_ns().saturating_add(wait_ns);
        loop {
            match process::wait_pid(self.pid, false) {
                Ok(Some(reaped)) => return Some(reaped.status),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return None,
                Ok(None) if clock::monotonic_ns() >= deadline_ns => return None,
                // An interruption makes the next look come sooner.
                Ok(None) => drop(poll(&mut [], Some(LOOK_AGAIN_NS))),
            }
        }
    }
}
