//! A mark that a process hands on to all that it will ever start, and that none of them sheds by accident.
//!
//! It is the soft limit `RLIMIT_LOCKS`, which no kernel since 2.4.25 looks at: limits are kept by a fork, by an
//! exec, in another session, with a new parent and with an empty environment. One system call reads that of another
//! process of the same user. It never marks a process that it is not told to, and kills nobody without the mark.

use std::io;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::lineage::{Stat, all_processes, is_gone};
use super::{pidfd, process};
use crate::force::{Switch, is_forced};

pub use crate::contract::Mark;

/// Marks a process that has started nothing yet, so that all that it starts will have the mark as well. It takes the
/// place of one that the process had.
///
/// Refused where a filter does not allow it (`EPERM`), or the hard limit was lowered (`EINVAL`).
pub fn put(pid: i32, mark: Mark) -> io::Result<()> {
    if is_forced(Switch::NoMark) {
        return Err(io::Error::from_raw_os_error(libc::EPERM));
    }
    let maximum = limit_of(pid)?.rlim_max;
    let limit = Rlimit {
        current: Some(mark.raw()),
        maximum: (maximum != libc::RLIM64_INFINITY).then_some(maximum),
    };
    prlimit(Some(pid_of(pid)?), Resource::Locks, limit)?;
    Ok(())
}

/// Whether marks can be put on children of this process. Nothing is changed by asking.
pub fn is_possible() -> bool {
    let own = process::pid();
    let unbounded = |limit: &libc::rlimit64| limit.rlim_max == libc::RLIM64_INFINITY;
    let Some(limit) = limit_of(own).ok().filter(unbounded) else {
        return false;
    };
    let same = Rlimit {
        current: (limit.rlim_cur != libc::RLIM64_INFINITY).then_some(limit.rlim_cur),
        maximum: None,
    };
    let put = |pid| prlimit(Some(pid), Resource::Locks, same);
    !is_forced(Switch::NoMark) && pid_of(own).is_ok_and(|own| put(own).is_ok())
}

/// Everybody who has this mark and has not ended, apart from this process. Those of other users are not asked.
///
/// One that is being made while it looks may be missing, so who wants all of them asks until nothing changes. It takes
/// two descriptors for a moment.
pub fn bearers(mark: Mark) -> io::Result<Vec<i32>> {
    let own = process::pid();
    let mut found = Vec::new();
    for pid in all_processes()?.filter(|pid| *pid != own && bears(*pid, mark)) {
        match Stat::of(&pid.to_string()) {
            Ok(stat) if stat.is_program => found.push(pid),
            // What has ended keeps its limits until it is waited for.
            Ok(_) => {}
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Sends a signal to a process with this mark; whether it was sent. A number that has gone to another process meanwhile
/// costs that one nothing, unless it has the mark too.
pub fn signal(pid: i32, mark: Mark, signal: i32) -> io::Result<bool> {
    let opened = match pidfd::open(pid) {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(false),
        opened => opened,
    };
    // The descriptor is the process that has the number now. If that one lives when it is signalled, the number was
    // its own when the mark was read.
    if !bears(pid, mark) {
        return Ok(false);
    }
    let sent = match opened {
        Ok(Some(process)) => pidfd::signal(process, signal),
        // Without one, the number would have to be given out again between two system calls.
        Ok(None) | Err(_) => process::kill(pid, signal),
    };
    match sent {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(false),
        sent => sent.map(|()| true),
    }
}

/// Whether a process has this mark. Allowed in a signal handler.
pub(crate) fn bears(pid: i32, mark: Mark) -> bool {
    limit_of(pid).is_ok_and(|limit| limit.rlim_cur == mark.raw())
}

/// The mark of a process that was put on it, or on what it descends from, for `founder`. Allowed in a signal handler.
pub(crate) fn of_founder(pid: i32, founder: i32) -> Option<Mark> {
    Mark::read(limit_of(pid).ok()?.rlim_cur, founder)
}

fn limit_of(pid: i32) -> io::Result<libc::rlimit64> {
    let mut limit = libc::rlimit64 {
        rlim_cur: 0,
        rlim_max: 0,
    };
    let nothing = std::ptr::null::<libc::rlimit64>();
    // SAFETY: nothing is set where the new limit is null, and the place is live and writable for the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_prlimit64,
            pid,
            libc::RLIMIT_LOCKS,
            nothing,
            &raw mut limit,
        )
    };
    if result == 0 {
        Ok(limit)
    } else {
        Err(io::Error::last_os_error())
    }
}

/// A number that means one process; 0 would be this one.
fn pid_of(pid: i32) -> io::Result<Pid> {
    let pid = u32::try_from(pid).ok().and_then(|_| Pid::from_raw(pid));
    pid.ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))
}
