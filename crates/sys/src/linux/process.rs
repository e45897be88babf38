//! What a process can know and set about itself and its children.
//!
//! It never reads the memory of others and never signals more than one process at a time.

use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use rustix::fs::Mode;

use super::lineage::{self, Stat};
use crate::force::{Switch, is_forced};
use crate::unix::descriptor;

pub use crate::contract::{Reaped, WaitStatus};
pub use crate::unix::process::{
    exit_now, has_children, kill, parent_pid, pid, preemptions, wait_any, wait_pid,
};

/// The unit of `ru_maxrss`.
pub(crate) const MAX_RSS_UNIT_BYTES: u64 = 1024;

/// Whose usage is counted: the nearest to the calling thread that the system tells.
pub(crate) const OWN_USAGE: libc::c_int = libc::RUSAGE_THREAD;

/// How often a process without variables is looked at, because it may be in the middle of an exec.
const EXEC_LOOKS_MAX: u32 = 100;

/// Enough for most environments.
const ENVIRONMENT_ROOM: usize = 32 << 10;

/// From now on, a descendant whose parent ends becomes a child of this process.
pub fn set_child_subreaper() -> io::Result<()> {
    // Any process number means "this process on": the kernel takes it as a truth value.
    Ok(rustix::process::set_child_subreaper(Some(
        rustix::process::getpid(),
    ))?)
}

/// Asks for a signal when the parent ends; more exactly, when that thread of it ends which made
/// this process. An end before this call is not told: compare [`parent_pid`] afterwards.
pub fn set_parent_death_signal(signal: i32) -> io::Result<()> {
    let signal =
        libc::c_ulong::try_from(signal).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    // SAFETY: this option takes a number and touches no memory.
    match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The children of this process, ended ones included until they are waited for.
pub fn children_of_self() -> io::Result<Vec<i32>> {
    lineage::children_of("self", pid())
}

/// The children of another process.
pub fn children_of(pid: i32) -> io::Result<Vec<i32>> {
    lineage::children_of(&pid.to_string(), pid)
}

/// The parent of another process now.
pub fn parent_of(pid: i32) -> io::Result<i32> {
    Ok(Stat::of(&pid.to_string())?.parent)
}

/// Whether the kernel lists the children of a process; else all processes are asked for their
/// parents, which is slower and a little more prone to miss one that is being made.
pub fn has_children_lists() -> bool {
    lineage::has_children_lists()
}

/// Whether a process was executed with this variable in its environment (`NAME=value`). What it has
/// changed since does not count; one that has ended or may not be asked has none. An error: there is no descriptor to
/// ask with.
pub fn was_given(pid: i32, variable: &str) -> io::Result<bool> {
    for _ in 0..EXEC_LOOKS_MAX {
        let text = match environment_of(pid) {
            Ok(text) => text,
            Err(error) if descriptor::is_table_full(&error) => return Err(error),
            Err(_) => return Ok(false),
        };
        if !text.is_empty() {
            let mut variables = text.split(|byte| *byte == 0);
            return Ok(variables.any(|one| one == variable.as_bytes()));
        }
        // In the middle of an exec a process has no variables; one that never had any looks the same.
        match Stat::of(&pid.to_string()) {
            Ok(stat) if stat.is_program => std::thread::yield_now(),
            Err(error) if descriptor::is_table_full(&error) => return Err(error),
            Ok(_) | Err(_) => return Ok(false),
        }
    }
    Ok(false)
}

/// In one read: between two, the memory that is read may have gone, which looks like the end.
fn environment_of(pid: i32) -> io::Result<Vec<u8>> {
    let path = format!("/proc/{pid}/environ");
    let mut room = ENVIRONMENT_ROOM;
    loop {
        let mut text = vec![0; room];
        let len = fs::File::open(&path)?.read(&mut text)?;
        if len < room {
            text.truncate(len);
            return Ok(text);
        }
        room *= 2;
    }
}

/// How many threads this process has.
pub fn thread_count() -> io::Result<usize> {
    Ok(Stat::of("self")?.threads)
}

/// Closes every descriptor from `lowest` on that is not in `keep`.
///
/// For a process that has just been executed or forked: the caller knows that no value here owns
/// one of the numbers that it does not name.
pub fn close_from(lowest: RawFd, keep: &[RawFd]) -> io::Result<()> {
    let lowest = lowest.max(0);
    let mut kept: Vec<RawFd> = keep
        .iter()
        .copied()
        .filter(|number| *number >= lowest)
        .collect();
    kept.sort_unstable();
    kept.dedup();
    let mut first = lowest;
    for number in kept {
        if number > first {
            close_between(first, number - 1)?;
        }
        first = number + 1;
    }
    close_between(first, RawFd::MAX)
}

fn close_between(first: RawFd, last: RawFd) -> io::Result<()> {
    if !is_forced(Switch::NoCloseRange) {
        // SAFETY: the call takes numbers; the caller of `close_from` knows that nobody owns them.
        if unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        // Older than 5.9, or a filter that does not know the call and says that it is forbidden.
        if !matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) {
            return Err(error);
        }
    }
    for number in open_descriptors()?
        .into_iter()
        .filter(|number| (first..=last).contains(number))
    {
        // SAFETY: as above. An error means that it is closed already, or closed all the same.
        unsafe { libc::close(number) };
    }
    Ok(())
}

/// The numbers that are open in this process.
pub(crate) fn open_descriptors() -> io::Result<Vec<RawFd>> {
    let mut numbers = Vec::new();
    // The list names the descriptor that reads it as well; it is closed before anybody looks.
    for entry in fs::read_dir("/proc/self/fd")? {
        numbers.extend(
            entry?
                .file_name()
                .to_str()
                .and_then(|name| name.parse::<RawFd>().ok()),
        );
    }
    Ok(numbers)
}

/// A pipe, closed on exec.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?)
}

/// Makes `target` another number for a descriptor, closed on exec.
pub(crate) fn duplicate_onto(source: &impl AsFd, target: RawFd) -> io::Result<()> {
    // SAFETY: the source is open for the whole call; by the contract of `descriptor::place` nobody
    // owns the target.
    match unsafe { libc::dup3(source.as_fd().as_raw_fd(), target, libc::O_CLOEXEC) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// The permission bits that new files of this process lack.
pub fn umask_of_self() -> u32 {
    let from_proc = fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("Umask:"))?;
            u32::from_str_radix(line.trim(), 8).ok()
        });
    // Without /proc the mask can only be read by changing it, for a moment and for all threads.
    from_proc.unwrap_or_else(|| {
        let mask = rustix::process::umask(Mode::RWXG | Mode::RWXO);
        rustix::process::umask(mask);
        mask.bits()
    })
}
