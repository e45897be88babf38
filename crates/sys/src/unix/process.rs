//! This process, its parent, and waiting for its children.
//!
//! Re-exported by the `process` module of each platform. It never waits for a child that the caller
//! did not ask for, except in [`wait_any`], which is for processes that own all their children.

use std::io;

use crate::contract::{Reaped, WaitStatus};
use crate::platform::process::{MAX_RSS_UNIT_BYTES, OWN_USAGE};

/// The number of this process.
pub fn pid() -> i32 {
    std::process::id().cast_signed()
}

/// The number of its parent now. After the parent's end it is that of another process.
pub fn parent_pid() -> i32 {
    std::os::unix::process::parent_id().cast_signed()
}

/// Waits for any child that has ended, without blocking. `None`: none has, or there is none.
pub fn wait_any() -> io::Result<Option<Reaped>> {
    match wait4(-1, libc::WNOHANG) {
        Err(error) if error.raw_os_error() == Some(libc::ECHILD) => Ok(None),
        result => result,
    }
}

/// Waits for one child. `None`: it has not ended (only when not blocking). `ECHILD`: it is no child
/// of this process, or somebody else has waited for it. `EINTR` is possible when blocking.
pub fn wait_pid(pid: i32, block: bool) -> io::Result<Option<Reaped>> {
    refuse_groups(pid)?;
    wait4(pid, if block { 0 } else { libc::WNOHANG })
}

/// Whether this process has any child, ended or not. Reaps nothing.
pub fn has_children() -> io::Result<bool> {
    // SAFETY: the structure is plain numbers, for which zero is a value, and outlives the call.
    let result = unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        libc::waitid(
            libc::P_ALL,
            0,
            &raw mut info,
            libc::WEXITED | libc::WNOHANG | libc::WNOWAIT,
        )
    };
    if result == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() == Some(libc::ECHILD) {
        Ok(false)
    } else {
        Err(error)
    }
}

/// Sends a signal to one process. Numbers that mean groups are refused with `EINVAL`.
///
/// The caller knows that the number is not stale: it is an unreaped child of this process, or this
/// process itself.
pub fn kill(pid: i32, signal: i32) -> io::Result<()> {
    refuse_groups(pid)?;
    // SAFETY: the call takes two numbers and touches no memory.
    match unsafe { libc::kill(pid, signal) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Ends this process at once: no destructors, no exit handlers, no flushing.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: the call does not return and touches no memory.
    unsafe { libc::_exit(code) }
}

fn refuse_groups(pid: i32) -> io::Result<()> {
    if pid > 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(libc::EINVAL))
    }
}

fn wait4(pid: i32, options: i32) -> io::Result<Option<Reaped>> {
    let mut status = 0;
    // SAFETY: the structure is plain numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both places are live and writable for the whole call.
    match unsafe { libc::wait4(pid, &raw mut status, options, &raw mut usage) } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(None),
        pid => Ok(Some(Reaped {
            pid,
            status: WaitStatus(status),
            max_rss_bytes: u64::try_from(usage.ru_maxrss)
                .unwrap_or(0)
                .saturating_mul(MAX_RSS_UNIT_BYTES),
            user_ns: ns_of(usage.ru_utime),
            system_ns: ns_of(usage.ru_stime),
        })),
    }
}

/// How often this thread has had to give up its processor to somebody else before it was done; where
/// the system does not tell that, how often this process has. 0 where it tells neither.
pub fn preemptions() -> u64 {
    // SAFETY: the structure is plain numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the place has the right type and is writable for the call.
    let told = unsafe { libc::getrusage(OWN_USAGE, &raw mut usage) } == 0;
    let count = if told { usage.ru_nivcsw } else { 0 };
    u64::try_from(count).unwrap_or(0)
}

fn ns_of(time: libc::timeval) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let microseconds = u64::try_from(time.tv_usec).unwrap_or(0);
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(microseconds.saturating_mul(1000))
}
