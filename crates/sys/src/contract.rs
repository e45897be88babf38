//! The surface that an operating system has to give, as types.
//!
//! Owner of every type that crosses the border of this crate without being a resource, and of the
//! list of functions a platform must have: the constants at the end do not compile where one is
//! missing or has another form. No condition on the operating system may stand here.

use std::collections::VecDeque;
use std::ffi::{CStr, OsString};
use std::io::{self, IoSlice};
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// A process to be made.
#[derive(Clone, Copy, Debug)]
pub struct Spawn<'a> {
    /// The file to execute; it is not searched for.
    pub program: &'a Path,
    /// The arguments after the name of the program.
    pub args: &'a [OsString],
    /// The whole environment, or `None` for that of this process.
    pub env: Option<&'a [(OsString, OsString)]>,
    /// What the process inherits beside the standard streams, and under which number.
    pub keep: &'a [(BorrowedFd<'a>, RawFd)],
    /// Standard input is the null device instead of being inherited.
    pub null_stdin: bool,
}

/// What a process and all that it will ever start have in common, and nobody else has.
///
/// It names its founder, the process on which it was put, so that whoever descends from several knows whose it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark(u64);

impl Mark {
    /// Set in no number that somebody would choose as a limit.
    const MADE_HERE: u64 = 1 << 63;

    /// A mark for this process. The salt tells it from one whose founder had the same number.
    pub const fn new(founder: i32, salt: u32) -> Self {
        // A process number is positive, so this never adds up to "no limit".
        let salt = (salt >> 1) as u64;
        Self(Self::MADE_HERE | salt << 32 | founder.cast_unsigned() as u64)
    }

    /// The mark that a number is, if it was made for this founder.
    pub const fn read(raw: u64, founder: i32) -> Option<Self> {
        let made_for = raw & (u32::MAX as u64) == founder.cast_unsigned() as u64;
        if raw != u64::MAX && raw & Self::MADE_HERE != 0 && made_for {
            Some(Self(raw))
        } else {
            None
        }
    }

    /// The number that it is kept as.
    pub const fn raw(self) -> u64 {
        self.0
    }
}

/// The two returns of a fork.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fork {
    /// This is the new process.
    Child,
    /// This is the old process; the number is that of its child.
    Parent(i32),
}

/// How a process ended, as the kernel encodes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WaitStatus(pub i32);

impl WaitStatus {
    /// The number as it travels.
    pub const fn raw(self) -> i32 {
        self.0
    }

    /// The code that the process exited with, if it did.
    pub const fn exited(self) -> Option<i32> {
        if libc::WIFEXITED(self.0) {
            Some(libc::WEXITSTATUS(self.0))
        } else {
            None
        }
    }

    /// The signal that ended the process, if one did.
    pub const fn signal(self) -> Option<i32> {
        if libc::WIFSIGNALED(self.0) {
            Some(libc::WTERMSIG(self.0))
        } else {
            None
        }
    }

    /// Whether the kernel wrote a core file.
    pub const fn dumped_core(self) -> bool {
        libc::WIFSIGNALED(self.0) && libc::WCOREDUMP(self.0)
    }
}

/// A child that has been waited for. Its number may belong to another process from now on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reaped {
    /// Its number.
    pub pid: i32,
    /// How it ended.
    pub status: WaitStatus,
    /// The most memory that it ever had resident.
    pub max_rss_bytes: u64,
    /// Processor time in its own code.
    pub user_ns: u64,
    /// Processor time in the kernel on its behalf.
    pub system_ns: u64,
}

/// What one descriptor is polled for, and what was found.
#[derive(Debug)]
pub struct Interest<'fd> {
    /// The descriptor.
    pub fd: BorrowedFd<'fd>,
    /// Wait for bytes to read.
    pub readable: bool,
    /// Wait for room to write.
    pub writable: bool,
    /// The answer; overwritten by each poll that succeeds.
    pub ready: Ready,
}

impl<'fd> Interest<'fd> {
    /// An interest that nothing has answered yet. With neither direction only the end is told.
    pub const fn new(fd: BorrowedFd<'fd>, readable: bool, writable: bool) -> Self {
        Self {
            fd,
            readable,
            writable,
            ready: Ready {
                readable: false,
                writable: false,
                ended: false,
            },
        }
    }
}

/// What a poll found out about one descriptor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ready {
    /// A read would not wait.
    pub readable: bool,
    /// A write would not wait.
    pub writable: bool,
    /// The other end is gone or the descriptor has failed. Bytes may still be waiting: whoever
    /// wants to know reads.
    pub ended: bool,
}

impl Ready {
    /// Whether there is anything to do.
    pub const fn any(self) -> bool {
        self.readable || self.writable || self.ended
    }
}

/// The version of a cgroup.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GroupVersion {
    /// A hierarchy for each controller.
    One,
    /// One hierarchy.
    Two,
}

