//! Signals: this thread's mask, two dispositions, names.
//!
//! It never installs a handler; the one of the lifeline stands in `lifeline`. Nothing here is called
//! on a thread or for a signal that belongs to the user's program.

use std::io;

pub use libc::{
    SIGABRT, SIGALRM, SIGBUS, SIGCHLD, SIGCONT, SIGFPE, SIGHUP, SIGILL, SIGINT, SIGKILL, SIGPIPE,
    SIGQUIT, SIGSEGV, SIGSTOP, SIGSYS, SIGTERM, SIGTRAP, SIGTSTP, SIGUSR1, SIGUSR2,
};

/// The signal on which a worker writes the stacks of its threads, beside the lifeline's in the middle
/// of the real-time signals.
#[cfg(target_os = "linux")]
pub const STACK_SIGNAL: i32 = 59;
/// The signal on which a worker writes the stacks of its threads: there are no real-time signals.
#[cfg(not(target_os = "linux"))]
pub const STACK_SIGNAL: i32 = SIGUSR2;

/// Left open by [`block_all_in_this_thread`]: the kernel ends a process whose thread causes one of
/// these while it is blocked, without running the handler that would tell the stack.
const FAULTS: [libc::c_int; 6] = [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT];

/// Lets no signal be delivered to this thread, so that all handlers run on others; the faults of the
/// thread's own making and the lifeline stay open. For threads that this project started.
pub fn block_all_in_this_thread() {
    // SAFETY: the set is initialised by `sigfillset` before it is read, and lives for all the calls,
    // which cannot fail with valid arguments.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut set);
        for signal in FAULTS {
            libc::sigdelset(&raw mut set, signal);
        }
        libc::sigdelset(&raw mut set, crate::lifeline::LIFELINE_SIGNAL);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut());
    }
}

/// Lets a signal be delivered to this thread again.
pub fn unblock(signal: i32) {
    // SAFETY: the set is initialised by `sigemptyset` before it is read, and lives for all the
    // calls, which cannot fail with a valid signal.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, signal);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());
    }
}

/// Ignores a signal, also in what this process executes.
pub fn ignore(signal: i32) -> io::Result<()> {
    set_disposition(signal, libc::SIG_IGN)
}

/// Gives a signal its default effect again.
pub fn reset(signal: i32) -> io::Result<()> {
    set_disposition(signal, libc::SIG_DFL)
}

fn set_disposition(signal: i32, disposition: libc::sighandler_t) -> io::Result<()> {
    // SAFETY: neither disposition is a function, so no code of ours runs in a signal context.
    if unsafe { libc::signal(signal, disposition) } == libc::SIG_ERR {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// The name of a signal, such as `SIGSEGV`; real-time signals have none.
pub const fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGCHLD => "SIGCHLD",
        libc::SIGCONT => "SIGCONT",
        libc::SIGSTOP => "SIGSTOP",
        libc::SIGTSTP => "SIGTSTP",
        libc::SIGTTIN => "SIGTTIN",
        libc::SIGTTOU => "SIGTTOU",
        libc::SIGURG => "SIGURG",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        libc::SIGVTALRM => "SIGVTALRM",
        libc::SIGPROF => "SIGPROF",
        libc::SIGWINCH => "SIGWINCH",
        libc::SIGIO => "SIGIO",
        libc::SIGSYS => "SIGSYS",
        #[cfg(target_os = "linux")]
        libc::SIGPWR => "SIGPWR",
        #[cfg(target_os = "linux")]
        libc::SIGSTKFLT => "SIGSTKFLT",
        _ => return None,
    })
}
