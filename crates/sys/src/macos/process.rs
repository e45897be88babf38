//! What a process can know and set about itself and its children.

use std::ffi::{c_int, c_void};
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use rustix::fs::Mode;

pub use crate::contract::{Reaped, WaitStatus};
pub use crate::unix::process::{
    exit_now, has_children, kill, parent_pid, pid, preemptions, wait_any, wait_pid,
};

/// The unit of `ru_maxrss`.
pub(crate) const MAX_RSS_UNIT_BYTES: u64 = 1;

/// Whose usage is counted: the nearest to the calling thread that the system tells.
pub(crate) const OWN_USAGE: libc::c_int = libc::RUSAGE_SELF;

/// Does nothing: orphans always go to the first process of the system.
pub fn set_child_subreaper() -> io::Result<()> {
    Ok(())
}

/// Always `ENOTSUP`; the lifeline does without.
pub fn set_parent_death_signal(_signal: i32) -> io::Result<()> {
    Err(io::Error::from_raw_os_error(libc::ENOTSUP))
}

/// The children of this process.
pub fn children_of_self() -> io::Result<Vec<i32>> {
    children_of(pid())
}

/// The children of another process.
pub fn children_of(pid: i32) -> io::Result<Vec<i32>> {
    let mut room = 64_usize;
    loop {
        let mut pids = vec![0_i32; room];
        let bytes = c_int::try_from(room * size_of::<i32>()).unwrap_or(c_int::MAX);
        // SAFETY: the buffer is writable and has so many bytes.
        let count =
            unsafe { libc::proc_listchildpids(pid, pids.as_mut_ptr().cast::<c_void>(), bytes) };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        if count < room {
            pids.truncate(count);
            return Ok(pids);
        }
        room *= 2;
    }
}

/// Always `ENOTSUP`; only those ask who have found a mark.
pub fn parent_of(_pid: i32) -> io::Result<i32> {
    Err(io::Error::from_raw_os_error(libc::ENOTSUP))
}

/// Always: there is no other way.
pub fn has_children_lists() -> bool {
    true
}

/// Not known.
pub fn was_given(_pid: i32, _variable: &str) -> io::Result<bool> {
    Ok(false)
}

/// How many threads this process has.
pub fn thread_count() -> io::Result<usize> {
    let info = super::usage::task_info(pid())?;
    usize::try_from(info.pti_threadnum).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))
}

/// Closes every descriptor from `lowest` on that is not in `keep`.
///
/// For a process that has just been executed or forked: the caller knows that no value here owns
/// one of the numbers that it does not name.
pub fn close_from(lowest: RawFd, keep: &[RawFd]) -> io::Result<()> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir("/dev/fd")? {
        numbers.extend(
            entry?
                .file_name()
                .to_str()
                .and_then(|name| name.parse::<RawFd>().ok()),
        );
    }
    for number in numbers
        .into_iter()
        .filter(|number| *number >= lowest && !keep.contains(number))
    {
        // SAFETY: see above. An error means that it is closed already, or closed all the same.
        unsafe { libc::close(number) };
    }
    Ok(())
}

/// A pipe, closed on exec; a child that another thread makes at this very moment may inherit it.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe()?;
    for end in [&read, &write] {
        rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)?;
    }
    Ok((read, write))
}

/// Makes `target` another number for a descriptor, closed on exec.
pub(crate) fn duplicate_onto(source: &impl AsFd, target: RawFd) -> io::Result<()> {
    // SAFETY: the source is open for the whole call; by the contract of `descriptor::place` nobody
    // owns the target.
    if unsafe { libc::dup2(source.as_fd().as_raw_fd(), target) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the number was opened by the call above.
    if unsafe { libc::fcntl(target, libc::F_SETFD, libc::FD_CLOEXEC) } == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// The permission bits that new files of this process lack. It can only be read by changing it, for
/// a moment and for all threads.
pub fn umask_of_self() -> u32 {
    let mask = rustix::process::umask(Mode::RWXG | Mode::RWXO);
    rustix::process::umask(mask);
    u32::from(mask.bits())
}
