//! Forking, and knowing that somebody else forked.
//!
//! Owner of the generation number. It never decides what may be used after a fork.

use std::io;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub use crate::contract::Fork;
use crate::process;

static GENERATION: AtomicU64 = AtomicU64::new(0);
static COUNTED: AtomicBool = AtomicBool::new(false);

/// Forks.
///
/// # Safety
/// In a process with more than one thread the child may call nothing but async-signal-safe
/// functions, since any lock may be held by a thread that does not exist there. The caller promises
/// to have one thread or to keep to that.
pub unsafe fn fork() -> io::Result<Fork> {
    // SAFETY: the caller keeps the promise above; the call itself has no other condition.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(pid)),
    }
}

/// Forks a process that has one thread, and refuses (`EBUSY`) one that has more.
///
/// Only the calling thread could start another one between the count and the fork, so the child has
/// every thread that its parent had, and no lock is held by one that does not exist there.
pub fn fork_alone() -> io::Result<Fork> {
    match process::thread_count()? {
        // SAFETY: this process has one thread, as has just been counted.
        1 => unsafe { fork() },
        _ => Err(io::Error::from_raw_os_error(libc::EBUSY)),
    }
}

/// Begins to count forks. Whoever asks for [`fork_generation`] calls it before; more calls change
/// nothing.
pub fn watch_forks() {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        // SAFETY: `count_fork` only adds to an atomic, which is allowed in a forked child, and lives
        // as long as the program.
        let code = unsafe { libc::pthread_atfork(None, None, Some(count_fork)) };
        COUNTED.store(code == 0, Ordering::Relaxed);
    });
}

/// A number that differs in this process and in every child that was forked from it by the C
/// library, whoever called it. A bare `clone` system call is not noticed.
pub fn fork_generation() -> u64 {
    if COUNTED.load(Ordering::Relaxed) {
        GENERATION.load(Ordering::Relaxed)
    } else {
        // Without memory for a handler the process number does, at the price of a system call.
        u64::from(std::process::id())
    }
}

extern "C" fn count_fork() {
    // There is only one thread in the child, so no order is needed.
    GENERATION.fetch_add(1, Ordering::Relaxed);
}
