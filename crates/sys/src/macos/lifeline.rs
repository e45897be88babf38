//! Dying with the parent. The kernel sends no signal for it, so a thread waits for the parent's end,
//! kills the children that it finds, and ends the process.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::thread;

use super::process;

/// No signal is used here; this is one that nobody sends.
pub const LIFELINE_SIGNAL: i32 = libc::SIGEMT;

/// The variable of a process that is to be left alone.
pub const LET_LIVE_VARIABLE: &str = "LOKY_LET_LIVE";

/// What a zygote is executed with, and all that descends from it has: the name of that family.
pub const FAMILY_VARIABLE: &str = "LOKY_FAMILY";

/// How often the thread looks for children before it gives up on one that does not end.
const ROUNDS_MAX: u32 = 2000;

/// Ties the life of this process to that of `expected_parent`. To be called once after each exec.
/// `ESRCH`: the parent is gone already; the caller ends itself.
pub fn arm_lifeline(expected_parent: i32) -> io::Result<()> {
    let ident = libc::uintptr_t::try_from(expected_parent)
        .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    // SAFETY: the call takes nothing and touches no memory.
    let number = unsafe { libc::kqueue() };
    if number == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the number is new, so it is owned by the result alone.
    let queue = unsafe { OwnedFd::from_raw_fd(number) };
    let wanted = libc::kevent {
        ident,
        filter: libc::EVFILT_PROC,
        flags: libc::EV_ADD | libc::EV_ONESHOT,
        fflags: libc::NOTE_EXIT,
        data: 0,
        udata: ptr::null_mut(),
    };
    // SAFETY: the list of changes lives for the call, and there is no list of events.
    if unsafe {
        libc::kevent(
            queue.as_raw_fd(),
            &raw const wanted,
            1,
            ptr::null_mut(),
            0,
            ptr::null(),
        )
    } == -1
    {
        return Err(io::Error::last_os_error());
    }
    if process::parent_pid() != expected_parent {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    thread::Builder::new()
        .name("lifeline".to_owned())
        .spawn(move || end_with_parent(&queue))?;
    Ok(())
}

fn end_with_parent(queue: &OwnedFd) {
    crate::unix::signal::block_all_in_this_thread();
    // SAFETY: the structure is plain numbers and pointers, for which zero is a value.
    let mut event: libc::kevent = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: there is no list of changes, and the one event is writable for the whole call.
        let count = unsafe {
            libc::kevent(
                queue.as_raw_fd(),
                ptr::null(),
                0,
                &raw mut event,
                1,
                ptr::null(),
            )
        };
        if count != -1 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            break;
        }
    }
    for _ in 0..ROUNDS_MAX {
        let children = process::children_of_self().unwrap_or_default();
        if children.is_empty() {
            break;
        }
        for child in children {
            // It may have ended by itself.
            let _ = process::kill(child, libc::SIGKILL);
        }
        while let Ok(Some(_)) = process::wait_any() {}
        thread::yield_now();
    }
    let _ = process::kill(process::pid(), libc::SIGKILL);
    process::exit_now(128 + libc::SIGKILL)
}