/// Whether a process computes or waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RunState {
    /// It computes, or would if a processor were free.
    Running,
    /// It waits, and a signal would wake it.
    Sleeping,
    /// It waits in the kernel for a device, and no signal reaches it.
    Blocked,
    /// It has been stopped, by a signal or a debugger.
    Stopped,
    /// It is over and has not been waited for.
    Ended,
    /// The system says something else.
    Other,
}

/// What a process is doing, seen from outside. That of the first thread, where there are several.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Activity {
    /// Whether it computes or waits.
    pub state: RunState,
    /// The processor time that all its threads have used, in nanoseconds.
    pub cpu_ns: u64,
    /// What it has resident.
    pub resident_bytes: u64,
    /// How many threads it has.
    pub threads: u32,
    /// The function of the kernel in which it waits, where the system tells.
    pub waits_in: Option<String>,
}

/// What the kernel has counted in a memory cgroup since it was made; `None` where it does not say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MemoryCounters {
    /// Processes of the group that were ended for lack of memory.
    pub kills: Option<u64>,
    /// How often the limit was in the way.
    pub limit_hits: Option<u64>,
}

/// What a process wrote down before its end, as [`crate::faults::watch`] has it written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LastWords {
    /// The signal that was about to end it; 0 if none was seen.
    pub signal: i32,
    /// Why, in the kernel's numbers; not positive if a process sent it.
    pub code: i32,
    /// The address of a fault.
    pub address: u64,
    /// Who sent the signal, where a process did; the number of the system call, for SIGSYS.
    pub sender: i32,
    /// Where the stack had come to; 0 if that is not known.
    pub stack_pointer: u64,
    /// Where the main thread's stack ends by its limit; 0 if that is not known.
    pub stack_end: u64,
    /// The limit.
    pub stack_limit_bytes: u64,
    /// The C library's `exit` was called.
    pub exit_called: bool,
}

impl LastWords {
    /// How many words of a page they take.
    pub const WORDS: usize = 7;

    /// What the words say, once the process is over. A wild one may have written anything there.
    pub fn read(words: [u64; Self::WORDS]) -> Self {
        let [
            event,
            address,
            sender,
            stack_pointer,
            stack_end,
            stack_limit_bytes,
            exit,
        ] = words;
        Self {
            signal: low_half(event),
            code: low_half(event >> 32),
            address,
            sender: low_half(sender),
            stack_pointer,
            stack_end,
            stack_limit_bytes,
            exit_called: exit != 0,
        }
    }

    /// The words for the end of the stack and its limit.
    pub(crate) fn stack_of(words: &[AtomicU64]) -> [&AtomicU64; 2] {
        match words {
            [_, _, _, _, end, limit, ..] => [end, limit],
            // Whoever calls has counted the words; two that nobody reads do no harm.
            _ => [&NOWHERE, &NOWHERE],
        }
    }

    /// Notes that `exit` was called.
    pub(crate) fn mark_exit(words: &[AtomicU64]) {
        if let [_, _, _, _, _, _, exit, ..] = words {
            exit.store(1, Ordering::Release);
        }
    }

    /// Writes down a fault. Allowed in a signal handler.
    pub(crate) fn write(
        words: &[AtomicU64],
        signal: i32,
        code: i32,
        address: u64,
        sender: i32,
        stack_pointer: u64,
    ) {
        if let [event, first, second, third, ..] = words {
            first.store(address, Ordering::Relaxed);
            second.store(u64::from(sender.cast_unsigned()), Ordering::Relaxed);
            third.store(stack_pointer, Ordering::Relaxed);
            let both = u64::from(signal.cast_unsigned()) | u64::from(code.cast_unsigned()) << 32;
            event.store(both, Ordering::Release);
        }
    }
}

static NOWHERE: AtomicU64 = AtomicU64::new(0);

fn low_half(word: u64) -> i32 {
    u32::try_from(word & u64::from(u32::MAX)).map_or(0, u32::cast_signed)
}

/// The number of descriptors that one message can carry.
pub const DESCRIPTORS_MAX: usize = 253;

