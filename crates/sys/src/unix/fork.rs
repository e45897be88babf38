//! Forking, and knowing that somebody else forked.
//!
//! Owner of the generation number. It never decides what may be used after a fork.

use std::io;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub use crate::contract::Fork;
use crate::poll::poll;
use crate::{clock, process, signal};

/// How long a child that only ends may take to do so.
const END_MAX_NS: u64 = 500_000_000;

/// How long threads that have ended may take to be gone.
const GONE_MAX_NS: u64 = 20_000_000;

/// The kernel tells nobody that a thread is gone, so that is looked for this often.
const LOOK_AGAIN_NS: u64 = 500_000;

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

/// Has libraries end those of their threads that they end before every fork, by forking a child that
/// only ends; answers how many threads are left. Libraries for linear algebra do that, and start their
/// threads again when they need them.
pub fn retire_threads() -> io::Result<usize> {
    // SAFETY: the child calls nothing but `_exit`, which is async-signal-safe.
    let child = match unsafe { fork() }? {
        Fork::Parent(pid) => pid,
        // SAFETY: as above; nothing of this process is touched by its end.
        Fork::Child => unsafe { libc::_exit(0) },
    };
    let deadline_ns = clock::monotonic_ns().saturating_add(END_MAX_NS);
    while process::wait_pid(child, false)?.is_none() {
        if clock::monotonic_ns() >= deadline_ns {
            // A handler of somebody's hangs in the child.
            process::kill(child, signal::SIGKILL)?;
            process::wait_pid(child, true)?;
            break;
        }
        pause();
    }
    let deadline_ns = clock::monotonic_ns().saturating_add(GONE_MAX_NS);
    loop {
        let threads = process::thread_count()?;
        if threads == 1 || clock::monotonic_ns() >= deadline_ns {
            return Ok(threads);
        }
        pause();
    }
}

fn pause() {
    // An interruption makes the next look come sooner.
    let _ = poll(&mut [], Some(LOOK_AGAIN_NS));
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