/// What a platform must provide (descriptors as anything that can be borrowed), besides the methods of [`crate::memory::Mapping`],
/// [`crate::wake::Wake`] and the constants of [`crate::signal`] and [`crate::errno`].
const _: () = {
    const _: fn(&Spawn<'_>) -> io::Result<i32> = crate::spawn::spawn;
    const _: unsafe fn() -> io::Result<Fork> = crate::fork::fork;
    const _: fn() -> io::Result<Fork> = crate::fork::fork_alone;
    const _: fn() -> io::Result<usize> = crate::fork::retire_threads;
    const _: fn() = crate::fork::watch_forks;
    const _: fn() -> u64 = crate::fork::fork_generation;

    const _: fn() -> i32 = crate::process::pid;
    const _: fn() -> i32 = crate::process::parent_pid;
    const _: fn() -> io::Result<Option<Reaped>> = crate::process::wait_any;
    const _: fn(i32, bool) -> io::Result<Option<Reaped>> = crate::process::wait_pid;
    const _: fn() -> io::Result<bool> = crate::process::has_children;
    const _: fn(i32, i32) -> io::Result<()> = crate::process::kill;
    const _: fn() -> io::Result<()> = crate::process::set_child_subreaper;
    const _: fn(i32) -> io::Result<()> = crate::process::set_parent_death_signal;
    const _: fn() -> io::Result<Vec<i32>> = crate::process::children_of_self;
    const _: fn(i32) -> io::Result<Vec<i32>> = crate::process::children_of;
    const _: fn(i32) -> io::Result<i32> = crate::process::parent_of;
    const _: fn() -> bool = crate::process::has_children_lists;
    const _: fn(i32, &str) -> io::Result<bool> = crate::process::was_given;
    const _: fn() -> io::Result<usize> = crate::process::thread_count;
    const _: fn(RawFd, &[RawFd]) -> io::Result<()> = crate::process::close_from;
    const _: fn() -> u32 = crate::process::umask_of_self;
    const _: fn(i32) -> ! = crate::process::exit_now;

    const _: i32 = crate::lifeline::LIFELINE_SIGNAL;
    const _: &str = crate::lifeline::LET_LIVE_VARIABLE;
    const _: fn(i32) -> io::Result<()> = crate::lifeline::arm_lifeline;

    const _: fn(i32, Mark) -> io::Result<()> = crate::mark::put;
    const _: fn(Mark) -> io::Result<Vec<i32>> = crate::mark::bearers;
    const _: fn(i32, Mark, i32) -> io::Result<bool> = crate::mark::signal;
    const _: fn() -> bool = crate::mark::is_possible;

    type Received = VecDeque<Option<OwnedFd>>;
    type Send = fn(OwnedFd, &[IoSlice<'_>], &[BorrowedFd<'_>]) -> io::Result<usize>;
    const _: fn() -> io::Result<(OwnedFd, OwnedFd)> = crate::socket::pair;
    const _: Send = crate::socket::send::<OwnedFd>;
    const _: fn(OwnedFd, &mut [u8], &mut Received) -> io::Result<usize> = crate::socket::recv;
    const _: fn(OwnedFd) -> io::Result<()> = crate::socket::set_nonblocking;

    const _: fn(&CStr, u64) -> io::Result<OwnedFd> = crate::memory::memfd;
    const _: fn(&CStr, u64) -> io::Result<OwnedFd> = crate::memory::growing_memfd;
    const _: fn(&CStr, &[u8]) -> io::Result<OwnedFd> = crate::memory::memfd_of;
    const _: fn(OwnedFd, usize) -> io::Result<Vec<u8>> = crate::memory::read_file;
    const _: fn(OwnedFd, u64, usize) -> io::Result<Vec<u8>> = crate::memory::read_file_at;
    const _: fn(OwnedFd) -> io::Result<()> = crate::memory::empty_file;
    const _: fn(OwnedFd) -> io::Result<u64> = crate::memory::file_len;
    const _: fn(OwnedFd) -> io::Result<bool> = crate::memory::is_sealed;

    const _: fn(i32) -> io::Result<Option<OwnedFd>> = crate::pidfd::open;
    const _: fn(OwnedFd, i32) -> io::Result<()> = crate::pidfd::signal;
    const _: fn(&mut [Interest<'_>], Option<u64>) -> io::Result<usize> = crate::poll::poll;
    const _: fn() -> u64 = crate::clock::monotonic_ns;
    const _: fn() -> u64 = crate::clock::wall_ns;
    const _: fn(i32) -> io::Result<u64> = crate::usage::resident_bytes;
    const _: fn(i32) -> io::Result<u64> = crate::usage::peak_bytes;
    const _: fn() -> u64 = crate::process::preemptions;
    const _: fn(i32) -> io::Result<Activity> = crate::usage::activity;

    type Group = crate::cgroup::MemoryGroup;
    const _: fn(i32) -> Option<Group> = Group::of;
    const _: fn(&str) -> Option<Group> = Group::from_membership;
    const _: fn(&Path) -> Option<Group> = Group::at;
    const _: fn(&Group) -> MemoryCounters = Group::counters;
    const _: fn(&Group) -> Option<u64> = Group::limit_bytes;
    const _: fn(&Group) -> Option<u64> = Group::usage_bytes;
    const _: fn(&Group, &str, u64) -> io::Result<Group> = Group::make_below;
    const _: fn(&Group, u64) -> io::Result<()> = Group::set_limit;
    const _: fn(&Group) -> io::Result<OwnedFd> = Group::door;
    const _: fn(OwnedFd) -> io::Result<()> = crate::cgroup::enter;
    const _: fn(&Group) -> io::Result<()> = Group::remove;
    const _: fn(i32) -> io::Result<String> = crate::cgroup::membership;
    const _: fn() -> Option<u64> = crate::cgroup::kernel_kills;
};
